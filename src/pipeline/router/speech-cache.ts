/**
 * Keeps the audio of fixed texts (greetings, farewells, fillers) across calls: what one call has paid for, the next one has at
 * once. Whole utterances only. A fixed text is spoken and finished in one go, so that its pieces can wait for `finish` without
 * costing time; pieces that are mixed with other text just pass.
 */
import type { Timer } from '../../core/clock.ts';
import type { BvraiError } from '../../core/errors.ts';
import { unreachable } from '../../core/errors.ts';
import { ByteCache } from '../../core/byte-cache.ts';
import type {
  Sink,
  SpeakOptions,
  SpokenSpan,
  StreamContext,
  TtsPart,
  TtsProvider,
  TtsRequest,
  TtsStream,
} from '../providers/spec.ts';

/** 35 minutes of speech. */
const DEFAULT_MAX_BYTES = 16 * 1024 * 1024;
/** No single text may take more than this share of the cache. */
const MAX_SHARE = 1 / 8;
/** What a span takes in memory, besides its text. */
const SPAN_BYTES = 64;

/** A chunk as the vendor delivered it. Never handed out: whoever receives audio may do with it what they like. */
export interface KeptChunk {
  readonly audio: Uint8Array;
  readonly spans: readonly SpokenSpan[] | undefined;
}

/** Spoken utterances by provider, voice and text: process-wide, bounded by bytes, least recently used first out. */
export class SpeechCache {
  readonly #utterances: ByteCache<readonly KeptChunk[]>;
  readonly #more: SpeechCache | undefined;
  /** Larger utterances are not kept. */
  readonly maxUtteranceBytes: number;

  /** `more`: looked into as well; others fill it. */
  constructor(maxBytes: number = DEFAULT_MAX_BYTES, more?: SpeechCache) {
    this.#utterances = new ByteCache(maxBytes);
    this.#more = more;
    this.maxUtteranceBytes = maxBytes * MAX_SHARE;
  }

  get bytes(): number {
    return this.#utterances.bytes;
  }

  get(key: string): readonly KeptChunk[] | undefined {
    return this.#utterances.get(key) ?? this.#more?.get(key);
  }

  set(key: string, chunks: readonly KeptChunk[], bytes: number): void {
    this.#utterances.set(key, chunks, bytes + 2 * key.length);
  }
}

/**
 * The provider, but utterances of which every piece is `fixed` come from the cache if the same provider has spoken the same
 * pieces for the same request before: all their audio then arrives in the next turn of the event loop. On a miss they are kept
 * once they have finished without failure. The provider's stream is opened in any case, and stays warm. An utterance's id is
 * used once; pieces of a fixed one are held back until `finish`, for one turn of the event loop at most.
 */
export function cachedSpeech(provider: TtsProvider, cache: SpeechCache): TtsProvider {
  return {
    name: provider.name,
    prewarm: provider.prewarm,
    open: (request, sink, context) => new CachedSpeech(provider, cache, request, sink, context),
  };
}

/** Under what the cache keeps the pieces of an utterance as one voice says them. */
export function speechKey(provider: string, request: TtsRequest, texts: readonly string[]): string {
  const { model, voice, language, options } = request;
  return JSON.stringify([provider, model, voice, language, options, texts]);
}

/** How an utterance is served. */
type Service =
  /** Nothing has been sent on: it may be in the cache. */
  | { readonly type: 'held'; readonly texts: string[] }
  /** It is, and on its way. */
  | { readonly type: 'found'; readonly chunks: readonly KeptChunk[] }
  /** The provider speaks it, and it is kept if all goes well. */
  | { readonly type: 'recorded'; readonly texts: string[]; readonly chunks: KeptChunk[]; bytes: number }
  /** The provider speaks it, and nobody listens in. */
  | { readonly type: 'passed' };

interface Utterance {
  readonly id: string;
  service: Service;
  finished: boolean;
}

class CachedSpeech implements TtsStream {
  readonly #cache: SpeechCache;
  readonly #keyOf: (texts: readonly string[]) => string;
  readonly #sink: Sink<TtsPart>;
  readonly #context: StreamContext;
  readonly #stream: TtsStream;
  readonly #onAbort = (): void => this.close();
  /** Unfinished and not cancelled. */
  readonly #utterances = new Map<string, Utterance>();
  #timer: Timer | undefined;
  #over = false;

  constructor(
    provider: TtsProvider,
    cache: SpeechCache,
    request: TtsRequest,
    sink: Sink<TtsPart>,
    context: StreamContext,
  ) {
    this.#cache = cache;
    this.#keyOf = (texts) => speechKey(provider.name, request, texts);
    this.#sink = sink;
    this.#context = context;
    if (context.signal.aborted) this.#over = true;
    else context.signal.addEventListener('abort', this.#onAbort, { once: true });
    this.#stream = provider.open(request, (part) => this.#onPart(part), context);
  }

  speak(utteranceId: string, text: string, options?: SpeakOptions): void {
    if (this.#over) return;
    const fixed = options?.fixed === true;
    const utterance = this.#utterances.get(utteranceId) ?? this.#begin(utteranceId, fixed);
    if (utterance.finished) return;
    if (utterance.service.type === 'held') {
      if (fixed) {
        utterance.service.texts.push(text);
        return this.#actSoon();
      }
      this.#release(utterance, utterance.service.texts);
    }
    if (!fixed) utterance.service = { type: 'passed' };
    else if (utterance.service.type === 'recorded') utterance.service.texts.push(text);
    this.#stream.speak(utteranceId, text, options);
  }

  finish(utteranceId: string): void {
    if (this.#over) return;
    const utterance = this.#utterances.get(utteranceId);
    if (utterance?.finished) return;
    if (utterance) utterance.finished = true;
    if (utterance?.service.type === 'held') {
      const { texts } = utterance.service;
      const chunks = this.#cache.get(this.#keyOf(texts));
      if (chunks) {
        utterance.service = { type: 'found', chunks };
        return this.#actSoon();
      }
      this.#release(utterance, texts);
    }
    this.#stream.finish(utteranceId);
  }

  cancel(utteranceId: string): void {
    if (this.#over) return;
    this.#utterances.delete(utteranceId);
    this.#stream.cancel(utteranceId);
  }

  close(): void {
    if (this.#over) return;
    this.#end();
    this.#stream.close();
  }

  #begin(id: string, fixed: boolean): Utterance {
    const service: Service = fixed ? { type: 'held', texts: [] } : { type: 'passed' };
    const utterance: Utterance = { id, service, finished: false };
    this.#utterances.set(id, utterance);
    return utterance;
  }

  #actSoon(): void {
    this.#timer ??= this.#context.clock.after(0, () => {
      this.#timer = undefined;
      for (const utterance of this.#utterances.values()) {
        const { service } = utterance;
        if (service.type === 'found') this.#deliver(utterance, service.chunks);
        else if (service.type === 'held') this.#release(utterance, service.texts);
      }
    });
  }

  /** Hands what was held to the provider, and listens in. */
  #release(utterance: Utterance, texts: string[]): void {
    utterance.service = { type: 'recorded', texts, chunks: [], bytes: 0 };
    for (const text of texts) this.#stream.speak(utterance.id, text, { fixed: true });
  }

  #deliver(utterance: Utterance, chunks: readonly KeptChunk[]): void {
    for (const { audio, spans } of chunks) {
      // The receiver may cancel or close in response to a part.
      if (!this.#isLive(utterance)) return;
      this.#sink({ type: 'audio-chunk', utteranceId: utterance.id, audio: new Uint8Array(audio), spans });
    }
    if (!this.#isLive(utterance)) return;
    this.#utterances.delete(utterance.id);
    this.#sink({ type: 'utterance-finished', utteranceId: utterance.id });
  }

  #isLive(utterance: Utterance): boolean {
    return !this.#over && this.#utterances.get(utterance.id) === utterance;
  }

  #onPart(part: TtsPart): void {
    if (this.#over) return;
    switch (part.type) {
      case 'audio-chunk':
        this.#record(this.#utterances.get(part.utteranceId), part.audio, part.spans);
        return this.#sink(part);
      case 'utterance-finished':
        this.#keep(this.#utterances.get(part.utteranceId));
        this.#utterances.delete(part.utteranceId);
        return this.#sink(part);
      case 'utterance-failed':
        this.#utterances.delete(part.utteranceId);
        return this.#sink(part);
      case 'stream-failed':
        return this.#fail(part.error);
      default:
        return unreachable(part);
    }
  }

  #record(utterance: Utterance | undefined, audio: Uint8Array, spans: readonly SpokenSpan[] | undefined): void {
    if (utterance?.service.type !== 'recorded') return;
    const { service } = utterance;
    service.bytes += audio.length;
    for (const { text } of spans ?? []) service.bytes += SPAN_BYTES + 2 * text.length;
    if (service.bytes > this.#cache.maxUtteranceBytes) utterance.service = { type: 'passed' };
    else service.chunks.push({ audio: new Uint8Array(audio), spans });
  }

  /** An utterance without a sound is not kept: a vendor that has a bad day would be mute in all calls to come. */
  #keep(utterance: Utterance | undefined): void {
    if (utterance?.service.type !== 'recorded' || !utterance.finished) return;
    const { texts, chunks, bytes } = utterance.service;
    if (chunks.length > 0) this.#cache.set(this.#keyOf(texts), chunks, bytes);
  }

  #fail(error: BvraiError): void {
    this.#end();
    this.#sink({ type: 'stream-failed', error });
  }

  #end(): void {
    this.#over = true;
    this.#timer?.cancel();
    this.#utterances.clear();
    this.#context.signal.removeEventListener('abort', this.#onAbort);
  }
}
