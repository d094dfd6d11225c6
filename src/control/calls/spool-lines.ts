/** One line of the spool: a call is announced, begins or is missed, something happens in it, or it has used something. */
import { z } from 'zod';
import { BvraiError } from '../../core/errors.ts';
import type { CallEvent } from '../../pipeline/ports.ts';
import { ENDED_CALL_STATUSES } from '../db/schema.ts';

const id = z.uuid();
const wallMs = z.number();

/** What each line that can make a call's row must know of it. */
const call = {
  call_id: id,
  org_id: id,
  /** Wall clock in ms since 1970. */
  at: wallMs,
  twilio_call_sid: z.string().nullable(),
  direction: z.enum(['inbound', 'outbound']),
  channel: z.enum(['phone', 'web']),
  from_number: z.string(),
  to_number: z.string(),
  agent_id: id,
  agent_version: z.number(),
  instance_id: id,
};

/** Twilio was told to open the call's stream. */
const announcedLine = z.object({ kind: z.literal('announced'), ...call });

/** The stream has started. */
const beginLine = z.object({ kind: z.literal('begin'), ...call });

/** The call ended without a conversation. */
const missedLine = z.object({
  kind: z.literal('missed'),
  ...call,
  status: z.enum(ENDED_CALL_STATUSES),
  end_reason: z.string(),
  end_detail: z.string().nullable(),
  /** Whether it was announced before. */
  announced: z.boolean(),
});

const eventLine = z.object({
  kind: z.literal('event'),
  call_id: id,
  org_id: id,
  at: wallMs,
  /** Counts the events of a call from 0: what makes writing one twice harmless. */
  seq: z.number(),
  // Written by this program from the pipeline's own type.
  event: z.custom<CallEvent>((value) => z.object({ type: z.string(), at_ms: z.number() }).safeParse(value).success),
});

const used = { provider: z.string(), model: z.string().nullable() };
const count = z.number().nonnegative();

/** What a media stream of a call has used in all so far: the newest says what all before it say. */
const usageLine = z.object({
  kind: z.literal('usage'),
  call_id: id,
  org_id: id,
  at: wallMs,
  instance_id: id,
  /** Counts the media streams of that server. */
  stream: z.number(),
  /** Counts the lines of a call's usage. */
  seq: z.number(),
  /** The stream uses no more. */
  final: z.boolean(),
  usage: z.object({
    stt: z.array(z.object({ ...used, audio_ms: count })).readonly(),
    llm: z
      .array(
        z.object({
          ...used,
          requests: count,
          unreported_requests: count,
          input_tokens: count,
          output_tokens: count,
        }),
      )
      .readonly(),
    tts: z.array(z.object({ ...used, characters: count })).readonly(),
  }),
});

const spoolLine = z.discriminatedUnion('kind', [announcedLine, beginLine, missedLine, eventLine, usageLine]);

export type BeginLine = z.infer<typeof beginLine>;
export type EventLine = z.infer<typeof eventLine>;
export type UsageLine = z.infer<typeof usageLine>;
export type SpoolLine = z.infer<typeof spoolLine>;

/**
 * Without these a call has no record, or one that never ends: they are kept when the spool must let go of something. Of calls that were
 * refused there may be any number, so they are let go of.
 */
export function isEssential(line: SpoolLine): boolean {
  switch (line.kind) {
    case 'announced':
    case 'begin':
      return true;
    case 'missed':
      return line.announced;
    case 'event':
      return line.event.type === 'call-ended';
    case 'usage':
      return line.final;
    default:
      return line satisfies never;
  }
}

/** A line of text with its line feed. */
export function formatLine(line: SpoolLine): string {
  const text = JSON.stringify(line);
  // Postgres takes neither NUL nor half of a surrogate pair; a vendor's transcript may hold both.
  return `${/\\u0000|\\ud[89a-f]/u.test(text) ? JSON.stringify(line, withoutBrokenText) : text}\n`;
}

/** Throws `internal` for what is no line of ours: a write that was cut, or a damaged disk. */
export function parseLine(text: string): SpoolLine {
  try {
    return spoolLine.parse(JSON.parse(text));
  } catch (thrown) {
    throw BvraiError.from(thrown, 'internal', 'A line of the spool cannot be read');
  }
}

function withoutBrokenText(_key: string, value: unknown): unknown {
  return typeof value === 'string' ? value.replaceAll(/\0|\p{Surrogate}/gu, '\uFFFD') : value;
}
