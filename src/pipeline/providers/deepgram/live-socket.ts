/** What Deepgram's two live APIs have in common: a WebSocket that tells parts, fails once, and ends with the call. */
import type { Timer } from '../../../core/clock.ts';
import { BvraiError } from '../../../core/errors.ts';
import { DEFAULT_CONNECT_TIMEOUT_MS, ProviderSocket } from '../socket.ts';
import type { Sink, StreamContext, SttPart } from '../spec.ts';
import { CLOSE_STREAM, PROVIDER, parseRefusal } from './wire.ts';
import type { DeepgramMessage } from './wire.ts';

/** Ten seconds of μ-law: far more than a connect may take, and proof that the vendor is not reading. */
const MAX_QUEUED_BYTES = 80_000;

export interface DeepgramSettings {
  readonly apiKey: string;
  /** http(s); the WebSocket address derives from it. */
  readonly baseUrl?: string | undefined;
  readonly connectTimeoutMs?: number | undefined;
}

/** What differs between the APIs. */
export interface LiveProtocol {
  /** The address; throws a BvraiError when the base URL is none. */
  url(baseUrl: string): URL;
  /** Reads one text frame. Never throws. */
  parse(text: string): DeepgramMessage;
  onOpen(): void;
}

/** Connecting → open → over; over by `close`, by the context's signal, or by a failure, which it tells. */
export class LiveSocket {
  readonly #protocol: LiveProtocol;
  readonly #sink: Sink<SttPart>;
  readonly #context: StreamContext;
  readonly #onAbort = (): void => this.close();
  #socket: ProviderSocket | undefined;
  #timer: Timer | undefined;
  #over = false;

  constructor(settings: DeepgramSettings, protocol: LiveProtocol, sink: Sink<SttPart>, context: StreamContext) {
    this.#protocol = protocol;
    this.#sink = sink;
    this.#context = context;
    if (context.signal.aborted) {
      this.#over = true;
      return;
    }
    context.signal.addEventListener('abort', this.#onAbort, { once: true });
    try {
      this.#socket = this.#connect(settings);
    } catch (thrown) {
      const error = BvraiError.from(thrown, 'internal');
      this.after(0, () => this.#fail(error));
    }
  }

  get over(): boolean {
    return this.#over;
  }

  /** Sends text or a copy of the bytes, or queues it until the socket is open. Nothing once it is over. */
  send(data: string | Uint8Array): void {
    if (!this.#over) this.#socket?.send(data);
  }

  /** Runs something later, unless it is over by then. There is one such timer; the next call replaces it. */
  after(delayMs: number, run: () => void): void {
    this.#timer?.cancel();
    this.#timer = this.#context.clock.after(delayMs, run);
  }

  close(): void {
    if (this.#over) return;
    this.#release();
    this.#socket?.close(CLOSE_STREAM);
  }

  #connect(settings: DeepgramSettings): ProviderSocket {
    return new ProviderSocket(
      {
        provider: PROVIDER,
        url: this.#protocol.url(settings.baseUrl ?? 'https://api.deepgram.com'),
        headers: { authorization: `Token ${settings.apiKey}` },
        clock: this.#context.clock,
        connectTimeoutMs: settings.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS,
        maxQueuedBytes: MAX_QUEUED_BYTES,
        parseRefusal,
      },
      {
        onOpen: () => {
          this.#protocol.onOpen();
          this.#sink({ type: 'stream-opened' });
        },
        onText: (text) => this.#onText(text),
        onEnd: (error) => this.#fail(error),
      },
    );
  }

  #onText(text: string): void {
    const message = this.#protocol.parse(text);
    switch (message.type) {
      case 'part':
        return this.#sink(message.part);
      case 'failed':
        return this.#fail(message.error);
      case 'ignored':
        return;
    }
  }

  #fail(error: BvraiError): void {
    if (this.#over) return;
    this.#release();
    this.#socket?.close();
    this.#sink({ type: 'stream-failed', error });
  }

  #release(): void {
    this.#over = true;
    this.#timer?.cancel();
    this.#context.signal.removeEventListener('abort', this.#onAbort);
  }
}
