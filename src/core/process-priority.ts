import { execFile } from 'node:child_process';
import { setPriority } from 'node:os';
import { promisify } from 'node:util';

/** What the system made of it: the process gets a core when nobody else wants it, less of one, or as much as any. */
export type ProcessPriority = 'when-idle' | 'low' | 'usual';

const run = promisify(execFile);
const CHRT_TIMEOUT_MS = 2_000;
const LOW_NICENESS = 10;

/**
 * Has all others go before process `pid`: all threads that it has, and those that they start. Never rejects; a process that has ended is left alone.
 *
 * On Linux with SCHED_IDLE, by util-linux's `chrt`, since Node cannot set it: niceness alone does not help, as the scheduler lets whoever runs
 * finish its slice of some milliseconds before one that has just woken, unless it runs with this policy (sched(7); EEVDF, Linux 6.6). Within a
 * container or a service, a control group of its own, it steps back only behind the same service's threads.
 */
export async function stepBack(pid: number): Promise<ProcessPriority> {
  if (process.platform === 'linux') {
    try {
      await run('chrt', ['--idle', '--all-tasks', '--pid', '0', String(pid)], { timeout: CHRT_TIMEOUT_MS });
      return 'when-idle';
    } catch {
      // Not there (Alpine has a lesser one), or not allowed: niceness then.
    }
  }
  try {
    setPriority(pid, LOW_NICENESS);
    return 'low';
  } catch {
    return 'usual';
  }
}
