/**
 * Deepgram's v1 live wire as pure functions: the address, what we send, what it says. Facts: docs of the vendor as
 * collected in provider-wire.md. Unknown message types and fields pass; a broken message of a known type does not.
 */
import { z } from 'zod';
import { BvraiError } from '../../../core/errors.ts';
import type { ErrorCode } from '../../../core/errors.ts';
import { setQuery, socketUrl } from '../http.ts';
import type { VendorError } from '../http.ts';
import { nameOf, parseJsonObject } from '../json.ts';
import type { JsonObject } from '../json.ts';
import type { SttPart, SttRequest, TranscribedWord } from '../spec.ts';

export const PROVIDER = 'deepgram';
export const DEFAULT_MODEL = 'nova-3';

/**
 * Deepgram takes up to 100 key terms and 500 of its tokens in all, and a list beyond that is not refused: the stream
 * falls silent and closes with 1011 half a minute later. A token is at least about three characters of English.
 */
const MAX_KEY_TERMS = 100;
const MAX_KEY_TERMS_LENGTH = 1_500;
/** Key terms are words and names; a longer phrase is a sentence that helps nobody and eats the budget. */
const MAX_KEY_TERM_LENGTH = 60;

/** Text frames that we send. */
export const KEEP_ALIVE = '{"type":"KeepAlive"}';
export const FINALIZE = '{"type":"Finalize"}';
export const CLOSE_STREAM = '{"type":"CloseStream"}';

/** The address of one live stream: our defaults, then the route's options, then what the audio path fixes. */
export function listenUrl(baseUrl: string, request: SttRequest): URL {
  const model = request.model ?? DEFAULT_MODEL;
  const url = socketUrl(PROVIDER, baseUrl, '/v1/listen');
  setQuery(url, {
    language: request.language,
    endpointing: 300,
    utterance_end_ms: 1000,
    smart_format: true,
    // Only Nova-3 knows key terms; older models refuse the parameter.
    ...(model.startsWith('nova-3') ? { keyterm: keyTerms(request.phrases) } : {}),
  });
  setQuery(url, request.options ?? {});
  setQuery(url, {
    model,
    encoding: 'mulaw',
    sample_rate: 8000,
    channels: 1,
    interim_results: true,
    vad_events: true,
    // These would send the results elsewhere or change their shape.
    callback: null,
    multichannel: null,
  });
  return url;
}

/** The phrases that fit Deepgram's limits, in order, without duplicates. */
export function keyTerms(phrases: readonly string[]): string[] {
  const terms = new Set<string>();
  let length = 0;
  for (const phrase of phrases) {
    const term = phrase.trim().replace(/\s+/g, ' ');
    if (term === '' || term.length > MAX_KEY_TERM_LENGTH || terms.has(term)) continue;
    if (terms.size === MAX_KEY_TERMS || length + term.length > MAX_KEY_TERMS_LENGTH) break;
    terms.add(term);
    length += term.length;
  }
  return [...terms];
}

/** One message, understood. */
export type DeepgramMessage =
  | { readonly type: 'part'; readonly part: SttPart }
  /** Nothing to tell the conversation; `name` is the vendor's message type. */
  | { readonly type: 'ignored'; readonly name: string }
  | { readonly type: 'failed'; readonly error: BvraiError };

export const seconds = z.number().min(0).catch(0);
export const confidence = z.number().min(0).max(1).catch(0);

export const wordShape = z.object({
  word: z.string(),
  punctuated_word: z.string().optional().catch(undefined),
  start: seconds,
  end: seconds,
  confidence,
});

const results = z.object({
  is_final: z.boolean(),
  speech_final: z.boolean().catch(false),
  from_finalize: z.boolean().catch(false),
  channel: z.object({
    alternatives: z.array(z.object({ transcript: z.string(), confidence, words: z.array(wordShape).catch([]) })),
  }),
});

const failure = z.object({
  description: z.string().catch(''),
  message: z.string().catch(''),
  variant: z.string().catch(''),
});

const refusal = z.object({
  err_code: z.string().optional().catch(undefined),
  err_msg: z.string().optional().catch(undefined),
});

/** Reads one text frame. Never throws. */
export function parseMessage(text: string): DeepgramMessage {
  const message = parseJsonObject(text);
  if (message === undefined) return malformed('a message that is not a JSON object');
  switch (message['type']) {
    case 'Results':
      return parseResults(message);
    case 'SpeechStarted':
      return { type: 'part', part: { type: 'speech-started' } };
    case 'UtteranceEnd':
      return { type: 'part', part: { type: 'utterance-ended' } };
    case 'Error':
      return parseFailure(message);
    default:
      return { type: 'ignored', name: nameOf(message['type']) };
  }
}

function parseResults(message: JsonObject): DeepgramMessage {
  const parsed = results.safeParse(message);
  if (!parsed.success) return malformed('a Results message without its fields');
  const { is_final: isFinal, speech_final: speechFinal, from_finalize: fromFinalize, channel } = parsed.data;
  const best = channel.alternatives[0] ?? { transcript: '', confidence: 0, words: [] };
  if (!isFinal) {
    // During silence interims are empty; they replace nothing that anybody heard.
    if (best.transcript === '') return { type: 'ignored', name: 'Results' };
    return { type: 'part', part: { type: 'transcript-interim', text: best.transcript, confidence: best.confidence } };
  }
  const words = wordsOf(best.words);
  const { transcript: text, confidence: sure } = best;
  const part: SttPart = { type: 'transcript-final', text, confidence: sure, words, speechFinal, fromFinalize };
  return { type: 'part', part };
}

export function wordsOf(words: readonly z.infer<typeof wordShape>[]): TranscribedWord[] {
  return words.map((each) => ({
    text: each.punctuated_word ?? each.word,
    startMs: each.start * 1000,
    endMs: each.end * 1000,
    confidence: each.confidence,
  }));
}

function parseFailure(message: JsonObject): DeepgramMessage {
  const { description, message: vendorCode, variant } = failure.parse(message);
  // DATA-…: it could not decode our audio. NET-…: it lost or gave up on the connection.
  const code: ErrorCode = vendorCode.startsWith('DATA') ? 'provider.bad-request' : 'provider.overloaded';
  const error = new BvraiError(
    code,
    `deepgram gave the stream up: ${(description || variant || vendorCode).slice(0, 200)}`,
    {
      details: { provider: PROVIDER, vendorCode: vendorCode.slice(0, 40) },
    },
  );
  return { type: 'failed', error };
}

/** The error body of a refused upgrade: `{"err_code":"INVALID_AUTH","err_msg":"…"}`. */
export function parseRefusal(body: string): VendorError {
  const parsed = refusal.safeParse(parseJsonObject(body) ?? {});
  return parsed.success ? { code: parsed.data.err_code, message: parsed.data.err_msg } : {};
}

/** A message that breaks the protocol. */
export function malformed(what: string): DeepgramMessage {
  return {
    type: 'failed',
    error: new BvraiError('provider.protocol', `deepgram sent ${what}.`, { details: { provider: PROVIDER } }),
  };
}
