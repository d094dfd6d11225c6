/** The figures of bench:api, and whether its targets are met. */
import { loadavg } from 'node:os';
import { formatTable } from '../phone/live-line.ts';
import { quantile } from '../turn-taking/stats.ts';
import type { LoadReport } from './load.ts';
import { DETAIL } from './requests.ts';
import type { Talkers, TimedFrame } from './talkers.ts';

/** A stretch of the measurement; times on `performance.now()`. */
export interface Phase {
  /** `alone`: requests without calls; `quiet`: calls without requests; `loaded`: both. */
  readonly name: string;
  readonly fromMs: number;
  readonly toMs: number;
  readonly load: LoadReport | undefined;
  /** 1: one core. */
  readonly serverCpuShare: number;
  /** 1: all cores. */
  readonly machineBusyShare: number;
}

const MAX_P99_MS = 20;
const MAX_ADDED_LATENESS_MS = 3;
/** Below this share of the intended rate the load was not the load. */
const MIN_RATE_SHARE = 0.95;

export interface Measured {
  readonly phases: readonly Phase[];
  readonly talkers: Pick<Talkers, 'frames' | 'lost' | 'answers'>;
  readonly options: { readonly calls: number; readonly ratePerSecond: number; readonly together: boolean };
  readonly serverErrors: readonly string[];
}

/** True when every target is met. */
export function printReport({ phases, talkers, options, serverErrors }: Measured): boolean {
  const loads = phases.filter(({ load }) => load);
  const requestsMet = printRequests(loads, options.ratePerSecond);
  const framesMet = printFrames(phases, talkers.frames);
  console.log(
    options.together
      ? 'Load and database competed with server and phones for the cores.'
      : 'Load and database, other machines in earnest, had the cores when neither server nor phones wanted them.',
  );
  console.log(
    `\n${options.calls} calls, ${talkers.answers} answers: ${talkers.lost.length} lost; errors in the server's log: ${serverErrors.length}. ` +
      `Load of the machine ${loadavg()
        .map((load) => load.toFixed(1))
        .join(', ')}.`,
  );
  for (const line of [...talkers.lost, ...serverErrors].slice(0, 5)) console.log(`  ${line}`);
  return requestsMet && framesMet && talkers.lost.length + serverErrors.length === 0;
}

function printRequests(loads: readonly Phase[], ratePerSecond: number): boolean {
  let met = true;
  const rows: string[][] = [];
  for (const { name, load } of loads) {
    if (!load) continue;
    const lists = Object.entries(load.latenciesMs).filter(([kind]) => kind !== DETAIL);
    const details = load.latenciesMs[DETAIL] ?? [];
    const all = [['lists', lists.flatMap(([, times]) => times)] as const, [DETAIL, details] as const];
    for (const [kind, times] of all) {
      // Beside calls the API steps back, so there its times are those of the cores.
      met &&= name !== 'alone' || quantile(times, 0.99) <= MAX_P99_MS;
      rows.push([name, kind, ...cells(times)]);
    }
    for (const [kind, times] of lists.toSorted(([a], [b]) => a.localeCompare(b)))
      rows.push(['', `  ${kind}`, ...cells(times)]);
    const count = lists.reduce((sum, [, times]) => sum + times.length, details.length);
    const rate = (count / load.tookMs) * 1_000;
    met &&= load.failed === 0 && rate >= ratePerSecond * MIN_RATE_SHARE;
    rows.push(['', `${rate.toFixed(0)} requests/s, ${load.failed} errors; sent late`, ...cells(load.sentLateMs)]);
    for (const error of load.errors) console.log(`  ${error}`);
  }
  console.log(formatTable([['phase', 'requests', 'p50 ms', 'p95 ms', 'p99 ms', 'max ms', 'count'], ...rows]));
  console.log(
    `Target: p99 of lists and details at most ${MAX_P99_MS} ms alone; no errors, and the whole rate, beside the calls too.\n`,
  );
  return met;
}

function printFrames(phases: readonly Phase[], frames: readonly TimedFrame[]): boolean {
  const latenessIn = ({ fromMs, toMs }: Phase): number[] =>
    frames.filter(({ atMs }) => atMs >= fromMs && atMs < toMs).map(({ latenessMs }) => latenessMs);
  const rows = phases.map((phase) => [
    phase.name,
    ...cells(latenessIn(phase)),
    `${(phase.serverCpuShare * 100).toFixed(0)} %`,
    `${(phase.machineBusyShare * 100).toFixed(0)} %`,
  ]);
  console.log(
    formatTable([['phase', 'p50 ms', 'p95 ms', 'p99 ms', 'max ms', 'frames', 'server of a core', 'machine'], ...rows]),
  );
  const all = (name: string): number[] => phases.filter((phase) => phase.name === name).flatMap(latenessIn);
  const addedMs = quantile(all('loaded'), 0.99) - quantile(all('quiet'), 0.99);
  console.log(
    `Lateness of outbound frames: the requests add ${addedMs.toFixed(1)} ms at p99 (target below ${MAX_ADDED_LATENESS_MS}).`,
  );
  return addedMs < MAX_ADDED_LATENESS_MS;
}

function cells(values: readonly number[]): string[] {
  const at = (q: number): string => quantile(values, q).toFixed(1);
  return [at(0.5), at(0.95), at(0.99), at(1), String(values.length)];
}
