/** Streaming Opus decoding: packets in, 48 kHz mono 16-bit samples out. libopus in WebAssembly (`opus-decoder`). */
import { OpusDecoder } from 'opus-decoder';
import type { Clock } from '../../core/clock.ts';
import { BvraiError } from '../../core/errors.ts';
import { MAX_PACKET_SAMPLES, opusPacketSamples } from './opus-packet.ts';

/** The input buffer of `opus-decoder` for one channel; 60 ms of Opus at its highest rate fit. */
const MAX_PACKET_BYTES = 3840;
/** Compiling the module takes about 30 ms, once per process. */
const READY_DEADLINE_MS = 10_000;

export interface OpusStreamOptions {
  /** Samples at 48 kHz to drop at the start, as the stream's `OpusHead` says; 0 for bare packets. */
  readonly preSkipSamples?: number;
  /** From the stream's `OpusHead`. */
  readonly outputGainDb?: number;
}

/** What the start of the decoder needs. */
export interface OpusStartContext {
  readonly clock: Clock;
  readonly signal?: AbortSignal;
}

/**
 * One Opus stream. A stereo stream comes out as the mean of its channels: libopus mixes while it decodes.
 * The owner calls `free`.
 */
export class OpusStreamDecoder {
  /** `out` of this length takes any packet. */
  static readonly maxPacketSamples = MAX_PACKET_SAMPLES;

  readonly #decoder: OpusDecoder;
  readonly #scale: number;
  #toSkip: number;
  #freed = false;

  private constructor(decoder: OpusDecoder, options: OpusStreamOptions) {
    this.#decoder = decoder;
    this.#toSkip = options.preSkipSamples ?? 0;
    this.#scale = 32_768 * 10 ** ((options.outputGainDb ?? 0) / 20);
  }

  /** Starts a decoder. Throws `engine.failed` if WebAssembly does not start in time, `aborted` on the signal. */
  static async create(context: OpusStartContext, options: OpusStreamOptions = {}): Promise<OpusStreamDecoder> {
    const decoder = new OpusDecoder({ channels: 1 });
    await ready(decoder, context);
    return new OpusStreamDecoder(decoder, options);
  }

  /**
   * Decodes one packet to the start of `out` and returns the number of samples written: the packet's length, less what
   * is left of the pre-skip. Throws `audio.invalid` for a bad packet, and the stream goes on with the next; `internal`
   * when `out` is too short or the decoder was freed.
   */
  decode(packet: Uint8Array, out: Int16Array): number {
    if (this.#freed) throw new BvraiError('internal', 'The Opus decoder has been freed.');
    // Checked here first: the library writes each packet that it refuses to the console.
    const samples = opusPacketSamples(packet);
    if (packet.length > MAX_PACKET_BYTES) {
      throw new BvraiError(
        'audio.invalid',
        `An Opus packet has ${packet.length} bytes, more than ${MAX_PACKET_BYTES}.`,
      );
    }
    const skipped = Math.min(this.#toSkip, samples);
    if (out.length < samples - skipped) {
      throw new BvraiError('internal', `Opus: the output has room for ${out.length} of ${samples - skipped} samples.`);
    }
    const { channelData, samplesDecoded, errors } = this.#decoder.decodeFrame(packet);
    const decoded = channelData[0];
    const failure = errors[0]?.message;
    if (failure !== undefined || decoded === undefined || samplesDecoded !== samples) {
      throw new BvraiError(
        'audio.invalid',
        `Invalid Opus packet: ${failure ?? `${samplesDecoded} of ${samples} samples`}.`,
      );
    }
    this.#toSkip -= skipped;
    for (let index = skipped; index < samples; index++) {
      const sample = Math.round((decoded[index] as number) * this.#scale);
      out[index - skipped] = sample > 32767 ? 32767 : sample < -32768 ? -32768 : sample;
    }
    return samples - skipped;
  }

  /** Releases the decoder's memory; more than once is harmless. */
  free(): void {
    if (this.#freed) return;
    this.#freed = true;
    this.#decoder.free();
  }
}

/**
 * The library's own promise never rejects, so a start that fails would hang without a deadline. A decoder that starts
 * after all is left to the garbage collector, with the WebAssembly memory that only it refers to.
 */
async function ready(decoder: OpusDecoder, { clock, signal }: OpusStartContext): Promise<void> {
  let stop: () => void = () => {};
  const stopped = new Promise<never>((_, reject) => {
    const onAbort = (): void => reject(new BvraiError('aborted', 'The start of the Opus decoder was aborted.'));
    const timer = clock.after(READY_DEADLINE_MS, () =>
      reject(new BvraiError('engine.failed', `The Opus decoder did not start within ${READY_DEADLINE_MS} ms.`)),
    );
    stop = () => {
      timer.cancel();
      signal?.removeEventListener('abort', onAbort);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted) onAbort();
  });
  try {
    await Promise.race([decoder.ready, stopped]);
  } finally {
    stop();
  }
}
