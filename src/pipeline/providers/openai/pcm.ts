/** OpenAI's speech, 24 kHz 16-bit little-endian PCM in pieces of any length, into the telephone's μ-law. */
import { TELEPHONE_RATE_HZ, encodeMulaw } from '../../../media/audio/g711.ts';
import { Resampler } from '../../../media/audio/resampler.ts';
import type { SampleDecoder } from '../raw-speech.ts';

const PCM_RATE_HZ = 24_000;

/** For one response. The resampler delays by 3.4 ms. */
export class PcmToMulaw implements SampleDecoder {
  readonly #resampler = new Resampler(PCM_RATE_HZ, TELEPHONE_RATE_HZ);
  /** The first byte of a sample whose second has not come. */
  #half: number | undefined;

  decode(bytes: Uint8Array): Uint8Array {
    const samples = new Int16Array((bytes.length + (this.#half === undefined ? 0 : 1)) >> 1);
    let at = 0;
    for (let index = 0; index < samples.length; index++) {
      const low = this.#half ?? bytes[at++] ?? 0;
      this.#half = undefined;
      samples[index] = low | ((bytes[at++] ?? 0) << 8);
    }
    if (at < bytes.length) this.#half = bytes[at];
    const linear = new Int16Array(this.#resampler.outputLength(samples.length));
    this.#resampler.process(samples, linear);
    return mulaw(linear);
  }

  /** A sample of which only half came is dropped. */
  end(): Uint8Array {
    const linear = new Int16Array(this.#resampler.flushLength());
    this.#resampler.flush(linear);
    return mulaw(linear);
  }
}

function mulaw(linear: Int16Array): Uint8Array {
  const bytes = new Uint8Array(linear.length);
  encodeMulaw(linear, bytes);
  return bytes;
}
