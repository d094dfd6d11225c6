/** Twilio Media Streams messages: reading what Twilio sends, writing what it takes. Source: docs/twilio-wire.md. */
import { z } from 'zod';
import { BvraiError } from '../../core/errors.ts';
import type { CallInfo } from '../call-port.ts';

/** Longest text frame that is looked at. */
const MAX_FRAME_CHARS = 64 * 1024;
/** Most audio one frame may carry: one second of 8 kHz μ-law. */
export const MAX_PAYLOAD_BYTES = 8000;
const MAX_PAYLOAD_CHARS = Math.ceil(MAX_PAYLOAD_BYTES / 3) * 4;

/** The first message of a socket. */
export interface ConnectedMessage {
  readonly type: 'connected';
}

export interface StartMessage {
  readonly type: 'start';
  readonly info: CallInfo;
}

/** A reader reuses one object and one buffer for all its media messages: valid until its next `read`. */
export interface MediaMessage {
  readonly type: 'media';
  readonly streamSid: string;
  readonly track: 'inbound' | 'outbound';
  /** Counts from 1; -1 when the message has none. */
  readonly chunk: number;
  /** Presentation time since the stream began; -1 when the message has none. */
  readonly timestampMs: number;
  /** μ-law, 1 to {@link MAX_PAYLOAD_BYTES} bytes. */
  readonly payload: Uint8Array;
}

export interface MarkMessage {
  readonly type: 'mark';
  readonly streamSid: string;
  readonly name: string;
}

export interface DtmfMessage {
  readonly type: 'dtmf';
  readonly streamSid: string;
  readonly digit: string;
}

export interface StopMessage {
  readonly type: 'stop';
  readonly streamSid: string;
}

/** An event that this version does not know; to be ignored. */
export interface UnknownMessage {
  readonly type: 'unknown';
  /** Untrusted; at most 64 characters. */
  readonly event: string;
}

export type TwilioMessage =
  | ConnectedMessage
  | StartMessage
  | MediaMessage
  | MarkMessage
  | DtmfMessage
  | StopMessage
  | UnknownMessage;

interface Mutable {
  streamSid: string;
  track: 'inbound' | 'outbound';
  chunk: number;
  timestampMs: number;
  payload: Uint8Array;
}

/** Reads the messages of one socket. Not re-entrant: a media message is valid until the next `read`. */
export class TwilioReader {
  readonly #buffer = Buffer.allocUnsafeSlow(MAX_PAYLOAD_BYTES + 2);
  /** The streamSid last seen on the fast path: letters and digits only. */
  #plainSid = '';
  readonly #media: Mutable & { readonly type: 'media' } = {
    type: 'media',
    streamSid: '',
    track: 'inbound',
    chunk: -1,
    timestampMs: -1,
    payload: this.#buffer,
  };

  /**
   * Parses one text frame.
   * Throws a BvraiError: `wire.malformed` (no JSON, no message, a field of the wrong kind, bad base64), `wire.limit` (too long),
   * `wire.unsupported` (an audio format other than 8 kHz mono μ-law). `details.event` names the event if it could be read.
   */
  read(text: string): TwilioMessage {
    if (text.length > MAX_FRAME_CHARS) {
      throw new BvraiError(
        'wire.limit',
        `A frame of ${text.length} characters is too long; ${MAX_FRAME_CHARS} is the most.`,
      );
    }
    return this.#readMediaAsTwilioWritesIt(text) ?? this.#readAnything(text);
  }

  /**
   * The fast path: exactly the bytes that Twilio produces for a media message, with no JSON parser. Anything that differs,
   * even by one space, is left to the general path; so this may only accept, never refuse.
   */
  #readMediaAsTwilioWritesIt(text: string): MediaMessage | undefined {
    if (!hasAt(text, TEMPLATE_SEQUENCE, 0)) return undefined;
    let end = endOfDigits(text, TEMPLATE_SEQUENCE.length);
    if (!hasAt(text, TEMPLATE_CHUNK, end)) return undefined;
    const chunkAt = end + TEMPLATE_CHUNK.length;
    end = endOfDigits(text, chunkAt);
    const chunk = numberBetween(text, chunkAt, end);
    if (!hasAt(text, TEMPLATE_TIMESTAMP, end)) return undefined;
    const timestampAt = end + TEMPLATE_TIMESTAMP.length;
    end = endOfDigits(text, timestampAt);
    const timestampMs = numberBetween(text, timestampAt, end);
    if (chunk < 0 || timestampMs < 0 || !hasAt(text, TEMPLATE_PAYLOAD, end)) return undefined;
    const payloadAt = end + TEMPLATE_PAYLOAD.length;
    end = text.indexOf('"', payloadAt);
    if (end < 0 || !hasAt(text, TEMPLATE_STREAM, end)) return undefined;
    const sidAt = end + TEMPLATE_STREAM.length;
    const sidEnd = text.length - TEMPLATE_END.length;
    if (!text.endsWith(TEMPLATE_END)) return undefined;
    // All messages of a socket name the same stream, so the one before usually spares the scan and the copy.
    if (this.#plainSid.length !== sidEnd - sidAt || !hasAt(text, this.#plainSid, sidAt)) {
      if (!isAlphanumeric(text, sidAt, sidEnd)) return undefined;
      this.#plainSid = text.slice(sidAt, sidEnd);
    }
    const byteLength = this.#decode(text.slice(payloadAt, end));
    if (byteLength < 0 || byteLength > MAX_PAYLOAD_BYTES) return undefined;
    return this.#mediaMessage(this.#plainSid, 'inbound', chunk, timestampMs, byteLength);
  }

  #readAnything(text: string): TwilioMessage {
    const message = parseJson(text);
    if (!isObject(message)) throw new BvraiError('wire.malformed', 'A frame is JSON, but not an object.');
    const event = message['event'];
    if (typeof event !== 'string') throw new BvraiError('wire.malformed', 'A frame has no "event".');
    switch (event) {
      case 'media':
        return this.#readMedia(message);
      case 'connected':
        return CONNECTED;
      case 'start':
        return readStart(message);
      case 'mark': {
        const { streamSid, mark } = check(markSchema, message, event);
        return { type: 'mark', streamSid, name: mark.name };
      }
      case 'dtmf': {
        const { streamSid, dtmf } = check(dtmfSchema, message, event);
        return { type: 'dtmf', streamSid, digit: dtmf.digit };
      }
      case 'stop':
        return { type: 'stop', streamSid: check(stopSchema, message, event).streamSid };
      default:
        return { type: 'unknown', event: event.slice(0, 64) };
    }
  }

  #readMedia(message: Record<string, unknown>): MediaMessage {
    const { streamSid, media } = message;
    if (typeof streamSid !== 'string' || streamSid === '') throw badMedia('wire.malformed', 'has no streamSid');
    if (!isObject(media)) throw badMedia('wire.malformed', 'has no "media" object');
    const { track = 'inbound', payload } = media;
    if (track !== 'inbound' && track !== 'outbound') throw badMedia('wire.malformed', 'is of an unknown track');
    const chunk = readCount(media['chunk'], 'chunk');
    const timestampMs = readCount(media['timestamp'], 'timestamp');
    if (typeof payload !== 'string') throw badMedia('wire.malformed', 'has no payload');
    if (payload === '') throw badMedia('wire.malformed', 'has an empty payload');
    if (payload.length > MAX_PAYLOAD_CHARS)
      throw badMedia('wire.limit', `carries over ${MAX_PAYLOAD_BYTES} bytes of audio`);
    const byteLength = this.#decode(payload);
    if (byteLength < 0) throw badMedia('wire.malformed', 'has a payload that is not base64');
    if (byteLength > MAX_PAYLOAD_BYTES)
      throw badMedia('wire.limit', `carries over ${MAX_PAYLOAD_BYTES} bytes of audio`);
    return this.#mediaMessage(streamSid, track, chunk, timestampMs, byteLength);
  }

  /**
   * Decodes standard base64 with padding into the reader's buffer and returns the byte count, or -1. Node's decoder skips
   * what it does not know and takes the URL alphabet too; skipping shows in the length, the alphabet has to be looked for.
   */
  #decode(base64: string): number {
    const { length } = base64;
    if (length === 0 || length % 4 !== 0 || length > MAX_PAYLOAD_CHARS) return -1;
    const padding = base64.endsWith('==') ? 2 : base64.endsWith('=') ? 1 : 0;
    const expected = (length / 4) * 3 - padding;
    const written = this.#buffer.write(base64, 0, 'base64');
    return written === expected && !base64.includes('-') && !base64.includes('_') ? written : -1;
  }

  #mediaMessage(
    streamSid: string,
    track: MediaMessage['track'],
    chunk: number,
    timestampMs: number,
    byteLength: number,
  ): MediaMessage {
    const media = this.#media;
    media.streamSid = streamSid;
    media.track = track;
    media.chunk = chunk;
    media.timestampMs = timestampMs;
    // A frame is nearly always as long as the one before.
    if (media.payload.length !== byteLength) media.payload = this.#buffer.subarray(0, byteLength);
    return media;
  }
}

/** Writes the messages of one stream. */
export class TwilioWriter {
  readonly #mediaStart: string;
  readonly #markStart: string;
  readonly #clear: string;

  constructor(streamSid: string) {
    const sid = JSON.stringify(streamSid);
    this.#mediaStart = `{"event":"media","streamSid":${sid},"media":{"payload":"`;
    this.#markStart = `{"event":"mark","streamSid":${sid},"mark":{"name":`;
    this.#clear = `{"event":"clear","streamSid":${sid}}`;
  }

  /** `payload`: raw μ-law of any length. */
  media(payload: Uint8Array): string {
    const bytes = Buffer.isBuffer(payload)
      ? payload
      : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
    return `${this.#mediaStart}${bytes.toString('base64')}"}}`;
  }

  mark(name: string): string {
    return `${this.#markStart}${JSON.stringify(name)}}}`;
  }

  clear(): string {
    return this.#clear;
  }
}

const TEMPLATE_SEQUENCE = '{"event":"media","sequenceNumber":"';
const TEMPLATE_CHUNK = '","media":{"track":"inbound","chunk":"';
const TEMPLATE_TIMESTAMP = '","timestamp":"';
const TEMPLATE_PAYLOAD = '","payload":"';
const TEMPLATE_STREAM = '"},"streamSid":"';
const TEMPLATE_END = '"}';
const CONNECTED: ConnectedMessage = { type: 'connected' };

const sidSchema = z.string().min(1).max(128);
const startSchema = z.object({
  streamSid: sidSchema,
  start: z.object({
    streamSid: sidSchema.optional(),
    callSid: sidSchema,
    accountSid: z.string().max(128).default(''),
    mediaFormat: z.object({ encoding: z.string().max(128), sampleRate: z.number(), channels: z.number() }),
    customParameters: z.record(z.string(), z.string()).default({}),
  }),
});
const markSchema = z.object({ streamSid: sidSchema, mark: z.object({ name: z.string().max(4096) }) });
const dtmfSchema = z.object({ streamSid: sidSchema, dtmf: z.object({ digit: z.string().regex(/^[0-9*#A-Da-d]$/) }) });
const stopSchema = z.object({ streamSid: sidSchema });

function readStart(message: Record<string, unknown>): StartMessage {
  const { streamSid, start } = check(startSchema, message, 'start');
  if (start.streamSid !== undefined && start.streamSid !== streamSid) {
    throw new BvraiError('wire.malformed', 'A start message names two different streams.', {
      details: { event: 'start' },
    });
  }
  const { encoding, sampleRate, channels } = start.mediaFormat;
  if (encoding !== 'audio/x-mulaw' || sampleRate !== 8000 || channels !== 1) {
    throw new BvraiError(
      'wire.unsupported',
      `The stream offers ${encoding} at ${sampleRate} Hz with ${channels} channel(s); only audio/x-mulaw at 8000 Hz with 1 is served.`,
      { details: { event: 'start', encoding, sampleRateHz: sampleRate, channels } },
    );
  }
  const { callSid, accountSid, customParameters } = start;
  return { type: 'start', info: { streamSid, callSid, accountSid, customParameters } };
}

function check<T>(schema: z.ZodType<T>, message: unknown, event: string): T {
  const result = schema.safeParse(message);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const where = issue && issue.path.length > 0 ? issue.path.join('.').slice(0, 100) : 'it';
  throw new BvraiError(
    'wire.malformed',
    `A ${event} message is not as it should be: ${where}: ${issue?.message ?? '?'}`,
    {
      details: { event },
    },
  );
}

function badMedia(code: 'wire.malformed' | 'wire.limit', what: string): BvraiError {
  return new BvraiError(code, `A media message ${what}.`, { details: { event: 'media' } });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's message quotes the input, which may be a caller's words or worse.
    throw new BvraiError('wire.malformed', 'A frame is not JSON.');
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Twilio writes counts as strings; numbers are taken too, and -1 stands for one that is absent. */
function readCount(value: unknown, name: string): number {
  if (value === undefined) return -1;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  const count = typeof value === 'string' ? numberBetween(value, 0, value.length) : -1;
  if (count < 0) throw badMedia('wire.malformed', `has a ${name} that is no number`);
  return count;
}

/** `text.startsWith(part, at)`, in less than half its time: V8 compares whole strings with memcmp. */
function hasAt(text: string, part: string, at: number): boolean {
  return text.slice(at, at + part.length) === part;
}

function endOfDigits(text: string, from: number): number {
  let at = from;
  while (isDigit(text.charCodeAt(at))) at++;
  return at;
}

/** The decimal number in text[from, to), or -1 when it is not 1 to 15 digits. */
function numberBetween(text: string, from: number, to: number): number {
  if (to <= from || to - from > 15) return -1;
  let value = 0;
  for (let at = from; at < to; at++) {
    const code = text.charCodeAt(at);
    if (!isDigit(code)) return -1;
    value = value * 10 + (code - 48);
  }
  return value;
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

function isAlphanumeric(text: string, from: number, to: number): boolean {
  if (to <= from || to - from > 128) return false;
  for (let at = from; at < to; at++) {
    const code = text.charCodeAt(at);
    if (!(isDigit(code) || (code >= 65 && code <= 90) || (code >= 97 && code <= 122))) return false;
  }
  return true;
}
