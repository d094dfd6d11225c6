/** Stands behind the voices of every route: what they have said before, when none of them can speak any more. */
import type { Timer } from '../../core/clock.ts';
import { BvraiError } from '../../core/errors.ts';
import type { RouteEntry } from '../ports.ts';
import type { Sink, StreamContext, TtsPart, TtsProvider, TtsStream } from '../providers/spec.ts';
import { EndedIds } from '../providers/utterances.ts';
import type { KeptChunk, SpeechCache } from './speech-cache.ts';
import { speechKey } from './speech-cache.ts';

/** A voice whose speech may have been kept. */
export interface KeptVoice {
  readonly provider: string;
  readonly entry: RouteEntry;
}

/** What one of the voices has said before, if these were the pieces of it. */
export function findKept(
  cache: SpeechCache,
  voices: readonly KeptVoice[],
  language: string,
  texts: readonly string[],
): readonly KeptChunk[] | undefined {
  for (const { provider, entry } of voices) {
    const { model, voice, options } = entry;
    const chunks = cache.get(speechKey(provider, { language, model, voice, options }, texts));
    if (chunks) return chunks;
  }
  return undefined;
}

/**
 * Says whole utterances that one of the voices has said in an earlier call, and fails all others: with every synthesiser down the
 * agent can still apologise and take its leave.
 */
export function keptSpeech(cache: SpeechCache, voices: readonly KeptVoice[]): TtsProvider {
  return {
    name: 'kept',
    capabilities: { mulawOut: true },
    open: ({ language }, sink, context) =>
      new KeptSpeech((texts) => findKept(cache, voices, language, texts), sink, context),
  };
}

class KeptSpeech implements TtsStream {
  readonly #find: (texts: readonly string[]) => readonly KeptChunk[] | undefined;
  readonly #sink: Sink<TtsPart>;
  readonly #context: StreamContext;
  /** The call speaks one utterance at a time. */
  #utterance: { readonly id: string; readonly texts: string[] } | undefined;
  readonly #endedIds = new EndedIds();
  #timer: Timer | undefined;
  readonly #onAbort = (): void => this.#forget();

  constructor(
    find: (texts: readonly string[]) => readonly KeptChunk[] | undefined,
    sink: Sink<TtsPart>,
    context: StreamContext,
  ) {
    this.#find = find;
    this.#sink = sink;
    this.#context = context;
    context.signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  speak(utteranceId: string, text: string): void {
    if (this.#endedIds.has(utteranceId)) return;
    this.#open(utteranceId).texts.push(text);
  }

  finish(utteranceId: string): void {
    if (!this.#endedIds.has(utteranceId)) this.#open(utteranceId);
  }

  cancel(utteranceId: string): void {
    this.#endedIds.add(utteranceId);
    if (this.#utterance?.id === utteranceId) this.#forget();
  }

  close(): void {
    this.#context.signal.removeEventListener('abort', this.#onAbort);
    this.#forget();
  }

  #open(id: string): { readonly texts: string[] } {
    if (this.#utterance?.id !== id) this.#utterance = { id, texts: [] };
    // Whatever is fixed is spoken and finished in one go; what is still unfinished then cannot have been kept.
    this.#timer ??= this.#context.clock.after(0, () => this.#deliver());
    return this.#utterance;
  }

  #forget(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#utterance = undefined;
  }

  #deliver(): void {
    const utterance = this.#utterance;
    this.#forget();
    if (!utterance) return;
    const { id: utteranceId, texts } = utterance;
    this.#endedIds.add(utteranceId);
    const chunks = texts.length === 0 ? [] : this.#find(texts);
    if (!chunks) {
      const error = new BvraiError('provider.unavailable', 'No voice can speak, and none has said this before.');
      return this.#sink({ type: 'utterance-failed', utteranceId, error });
    }
    for (const { audio, spans } of chunks) {
      this.#sink({ type: 'audio-chunk', utteranceId, audio: new Uint8Array(audio), spans });
    }
    this.#sink({ type: 'utterance-finished', utteranceId });
  }
}
