/**
 * What a provider of speech-to-text, text generation or text-to-speech looks like to the conversation.
 * Types only. Audio is G.711 μ-law, 8 kHz, mono on both sides; an adapter transcodes if its vendor must have something else.
 *
 * The rules for all three kinds of stream:
 * - Opening one returns at once; parts arrive later, through the sink, never synchronously from the opening call.
 * - A stream reports each failure once, as a part that carries a BvraiError, and never throws from its methods.
 * - After `close`/`abort`, or once the context's signal has aborted, no more parts arrive and sockets and timers are released.
 * - An adapter never retries and never fails over: that is the router's business.
 */
import type { Clock } from '../../core/clock.ts';
import type { BvraiError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';

/** Receives a stream's parts, in order. Must not throw. */
export type Sink<Part> = (part: Part) => void;

/** Another provider serves from here on; `code`: what was wrong with the one before. */
export interface ProviderSwitch {
  readonly stage: 'stt' | 'llm' | 'tts';
  readonly from: string;
  readonly to: string;
  readonly code: string;
}

/** A wait for a vendor whose limit follows from how long it has taken lately. */
export interface LearnedWait {
  /** How long to wait, as of now. */
  readonly limitMs: number;
  /** It took so long; of one that was given up: at least so long. */
  took(waitMs: number): void;
}

/** What the process knows of how a provider takes connections. Whoever connects heeds the limits, and tells how long it took. */
export interface Connecting {
  readonly clock: Clock;
  /** Until a connection is there: TCP, TLS and, of a WebSocket, the upgrade. */
  readonly connection: LearnedWait;
  /** From there until the vendor has begun the session, where there is one to begin. */
  readonly session: LearnedWait;
}

/**
 * Opens ahead of need what a stream for the request would have to open first, so that a call that begins soon need not wait for
 * it. Sends nothing that is billed. `wanted` is asked before each connection, also later ones: false while callers are kept away
 * from the provider. Throws a BvraiError when the request cannot be served as configured.
 */
export type Prewarm<Request> = (request: Request, wanted: () => boolean, connecting?: Connecting) => void;

/** Of audio that was sent to a recogniser. */
export interface SttTally {
  audioBytes: number;
}

export interface LlmTally {
  /** Those that the vendor did not refuse. */
  requests: number;
  /** Of these, the ones whose tokens the vendor has not told, or not all: it tells them at the end, and some were broken off. */
  unreportedRequests: number;
  inputTokens: number;
  outputTokens: number;
}

/** Of text that was sent to be spoken. */
export interface TtsTally {
  characters: number;
}

/**
 * What a call has asked of vendors so far, as they bill it. An adapter adds to its tally when it sends, whatever becomes of what
 * it sent: a reply that nobody heard costs as much. `model`: the one that served; undefined where there are none.
 */
export interface UsageMeter {
  stt(provider: string, model: string | undefined): SttTally;
  llm(provider: string, model: string | undefined): LlmTally;
  tts(provider: string, model: string | undefined): TtsTally;
}

/** What every stream is given. */
export interface StreamContext {
  /** Bound to the call's correlation id. */
  readonly log: Log;
  readonly clock: Clock;
  /** Aborts when the call (or the generation) is over. */
  readonly signal: AbortSignal;
  /** Given by the routes. Absent: adapters wait for as long as they were built to, a second as a rule. */
  readonly connecting?: Connecting | undefined;
  /** Absent: nobody counts, as when a provider is only tried out. */
  readonly usage?: UsageMeter | undefined;
  /** Only routes call it: an adapter never fails over. */
  readonly onSwitch?: ((change: ProviderSwitch) => void) | undefined;
}

// --- Speech to text -------------------------------------------------------------------------------------------

export interface SttRequest {
  readonly model?: string | undefined;
  /** BCP 47, e.g. `en`. */
  readonly language: string;
  /** Phrases the caller is likely to say: key terms for a cloud recogniser, the grammar of the embedded one. */
  readonly phrases: readonly string[];
  /** The vendor's own options, passed through. */
  readonly options?: Readonly<Record<string, unknown>> | undefined;
}

export interface TranscribedWord {
  readonly text: string;
  /** Milliseconds of audio written to this stream before the word begins and ends. */
  readonly startMs: number;
  readonly endMs: number;
  /** 0 to 1. */
  readonly confidence: number;
}

export type SttPart =
  /** `audioAgeMs`, only from routes: how long ago the audio came in with which the stream begins. */
  | { readonly type: 'stream-opened'; readonly audioAgeMs?: number | undefined }
  /** The recogniser's own voice detector heard speech begin. */
  | { readonly type: 'speech-started' }
  /** A guess that later parts replace. */
  | { readonly type: 'transcript-interim'; readonly text: string; readonly confidence: number }
  /**
   * Text that will not change. Finals of one turn are to be joined by a space. `text` may be empty: the recogniser is done
   * with the audio so far and heard no words. `speechFinal`: the recogniser itself holds that the caller has paused;
   * `fromFinalize`: this answers a `speech-ended` hint.
   */
  | {
      readonly type: 'transcript-final';
      readonly text: string;
      readonly confidence: number;
      readonly words: readonly TranscribedWord[];
      readonly speechFinal: boolean;
      readonly fromFinalize: boolean;
    }
  /** No new words for a while, by word times (Deepgram's UtteranceEnd). */
  | { readonly type: 'utterance-ended' }
  /**
   * For recognisers that decide themselves when a turn is over (Deepgram Flux: EagerEndOfTurn, TurnResumed, EndOfTurn). Where
   * these come, the local wait does not stack on them. `text` is the whole turn's, and replaces what came before. `words`: where
   * its words are in the audio, if that is known.
   */
  | { readonly type: 'turn-end-likely'; readonly text: string }
  | { readonly type: 'turn-resumed' }
  | {
      readonly type: 'turn-ended';
      readonly text: string;
      readonly confidence: number;
      readonly words?: readonly TranscribedWord[] | undefined;
    }
  /** The stream is dead; nothing follows. */
  | { readonly type: 'stream-failed'; readonly error: BvraiError };

export interface SttStream {
  /** Takes caller audio; the bytes are only valid during the call. */
  write(audio: Uint8Array): void;
  /**
   * What the local voice detector saw in the audio just written. `speech-started` lags the true onset: by up to 300 ms as a rule,
   * by seconds on a machine with too much to do. `agoMs`: how much audio has been written since the onset, as far as is known.
   * `speech-ended` asks for the final transcript now (Deepgram: Finalize).
   */
  hint(voice: 'speech-started' | 'speech-ended', agoMs?: number): void;
  close(): void;
}

/** What a recogniser can do; what is absent it cannot. */
export interface SttCapabilities {
  /** Takes μ-law as it comes from the phone; otherwise the adapter transcodes. */
  readonly mulawIn?: boolean;
  /** Says when each word was spoken, so that a successor repeats none. */
  readonly wordTimes?: boolean;
  /** Says that a turn is probably over before it is certain. */
  readonly eagerEndOfTurn?: boolean;
  /** Whether that model decides itself when a turn is over: then no final answers a `speech-ended` hint. */
  readonly decidesTurns?: (model: string | undefined) => boolean;
}

export interface SttProvider {
  /** As in an agent's route, e.g. `deepgram`. */
  readonly name: string;
  readonly capabilities?: SttCapabilities | undefined;
  readonly prewarm?: Prewarm<SttRequest> | undefined;
  open(request: SttRequest, sink: Sink<SttPart>, context: StreamContext): SttStream;
}

// --- Text generation -------------------------------------------------------------------------------------------

/** A model's wish to have a tool run. `arguments` is JSON text as the model wrote it, unchecked. */
export interface ToolCall {
  readonly id: string;
  readonly name: string;
  readonly arguments: string;
}

/** Each tool call of an assistant's message is followed by the `tool` message with its result. */
export type LlmMessage =
  | { readonly role: 'system' | 'user'; readonly content: string }
  | { readonly role: 'assistant'; readonly content: string; readonly toolCalls?: readonly ToolCall[] | undefined }
  | { readonly role: 'tool'; readonly toolCallId: string; readonly content: string };

/** A tool that the model may call; `parameters` is a JSON schema. */
export interface LlmTool {
  readonly name: string;
  readonly description: string;
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** A question callers ask, in some of the ways they ask it, and the agent's answer. */
export interface QuestionAndAnswer {
  readonly questions: readonly string[];
  readonly answer: string;
}

export interface LlmRequest {
  readonly model?: string | undefined;
  readonly messages: readonly LlmMessage[];
  /** The agent's prepared answers: the embedded responder speaks only these. Cloud models find them in the system message. */
  readonly questionsAndAnswers: readonly QuestionAndAnswer[];
  readonly tools?: readonly LlmTool[] | undefined;
  readonly maxOutputTokens: number;
  readonly temperature?: number | undefined;
  readonly options?: Readonly<Record<string, unknown>> | undefined;
}

export type LlmPart =
  | { readonly type: 'text-delta'; readonly text: string }
  /** Whole: its arguments have all come. Before `generation-finished`. */
  | { readonly type: 'tool-called'; readonly call: ToolCall }
  /** The last part of a generation that went well. */
  | { readonly type: 'generation-finished'; readonly reason: 'stop' | 'length' | 'content-filter' | 'tool-calls' }
  /** The last part of one that did not. */
  | { readonly type: 'generation-failed'; readonly error: BvraiError };

export interface LlmStream {
  /** Stops the generation; the request's socket sees it within one event-loop turn. */
  abort(): void;
}

/** What a model can do; what is absent it cannot. */
export interface LlmCapabilities {
  readonly tools?: boolean;
  /**
   * It can say anything, so it can be asked instead of another model, and go on where another broke off. The embedded responder
   * cannot: it knows prepared answers only, is there at once, and would win every race.
   */
  readonly openEnded?: boolean;
}

export interface LlmProvider {
  readonly name: string;
  readonly capabilities?: LlmCapabilities | undefined;
  readonly prewarm?: Prewarm<Pick<LlmRequest, 'model' | 'options'>> | undefined;
  generate(request: LlmRequest, sink: Sink<LlmPart>, context: StreamContext): LlmStream;
}

// --- Text to speech --------------------------------------------------------------------------------------------

export interface TtsRequest {
  readonly model?: string | undefined;
  readonly voice?: string | undefined;
  readonly language: string;
  readonly options?: Readonly<Record<string, unknown>> | undefined;
}

/** Which stretch of an audio chunk speaks which text. Spans are in order; their texts joined are the text spoken. */
export interface SpokenSpan {
  readonly text: string;
  /** From the start of the chunk that carries the span. */
  readonly startMs: number;
  readonly durationMs: number;
}

export type TtsPart =
  | {
      readonly type: 'audio-chunk';
      readonly utteranceId: string;
      /** μ-law, 8 kHz. Owned by the receiver. */
      readonly audio: Uint8Array;
      /** Absent or empty when the vendor gives no alignment for this chunk. */
      readonly spans?: readonly SpokenSpan[] | undefined;
    }
  /** All audio of the utterance has been delivered. */
  | { readonly type: 'utterance-finished'; readonly utteranceId: string }
  /** This utterance gets no more audio; the stream lives on. */
  | { readonly type: 'utterance-failed'; readonly utteranceId: string; readonly error: BvraiError }
  /** The stream is dead, and every unfinished utterance with it; nothing follows. */
  | { readonly type: 'stream-failed'; readonly error: BvraiError };

/** How a piece of text is to be spoken. */
export interface SpeakOptions {
  /** The same text is spoken in many calls (a greeting, a fixed phrase): its audio is worth keeping. */
  readonly fixed?: boolean | undefined;
}

/** One per call. An utterance is one reply of the agent: several pieces of text, spoken in order. */
export interface TtsStream {
  /** Adds a clause of text (already speakable) to an utterance; the first piece begins it. */
  speak(utteranceId: string, text: string, options?: SpeakOptions): void;
  /** No more text comes for this utterance: `utterance-finished` follows its last audio. */
  finish(utteranceId: string): void;
  /** Drops the utterance: none of its parts arrive from now on. */
  cancel(utteranceId: string): void;
  close(): void;
}

/** What a synthesiser can do; what is absent it cannot. */
export interface TtsCapabilities {
  /** Gives μ-law at 8 kHz; otherwise the adapter transcodes. */
  readonly mulawOut?: boolean;
  /** Says which stretch of its audio speaks which text. */
  readonly wordTimes?: boolean;
  /** Several utterances at a time on one connection. */
  readonly contexts?: boolean;
}

export interface TtsProvider {
  readonly name: string;
  readonly capabilities?: TtsCapabilities | undefined;
  readonly prewarm?: Prewarm<TtsRequest> | undefined;
  open(request: TtsRequest, sink: Sink<TtsPart>, context: StreamContext): TtsStream;
}
