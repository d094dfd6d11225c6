/** An ordered route of synthesisers that looks like one. */
import { BvraiError, unreachable } from '../../core/errors.ts';
import type {
  Sink,
  SpeakOptions,
  StreamContext,
  TtsPart,
  TtsProvider,
  TtsRequest,
  TtsStream,
} from '../providers/spec.ts';
import { Watchdog, deadlineError } from './route.ts';
import type { Candidate, Deadlines } from './route.ts';

/**
 * One synthesiser serves the call until it fails; then the next one does, for the rest of the call. An utterance of which no
 * audio had come is said again from its start by the next; one that broke off midway is reported as failed. The stream itself
 * never fails.
 */
export function ttsRoute(candidates: readonly Candidate<TtsProvider>[], deadlines: Deadlines): TtsProvider {
  return {
    name: candidates.map(({ provider }) => provider.name).join(', '),
    open: (request, sink, context) => new RoutedSpeech(candidates, deadlines, request, sink, context),
  };
}

interface Utterance {
  readonly id: string;
  readonly pieces: { readonly text: string; readonly options: SpeakOptions | undefined }[];
  finished: boolean;
  audible: boolean;
}

class RoutedSpeech implements TtsStream {
  readonly #candidates: readonly Candidate<TtsProvider>[];
  readonly #deadlines: Deadlines;
  readonly #request: TtsRequest;
  readonly #sink: Sink<TtsPart>;
  readonly #context: StreamContext;
  readonly #watchdog: Watchdog;
  #index = -1;
  #stream: TtsStream | undefined;
  /** The call speaks one utterance at a time. */
  #utterance: Utterance | undefined;
  #closed = false;

  constructor(
    candidates: readonly Candidate<TtsProvider>[],
    deadlines: Deadlines,
    request: TtsRequest,
    sink: Sink<TtsPart>,
    context: StreamContext,
  ) {
    this.#candidates = candidates;
    this.#deadlines = deadlines;
    this.#request = request;
    this.#sink = sink;
    this.#context = context;
    this.#watchdog = new Watchdog(context.clock);
    this.#openNext(new BvraiError('provider.unavailable', 'the route has no synthesiser'));
  }

  speak(utteranceId: string, text: string, options?: SpeakOptions): void {
    if (this.#closed) return;
    const utterance = this.#current(utteranceId);
    utterance.pieces.push({ text, options });
    if (!this.#stream) return this.#openNext(new BvraiError('provider.unavailable', 'the route has no synthesiser'));
    this.#stream.speak(utteranceId, text, options);
    if (!this.#watchdog.running) this.#watch(utterance);
  }

  finish(utteranceId: string): void {
    if (this.#closed) return;
    const utterance = this.#current(utteranceId);
    utterance.finished = true;
    this.#stream?.finish(utteranceId);
    if (!this.#watchdog.running) this.#watch(utterance);
  }

  cancel(utteranceId: string): void {
    if (this.#closed || this.#utterance?.id !== utteranceId) return;
    this.#utterance = undefined;
    this.#watchdog.stop();
    this.#stream?.cancel(utteranceId);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#utterance = undefined;
    this.#watchdog.stop();
    this.#stream?.close();
  }

  #current(utteranceId: string): Utterance {
    if (this.#utterance?.id !== utteranceId) {
      this.#utterance = { id: utteranceId, pieces: [], finished: false, audible: false };
      this.#watchdog.stop();
    }
    return this.#utterance;
  }

  /** Audio is owed while text waits to be said; between the clauses of a slow model nothing is. */
  #watch(utterance: Utterance): void {
    const kind = utterance.audible ? 'gap' : 'first';
    const limitMs = utterance.audible ? this.#deadlines.gapMs : this.#deadlines.firstMs;
    this.#watchdog.restart(limitMs, () => {
      const name = this.#candidates[this.#index]?.provider.name ?? 'unknown';
      this.#onUtteranceFailure(utterance, deadlineError(kind, name, limitMs));
    });
  }

  #openNext(reason: BvraiError): void {
    // Whoever was just told of a failure may have closed the stream for it.
    if (this.#closed) return;
    const index = ++this.#index;
    this.#stream?.close();
    this.#stream = undefined;
    const candidate = this.#candidates[index];
    if (!candidate) return this.#exhausted(reason);
    const { provider, entry } = candidate;
    const request = { ...this.#request, model: entry.model, voice: entry.voice, options: entry.options };
    this.#stream = provider.open(request, (part) => this.#onPart(index, part), this.#context);
    const utterance = this.#utterance;
    if (!utterance) return;
    for (const { text, options } of utterance.pieces) this.#stream.speak(utterance.id, text, options);
    if (utterance.finished) this.#stream.finish(utterance.id);
    this.#watch(utterance);
  }

  /** Everyone has failed this utterance. The next one starts over with the first: no failure mutes a call for good. */
  #exhausted(reason: BvraiError): void {
    this.#index = -1;
    const utterance = this.#utterance;
    if (utterance) this.#reportBroken(utterance, reason);
  }

  #onPart(index: number, part: TtsPart): void {
    if (this.#closed || index !== this.#index) return;
    if (part.type === 'stream-failed') return this.#onStreamFailure(part.error);
    const utterance = this.#utterance;
    if (utterance?.id !== part.utteranceId) return;
    switch (part.type) {
      case 'audio-chunk':
        utterance.audible = true;
        if (utterance.finished) this.#watch(utterance);
        else this.#watchdog.stop();
        return this.#sink(part);
      case 'utterance-finished':
        this.#watchdog.stop();
        this.#utterance = undefined;
        return this.#sink(part);
      case 'utterance-failed':
        return this.#onUtteranceFailure(utterance, part.error);
      default:
        return unreachable(part);
    }
  }

  #onUtteranceFailure(utterance: Utterance, error: BvraiError): void {
    if (this.#closed || this.#utterance !== utterance) return;
    this.#logFailure(error);
    if (utterance.audible) this.#reportBroken(utterance, error);
    this.#openNext(error);
  }

  #onStreamFailure(error: BvraiError): void {
    this.#logFailure(error);
    if (this.#utterance?.audible) this.#reportBroken(this.#utterance, error);
    this.#openNext(error);
  }

  /** Nobody can simply start it again (part of it has been heard, or nobody is left): the conversation decides. */
  #reportBroken(utterance: Utterance, error: BvraiError): void {
    this.#utterance = undefined;
    this.#watchdog.stop();
    this.#sink({ type: 'utterance-failed', utteranceId: utterance.id, error });
  }

  #logFailure(error: BvraiError): void {
    const provider = this.#candidates[this.#index]?.provider.name;
    this.#context.log.warn({ stage: 'tts', provider, code: error.code, reason: error.message }, 'provider failed');
  }
}
