/** Deepgram as a recogniser: one live WebSocket per stream, audio up as it comes, transcripts down. */
import type { Timer } from '../../../core/clock.ts';
import { BvraiError } from '../../../core/errors.ts';
import { DEFAULT_CONNECT_TIMEOUT_MS, ProviderSocket } from '../socket.ts';
import type { SocketListener } from '../socket.ts';
import type { Sink, StreamContext, SttPart, SttProvider, SttRequest, SttStream } from '../spec.ts';
import { CLOSE_STREAM, FINALIZE, KEEP_ALIVE, PROVIDER, listenUrl, parseMessage, parseRefusal } from './wire.ts';

/** Deepgram asks for one every 3 to 5 s without audio, and hangs up after 10. */
const KEEP_ALIVE_MS = 4_000;
/** Ten seconds of μ-law: far more than a connect may take, and proof that the vendor is not reading. */
const MAX_QUEUED_BYTES = 80_000;

export interface DeepgramSettings {
  readonly apiKey: string;
  /** http(s); the WebSocket address derives from it. */
  readonly baseUrl?: string | undefined;
  readonly connectTimeoutMs?: number | undefined;
}

/** Speech-to-text by Deepgram's v1 live API. Owns nothing between streams. */
export function createDeepgramStt(settings: DeepgramSettings): SttProvider {
  return { name: PROVIDER, open: (request, sink, context) => new DeepgramStream(settings, request, sink, context) };
}

/** Connecting → open → over; over by `close`, by the context's signal, or by a failure, which it tells. */
class DeepgramStream implements SttStream {
  readonly #sink: Sink<SttPart>;
  readonly #context: StreamContext;
  readonly #onAbort = (): void => this.close();
  #socket: ProviderSocket | undefined;
  #timer: Timer | undefined;
  #lastSentMs: number;
  #over = false;

  constructor(settings: DeepgramSettings, request: SttRequest, sink: Sink<SttPart>, context: StreamContext) {
    this.#sink = sink;
    this.#context = context;
    this.#lastSentMs = context.clock.nowMs();
    if (context.signal.aborted) {
      this.#over = true;
      return;
    }
    context.signal.addEventListener('abort', this.#onAbort, { once: true });
    try {
      this.#socket = this.#connect(settings, request);
    } catch (thrown) {
      const error = BvraiError.from(thrown, 'internal');
      this.#timer = context.clock.after(0, () => this.#fail(error));
    }
  }

  write(audio: Uint8Array): void {
    // An empty binary frame would mean "close the stream" to Deepgram.
    if (this.#over || audio.length === 0) return;
    this.#lastSentMs = this.#context.clock.nowMs();
    this.#socket?.send(audio);
  }

  hint(voice: 'speech-started' | 'speech-ended'): void {
    if (voice === 'speech-ended' && !this.#over) this.#socket?.send(FINALIZE);
  }

  close(): void {
    if (this.#over) return;
    this.#release();
    this.#socket?.close(CLOSE_STREAM);
  }

  #connect(settings: DeepgramSettings, request: SttRequest): ProviderSocket {
    const listener: SocketListener = {
      onOpen: () => {
        this.#keepAliveIn(KEEP_ALIVE_MS);
        this.#sink({ type: 'stream-opened' });
      },
      onText: (text) => this.#onText(text),
      onEnd: (error) => this.#fail(error),
    };
    return new ProviderSocket(
      {
        provider: PROVIDER,
        url: listenUrl(settings.baseUrl ?? 'https://api.deepgram.com', request),
        headers: { authorization: `Token ${settings.apiKey}` },
        clock: this.#context.clock,
        connectTimeoutMs: settings.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS,
        maxQueuedBytes: MAX_QUEUED_BYTES,
        parseRefusal,
      },
      listener,
    );
  }

  #onText(text: string): void {
    const message = parseMessage(text);
    switch (message.type) {
      case 'part':
        return this.#sink(message.part);
      case 'failed':
        return this.#fail(message.error);
      case 'ignored':
        return;
    }
  }

  /** One timer that looks back, instead of one that every audio frame would have to reset. */
  #keepAliveIn(delayMs: number): void {
    const { clock } = this.#context;
    this.#timer = clock.after(delayMs, () => {
      const quietMs = clock.nowMs() - this.#lastSentMs;
      if (quietMs < KEEP_ALIVE_MS) return this.#keepAliveIn(KEEP_ALIVE_MS - quietMs);
      this.#socket?.send(KEEP_ALIVE);
      this.#keepAliveIn(KEEP_ALIVE_MS);
    });
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
