/** How busy processes and the machine were, where the system tells (Linux). */
import { readFile, readdir } from 'node:fs/promises';
import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

/** Of both kinds of time in /proc; 100 a second on every Linux that Node runs on. */
const MS_A_TICK = 10;

/** What a process and its children used since their start, all threads, in milliseconds; undefined: not known. */
export async function cpuMsOf(pid: number | undefined): Promise<number | undefined> {
  if (pid === undefined) return undefined;
  const names = await readdir('/proc').catch(() => []);
  const all = await Promise.all(names.filter((name) => /^\d+$/u.test(name)).map(cpuOf));
  const own = all.filter((one) => one !== undefined && (one.pid === pid || one.parent === pid));
  return own.some((one) => one?.pid === pid) ? own.reduce((sum, one) => sum + (one?.usedMs ?? 0), 0) : undefined;
}

async function cpuOf(pid: string): Promise<{ pid: number; parent: number; usedMs: number } | undefined> {
  const line = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  // The name, in parentheses, may hold spaces.
  const fields = line?.slice(line.lastIndexOf(')') + 2).split(' ');
  if (!fields) return undefined;
  return {
    pid: Number(pid),
    parent: Number(fields[1]),
    usedMs: (Number(fields[11]) + Number(fields[12])) * MS_A_TICK,
  };
}

/** Of all cores since the machine's start: what was not idle, and all. */
export function machineMs(): { readonly busyMs: number; readonly allMs: number } {
  let idleMs = 0;
  let allMs = 0;
  for (const { times } of cpus()) {
    idleMs += times.idle;
    allMs += times.user + times.nice + times.sys + times.irq + times.idle;
  }
  return { busyMs: allMs - idleMs, allMs };
}

const LOOK_EVERY_MS = 2_000;
const QUIET_SHARE = 0.2;

/** Waits, for `maxMs` at most, until the machine has nothing else to do: what was seeded is being written, other work ends. */
export async function waitUntilQuiet(maxMs: number): Promise<void> {
  const untilMs = performance.now() + maxMs;
  for (let before = machineMs(); performance.now() < untilMs;) {
    await sleep(LOOK_EVERY_MS);
    const after = machineMs();
    if (after.busyMs - before.busyMs < (after.allMs - before.allMs) * QUIET_SHARE) return;
    before = after;
  }
}
