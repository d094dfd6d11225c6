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
export function expectEndedOnce(record: NumberedRecord): void {
  const ends = record.events.filter(({ type }) => type === 'call-ended');
  expect(ends).toHaveLength(1);
  expect(record.end_reason).toBe(ends[0]?.['reason']);
  expect(['completed', 'failed']).toContain(record.status);
  expect(record.ended_at).not.toBeNull();
  const own = ownEvents(record);
  expect(own.map(({ seq }) => seq)).toEqual(own.map((_, index) => index));
}

/**
 * Of a caller who hung up after the last answer: everything that was said is in the record, in order, in the words that were heard.
 * False: not compared, because the machine was so busy that a vendor was given up in this call, and others speak otherwise.
 */
export function expectWholeRecord(record: NumberedRecord, caller: NumberedCaller): boolean {
  expectEndedOnce(record);
  if (wasDisturbed(record)) return false;
  expect(record).toMatchObject({ status: 'completed', end_reason: 'caller-hung-up' });
  expect(spoken(record)).toEqual(caller.expectedMessages(caller.answersUnderstood));
  return true;
}

/**
 * Of a caller whose server was killed: the messages are the first ones of the conversation, in order. Of the answers that had been
 * heard to their end the last one may be missing, since its end was told to the server only as it was killed. False: as above.
 */
export function expectCutRecord(record: NumberedRecord, caller: NumberedCaller): boolean {
  expectEndedOnce(record);
  // Also when the caller had given up waiting, and hung up before.
  if (wasDisturbed(record) || ownEvents(record).some(({ type }) => type === 'call-ended')) return false;
  expect(record).toMatchObject({ status: 'failed', end_reason: 'server-restarted' });
  const said = spoken(record);
  const { answersUnderstood } = caller;
  expect(said).toEqual(caller.expectedMessages(answersUnderstood + 1).slice(0, said.length));
  expect(said.length).toBeGreaterThanOrEqual(caller.expectedMessages(answersUnderstood).length - 1);
  return true;
}

const wasDisturbed = ({ events }: NumberedRecord): boolean =>
  events.some(({ type }) => type === 'provider-switched' || type === 'turn-failed');

const spoken = ({ messages }: NumberedRecord): (readonly [string, string])[] =>
  messages.map(({ role, heard_text }) => [role, heard_text] as const);
