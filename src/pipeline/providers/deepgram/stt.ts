/** Deepgram as a recogniser: one live WebSocket per stream, audio up as it comes, transcripts down. */
import type { Sink, StreamContext, SttPart, SttProvider, SttRequest, SttStream } from '../spec.ts';
import type { VendorSettings } from '../socket.ts';
import type { SttSocket } from '../stt-socket.ts';
import { FluxStream, isFlux } from './flux.ts';
import { fluxUrl } from './flux-wire.ts';
import { liveAddress, openLiveSocket } from './live-socket.ts';
import { DEFAULT_MODEL, FINALIZE, KEEP_ALIVE, PROVIDER, listenUrl, parseMessage } from './wire.ts';

/** Deepgram asks for one every 3 to 5 s without audio, and hangs up after 10. */
const KEEP_ALIVE_MS = 4_000;
/** Of those 10 s, what a socket may wait for its call. Flux is said to want audio at once, without saying how soon. */
const IDLE_MS = 8_000;

/**
 * Speech-to-text by Deepgram: models named `flux…`, which decide themselves when a turn is over, by the v2 live API, all
 * others by v1. Owns nothing between streams.
 */
export function createDeepgramStt(settings: VendorSettings): SttProvider {
  return {
    name: PROVIDER,
    // Word times by v1, the eager end of a turn by v2.
    capabilities: { mulawIn: true, wordTimes: true, eagerEndOfTurn: true, decidesTurns: isFlux },
    open(request, sink, context) {
      const Stream = isFlux(request.model) ? FluxStream : DeepgramStream;
      return new Stream(settings, request, sink, context);
    },
    prewarm(request, wanted, connecting) {
      const urlOf = isFlux(request.model) ? fluxUrl : listenUrl;
      const address = liveAddress(settings, (baseUrl) => urlOf(baseUrl, request));
      settings.dialler?.keepWarm(address, { idleMs: IDLE_MS, wanted, connecting });
    },
  };
}

class DeepgramStream implements SttStream {
  readonly #context: StreamContext;
  readonly #socket: SttSocket;
  #lastSentMs: number;

  constructor(settings: VendorSettings, request: SttRequest, sink: Sink<SttPart>, context: StreamContext) {
    this.#context = context;
    this.#lastSentMs = context.clock.nowMs();
    const model = request.model ?? DEFAULT_MODEL;
    const url = (baseUrl: string): URL => listenUrl(baseUrl, request);
    const onOpen = (): void => this.#keepAliveIn(KEEP_ALIVE_MS);
    this.#socket = openLiveSocket(settings, { model, url, parse: parseMessage, onOpen }, sink, context);
  }

  write(audio: Uint8Array): void {
    // An empty binary frame would mean "close the stream" to Deepgram.
    if (audio.length === 0) return;
    this.#lastSentMs = this.#context.clock.nowMs();
    this.#socket.sendAudio(audio, audio.length);
  }

  hint(voice: 'speech-started' | 'speech-ended'): void {
    if (voice === 'speech-ended') this.#socket.send(FINALIZE);
  }

  close(): void {
    this.#socket.close();
  }

  /** One timer that looks back, instead of one that every audio frame would have to reset. */
  #keepAliveIn(delayMs: number): void {
    this.#socket.after(delayMs, () => {
      const quietMs = this.#context.clock.nowMs() - this.#lastSentMs;
      if (quietMs < KEEP_ALIVE_MS) return this.#keepAliveIn(KEEP_ALIVE_MS - quietMs);
      this.#socket.send(KEEP_ALIVE);
      this.#keepAliveIn(KEEP_ALIVE_MS);
    });
  }
}
