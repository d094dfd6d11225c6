/** Whether the records of numbered callers hold what was said, once. */
import { expect } from 'vitest';
import { z } from 'zod';
import type { NumberedCaller } from './numbered-callers.ts';
import type { ServerOfItsOwn } from './server-of-its-own.ts';

const callRecord = z.looseObject({
  id: z.string(),
  status: z.string(),
  end_reason: z.string().nullable(),
  ended_at: z.string().nullable(),
  messages: z.array(z.looseObject({ role: z.string(), heard_text: z.string() })),
  events: z.array(z.looseObject({ seq: z.number(), type: z.string() })),
});
export type NumberedRecord = z.infer<typeof callRecord>;

/** What the number of an end is that another server, or the next start, wrote (orphans.ts). */
const ORPHAN_SEQ = 2_147_483_647;

export async function readRecord(server: ServerOfItsOwn, callSid: string): Promise<NumberedRecord> {
  return callRecord.parse(await server.get(`/api/v1/calls/${callSid}`));
}

/** The events that the call itself told. */
export const ownEvents = ({ events }: NumberedRecord): NumberedRecord['events'] =>
  events.filter(({ seq }) => seq !== ORPHAN_SEQ);

/** One terminal state, one end that agrees with it, and the call's own events without a gap or a repetition. */
export function expectEndedOnce(record: NumberedRecord, status: string, reason: string): void {
  expect(record).toMatchObject({ status, end_reason: reason });
  expect(record.ended_at).not.toBeNull();
  expect(record.events.filter(({ type }) => type === 'call-ended')).toMatchObject([{ reason }]);
  const own = ownEvents(record);
  expect(own.map(({ seq }) => seq)).toEqual(own.map((_, index) => index));
}

/** A caller who hung up after the last answer: everything that was said is there, in order, in the words that were heard. */
export function expectWholeRecord(record: NumberedRecord, caller: NumberedCaller): void {
  expectEndedOnce(record, 'completed', 'caller-hung-up');
  expect(spoken(record)).toEqual(caller.expectedMessages(caller.answersHeard));
}

/**
 * A caller whose server was killed: the messages are the first ones of the conversation, in order. Of the answers that had been
 * heard to their end the last one may be missing, since its end was told to the server only as it was killed.
 */
export function expectCutRecord(record: NumberedRecord, caller: NumberedCaller): void {
  expectEndedOnce(record, 'failed', 'server-restarted');
  const said = spoken(record);
  const { answersHeard } = caller;
  expect(said).toEqual(caller.expectedMessages(answersHeard + 1).slice(0, said.length));
  expect(said.length).toBeGreaterThanOrEqual(caller.expectedMessages(answersHeard).length - 1);
}

const spoken = ({ messages }: NumberedRecord): (readonly [string, string])[] =>
  messages.map(({ role, heard_text }) => [role, heard_text] as const);
