/** Deepgram Flux: a recogniser that also decides when the caller's turn is over, and says so early when it is likely. */
import type { Sink, StreamContext, SttPart, SttRequest, SttStream } from '../spec.ts';
import type { VendorSettings } from '../socket.ts';
import type { SttSocket } from '../stt-socket.ts';
import { fluxUrl, parseFluxMessage } from './flux-wire.ts';
import type { DeepgramMessage } from './wire.ts';
import { openLiveSocket } from './live-socket.ts';

/**
 * Flux works in steps of 80 ms and is "strongly recommended" to be fed in such chunks. The price: a frame of 20 ms waits up to
 * 60 ms for its chunk, 30 ms on average. Where it would hurt, at the end of speech, the chunk goes at once.
 */
const CHUNK_MS = 80;
const CHUNK_BYTES = CHUNK_MS * 8;
/** Audio comes every 20 ms; a gap of this length is more than jitter. Flux then needs silence, or the turn never ends. */
const SILENCE_AFTER_MS = 200;
const SILENT_CHUNK = new Uint8Array(CHUNK_BYTES).fill(0xff);

/** Whether a model is served by this API. */
export function isFlux(model: string | undefined): boolean {
  return model?.startsWith('flux') ?? false;
}

export class FluxStream implements SttStream {
  readonly #context: StreamContext;
  readonly #socket: SttSocket;
  readonly #chunk = new Uint8Array(CHUNK_BYTES);
  #filled = 0;
  #lastWriteMs: number;
  /** Silence of our own was put into the stream: its times are no longer those of the caller's audio. */
  #isPadded = false;

  constructor(settings: VendorSettings, request: SttRequest, sink: Sink<SttPart>, context: StreamContext) {
    this.#context = context;
    this.#lastWriteMs = context.clock.nowMs();
    const { model } = request;
    const url = (baseUrl: string): URL => fluxUrl(baseUrl, request);
    const onOpen = (): void => this.#watchAudioIn(SILENCE_AFTER_MS);
    const parse = (text: string): DeepgramMessage => this.#withTrueTimes(parseFluxMessage(text));
    this.#socket = openLiveSocket(settings, { model, url, parse, onOpen }, sink, context);
  }

  write(audio: Uint8Array): void {
    if (this.#socket.over) return;
    this.#lastWriteMs = this.#context.clock.nowMs();
    for (let at = 0; at < audio.length;) {
      const taken = Math.min(audio.length - at, CHUNK_BYTES - this.#filled);
      this.#chunk.set(audio.subarray(at, at + taken), this.#filled);
      this.#filled += taken;
      at += taken;
      if (this.#filled === CHUNK_BYTES) this.#flush();
    }
  }

  /** There is nothing to ask for: the model decides. It only must not wait for the end of what was said. */
  hint(voice: 'speech-started' | 'speech-ended'): void {
    if (voice === 'speech-ended') this.#flush();
  }

  close(): void {
    this.#socket.close();
  }

  #flush(): void {
    // An empty binary frame might mean "close the stream", as it does to the older API.
    if (this.#filled === 0) return;
    this.#socket.sendAudio(this.#chunk.subarray(0, this.#filled), this.#filled);
    this.#filled = 0;
  }

  #withTrueTimes(message: DeepgramMessage): DeepgramMessage {
    if (!this.#isPadded || message.type !== 'part' || message.part.type !== 'turn-ended') return message;
    return { type: 'part', part: { ...message.part, words: [] } };
  }

  /** One timer that looks back, as in stt.ts. While no audio comes there is silence, in real time. */
  #watchAudioIn(delayMs: number): void {
    this.#socket.after(delayMs, () => {
      const quietMs = this.#context.clock.nowMs() - this.#lastWriteMs;
      if (quietMs < SILENCE_AFTER_MS) return this.#watchAudioIn(SILENCE_AFTER_MS - quietMs);
      this.#flush();
      this.#isPadded = true;
      this.#socket.sendAudio(SILENT_CHUNK, CHUNK_BYTES);
      this.#watchAudioIn(CHUNK_MS);
    });
  }
}
