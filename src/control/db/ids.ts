/** Ids of rows: UUIDs of version 7 (RFC 9562), which sort by the time of their making, so that indexes grow at one end. */
import { createHash, randomBytes } from 'node:crypto';

let lastMs = 0;
let counter = 0;

/**
 * A new id. Ids made by one process sort in the order of their making: 48 bits of Unix time in ms, then a counter of
 * 12 bits for the same millisecond, then 62 random bits.
 */
export function newId(nowMs: number = Date.now()): string {
  if (nowMs > lastMs) {
    lastMs = nowMs;
    counter = 0;
  } else if (++counter > 0xfff) {
    // More than the counter can tell apart, or a clock that was set back: borrow from the next millisecond.
    lastMs++;
    counter = 0;
  }
  const bytes = randomBytes(16);
  bytes.writeUIntBE(lastMs, 0, 6);
  bytes.writeUInt16BE(0x70_00 | counter, 6);
  return toUuid(bytes);
}

/** The same id for the same name, whoever asks and however often: a UUID of version 8 with 122 bits of the name's SHA-256. */
export function idOf(name: string): string {
  const bytes = createHash('sha256').update(name).digest().subarray(0, 16);
  bytes[6] = 0x80 | ((bytes[6] ?? 0) & 0x0f);
  return toUuid(bytes);
}

function toUuid(bytes: Buffer): string {
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/iu;

/** Whether `text` can be an id at all; Postgres refuses anything else with an error. */
export function isId(text: string): boolean {
  return UUID.test(text);
}
