/** One seed, one call, one verdict. */
import { planCaller } from './caller.ts';
import type { Act } from './caller.ts';
import type { Violation } from './checks/check.ts';
import type { Coverage } from './coverage.ts';
import { calmed, makeProfile } from './profile.ts';
import type { Calmable } from './profile.ts';
import { Random, seedOf } from './random.ts';
import { World } from './world.ts';

export interface Scenario {
  readonly seed: number;
  /** Acts of the caller's plan that are left out, by number. */
  readonly without?: readonly number[];
  /** Parts of the world that have no faults. */
  readonly calm?: readonly Calmable[];
  /** The caller hangs up then at the latest. */
  readonly hangUpAtMs?: number;
}

export interface Verdict {
  readonly scenario: Scenario;
  readonly violation: Violation | undefined;
  readonly coverage: Coverage;
  readonly virtualMs: number;
  readonly acts: number;
}

/** No call is longer. */
export const LAST_MS = 90_000;
/** What is left of a call that long after its end is a leak. */
const AFTERMATH_MS = 1_500;
const TICK_MS = 20;

export function simulate(scenario: Scenario, trace?: (line: string) => void): Verdict {
  const { seed, without = [], calm = [], hangUpAtMs = LAST_MS } = scenario;
  const profile = calmed(makeProfile(new Random(seedOf(seed, 'profile'))), calm);
  const plan = planCaller(new Random(seedOf(seed, 'caller')));
  const acts = plan.filter((_act: Act, index) => !without.includes(index));
  const world = new World({ seed, profile, acts, hangUpAtMs, trace });
  try {
    world.start();
    while (!world.ended && !world.violation && world.clock.nowMs() < LAST_MS + AFTERMATH_MS) world.tick();
    for (let ms = 0; ms < AFTERMATH_MS && !world.violation; ms += TICK_MS) world.tick();
    if (!world.violation) world.finish();
  } catch (thrown) {
    world.fail('exception', thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown));
  }
  const virtualMs = world.clock.nowMs();
  return { scenario, violation: world.violation, coverage: world.coverage, virtualMs, acts: plan.length };
}
