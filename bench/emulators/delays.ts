/** How long an emulated vendor takes: a number, or a distribution that is drawn from with a seed. */
import { z } from 'zod';

/** A log-normal distribution by two of its points, in milliseconds; what is published of vendors looks like one. */
export interface LogNormalMs {
  readonly p50: number;
  readonly p95: number;
}

/** In milliseconds. `tail`: the share (0 to 1) of draws that take `ms` instead, as when one question in twenty takes 3 s. */
export type Delay =
  | number
  | LogNormalMs
  | { readonly base: number | LogNormalMs; readonly tail: { readonly share: number; readonly ms: number } };

const milliseconds = z.number().min(0).max(600_000);
const logNormal = z
  .strictObject({ p50: milliseconds.min(0.001), p95: milliseconds })
  .refine(({ p50, p95 }) => p95 >= p50, 'p95 must not be below p50');

/** A {@link Delay} as it comes from outside. */
export const delaySchema: z.ZodType<Delay> = z.union(
  [
    milliseconds,
    logNormal,
    z.strictObject({
      base: z.union([milliseconds, logNormal]),
      tail: z.strictObject({ share: z.number().min(0).max(1), ms: milliseconds }),
    }),
  ],
  'must be milliseconds, {"p50":…,"p95":…} or {"base":…,"tail":{"share":0.05,"ms":3000}}',
);

/** Draws delays; the same seed draws the same ones in the same order. */
export class DelaySource {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  drawMs(delay: Delay): number {
    if (typeof delay === 'number') return delay;
    if ('p50' in delay) return this.#logNormalMs(delay);
    const { base, tail } = delay;
    // Both are drawn always, so that the share does not change what the others come to.
    const isTail = this.#uniform() < tail.share;
    const baseMs = typeof base === 'number' ? base : this.#logNormalMs(base);
    return isTail ? tail.ms : baseMs;
  }

  #logNormalMs({ p50, p95 }: LogNormalMs): number {
    // Box and Muller's normal variate; 1.6449 is its 95th percentile.
    const normal = Math.sqrt(-2 * Math.log(1 - this.#uniform())) * Math.cos(2 * Math.PI * this.#uniform());
    return p50 * Math.exp((normal * Math.log(p95 / p50)) / 1.644_853_6);
  }

  /** 0 ≤ x < 1, by Mulberry32. */
  #uniform(): number {
    this.#state = (this.#state + 0x6d_2b_79_f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}
