/** One track of a call, as μ-law on the stream's time line; what was never written is silence. */
import { MULAW_SILENCE, mulawDecode, SAMPLES_PER_MS } from './audio.ts';

/** Grows by doubling; the call's own time limit bounds it. */
export class Track {
  #samples: Uint8Array = new Uint8Array(64 * 1024).fill(MULAW_SILENCE);
  #length = 0;

  /** Samples from the start to the end of what was written. */
  get length(): number {
    return this.#length;
  }

  write(atSample: number, mulaw: Uint8Array): void {
    const end = atSample + mulaw.length;
    if (end > this.#samples.length) {
      const grown = new Uint8Array(Math.max(end, this.#samples.length * 2)).fill(MULAW_SILENCE);
      grown.set(this.#samples);
      this.#samples = grown;
    }
    this.#samples.set(mulaw, atSample);
    this.#length = Math.max(this.#length, end);
  }

  /** PCM16 of a span of time; silence where nothing was written. */
  slice(fromMs: number, toMs: number): Int16Array {
    const from = Math.max(0, Math.round(fromMs * SAMPLES_PER_MS));
    const to = Math.max(from, Math.round(toMs * SAMPLES_PER_MS));
    const pcm = new Int16Array(to - from);
    pcm.set(mulawDecode(this.#samples.subarray(from, Math.min(to, this.#length))));
    return pcm;
  }
}
