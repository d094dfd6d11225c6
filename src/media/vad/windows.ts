import { WINDOW_SAMPLES } from './vad.ts';

/** Windows that a call may have waiting: 2 s of audio, 16 KB. */
const MAX_PENDING = 64;
/** One slot more than can wait: the one that is being filled. */
const SLOTS = MAX_PENDING + 1;

/** Cuts a byte stream of any chunking into windows and keeps the last 64 that were not taken yet. */
export class WindowQueue {
  readonly #bytes = new Uint8Array(SLOTS * WINDOW_SAMPLES);
  #head = 0;
  #pending = 0;
  #filled = 0;
  #lost = 0;

  /** Whole windows waiting. */
  get pending(): number {
    return this.#pending;
  }

  write(mulaw: Uint8Array): void {
    for (let from = 0; from < mulaw.length;) {
      const length = Math.min(WINDOW_SAMPLES - this.#filled, mulaw.length - from);
      const slot = (this.#head + this.#pending) % SLOTS;
      this.#bytes.set(mulaw.subarray(from, from + length), slot * WINDOW_SAMPLES + this.#filled);
      from += length;
      this.#filled += length;
      if (this.#filled === WINDOW_SAMPLES) this.#finishWindow();
    }
  }

  #finishWindow(): void {
    this.#filled = 0;
    if (this.#pending < MAX_PENDING) {
      this.#pending++;
      return;
    }
    this.#head = (this.#head + 1) % SLOTS;
    this.#lost++;
  }

  /** How many windows were dropped just before the oldest one waiting; asking resets it. */
  takeLost(): number {
    const lost = this.#lost;
    this.#lost = 0;
    return lost;
  }

  /** The oldest window, a view that is valid until the next `write`; undefined: none is waiting. */
  take(): Uint8Array | undefined {
    if (this.#pending === 0) return undefined;
    const start = this.#head * WINDOW_SAMPLES;
    this.#head = (this.#head + 1) % SLOTS;
    this.#pending--;
    return this.#bytes.subarray(start, start + WINDOW_SAMPLES);
  }
}
