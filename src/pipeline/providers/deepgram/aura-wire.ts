/**
 * Deepgram's Aura over `/v1/speak` as pure functions: the address, what we send, what it says, and how often it may be asked
 * to flush. Facts: provider-wire.md and the vendor's pages on streaming text-to-speech (Flush, Clear, Close). Audio comes as
 * binary frames that name no utterance; `Flushed` follows the last byte of the text before the flush.
 */
import { z } from 'zod';
import { BvraiError } from '../../../core/errors.ts';
import type { ErrorCode } from '../../../core/errors.ts';
import { setQuery, socketUrl } from '../http.ts';
import { parseJsonObject } from '../json.ts';
import type { TtsRequest } from '../spec.ts';
import { PROVIDER } from './wire.ts';

export const DEFAULT_VOICE = 'aura-2-thalia-en';

/** The vendor takes 2,000 characters in one message. */
const MAX_SPEAK_LENGTH = 1_900;

export const FLUSH = '{"type":"Flush"}';
export const CLEAR = '{"type":"Clear"}';
export const CLOSE = '{"type":"Close"}';

/** A voice is a model here. */
export function modelOf({ voice, model }: TtsRequest): string {
  return voice ?? model ?? DEFAULT_VOICE;
}

/** The address of one call's socket: the route's options, then what the audio path fixes. */
export function speakUrl(baseUrl: string, request: TtsRequest): URL {
  const url = socketUrl(PROVIDER, baseUrl, '/v1/speak');
  setQuery(url, request.options ?? {});
  setQuery(url, {
    model: modelOf(request),
    encoding: 'mulaw',
    sample_rate: 8000,
    // Raw samples, without a header before them.
    container: null,
    bit_rate: null,
    callback: null,
  });
  return url;
}

/** Text to speak, in as many messages as the vendor's limit asks for. It ends in a space: the vendor joins texts as they are. */
export function speakMessages(text: string): string[] {
  const messages: string[] = [];
  let rest = text.trim();
  while (rest.length > MAX_SPEAK_LENGTH) {
    const space = rest.lastIndexOf(' ', MAX_SPEAK_LENGTH);
    const end = space > 0 ? space : MAX_SPEAK_LENGTH;
    messages.push(rest.slice(0, end));
    rest = rest.slice(end).trimStart();
  }
  messages.push(rest);
  return messages.map((part) => JSON.stringify({ type: 'Speak', text: `${part} ` }));
}

/** One text frame, understood. */
export type AuraMessage =
  | { readonly type: 'flushed' }
  | { readonly type: 'cleared' }
  /** The vendor goes on, but something was not done. */
  | { readonly type: 'warned'; readonly code: string; readonly flushRefused: boolean }
  | { readonly type: 'failed'; readonly error: BvraiError }
  | { readonly type: 'ignored' };

const text = z.string().catch('');
const warningShape = z.object({ code: text, warn_code: text, description: text, warn_msg: text });
const failureShape = z.object({ code: text, err_code: text, description: text, err_msg: text, message: text });

/** Reads one text frame. Never throws. */
export function parseAuraMessage(frame: string): AuraMessage {
  const message = parseJsonObject(frame);
  if (message === undefined || typeof message['type'] !== 'string') {
    const error = new BvraiError(
      'provider.protocol',
      'deepgram sent a message that is not a JSON object with a type.',
      {
        details: { provider: PROVIDER },
      },
    );
    return { type: 'failed', error };
  }
  switch (message['type']) {
    case 'Flushed':
      return { type: 'flushed' };
    case 'Cleared':
      return { type: 'cleared' };
    case 'Warning': {
      const { code, warn_code: warnCode, description, warn_msg: warnMsg } = warningShape.parse(message);
      const flushRefused = /flush/i.test(`${code} ${warnCode} ${description} ${warnMsg}`);
      return { type: 'warned', code: (code || warnCode).slice(0, 80), flushRefused };
    }
    case 'Error':
      return { type: 'failed', error: failure(failureShape.parse(message)) };
    default:
      return { type: 'ignored' };
  }
}

function failure(said: z.infer<typeof failureShape>): BvraiError {
  const vendorCode = (said.code || said.err_code || said.message).slice(0, 80);
  // DATA-…: it cannot take our text. NET-…: it lost or gave up on the connection.
  const code: ErrorCode = vendorCode.startsWith('DATA') ? 'provider.bad-request' : 'provider.overloaded';
  const what = (said.description || said.err_msg || vendorCode).slice(0, 200);
  return new BvraiError(code, `deepgram gave the speech up: ${what}`, { details: { provider: PROVIDER, vendorCode } });
}

/** The vendor's limit: 20 flushes in any 60 seconds. Beyond it a flush does nothing but bring a warning. */
const FLUSHES = 20;
export const FLUSH_WINDOW_MS = 60_000;

/**
 * What a flush is for. `finish`: the end of an utterance, which otherwise never comes. `first`: nothing of the utterance has
 * been said yet. `gap`: its audio runs out before its next text is said.
 */
export type FlushReason = 'finish' | 'first' | 'gap';

/** Flushes that a reason leaves to the more important ones: an utterance that begins finds one for its end. */
const RESERVED: Readonly<Record<FlushReason, number>> = { finish: 0, first: 4, gap: 10 };

/** Counts one socket's flushes over the last minute. */
export class FlushBudget {
  /** When each flush of the last minute was sent, oldest first. */
  readonly #sentMs: number[] = [];

  /** Whether the reason may have a flush now. */
  allows(reason: FlushReason, nowMs: number): boolean {
    while (this.#sentMs[0] !== undefined && nowMs - this.#sentMs[0] >= FLUSH_WINDOW_MS) this.#sentMs.shift();
    return this.#sentMs.length + RESERVED[reason] < FLUSHES;
  }

  take(nowMs: number): void {
    this.#sentMs.push(nowMs);
  }
}
