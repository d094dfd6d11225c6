/** Whether the records of numbered callers hold what was said, once. */
import { expect } from 'vitest';
import { z } from 'zod';
import { GREETING, answer } from './numbered-callers.ts';
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
function expectEndedOnce(record: NumberedRecord): void {
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
  expectConversation(record, caller);
  expect(agentsWords(record)).toBe(caller.heard);
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
  expectConversation(record, caller);
  const words = agentsWords(record);
  expect(caller.heard.slice(0, words.length)).toBe(words);
  const untold = caller.heard.slice(words.length).trim().split('. ');
  // The last that was heard whole, and one that had begun.
  expect(untold.length).toBeLessThanOrEqual(2);
  return true;
}

/** Question and answer in turn, each answer to its own question, and no question twice. */
function expectConversation({ messages: [greeting, ...turns] }: NumberedRecord, { caller }: NumberedCaller): void {
  expect(greeting).toMatchObject({ role: 'agent', heard_text: GREETING });
  const asked = turns.filter((_, index) => index % 2 === 0).map(({ heard_text: text }) => text);
  const expected = asked.flatMap((text) => [
    { role: 'caller', heard_text: text },
    { role: 'agent', heard_text: answer(caller, text) },
  ]);
  expect(turns).toMatchObject(expected.slice(0, turns.length));
  expect(new Set(asked).size).toBe(asked.length);
}

/** In the order and the form in which they were heard. */
const agentsWords = ({ messages }: NumberedRecord): string =>
  messages.flatMap(({ role, heard_text: text }) => (role === 'agent' ? [text] : [])).join(' ');

const wasDisturbed = ({ events }: NumberedRecord): boolean =>
  events.some(({ type }) => type === 'provider-switched' || type === 'turn-failed');
