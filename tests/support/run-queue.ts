/** How long this process had work and no core to do it on. */
import { readFileSync } from 'node:fs';

/**
 * Milliseconds that the main thread has waited for a core since it began; 0 where the kernel does not tell (Linux does). What a test
 * measures in time is too long by no more than that, whatever else runs on the machine.
 */
export function runQueueWaitMs(): number {
  try {
    const [, waitedNs] = readFileSync('/proc/self/schedstat', 'utf8').split(' ');
    return Number(waitedNs) / 1e6 || 0;
  } catch {
    return 0;
  }
}
