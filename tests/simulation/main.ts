/** `npm run simulate -- --seeds 20000 [--from N] [--seed N] [--keep-going]`: simulated calls by hand. */
import { parseArgs } from 'node:util';
import { Coverage } from './coverage.ts';
import { CALMABLE } from './profile.ts';
import type { Calmable } from './profile.ts';
import { replayCommand, shrink } from './shrink.ts';
import { simulate } from './simulate.ts';
import type { Scenario } from './simulate.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    without: { type: 'string', default: '' },
    calm: { type: 'string', default: '' },
    until: { type: 'string' },
    'keep-going': { type: 'boolean', default: false },
    'no-shrink': { type: 'boolean', default: false },
    except: { type: 'string', default: '' },
  },
});

const say = (line: string) => process.stdout.write(`${line}\n`);

function isCalmable(part: string): part is Calmable {
  return CALMABLE.some((known) => known === part);
}

function numbers(list: string): number[] {
  return list
    .split(',')
    .filter((part) => part !== '')
    .map(Number);
}

if (values.seed === undefined) process.exitCode = runMany(Number(values.from), Number(values.seeds));
else process.exitCode = replay(Number(values.seed));

/** One call, told line by line. */
function replay(seed: number): number {
  const scenario: Scenario = {
    seed,
    without: numbers(values.without),
    calm: values.calm.split(',').filter(isCalmable),
    ...(values.until === undefined ? {} : { hangUpAtMs: Number(values.until) }),
  };
  const { violation, virtualMs } = simulate(scenario, say);
  say(
    violation
      ? `FAILED at ${violation.atMs} ms, ${violation.invariant}: ${violation.message}`
      : `passed, ${virtualMs} ms of call`,
  );
  return violation ? 1 : 0;
}

function runMany(from: number, seeds: number): number {
  const coverage = new Coverage();
  const broken = new Map<string, number[]>();
  const startedMs = performance.now();
  let virtualMs = 0;
  let failures = 0;
  const except = new Set(numbers(values.except));
  for (let seed = from; seed < from + seeds; seed++) {
    if (except.has(seed)) continue;
    const verdict = simulate({ seed });
    coverage.add(verdict.coverage);
    virtualMs += verdict.virtualMs;
    if (!verdict.violation) continue;
    failures++;
    const seen = broken.get(verdict.violation.invariant) ?? [];
    broken.set(verdict.violation.invariant, [...seen, seed]);
    if (values['keep-going']) continue;
    const minimal = values['no-shrink'] ? verdict : shrink(verdict);
    say(`seed ${seed} breaks "${minimal.violation?.invariant}": ${minimal.violation?.message}`);
    if (values['no-shrink']) return 1;
    say('the minimal trace:');
    simulate(minimal.scenario, say);
    say(`replay it with: ${replayCommand(minimal.scenario)}`);
    return 1;
  }
  const seconds = (performance.now() - startedMs) / 1_000;
  for (const [invariant, failing] of broken) say(`${invariant}: ${failing.length} seeds, ${failing.join(' ')}`);
  say(coverage.toString());
  say(
    `${seeds - failures} of ${seeds} seeds passed in ${seconds.toFixed(1)} s, ${Math.round(virtualMs / 60_000)} minutes of calls`,
  );
  return failures > 0 ? 1 : 0;
}
