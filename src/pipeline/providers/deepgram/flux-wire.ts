/**
 * Deepgram's v2 live wire (Flux) as pure functions. Facts: docs of the vendor as collected in provider-wire.md. Unknown message
 * types, events and fields pass; a broken message of a known type does not.
 */
import { z } from 'zod';
import { BvraiError } from '../../../core/errors.ts';
import type { ErrorCode } from '../../../core/errors.ts';
import { setQuery, socketUrl } from '../http.ts';
import { nameOf, parseJsonObject } from '../json.ts';
import type { JsonObject } from '../json.ts';
import type { SttPart, SttRequest, TranscribedWord } from '../spec.ts';
import { PROVIDER, keyTerms, malformed } from './wire.ts';
import type { DeepgramMessage } from './wire.ts';

/**
 * The address of one live stream: our defaults, then the route's options, then what the audio path fixes. Eager end-of-turn
 * events are off unless a threshold is set; at 0.4 they come some 100 ms before the end of a turn, and are sometimes wrong. Its own
 * 5 s of silence before a doubtful turn ends are longer than anybody waits on a telephone.
 */
export function fluxUrl(baseUrl: string, request: SttRequest): URL {
  const url = socketUrl(PROVIDER, baseUrl, '/v2/listen');
  setQuery(url, {
    eot_threshold: 0.7,
    eager_eot_threshold: 0.4,
    eot_timeout_ms: 3000,
    keyterm: keyTerms(request.phrases),
    // The English model takes no language.
    ...(request.model?.endsWith('-en') ? {} : { language_hint: request.language }),
  });
  setQuery(url, request.options ?? {});
  setQuery(url, { model: request.model, encoding: 'mulaw', sample_rate: 8000 });
  return url;
}

const confidence = z.number().min(0).max(1).catch(0);

const seconds = z.number().nonnegative().optional().catch(undefined);

const turnInfo = z.object({
  event: z.string(),
  transcript: z.string(),
  audio_window_start: seconds,
  audio_window_end: seconds,
  words: z.array(z.object({ word: z.string().catch(''), confidence, start: seconds, end: seconds })).catch([]),
});

type TurnInfo = z.infer<typeof turnInfo>;

const failure = z.object({ code: z.string().catch(''), description: z.string().catch('') });

/** Reads one text frame. Never throws. */
export function parseFluxMessage(text: string): DeepgramMessage {
  const message = parseJsonObject(text);
  if (message === undefined) return malformed('a message that is not a JSON object');
  switch (message['type']) {
    case 'TurnInfo':
      return parseTurnInfo(message);
    case 'Error':
      return parseFailure(message);
    default:
      return { type: 'ignored', name: nameOf(message['type']) };
  }
}

function parseTurnInfo(message: JsonObject): DeepgramMessage {
  const parsed = turnInfo.safeParse(message);
  if (!parsed.success) return malformed('a TurnInfo message without its fields');
  const { event } = parsed.data;
  const part = turnPart(parsed.data);
  return part === undefined ? { type: 'ignored', name: `TurnInfo ${event}`.slice(0, 40) } : { type: 'part', part };
}

function turnPart(turn: TurnInfo): SttPart | undefined {
  const { event, transcript: text, words } = turn;
  switch (event) {
    case 'StartOfTurn':
      return { type: 'speech-started' };
    case 'Update':
      // Updates go on in silence, without text; they replace nothing that anybody heard.
      return text === '' ? undefined : { type: 'transcript-interim', text, confidence: meanConfidence(words) };
    case 'EagerEndOfTurn':
      return { type: 'turn-end-likely', text };
    case 'TurnResumed':
      return { type: 'turn-resumed' };
    case 'EndOfTurn':
      return { type: 'turn-ended', text, confidence: meanConfidence(words), words: timedWords(turn) };
    default:
      return undefined;
  }
}

/** Where the words are in the stream's audio; none, if one of them has no place there within the window that the turn is of. */
function timedWords(turn: TurnInfo): TranscribedWord[] {
  const { audio_window_start: fromS = Infinity, audio_window_end: toS = -Infinity } = turn;
  const timed: TranscribedWord[] = [];
  for (const { word, confidence: sureness, start, end } of turn.words) {
    if (start === undefined || end === undefined || start < fromS || end > toS || end < start) return [];
    timed.push({ text: word, startMs: start * 1_000, endMs: end * 1_000, confidence: sureness });
  }
  return timed;
}

/** How sure the recogniser is of the words. (How sure it is of the end of the turn has been weighed by the thresholds.) */
function meanConfidence(words: readonly { readonly confidence: number }[]): number {
  if (words.length === 0) return 0;
  return words.reduce((sum, word) => sum + word.confidence, 0) / words.length;
}

function parseFailure(message: JsonObject): DeepgramMessage {
  const { code: vendorCode, description } = failure.parse(message);
  // It could not read our audio or our messages; anything else is the vendor's own trouble.
  const code: ErrorCode = /^(DATA|UNPARSABLE|INVALID)/.test(vendorCode)
    ? 'provider.bad-request'
    : 'provider.overloaded';
  const error = new BvraiError(
    code,
    `deepgram gave the stream up: ${(description || vendorCode || 'it did not say why').slice(0, 200)}`,
    { details: { provider: PROVIDER, vendorCode: vendorCode.slice(0, 40) } },
  );
  return { type: 'failed', error };
}
