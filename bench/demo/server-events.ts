/** What the server tells about a call: its event stream while it lasts, and its record afterwards. */
import type { ReadableStream } from 'node:stream/web';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';

/** Stages of one turn, ms after the caller's true end of speech. */
const stages = z.looseObject({
  speech_ended_at_ms: z.number().optional(),
  speech_end_detected_ms: z.number().optional(),
  transcript_ms: z.number().optional(),
  turn_confirmed_ms: z.number().optional(),
  first_token_ms: z.number().optional(),
  first_clause_ms: z.number().optional(),
  first_audio_ms: z.number().optional(),
});

/** One event; every field that only some types have is optional, and unknown ones are let through. */
export const serverEvent = z.looseObject({
  type: z.string(),
  at_ms: z.number(),
  turn: z.number().optional(),
  kind: z.string().optional(),
  text: z.string().optional(),
  final: z.boolean().optional(),
  heard_text: z.string().optional(),
  interrupted: z.boolean().optional(),
  reason: z.string().optional(),
  stage: z.string().optional(),
  code: z.string().optional(),
  lead_ms: z.number().optional(),
  wasted_tokens: z.number().optional(),
  waited_ms: z.number().optional(),
  cause: z.string().optional(),
  repeated_ms: z.number().optional(),
  stages: stages.optional(),
});
export type ServerEvent = z.infer<typeof serverEvent>;

/** The record of a call; only what the demo needs of it. */
const callRecord = z.looseObject({
  status: z.string().nullish(),
  end_reason: z.string().nullish(),
  events: z.array(z.unknown()).default([]),
});

export interface CallRecord {
  readonly status: string | undefined;
  readonly endReason: string | undefined;
  readonly events: readonly ServerEvent[];
}

/** Where records are read, and with which key. */
export interface RecordsServer {
  readonly url: string;
  readonly apiKey: string;
}

const RETRY_MS = 100;
const REQUEST_TIMEOUT_MS = 5000;

/**
 * Follows `GET /api/v1/calls/{id}/events` until the server ends it or `signal` aborts, whichever is first.
 * Returns what went wrong, or undefined.
 */
export async function followEvents(
  { url, apiKey }: RecordsServer,
  callSid: string,
  signal: AbortSignal,
  onEvent: (event: ServerEvent) => void,
): Promise<string | undefined> {
  try {
    const response = await openStream(`${url}/api/v1/calls/${callSid}/events`, apiKey, signal);
    if (!response.ok || !response.body) return `the server's event stream answered ${response.status}`;
    let pending = '';
    const decoder = new TextDecoder();
    const body: ReadableStream<unknown> = response.body;
    for await (const chunk of body) {
      if (chunk instanceof Uint8Array) pending += decoder.decode(chunk, { stream: true });
      const blocks = pending.split(/\r?\n\r?\n/);
      pending = blocks.pop() ?? '';
      for (const event of blocks.map(parseBlock)) if (event) onEvent(event);
    }
    return undefined;
  } catch (error) {
    return signal.aborted ? undefined : `the server's event stream broke: ${String(error)}`;
  }
}

/** The call may not be on record yet when its stream has just started. */
async function openStream(url: string, apiKey: string, signal: AbortSignal): Promise<Response> {
  for (let attempt = 1; ; attempt++) {
    const response = await fetch(url, {
      signal,
      headers: { accept: 'text/event-stream', authorization: `Bearer ${apiKey}` },
    });
    if (response.status !== 404 || attempt === 20) return response;
    await response.body?.cancel();
    await sleep(RETRY_MS, undefined, { signal });
  }
}

/** One block of a server-sent event stream; comments and what is not an event of ours give undefined. */
export function parseBlock(block: string): ServerEvent | undefined {
  const lines = block.split(/\r?\n/);
  const type = lines
    .find((line) => line.startsWith('event:'))
    ?.slice('event:'.length)
    .trim();
  const data = lines
    .filter((line) => line.startsWith('data:'))
    .map((line) => line.slice('data:'.length).replace(/^ /, ''))
    .join('\n');
  if (!data) return undefined;
  try {
    const body: unknown = JSON.parse(data);
    const named = typeof body === 'object' && body !== null ? { ...(type ? { type } : {}), ...body } : body;
    return serverEvent.safeParse(named).data;
  } catch {
    return undefined;
  }
}

/** Reads the finished record; waits a little for the server to notice that the call is over. */
export async function readRecord({ url, apiKey }: RecordsServer, callSid: string): Promise<CallRecord> {
  const deadline = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
  for (;;) {
    const response = await fetch(`${url}/api/v1/calls/${callSid}`, {
      signal: deadline,
      headers: { authorization: `Bearer ${apiKey}` },
    });
    if (!response.ok) throw new Error(`GET /api/v1/calls/${callSid} answered ${response.status}`);
    const record = callRecord.parse(await response.json());
    const events = record.events.flatMap((event) => serverEvent.safeParse(event).data ?? []);
    const isOver = Boolean(record.end_reason) || events.some((event) => event.type === 'call-ended');
    if (isOver || deadline.aborted) {
      return { status: record.status ?? undefined, endReason: record.end_reason ?? undefined, events };
    }
    await sleep(RETRY_MS);
  }
}
