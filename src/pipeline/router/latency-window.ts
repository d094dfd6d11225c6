/** The latest latencies of one provider, for percentiles that follow its mood. */

const MAX_SAMPLES = 256;
/** What a provider did longer ago says nothing about now. */
const MAX_AGE_MS = 10 * 60_000;

interface Sample {
  readonly atMs: number;
  readonly valueMs: number;
}

/** The last 256 samples of the last ten minutes; percentiles are exact, and computed when asked for. */
export class LatencyWindow {
  readonly #samples: Sample[] = [];
  #sorted: readonly number[] | undefined;

  add(valueMs: number, nowMs: number): void {
    if (this.#samples.length === MAX_SAMPLES) this.#samples.shift();
    this.#samples.push({ atMs: nowMs, valueMs });
    this.#sorted = undefined;
  }

  count(nowMs: number): number {
    return this.#values(nowMs).length;
  }

  /** The q-quantile (nearest rank), 0 < q ≤ 1; undefined while there are no samples. */
  quantile(q: number, nowMs: number): number | undefined {
    const values = this.#values(nowMs);
    return values[Math.max(0, Math.ceil(values.length * q) - 1)];
  }

  #values(nowMs: number): readonly number[] {
    while (this.#samples[0] && nowMs - this.#samples[0].atMs > MAX_AGE_MS) {
      this.#samples.shift();
      this.#sorted = undefined;
    }
    this.#sorted ??= this.#samples.map(({ valueMs }) => valueMs).sort((a, b) => a - b);
    return this.#sorted;
  }
}
