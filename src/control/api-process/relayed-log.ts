/** What the API's process writes, as lines of the server's own log. */
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { z } from 'zod';
import type { Log } from '../../core/log.ts';

const lineSchema = z.looseObject({ level: z.number(), msg: z.string().default(''), time: z.unknown() });

/** Relays each line that pino has written to `output`, with its level and its fields. */
export function relayLog(output: Readable | null, log: Log): void {
  eachLine(output, (text) => {
    const line = lineSchema.safeParse(parseJson(text));
    if (!line.success) return log.info({ text }, 'the API’s process wrote');
    const { level, msg, time: _written, ...fields } = line.data;
    log[levelOf(level)](fields, msg);
  });
}

const KEPT_COMPLAINTS = 10;

/** What Node says of a process that falls. Returns the first lines so far, while they come. */
export function relayErrors(output: Readable | null, log: Log): readonly string[] {
  const complaints: string[] = [];
  eachLine(output, (text) => {
    if (complaints.length < KEPT_COMPLAINTS) complaints.push(text.trim());
    log.error({ text }, 'the API’s process complained');
  });
  return complaints;
}

function eachLine(output: Readable | null, onLine: (text: string) => void): void {
  if (output) createInterface({ input: output, crlfDelay: Infinity }).on('line', onLine);
}

/** Pino's numbers. */
function levelOf(level: number): 'debug' | 'info' | 'warn' | 'error' {
  if (level >= 50) return 'error';
  if (level >= 40) return 'warn';
  return level >= 30 ? 'info' : 'debug';
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
