/** ElevenLabs' WebSocket with its HTTP streaming behind it: the vendor has failed only when both have. */
import type { Timer } from '../../../core/clock.ts';
import type { BvraiError, ErrorCode } from '../../../core/errors.ts';
import { UtteranceBook } from '../utterances.ts';
import type { BookedUtterance } from '../utterances.ts';
import type { Sink, StreamContext, TtsPart, TtsProvider, TtsRequest, TtsStream } from '../spec.ts';

/** What HTTP may add to the time that the WebSocket has lost already: its usual first audio takes a third of it. */
export const FIRST_AUDIO_MS = 700;
/** After this long the WebSocket is tried again, between utterances; each time twice as long. */
const REDIAL_AFTER_MS = 15_000;
/** Failures that are the account's or the route's and not the socket's: HTTP would meet them too. */
const OF_THE_ACCOUNT: ReadonlySet<ErrorCode> = new Set([
  'provider.auth',
  'provider.no-credit',
  'provider.rate-limited',
  'provider.bad-request',
  'config.invalid',
  'aborted',
]);

/**
 * Speaks by `primary`. When its stream fails, an utterance of which nothing has been heard is said again from its start by
 * `fallback`, and so are those that follow; one that is half heard fails, as ever. The failure itself is told only when it
 * is the account's, or when the fallback fails too or has no audio in time. After a while, between two utterances, the
 * primary is opened again.
 */
export function withFallback(primary: TtsProvider, fallback: TtsProvider): TtsProvider {
  return {
    ...primary,
    open: (request, sink, context) => new FallbackStream(primary, fallback, { request, sink, context }),
  };
}

interface Arguments {
  readonly request: TtsRequest;
  readonly sink: Sink<TtsPart>;
  readonly context: StreamContext;
}

/** `waiting` is all of its text, until it ends: what would have to be said again. */
interface Utterance extends BookedUtterance {
  audible: boolean;
}

/** On the primary ⇄ on the fallback → over: by `close`, or by a failure of both, which it tells. */
class FallbackStream implements TtsStream {
  readonly #primary: TtsProvider;
  readonly #fallback: TtsProvider;
  readonly #arguments: Arguments;
  readonly #utterances: UtteranceBook<Utterance>;
  #stream: TtsStream;
  /** Why the primary does not speak; undefined while it does. */
  #lost: BvraiError | undefined;
  #deadline: Timer | undefined;
  #redialTimer: Timer | undefined;
  #redialAfterMs = REDIAL_AFTER_MS;
  #redialDue = false;
  #over = false;
  readonly #onAbort = (): void => this.#release();

  constructor(primary: TtsProvider, fallback: TtsProvider, given: Arguments) {
    this.#primary = primary;
    this.#fallback = fallback;
    this.#arguments = given;
    this.#utterances = new UtteranceBook(primary.name, (id) => ({ id, waiting: [], finishing: false, audible: false }));
    const { signal } = given.context;
    if (signal.aborted) this.#over = true;
    else signal.addEventListener('abort', this.#onAbort, { once: true });
    this.#stream = this.#open(primary);
  }

  speak(utteranceId: string, text: string): void {
    const utterance = this.#over ? undefined : this.#utterances.open(utteranceId);
    if (utterance === undefined || text.trim() === '') return;
    const error = this.#utterances.addText(utterance, text);
    if (error === undefined) return this.#stream.speak(utteranceId, text);
    this.cancel(utteranceId);
    queueMicrotask(() => this.#tell({ type: 'utterance-failed', utteranceId, error }));
  }

  finish(utteranceId: string): void {
    const utterance = this.#over ? undefined : this.#utterances.open(utteranceId);
    if (utterance === undefined) return;
    utterance.finishing = true;
    this.#stream.finish(utteranceId);
  }

  cancel(utteranceId: string): void {
    if (this.#over) return;
    this.#stream.cancel(utteranceId);
    const utterance = this.#utterances.find(utteranceId);
    if (utterance === undefined) this.#utterances.endUnbegun(utteranceId);
    else this.#end(utterance);
  }

  close(): void {
    if (this.#over) return;
    this.#release();
    this.#stream.close();
  }

  #open(provider: TtsProvider): TtsStream {
    const { request, context } = this.#arguments;
    const stream: TtsStream = provider.open(
      request,
      (part) => {
        if (stream === this.#stream) this.#onPart(part);
      },
      context,
    );
    return stream;
  }

  #onPart(part: TtsPart): void {
    if (this.#over) return;
    if (part.type === 'stream-failed') return this.#onLoss(part.error);
    const utterance = this.#utterances.find(part.utteranceId);
    if (part.type === 'audio-chunk') {
      if (utterance !== undefined) utterance.audible = true;
      this.#deadline?.cancel();
      return this.#tell(part);
    }
    if (part.type === 'utterance-failed' && this.#lost !== undefined) return this.#fail(part.error);
    if (utterance !== undefined) this.#end(utterance);
    this.#tell(part);
  }

  #onLoss(error: BvraiError): void {
    const { context } = this.#arguments;
    if (this.#lost !== undefined || OF_THE_ACCOUNT.has(error.code)) return this.#fail(error);
    context.log.warn({ provider: this.#primary.name, code: error.code }, 'speaking over HTTP instead of the WebSocket');
    this.#lost = error;
    this.#redialLater();
    this.#stream = this.#open(this.#fallback);
    for (const utterance of Array.from(this.#utterances)) {
      if (!utterance.audible) {
        this.#sayAgain(utterance);
        continue;
      }
      this.#end(utterance);
      this.#tell({ type: 'utterance-failed', utteranceId: utterance.id, error });
    }
  }

  #sayAgain({ id, waiting, finishing }: Utterance): void {
    for (const text of waiting) this.#stream.speak(id, text);
    if (finishing) this.#stream.finish(id);
    if (waiting.length === 0) return;
    this.#deadline ??= this.#arguments.context.clock.after(FIRST_AUDIO_MS, () => {
      if (this.#lost !== undefined) this.#fail(this.#lost);
    });
  }

  #redialLater(): void {
    this.#redialTimer = this.#arguments.context.clock.after(this.#redialAfterMs, () => {
      this.#redialDue = true;
      this.#redialIfIdle();
    });
    this.#redialAfterMs *= 2;
  }

  /** Only between utterances: what is said while it opens is said again over HTTP if it fails again. */
  #redialIfIdle(): void {
    if (!this.#redialDue || this.#utterances.size > 0) return;
    this.#redialDue = false;
    this.#lost = undefined;
    this.#stream.close();
    this.#stream = this.#open(this.#primary);
  }

  #end(utterance: Utterance): void {
    this.#utterances.end(utterance);
    if (this.#utterances.size > 0) return;
    this.#deadline?.cancel();
    this.#deadline = undefined;
    this.#redialIfIdle();
  }

  #tell(part: TtsPart): void {
    if (!this.#over) this.#arguments.sink(part);
  }

  #fail(error: BvraiError): void {
    this.#release();
    this.#stream.close();
    this.#arguments.sink({ type: 'stream-failed', error });
  }

  #release(): void {
    this.#over = true;
    this.#deadline?.cancel();
    this.#redialTimer?.cancel();
    this.#utterances.clear();
    this.#arguments.context.signal.removeEventListener('abort', this.#onAbort);
  }
}
