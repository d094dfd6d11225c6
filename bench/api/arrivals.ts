/** When requests come in: moments fixed beforehand, which wait for no answer, so that a slow server cannot slow its own load. */

/**
 * The moments of independent clients (exponential gaps), in milliseconds from the start, ascending, all before `durationMs`.
 * `random` gives numbers from 0 to 1: a seeded one makes the same load again.
 */
export function arrivalTimes(ratePerSecond: number, durationMs: number, random: () => number): number[] {
  const timesMs: number[] = [];
  const meanGapMs = 1_000 / ratePerSecond;
  for (let atMs = gap(meanGapMs, random); atMs < durationMs; atMs += gap(meanGapMs, random)) timesMs.push(atMs);
  return timesMs;
}

/** `1 - random()` is never 0, whose logarithm is none. */
const gap = (meanMs: number, random: () => number): number => -Math.log(1 - random()) * meanMs;

/** One of the choices, as often as its share of all weights says; `share` is a number from 0 to 1. */
export function pick<Choice extends { readonly weight: number }>(choices: readonly Choice[], share: number): Choice {
  const total = choices.reduce((sum, { weight }) => sum + weight, 0);
  let left = share * total;
  for (const choice of choices) {
    left -= choice.weight;
    if (left < 0) return choice;
  }
  const last = choices.at(-1);
  if (!last) throw new Error('There is nothing to pick from.');
  return last;
}
