/**
 * Ways in which an emulated vendor misbehaves, the same for all of them, over HTTP and over WebSockets.
 *
 * | what goes wrong                        | fault                                                        |
 * |----------------------------------------|--------------------------------------------------------------|
 * | nobody listens                         | `refuseConnections: true`                                    |
 * | 401, 429 with retry-after, 500         | `refuse: { status: 429, retryAfterSeconds: 3 }`              |
 * | hang at connect                        | `hang: true`                                                 |
 * | silent after accept; stalled at headers| `stallAfter: 0`                                              |
 * | stop in mid-stream                     | `stallAfter: 5`                                              |
 * | slow drip                              | `drip: { gapMs: 500 }`                                       |
 * | garbage instead of JSON                | `garbageAfter: 1`                                            |
 * | close 1006, 1008, 1011; HTTP cut short | `closeAfter: { messages: 3, code: 1011 }`                    |
 * | TCP reset in mid-stream                | `resetAfter: 3`                                              |
 * | the wrong audio, or none               | `audio: 'wav'`, `'mp3'`, `'pcm-16khz'`, `'empty'`             |
 */
import { z } from 'zod';
import { decodeMulaw } from './mulaw.ts';

/** An answer that refuses a request or an upgrade. */
export interface Refusal {
  readonly status: number;
  readonly retryAfterSeconds?: number | undefined;
  /** JSON; the vendor's usual error when absent. */
  readonly body?: unknown;
}

/** How a vendor's audio is spoilt. `empty`: none comes, yet everything ends well. The others are what players know and telephones do not. */
export type AudioFault = 'empty' | 'wav' | 'mp3' | 'pcm-16khz';

/**
 * All may be changed while the emulator runs, by replacing the object as a whole; they hold for what happens from then on.
 * A message is a WebSocket message, a server-sent event, a chunk of a body, or a body that is sent at once.
 */
export interface Faults {
  /** As a process that died: open connections are reset and new ones refused. For one model or path: reset once it has asked. */
  readonly refuseConnections?: boolean | undefined;
  /** Refuses every request and upgrade. */
  readonly refuse?: Refusal | undefined;
  /** Takes the TCP connection and never answers. */
  readonly hang?: boolean | undefined;
  /** Says this many messages, then nothing more. 0: accepts (over HTTP: sends its headers) and stays silent. */
  readonly stallAfter?: number | undefined;
  /** Messages come no closer to each other than this; of a body of audio, so many bytes at a time (1). */
  readonly drip?: { readonly gapMs: number; readonly bytes?: number | undefined } | undefined;
  /** Says this many messages, then closes with the code; 1006, and any code over HTTP, cuts the connection. */
  readonly closeAfter?:
    | { readonly messages: number; readonly code: number; readonly reason?: string | undefined }
    | undefined;
  /** Says this many messages, then resets the TCP connection. */
  readonly resetAfter?: number | undefined;
  /** Says this many messages, then one that is not JSON. */
  readonly garbageAfter?: number | undefined;
  /** Of speech synthesis only. */
  readonly audio?: AudioFault | undefined;
}

export const GARBAGE = '{"type": "half a messa';

const count = z.int().min(0).max(1_000_000);
const delayMs = z.number().min(0).max(600_000);

/** {@link Faults} as they come from outside. */
export const faultsSchema: z.ZodType<Faults> = z.strictObject({
  refuseConnections: z.boolean().optional(),
  refuse: z
    .strictObject({
      status: z.int().min(300).max(599),
      retryAfterSeconds: z.number().min(0).optional(),
      body: z.unknown().optional(),
    })
    .optional(),
  hang: z.boolean().optional(),
  stallAfter: count.optional(),
  drip: z.strictObject({ gapMs: delayMs, bytes: count.min(1).optional() }).optional(),
  closeAfter: z
    .strictObject({
      messages: count,
      // What a peer may send (RFC 6455, 7.4), and 1006 for none.
      code: z
        .int()
        .refine((code) => /^(100[0-3]|100[6-9]|101[0-4]|[34]\d{3})$/u.test(String(code)), 'must be a close code'),
      reason: z.string().max(100).optional(),
    })
    .optional(),
  resetAfter: count.optional(),
  garbageAfter: count.optional(),
  audio: z.enum(['empty', 'wav', 'mp3', 'pcm-16khz']).optional(),
});

/**
 * μ-law as a fault has it: undefined for none, else what to send in its place. `first`: nothing has been sent of this
 * answer yet, so this is where a file's header belongs.
 */
export function spoilAudio(
  mulaw: Uint8Array,
  fault: AudioFault | undefined,
  { first }: { readonly first: boolean },
): Uint8Array | undefined {
  switch (fault) {
    case undefined:
      return mulaw;
    case 'empty':
      return undefined;
    case 'wav':
      return first ? Buffer.concat([wavHeader(), pcm16Khz(mulaw)]) : pcm16Khz(mulaw);
    case 'mp3':
      return first ? Buffer.concat([MP3_HEADER, mulaw]) : mulaw;
    case 'pcm-16khz':
      return pcm16Khz(mulaw);
  }
}

/** An ID3v2 tag without frames, and the header of one MPEG-1 layer III frame (128 kbit/s, 44.1 kHz). */
const MP3_HEADER = Buffer.from('49443304000000000000fffb9064', 'hex');

/** 44 bytes: 16 kHz, mono, 16 bits, of unknown length. */
function wavHeader(): Buffer {
  const header = Buffer.alloc(44);
  header.write('RIFF', 0, 'latin1');
  header.writeUInt32LE(0xff_ff_ff_ff, 4);
  header.write('WAVEfmt ', 8, 'latin1');
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(16_000, 24);
  header.writeUInt32LE(32_000, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36, 'latin1');
  header.writeUInt32LE(0xff_ff_ff_ff, 40);
  return header;
}

/** 16-bit samples, little-endian, every one twice. */
function pcm16Khz(mulaw: Uint8Array): Buffer {
  const samples = decodeMulaw(mulaw);
  const bytes = Buffer.alloc(samples.length * 4);
  samples.forEach((sample, index) => {
    bytes.writeInt16LE(sample, index * 4);
    bytes.writeInt16LE(sample, index * 4 + 2);
  });
  return bytes;
}
