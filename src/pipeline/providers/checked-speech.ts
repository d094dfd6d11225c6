/** A synthesiser whose wrong audio is a failure, not noise in the caller's ear. Every cloud voice is wrapped in this. */
import { BvraiError } from '../../core/errors.ts';
import { AudioOpening, SixteenBitDetector, longestMs, shortestMs } from './audio-check.ts';
import type { Sink, StreamContext, TtsPart, TtsProvider, TtsRequest, TtsStream } from './spec.ts';

const BYTES_PER_MS = 8;
/** Utterances that are watched; a stream has one or two. The oldest beyond that goes unchecked. */
const MAX_WATCHED = 64;

type AudioPart = TtsPart & { readonly type: 'audio-chunk' };

/**
 * `provider`, but an utterance fails with `provider.protocol` when its audio begins like a file or a text, when it is 16-bit
 * PCM, when it lasts longer than its text can, or when it finishes with less audio than its text needs. Until the first
 * bytes are known to be audio they are held back; for true audio that is no time at all.
 */
export function checkedSpeech<Provider extends TtsProvider>(provider: Provider): Provider {
  return {
    ...provider,
    open: (request: TtsRequest, sink: Sink<TtsPart>, context: StreamContext): TtsStream =>
      new CheckedStream(provider, request, sink, context),
  };
}

interface Watched {
  text: string;
  audioMs: number;
  readonly opening: AudioOpening;
  readonly sixteenBit: SixteenBitDetector;
  /** Chunks of an undecided opening. */
  held: AudioPart[];
}

class CheckedStream implements TtsStream {
  readonly #provider: string;
  readonly #sink: Sink<TtsPart>;
  readonly #inner: TtsStream;
  readonly #watched = new Map<string, Watched>();

  constructor(provider: TtsProvider, request: TtsRequest, sink: Sink<TtsPart>, context: StreamContext) {
    this.#provider = provider.name;
    this.#sink = sink;
    this.#inner = provider.open(request, (part) => this.#onPart(part), context);
  }

  speak(...[utteranceId, text, options]: Parameters<TtsStream['speak']>): void {
    this.#watch(utteranceId).text += text;
    this.#inner.speak(utteranceId, text, options);
  }

  finish(utteranceId: string): void {
    this.#inner.finish(utteranceId);
  }

  cancel(utteranceId: string): void {
    this.#watched.delete(utteranceId);
    this.#inner.cancel(utteranceId);
  }

  close(): void {
    this.#watched.clear();
    this.#inner.close();
  }

  #watch(utteranceId: string): Watched {
    const known = this.#watched.get(utteranceId);
    if (known !== undefined) return known;
    for (const oldest of this.#watched.keys()) {
      if (this.#watched.size < MAX_WATCHED) break;
      this.#watched.delete(oldest);
    }
    const opening = new AudioOpening();
    const watched = { text: '', audioMs: 0, opening, sixteenBit: new SixteenBitDetector(), held: [] };
    this.#watched.set(utteranceId, watched);
    return watched;
  }

  #onPart(part: TtsPart): void {
    if (part.type === 'stream-failed') {
      this.#watched.clear();
      return this.#sink(part);
    }
    const watched = this.#watched.get(part.utteranceId);
    if (part.type === 'audio-chunk') return watched === undefined ? this.#sink(part) : this.#onAudio(part, watched);
    this.#watched.delete(part.utteranceId);
    if (part.type === 'utterance-failed' || watched === undefined) return this.#sink(part);
    const fault = watched.audioMs < shortestMs(watched.text) ? 'too little audio for its text' : undefined;
    if (fault === undefined) for (const held of watched.held) this.#sink(held);
    this.#sink(fault === undefined ? part : this.#failed(part.utteranceId, fault, watched));
  }

  #onAudio(part: AudioPart, watched: Watched): void {
    watched.audioMs += part.audio.length / BYTES_PER_MS;
    const verdict = watched.opening.add(part.audio);
    const fault = verdict.type === 'wrong' ? verdict.format : this.#faultOf(part, watched);
    if (fault !== undefined) {
      this.cancel(part.utteranceId);
      return this.#sink(this.#failed(part.utteranceId, fault, watched));
    }
    watched.held.push(part);
    if (verdict.type === 'undecided') return;
    // The receiver may cancel after any of them.
    for (const held of watched.held.splice(0)) {
      if (this.#watched.get(part.utteranceId) === watched) this.#sink(held);
    }
  }

  #faultOf(part: AudioPart, watched: Watched): string | undefined {
    if (watched.sixteenBit.add(part.audio)) return '16-bit samples';
    return watched.audioMs > longestMs(watched.text) ? 'more audio than its text can be' : undefined;
  }

  #failed(utteranceId: string, what: string, { text, audioMs }: Watched): TtsPart {
    const provider = this.#provider;
    const error = new BvraiError('provider.protocol', `${provider} sent ${what} where speech was asked for.`, {
      details: { provider, what, audioMs: Math.round(audioMs), textLength: text.length },
    });
    return { type: 'utterance-failed', utteranceId, error };
  }
}
