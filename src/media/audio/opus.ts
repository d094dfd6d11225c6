/** Streaming Opus decoding: packets in, mono 16-bit samples at 8 kHz out. libopus in WebAssembly (`opus-decoder`). */
import { OpusDecoder } from 'opus-decoder';
import type { Clock } from '../../core/clock.ts';
import { BvraiError } from '../../core/errors.ts';
import { TELEPHONE_RATE_HZ } from './g711.ts';
import { isCeltPacket, opusPacketSamples } from './opus-packet.ts';

/** Opus counts at 48 kHz, and libopus itself decodes to the telephone's rate: what that cannot carry is left out, not folded. */
export const DECIMATION = 48_000 / TELEPHONE_RATE_HZ;

type TelephoneDecoder = OpusDecoder<typeof TELEPHONE_RATE_HZ>;

/** The input buffer of `opus-decoder` for one channel; 60 ms of Opus at its highest rate fit. */
const MAX_PACKET_BYTES = 3840;
/** Compiling the module takes about 30 ms, once per process. */
const READY_DEADLINE_MS = 10_000;
/** Decoders that wait for a stream; each is 0.1 MB of resident memory. */
const MAX_IDLE = 64;

/** A frame of silence in each of the two codecs that Opus is made of, from libopus's encoder. */
const SILENT_CELT = Uint8Array.of(0xf8, 0xff, 0xfe);
const SILENT_SILK = Uint8Array.of(0x08, 0x08, 0xac, 0xb3, 0x0e, 0xc6);

export interface OpusStreamOptions {
  /** Samples at 48 kHz to drop at the start, as the stream's `OpusHead` says; 0 for bare packets. */
  readonly preSkipSamples?: number;
  /** From the stream's `OpusHead`. */
  readonly outputGainDb?: number;
}

/** What the start of a decoder needs. */
export interface OpusStartContext {
  readonly clock: Clock;
  readonly signal?: AbortSignal;
}

/**
 * Decodes one Opus stream after the other. A stereo stream comes out as the mean of its channels: libopus mixes while it
 * decodes. The owner calls `free`.
 */
export class OpusStreamDecoder {
  readonly #decoder: TelephoneDecoder;
  #scale = 32_768;
  #toSkip = 0;
  /** What it knows is of another stream. */
  #stale = false;
  #used = false;
  #freed = false;

  private constructor(decoder: TelephoneDecoder) {
    this.#decoder = decoder;
  }

  /** Starts a decoder. Throws `engine.failed` if WebAssembly does not start in time, `aborted` on the signal. */
  static async create(context: OpusStartContext): Promise<OpusStreamDecoder> {
    const decoder = new OpusDecoder({ channels: 1, sampleRate: TELEPHONE_RATE_HZ });
    await ready(decoder, context);
    return new OpusStreamDecoder(decoder);
  }

  /** The next packet is the first of a stream, and is decoded as by a decoder that has just started. */
  begin({ preSkipSamples = 0, outputGainDb = 0 }: OpusStreamOptions): void {
    this.#toSkip = Math.round(preSkipSamples / DECIMATION);
    this.#scale = 32_768 * 10 ** (outputGainDb / 20);
    this.#stale = this.#used;
  }

  /**
   * Decodes one packet and returns its samples, which are the receiver's, less what is left of the pre-skip. Throws
   * `audio.invalid` for a bad packet, and the stream goes on with the next; `internal` when the decoder was freed.
   */
  decode(packet: Uint8Array): Int16Array {
    if (this.#freed) throw new BvraiError('internal', 'The Opus decoder has been freed.');
    // Checked here first: the library writes each packet that it refuses to the console.
    const samples = opusPacketSamples(packet) / DECIMATION;
    if (packet.length > MAX_PACKET_BYTES) {
      throw new BvraiError(
        'audio.invalid',
        `An Opus packet has ${packet.length} bytes, more than ${MAX_PACKET_BYTES}.`,
      );
    }
    if (this.#stale) this.#forget(packet);
    this.#used = true;
    const { channelData, samplesDecoded, errors } = this.#decoder.decodeFrame(packet);
    const decoded = channelData[0];
    const failure = errors[0]?.message;
    if (failure !== undefined || decoded === undefined || samplesDecoded !== samples) {
      throw new BvraiError(
        'audio.invalid',
        `Invalid Opus packet: ${failure ?? `${samplesDecoded} of ${samples} samples`}.`,
      );
    }
    const skipped = Math.min(this.#toSkip, samples);
    this.#toSkip -= skipped;
    const out = new Int16Array(samples - skipped);
    for (let index = skipped; index < samples; index++) {
      const sample = Math.round((decoded[index] as number) * this.#scale);
      out[index - skipped] = sample > 32767 ? 32767 : sample < -32768 ? -32768 : sample;
    }
    return out;
  }

  /** Releases the decoder's memory; more than once is harmless. */
  free(): void {
    if (this.#freed) return;
    this.#freed = true;
    this.#decoder.free();
  }

  /**
   * The library resets a decoder by starting another one. But libopus begins CELT anew after a frame of SILK, and SILK after one
   * of CELT (RFC 6716, section 4.5.2), with a cross-fade over 5 ms, which pre-skip drops: so a silent frame of the other codec does.
   */
  #forget(first: Uint8Array): void {
    this.#stale = false;
    this.#decoder.decodeFrame(isCeltPacket(first) ? SILENT_SILK : SILENT_CELT);
  }
}

/**
 * Decoders that are used again. One for each stream would cost a full garbage collection each, 20 ms in a server: V8 counts the
 * address space of its memory, 29 MB, as if it were used.
 */
export class OpusDecoderPool {
  readonly #idle: OpusStreamDecoder[] = [];

  /** Has one decoder ready, unless there is one. Rejects as `take` does. */
  async warm(context: OpusStartContext): Promise<void> {
    if (this.#idle.length === 0) this.giveBack(await OpusStreamDecoder.create(context));
  }

  /** A decoder at the beginning of a stream. Throws `engine.failed` if WebAssembly does not start in time, `aborted` on the signal. */
  async take(context: OpusStartContext, stream: OpusStreamOptions = {}): Promise<OpusStreamDecoder> {
    const decoder = this.#idle.pop() ?? (await OpusStreamDecoder.create(context));
    decoder.begin(stream);
    return decoder;
  }

  /** Wherever its stream stopped. */
  giveBack(decoder: OpusStreamDecoder): void {
    if (this.#idle.length < MAX_IDLE) this.#idle.push(decoder);
    else decoder.free();
  }
}

/**
 * The library's own promise never rejects, so a start that fails would hang without a deadline. A decoder that starts
 * after all is left to the garbage collector, with the WebAssembly memory that only it refers to.
 */
async function ready(decoder: TelephoneDecoder, { clock, signal }: OpusStartContext): Promise<void> {
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
