import type { StreamLimits } from './limits.ts';

/**
 * Each frame costs at least 1 ms, and 1 ms per 64 characters: a flood of tiny, silent or huge messages runs out of budget as
 * well, and a media message (some 19 characters per ms of audio) is still charged for its audio alone.
 */
const MIN_FRAME_COST_MS = 1;
const CHARS_PER_MS = 64;
/** Time without a frame that counts as a stall. */
const STALL_MS = 200;

/**
 * How much audio a peer may send: a token bucket whose tokens are milliseconds of audio.
 *
 * A phone call produces audio at exactly real time, so 1.2 times that in the long run leaves room for clocks that differ. Bursts
 * are legitimate after a stall: what the network held back for N seconds arrives at once. The bucket therefore holds `burstMs`
 * in general, and a stall that was really observed fills it beyond that, by its own length, up to `maxStallBurstMs`; a peer
 * that never pauses cannot get ahead by more than `burstMs`.
 */
export class AudioBudget {
  readonly #limits: StreamLimits;
  #tokensMs: number;
  #lastMs: number;

  constructor(limits: StreamLimits, nowMs: number) {
    this.#limits = limits;
    this.#tokensMs = limits.burstMs;
    this.#lastMs = nowMs;
  }

  /** Takes a frame of `chars` with `audioMs` of audio (0: a message without any). False: the peer is over its budget. */
  spend(audioMs: number, chars: number, nowMs: number): boolean {
    const { burstMs, maxStallBurstMs, maxRate } = this.#limits;
    const elapsedMs = nowMs - this.#lastMs;
    this.#lastMs = nowMs;
    const capMs = elapsedMs > STALL_MS ? burstMs + maxStallBurstMs : Math.max(burstMs, this.#tokensMs);
    const costMs = Math.max(audioMs, MIN_FRAME_COST_MS, chars / CHARS_PER_MS);
    this.#tokensMs = Math.min(capMs, this.#tokensMs + elapsedMs * maxRate) - costMs;
    return this.#tokensMs >= 0;
  }
}
