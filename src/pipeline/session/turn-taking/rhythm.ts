/**
 * The caller's own pauses: how long this person is silent in the middle of a turn.
 *
 * The estimator is a recency-weighted 80 % quantile over the last few mid-turn pauses, with the agent's base wait as prior:
 * - A quantile, because the question is "how long must I wait so that most of this caller's pauses end first?". A mean answers
 *   another one: pauses are spread with a long tail, and one long pause would drag it up for the rest of the call.
 * - The prior weighs as much as four fresh pauses. So one long pause is chance and changes nothing, two in a row are a habit.
 *   Pauses shorter than the base speak for the base in the same way: a crisp caller keeps it.
 * - Each newer pause takes 15 % off the weight of those before it: somebody who hesitates over the first question and then
 *   warms up is soon answered fast again.
 * - The quantile is one of the caller's own pauses; waiting exactly that long would cut off the next one that is a little
 *   longer. Hence 20 % on top.
 *
 * What is observed is cut off from above: a pause longer than the wait ends the turn. Somebody whose reply had to be withdrawn
 * because they went on has paused within their turn all the same, and that pause is the one to learn from.
 */

/** The caller's newest mid-turn pauses in milliseconds, newest last; never more than {@link MEMORY}. */
export interface Rhythm {
  readonly pausesMs: readonly number[];
}

/** Nothing is known of the caller yet. */
export const NEW_RHYTHM: Rhythm = { pausesMs: [] };

/** At the decay below, older pauses would weigh less than a sixth of a fresh one. */
const MEMORY = 12;
const DECAY = 0.85;
const QUANTILE = 0.8;
const PRIOR_WEIGHT = 4;
const HEADROOM = 1.2;
/** A longer silence is no hesitation: the caller fetched something or listened to somebody else. */
const LONGEST_HESITATION_MS = 3_000;
/** Sums of weights that are equal on paper differ in the last bits. */
const EPSILON = 1e-9;

/** Adds a pause after which the caller went on with the same turn. What cannot be a hesitation is passed over. */
export function observePause(rhythm: Rhythm, pauseMs: number): Rhythm {
  if (!(pauseMs > 0 && pauseMs <= LONGEST_HESITATION_MS)) return rhythm;
  return { pausesMs: [...rhythm.pausesMs.slice(1 - MEMORY), pauseMs] };
}

/**
 * How long to wait instead of `baseMs` for this caller: at least as long, within `bounds`. Without observations, and for a
 * caller whose pauses are shorter than the base, exactly `baseMs` (as far as the bounds allow it).
 */
export function adaptSilenceMs(
  baseMs: number,
  rhythm: Rhythm,
  bounds: { readonly minMs: number; readonly maxMs: number },
): number {
  const habitMs = habitualPauseMs(baseMs, rhythm);
  const wantedMs = habitMs > baseMs ? habitMs * HEADROOM : baseMs;
  return Math.min(bounds.maxMs, Math.max(bounds.minMs, wantedMs));
}

/** The weighted quantile; `baseMs` if the caller's longer pauses do not weigh enough. */
function habitualPauseMs(baseMs: number, { pausesMs }: Rhythm): number {
  const longer: { readonly pauseMs: number; readonly weight: number }[] = [];
  let total = PRIOR_WEIGHT;
  let weight = 1;
  for (let index = pausesMs.length - 1; index >= 0; index--) {
    const pauseMs = pausesMs[index] ?? 0;
    if (pauseMs > baseMs) longer.push({ pauseMs, weight });
    total += weight;
    weight *= DECAY;
  }
  longer.sort((a, b) => b.pauseMs - a.pauseMs);
  let above = 0;
  for (const pause of longer) {
    above += pause.weight;
    if (above > (1 - QUANTILE) * total + EPSILON) return pause.pauseMs;
  }
  return baseMs;
}
