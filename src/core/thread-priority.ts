import { readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';
import { basename } from 'node:path';

/**
 * Has the operating system let other threads go first wherever both want a core: 0 is usual, 19 the most obliging. True: it does. Only on
 * Linux, where each thread has a niceness of its own and setpriority(2) takes a thread's number for a process's; elsewhere
 * the whole process would be meant.
 */
export function lowerThreadPriority(niceness: number): boolean {
  if (process.platform !== 'linux') return false;
  // Asked of the kernel on this very thread: "123/task/130".
  const threadId = Number(basename(readlinkSync('/proc/thread-self')));
  setPriority(threadId, niceness);
  return true;
}
