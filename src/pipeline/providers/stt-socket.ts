/** What the recognisers over WebSockets have in common: parts are told, a failure once, and all ends with the call. */
import type { Timer } from '../../core/clock.ts';
import { BvraiError } from '../../core/errors.ts';
import type { ErrorCode } from '../../core/errors.ts';
import { DEFAULT_CONNECT_TIMEOUT_MS, openStreamSocket } from './socket.ts';
import type { ProviderSocket, StreamSocketSettings } from './socket.ts';
import type { Sink, StreamContext, SttPart, SttTally } from './spec.ts';

/** Never called from within the constructor, nor once it is over. */
export interface SttSocketListener {
  onOpen(): void;
  onText(text: string): void;
}

/** Connecting → open → over; over by `close`, by the context's signal, or by a failure, which it tells. */
export class SttSocket {
  readonly #settings: StreamSocketSettings;
  readonly #listener: SttSocketListener;
  readonly #sink: Sink<SttPart>;
  readonly #context: StreamContext;
  readonly #onAbort = (): void => this.close();
  #socket: ProviderSocket | undefined;
  #timer: Timer | undefined;
  #sessionSinceMs = 0;
  readonly #tally: SttTally | undefined;
  /** Of audio that waits until the socket is open; undefined once it is. */
  #queuedAudioBytes: number | undefined = 0;
  #over = false;

  constructor(
    settings: StreamSocketSettings,
    listener: SttSocketListener,
    sink: Sink<SttPart>,
    context: StreamContext,
  ) {
    this.#settings = settings;
    this.#listener = listener;
    this.#sink = sink;
    this.#context = context;
    this.#tally = context.usage?.stt(settings.provider, settings.model);
    if (context.signal.aborted) {
      this.#over = true;
      return;
    }
    context.signal.addEventListener('abort', this.#onAbort, { once: true });
    try {
      this.#socket = openStreamSocket(settings, context, {
        onOpen: () => this.#onOpen(),
        onText: (text) => this.#listener.onText(text),
        onEnd: (error) => this.fail(error),
      });
    } catch (thrown) {
      const error = BvraiError.from(thrown, 'internal');
      this.after(0, () => this.fail(error));
    }
  }

  get over(): boolean {
    return this.#over;
  }

  /** Sends text or a copy of the bytes, or queues it until the socket is open. Nothing once it is over. */
  send(data: string | Uint8Array): void {
    if (!this.#over) this.#socket?.send(data);
  }

  /** As {@link send}: a message with so many bytes of μ-law in it, which are counted once they are on their way. */
  sendAudio(message: string | Uint8Array, audioBytes: number): void {
    if (this.#over) return;
    if (this.#queuedAudioBytes !== undefined) this.#queuedAudioBytes += audioBytes;
    else if (this.#tally) this.#tally.audioBytes += audioBytes;
    this.#socket?.send(message);
  }

  /** Runs something later, unless it is over by then. There is one such timer; the next call replaces it. */
  after(delayMs: number, run: () => void): void {
    this.stopTimer();
    if (!this.#over) this.#timer = this.#context.clock.after(delayMs, run);
  }

  /** Fails with a timeout of the vendor's, unless the timer is stopped or replaced within the time. `what` it was to do. */
  failAfter(delayMs: number, code: ErrorCode, what: string): void {
    this.after(delayMs, () => this.#failLate(code, what, delayMs));
  }

  /** The connection is there, and nothing works before the session: a vendor that begins none is as good as one that hangs. */
  awaitSession(): void {
    const { clock, connecting } = this.#context;
    this.#sessionSinceMs = clock.nowMs();
    const learnedMs = connecting?.session.limitMs;
    const limitMs = Math.round(this.#settings.connectTimeoutMs ?? learnedMs ?? DEFAULT_CONNECT_TIMEOUT_MS);
    this.after(limitMs, () => {
      this.#tellSessionWait();
      this.#failLate('provider.timeout-connect', 'begin the session', limitMs);
    });
  }

  /** The session has begun. */
  sessionBegun(): void {
    this.stopTimer();
    this.#tellSessionWait();
  }

  stopTimer(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  tell(part: SttPart): void {
    if (!this.#over) this.#sink(part);
  }

  /** Ends the stream and says why; once. */
  fail(error: BvraiError): void {
    if (this.#over) return;
    this.#release();
    this.#socket?.close();
    this.#sink({ type: 'stream-failed', error });
  }

  close(): void {
    if (this.#over) return;
    this.#release();
    this.#socket?.close(this.#settings.farewell);
  }

  #onOpen(): void {
    if (this.#tally) this.#tally.audioBytes += this.#queuedAudioBytes ?? 0;
    this.#queuedAudioBytes = undefined;
    this.#listener.onOpen();
  }

  #failLate(code: ErrorCode, what: string, delayMs: number): void {
    const { provider } = this.#settings;
    this.fail(new BvraiError(code, `${provider} did not ${what} in ${delayMs} ms.`, { details: { provider } }));
  }

  /** Where the socket was open already the session had time to begin: what is left of that says nothing. */
  #tellSessionWait(): void {
    const { clock, connecting } = this.#context;
    if (this.#socket?.wasOpen === false) connecting?.session.took(clock.nowMs() - this.#sessionSinceMs);
  }

  #release(): void {
    this.#over = true;
    this.stopTimer();
    this.#context.signal.removeEventListener('abort', this.#onAbort);
  }
}
