/** One line of the spool: a call begins, or something happens in it. */
import { z } from 'zod';
import { BvraiError } from '../../core/errors.ts';
import type { CallEvent } from '../../pipeline/ports.ts';

const id = z.uuid();
const wallMs = z.number();

const beginLine = z.object({
  kind: z.literal('begin'),
  call_id: id,
  org_id: id,
  at: wallMs,
  twilio_call_sid: z.string().nullable(),
  direction: z.enum(['inbound', 'outbound']),
  channel: z.enum(['phone', 'web']),
  from_number: z.string(),
  to_number: z.string(),
  agent_id: id,
  agent_version: z.number(),
  instance_id: id,
});

const eventLine = z.object({
  kind: z.literal('event'),
  call_id: id,
  org_id: id,
  /** Wall clock in ms since 1970. */
  at: wallMs,
  /** Counts the events of a call from 0: what makes writing one twice harmless. */
  seq: z.number(),
  // Written by this program from the pipeline's own type.
  event: z.custom<CallEvent>((value) => z.object({ type: z.string(), at_ms: z.number() }).safeParse(value).success),
});

const spoolLine = z.discriminatedUnion('kind', [beginLine, eventLine]);

export type BeginLine = z.infer<typeof beginLine>;
export type EventLine = z.infer<typeof eventLine>;
export type SpoolLine = z.infer<typeof spoolLine>;

/** Without these there is no record at all: they are kept when the spool must let go of something. */
export function isEssential(line: SpoolLine): boolean {
  return line.kind === 'begin' || line.event.type === 'call-ended';
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
