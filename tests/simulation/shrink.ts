/** From a failing call to the smallest one that fails in the same way. */
import { CALMABLE } from './profile.ts';
import { LAST_MS, simulate } from './simulate.ts';
import type { Scenario, Verdict } from './simulate.ts';

/** Leaves out acts, faults and time for as long as the same invariant breaks. */
export function shrink(verdict: Verdict): Verdict {
  const invariant = verdict.violation?.invariant;
  let smallest = verdict;
  const attempt = (scenario: Scenario): void => {
    const next = simulate(scenario);
    if (next.violation?.invariant === invariant) smallest = next;
  };
  for (const part of CALMABLE) attempt({ ...smallest.scenario, calm: [...(smallest.scenario.calm ?? []), part] });
  for (let act = verdict.acts - 1; act >= 0; act--) {
    attempt({ ...smallest.scenario, without: [...(smallest.scenario.without ?? []), act] });
  }
  for (const share of [0.25, 0.5, 0.75, 0.9, 0.99]) {
    const hangUpAtMs = Math.round((smallest.violation?.atMs ?? LAST_MS) * share);
    const before = smallest;
    attempt({ ...smallest.scenario, hangUpAtMs });
    if (smallest !== before) break;
  }
  return smallest;
}

export function replayCommand({ seed, without = [], calm = [], hangUpAtMs }: Scenario): string {
  const parts = [`npm run simulate -- --seed ${seed}`];
  if (without.length > 0) parts.push(`--without ${without.join(',')}`);
  if (calm.length > 0) parts.push(`--calm ${calm.join(',')}`);
  if (hangUpAtMs !== undefined) parts.push(`--until ${hangUpAtMs}`);
  return parts.join(' ');
}
