import { execFile } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';
import { basename } from 'node:path';
import { promisify } from 'node:util';

/** What the system made of it: this thread gets a core when nobody else wants it, less of one, or as much as any. */
export type ThreadPriority = 'when-idle' | 'low' | 'usual';

const run = promisify(execFile);
const CHRT_TIMEOUT_MS = 2_000;
const LOW_NICENESS = 10;

/**
 * Has the threads of this process that are in a hurry go before the one that calls this. Linux only, where each thread has a policy of its own, and
 * setpriority(2) takes a thread's number for a process's; elsewhere the whole process would be meant.
 *
 * SCHED_IDLE, by util-linux's `chrt`, since Node cannot set it: niceness alone does not help, as the scheduler lets whoever runs
 * finish its slice of some milliseconds before one that has just woken, unless it runs with this policy (sched(7); EEVDF, Linux 6.6). Within a
 * container or a service, a control group of its own, it steps back only behind the same service's threads.
 */
export async function stepBack(): Promise<ThreadPriority> {
  if (process.platform !== 'linux') return 'usual';
  // Asked of the kernel on this very thread: "123/task/130".
  const threadId = basename(readlinkSync('/proc/thread-self'));
  try {
    await run('chrt', ['--idle', '--pid', '0', threadId], { timeout: CHRT_TIMEOUT_MS });
    return 'when-idle';
  } catch {
    // Not there (Alpine), or not allowed.
    setPriority(Number(threadId), LOW_NICENESS);
    return 'low';
  }
}
