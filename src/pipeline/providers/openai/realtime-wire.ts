/**
 * OpenAI's realtime transcription as pure functions: the address, what we send, what it says. Unknown events and fields pass;
 * a broken event of a known type does not.
 *
 * Facts, from the vendor's guide and reference (developers.openai.com/api/docs/guides/realtime-transcription and
 * /api/reference/resources/realtime, read as stored copies; nothing was tried against the vendor):
 * - The model is named in the session, not in the address: with it there the session is a conversation and refuses ours.
 * - `audio/pcmu` is μ-law at 8 kHz, so nothing is transcoded.
 * - gpt-live-transcribe and gpt-realtime-whisper transcribe while audio comes and know no turn detection. The others begin when
 *   the buffer is committed: by us, or by the server's own detector after 500 ms of silence.
 * - Deltas are appended; `completed` has the whole text of one commit. Those of different commits may come out of order.
 * - A commit of less than 100 ms is refused by an `error` and changes nothing; "most errors are recoverable".
 */
import { z } from 'zod';
import { BvraiError } from '../../../core/errors.ts';
import type { ErrorCode } from '../../../core/errors.ts';
import { setQuery, socketUrl } from '../http.ts';
import type { VendorError } from '../http.ts';
import { isJsonObject, nameOf, parseJsonObject } from '../json.ts';
import type { JsonObject } from '../json.ts';
import type { SttRequest } from '../spec.ts';
import { PROVIDER, codeBeyondStatus, codeOfVendorError } from './wire.ts';

export const DEFAULT_TRANSCRIBER = 'gpt-live-transcribe';
/** The least that may be committed. */
export const MIN_COMMIT_MS = 100;

const MAX_KEYWORDS = 100;
/** A longer phrase is a sentence that guides nobody. */
const MAX_KEYWORD_LENGTH = 60;

/** `baseUrl` has `/v1`. */
export function realtimeUrl(baseUrl: string): URL {
  const url = socketUrl(PROVIDER, baseUrl, '/realtime');
  setQuery(url, { intent: 'transcription' });
  return url;
}

/** Whether the route leaves it to the vendor to find the ends of speech. Then our hints are not needed. */
export function detectsTurns(request: SttRequest): boolean {
  return isJsonObject(request.options?.['turn_detection']);
}

/**
 * The first message: what is transcribed, and how. Options named `turn_detection`, `noise_reduction` and `include` go where they
 * belong, all others to the transcription's own (`prompt`, `delay`, `languages`, …); `null` takes a default out.
 *
 * Without options no prompt is made of the agent's phrases: these models are known to repeat a prompt when they hear nothing, and
 * the agent would answer what nobody asked. Keywords, where the model takes them, are for the purpose.
 */
export function sessionUpdate(request: SttRequest): string {
  const model = request.model ?? DEFAULT_TRANSCRIBER;
  const { turn_detection: turnDetection, noise_reduction: noiseReduction, include, ...own } = request.options ?? {};
  const language = request.language.split('-')[0];
  const guided = /^gpt-(live-)?transcribe/.test(model);
  const transcription: Record<string, unknown> = {
    ...(guided ? { languages: [language], keywords: keywords(request.phrases) } : { language }),
    ...own,
    model,
  };
  for (const [name, value] of Object.entries(transcription)) if (value === null) delete transcription[name];
  return JSON.stringify({
    type: 'session.update',
    session: {
      type: 'transcription',
      // Log probabilities are the only word these models give on how sure they are.
      include: include ?? (model.startsWith('gpt-4o') ? ['item.input_audio_transcription.logprobs'] : undefined),
      audio: {
        input: {
          format: { type: 'audio/pcmu' },
          noise_reduction: noiseReduction,
          transcription,
          turn_detection: isJsonObject(turnDetection) ? turnDetection : null,
        },
      },
    },
  });
}

function keywords(phrases: readonly string[]): string[] | null {
  const words = phrases
    .map((phrase) => phrase.trim())
    .filter((each) => each !== '' && each.length <= MAX_KEYWORD_LENGTH);
  const unique = [...new Set(words)].slice(0, MAX_KEYWORDS);
  return unique.length > 0 ? unique : null;
}

/** Base64 needs no escaping. */
export function appendAudio(audio: Uint8Array): string {
  const base64 = Buffer.from(audio.buffer, audio.byteOffset, audio.byteLength).toString('base64');
  return `{"type":"input_audio_buffer.append","audio":"${base64}"}`;
}

export const COMMIT = '{"type":"input_audio_buffer.commit"}';

/** One event, understood. An item is what was committed at once. */
export type RealtimeEvent =
  /** The session is as we asked for it. */
  | { readonly type: 'ready' }
  | { readonly type: 'speech-started' }
  | { readonly type: 'committed'; readonly itemId: string }
  | { readonly type: 'delta'; readonly itemId: string; readonly text: string }
  /** `confidence`: 0 when the vendor does not say. */
  | { readonly type: 'completed'; readonly itemId: string; readonly text: string; readonly confidence: number }
  /** The commit was refused: there was next to nothing in the buffer. */
  | { readonly type: 'nothing-to-commit' }
  | { readonly type: 'ignored'; readonly name: string }
  | { readonly type: 'failed'; readonly error: BvraiError };

const itemId = z.string().min(1);
const committedShape = z.object({ item_id: itemId });
const deltaShape = z.object({ item_id: itemId, delta: z.string().catch('') });
const completedShape = z.object({
  item_id: itemId,
  transcript: z.string(),
  logprobs: z
    .array(z.object({ logprob: z.number() }))
    .nullish()
    .catch(undefined),
});
const errorShape = z.object({
  type: z.string().optional().catch(undefined),
  code: z.string().optional().catch(undefined),
  message: z.string().optional().catch(undefined),
});

/** Reads one text frame. Never throws. */
export function parseRealtimeEvent(text: string): RealtimeEvent {
  const event = parseJsonObject(text);
  if (event === undefined) return malformed('a message that is not a JSON object');
  switch (event['type']) {
    case 'session.updated':
    // The name before the API left its beta, which imitators still use.
    case 'transcription_session.updated':
      return { type: 'ready' };
    case 'input_audio_buffer.speech_started':
      return { type: 'speech-started' };
    case 'input_audio_buffer.committed':
      return parseCommitted(event);
    case 'conversation.item.input_audio_transcription.delta':
      return parseDelta(event);
    case 'conversation.item.input_audio_transcription.completed':
      return parseCompleted(event);
    case 'conversation.item.input_audio_transcription.failed':
    case 'error':
      return parseError(event['error']);
    default:
      return { type: 'ignored', name: nameOf(event['type']) };
  }
}

function parseCommitted(event: JsonObject): RealtimeEvent {
  const parsed = committedShape.safeParse(event);
  return parsed.success ? { type: 'committed', itemId: parsed.data.item_id } : malformed('a commit without its item');
}

function parseDelta(event: JsonObject): RealtimeEvent {
  const parsed = deltaShape.safeParse(event);
  if (!parsed.success) return malformed('a delta without its item');
  return { type: 'delta', itemId: parsed.data.item_id, text: parsed.data.delta };
}

function parseCompleted(event: JsonObject): RealtimeEvent {
  const parsed = completedShape.safeParse(event);
  if (!parsed.success) return malformed('a transcript without its fields');
  const { item_id: id, transcript, logprobs } = parsed.data;
  return { type: 'completed', itemId: id, text: transcript.trim(), confidence: confidenceOf(logprobs ?? []) };
}

/** The geometric mean of the tokens' probabilities. */
function confidenceOf(tokens: readonly { readonly logprob: number }[]): number {
  if (tokens.length === 0) return 0;
  const mean = tokens.reduce((sum, { logprob }) => sum + logprob, 0) / tokens.length;
  return Number.isFinite(mean) ? Math.min(1, Math.exp(mean)) : 0;
}

function parseError(value: unknown): RealtimeEvent {
  const { type, code, message } = errorShape.safeParse(value).data ?? {};
  if (code === 'input_audio_buffer_commit_empty') return { type: 'nothing-to-commit' };
  const is = code === 'session_expired' ? 'provider.closed' : codeOfVendorError(type, code);
  return { type: 'failed', error: vendorFailure(is, code ?? type, message) };
}

/** We send nothing that a sound session refuses, so any other error means that what the caller says will not be transcribed. */
function vendorFailure(is: ErrorCode, vendorCode: string | undefined, message: string | undefined): BvraiError {
  const named = vendorCode === undefined ? '' : ` (${vendorCode.slice(0, 80)})`;
  return new BvraiError(is, `openai gave the transcription up${named}.`, {
    details: {
      provider: PROVIDER,
      ...(vendorCode === undefined ? {} : { vendorCode: vendorCode.slice(0, 80) }),
      // With authentication errors the vendor likes to echo parts of the key.
      ...(is === 'provider.bad-request' && message !== undefined ? { vendorMessage: message.slice(0, 300) } : {}),
    },
  });
}

/** The body of a refused upgrade: `{"error":{"type":"…","code":"…","message":"…"}}`. */
export function parseRealtimeRefusal(body: string): VendorError {
  const { type, code, message } = errorShape.safeParse(parseJsonObject(body)?.['error']).data ?? {};
  const is = codeBeyondStatus(type, code);
  return { code: code ?? type, message, is };
}

export function malformed(what: string): RealtimeEvent {
  const error = new BvraiError('provider.protocol', `openai sent ${what}.`, { details: { provider: PROVIDER } });
  return { type: 'failed', error };
}
