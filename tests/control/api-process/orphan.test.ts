/** The real process of the API beside its parent: whose cores it takes, and what ends it. Its database need not be there. */
import { once } from 'node:events';
import { readFile, readdir } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { startProcess } from '../../../src/core/worker.ts';

const tellings = z.object({ pid: z.number(), priority: z.string() });
const SCHED_IDLE = 5;

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

/** The scheduling policy of each thread (proc(5): field 41). */
async function policiesOf(pid: number): Promise<number[]> {
  const threads = await readdir(`/proc/${pid}/task`);
  const lines = await Promise.all(threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/stat`, 'utf8')));
  return lines.map((line) => Number(line.slice(line.lastIndexOf(')') + 2).split(' ')[38]));
}

it(
  'steps back with all its threads, hears no signal, and ends when its parent is killed',
  { timeout: 120_000 },
  async () => {
    const parent = startProcess(import.meta.url, './parent.process');
    try {
      const [told] = (await once(parent, 'message')) as unknown[];
      const { pid, priority } = tellings.parse(told);
      if (priority === 'when-idle') {
        const policies = await policiesOf(pid);
        expect(policies.length).toBeGreaterThan(4);
        expect(new Set(policies)).toEqual(new Set([SCHED_IDLE]));
      }
      for (const signal of ['SIGTERM', 'SIGINT'] as const) process.kill(pid, signal);
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(isAlive(pid)).toBe(true);
      parent.kill('SIGKILL');
      await expect.poll(() => isAlive(pid), { timeout: 60_000 }).toBe(false);
    } finally {
      parent.kill('SIGKILL');
    }
  },
);
