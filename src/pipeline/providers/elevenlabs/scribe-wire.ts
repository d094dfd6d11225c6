/**
 * ElevenLabs' realtime speech-to-text (Scribe) as pure functions: the address, what we send, what it says. Unknown messages and
 * fields pass; a broken message of a known type does not.
 *
 * Facts, from the vendor's reference (elevenlabs.io/docs/api-reference/speech-to-text/v-1-speech-to-text-realtime) and its guides
 * on events and on commit strategies, read as stored copies; nothing was tried against the vendor:
 * - Audio goes up in base64 with a `commit` flag; `ulaw_8000` is taken as it comes from the phone.
 * - A partial is the whole text since the last commit; a committed transcript is final. With `include_timestamps` a second,
 *   timed one follows it.
 * - The vendor commits by itself now and then even when the strategy is manual.
 * Reported by users: a commit before `session_started` is lost; one of less than 0.3 s is refused by `commit_throttled` and changes
 * nothing (github.com/elevenlabs/packages, issue 378); a manual commit is answered in 250 to 380 ms, while the vendor's own
 * detector takes half a second to decide (github.com/innate-inc/innate-os, pull request 715).
 */
import { z } from 'zod';
import { BvraiError } from '../../../core/errors.ts';
import type { ErrorCode } from '../../../core/errors.ts';
import { setQuery, socketUrl } from '../http.ts';
import { nameOf, parseJsonObject } from '../json.ts';
import type { JsonObject } from '../json.ts';
import type { SttRequest, TranscribedWord } from '../spec.ts';
import { PROVIDER } from './wire.ts';

export const DEFAULT_SCRIBE_MODEL = 'scribe_v2_realtime';
/** The least that may be committed. */
export const MIN_COMMIT_MS = 300;

/** The address of one stream: our defaults, then the route's options, then what the audio path fixes. */
export function scribeUrl(baseUrl: string, request: SttRequest): URL {
  const url = socketUrl(PROVIDER, baseUrl, '/v1/speech-to-text/realtime');
  setQuery(url, { commit_strategy: 'manual', language_code: request.language.split('-')[0] });
  setQuery(url, request.options ?? {});
  setQuery(url, { model_id: request.model ?? DEFAULT_SCRIBE_MODEL, audio_format: 'ulaw_8000' });
  return url;
}

/** Base64 needs no escaping. */
export function audioChunk(audio: Uint8Array): string {
  return chunk(Buffer.from(audio.buffer, audio.byteOffset, audio.byteLength).toString('base64'), false);
}

/** Asks for the transcript of all audio since the last commit. As the vendor's own client has it: a chunk without audio. */
export const COMMIT = chunk('', true);

function chunk(base64: string, commit: boolean): string {
  return `{"message_type":"input_audio_chunk","audio_base_64":"${base64}","commit":${commit},"sample_rate":8000}`;
}

/** One message, understood. */
export type ScribeMessage =
  | { readonly type: 'session-started' }
  | { readonly type: 'partial'; readonly text: string }
  /** `timed`: has words, and repeats a committed transcript that had none. `confidence`: 0 when the vendor does not say. */
  | {
      readonly type: 'committed';
      readonly timed: boolean;
      readonly text: string;
      readonly words: readonly TranscribedWord[];
      readonly confidence: number;
    }
  /** The commit was refused: there was too little that had not been committed. */
  | { readonly type: 'nothing-to-commit' }
  | { readonly type: 'ignored'; readonly name: string }
  | { readonly type: 'failed'; readonly error: BvraiError };

const transcriptShape = z.object({ text: z.string() });

const word = z.object({
  text: z.string(),
  type: z.string().optional().catch(undefined),
  start: z.number().min(0).catch(0),
  end: z.number().min(0).catch(0),
  logprob: z.number().optional().catch(undefined),
});
const timedShape = z.object({ text: z.string(), words: z.array(word).nullish().catch(undefined) });
const failureShape = z.object({ error: z.string().catch(''), message: z.string().catch('') });

/** Reads one text frame. Never throws. */
export function parseScribeMessage(text: string): ScribeMessage {
  const message = parseJsonObject(text);
  if (message === undefined) return malformed('a message that is not a JSON object');
  const name = message['message_type'];
  switch (name) {
    case 'session_started':
      return { type: 'session-started' };
    case 'partial_transcript':
      return parsePartial(message);
    case 'committed_transcript':
    case 'committed_transcript_with_timestamps':
      return parseCommitted(message, name === 'committed_transcript_with_timestamps');
    case 'commit_throttled':
    case 'insufficient_audio_activity':
      return { type: 'nothing-to-commit' };
    case 'warning':
      return { type: 'ignored', name };
    default:
      // All errors, and nothing else, have this field.
      if ('error' in message) return parseFailure(nameOf(name), message);
      return { type: 'ignored', name: nameOf(name) };
  }
}

function parsePartial(message: JsonObject): ScribeMessage {
  const parsed = transcriptShape.safeParse(message);
  return parsed.success ? { type: 'partial', text: parsed.data.text.trim() } : malformed('a partial without its text');
}

function parseCommitted(message: JsonObject, timed: boolean): ScribeMessage {
  const parsed = timedShape.safeParse(message);
  if (!parsed.success) return malformed('a transcript without its text');
  const words = (parsed.data.words ?? [])
    // The space between words has a time of its own, and so have sounds that are none.
    .filter(({ type, text }) => (type ?? 'word') === 'word' && text.trim() !== '')
    .map(({ text, start, end, logprob }) => ({
      text: text.trim(),
      startMs: start * 1000,
      endMs: end * 1000,
      confidence: probability(logprob),
    }));
  const sum = words.reduce((total, { confidence }) => total + confidence, 0);
  const confidence = words.length === 0 ? 0 : sum / words.length;
  return { type: 'committed', timed, text: parsed.data.text.trim(), words, confidence };
}

function probability(logprob: number | undefined): number {
  return logprob === undefined ? 0 : Math.min(1, Math.exp(logprob));
}

/** What the vendor's error types mean; matched by what they contain. */
const ERRORS: readonly (readonly [RegExp, ErrorCode])[] = [
  [/^(auth_error|unaccepted_terms)/, 'provider.auth'],
  [/^quota_exceeded/, 'provider.no-credit'],
  [/^rate_limited/, 'provider.rate-limited'],
  [/^session_time_limit/, 'provider.closed'],
  [/^(input_error|invalid_request|chunk_size_exceeded)/, 'provider.bad-request'],
];

function parseFailure(name: string, message: JsonObject): ScribeMessage {
  const { error: said, message: more } = failureShape.parse(message);
  // transcriber_error, queue_overflow, resource_exhausted, error: the vendor's own trouble.
  const code = ERRORS.find(([pattern]) => pattern.test(name))?.[1] ?? 'provider.overloaded';
  const error = new BvraiError(code, `elevenlabs gave the transcription up (${name.slice(0, 60)}).`, {
    details: {
      provider: PROVIDER,
      vendorCode: name.slice(0, 60),
      ...(code === 'provider.bad-request' ? { vendorMessage: (said || more).slice(0, 300) } : {}),
    },
  });
  return { type: 'failed', error };
}

function malformed(what: string): ScribeMessage {
  const error = new BvraiError('provider.protocol', `elevenlabs sent ${what}.`, { details: { provider: PROVIDER } });
  return { type: 'failed', error };
}
