/** What keeps the process alive or busy, counted by kind, so that a test can show that everything was closed. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';

/** Open handles and requests by Node's name for their kind, such as `Timeout`, `TCPSocketWrap`, `MessagePort`. */
export type HandleCounts = ReadonlyMap<string, number>;

/** Kinds that vitest's own channel to its main process opens and closes while a test runs. */
const NOT_OURS: ReadonlySet<string> = new Set(['PipeWrap', 'TTYWrap', 'ProcessWrap']);

/** Worker threads started since this module was loaded that have not ended; Node's own list leaves them out. */
const liveWorkers = new Set<Worker>();
process.on('worker', (worker: Worker) => {
  liveWorkers.add(worker);
  worker.once('exit', () => liveWorkers.delete(worker));
});

/** Counts what is open now in this thread: timers, sockets, listeners, requests, and as `Worker` its worker threads. */
export function openHandles(): HandleCounts {
  const counts = new Map<string, number>();
  if (liveWorkers.size > 0) counts.set('Worker', liveWorkers.size);
  for (const kind of process.getActiveResourcesInfo()) {
    if (!NOT_OURS.has(kind)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
}

/**
 * The most of each kind that is open at once within `forMs`: whatever works in rounds has a timer between two of them, and none while it is
 * at work.
 */
export async function usualHandles(forMs: number): Promise<HandleCounts> {
  const most = new Map<string, number>();
  for (const endMs = performance.now() + forMs; performance.now() < endMs; await sleep(20))
    for (const [kind, count] of openHandles()) most.set(kind, Math.max(count, most.get(kind) ?? 0));
  return most;
}

/** The kinds of which more are open in `now` than in `before`, with how many more. */
export function leakedHandles(before: HandleCounts, now: HandleCounts = openHandles()): HandleCounts {
  const leaked = new Map<string, number>();
  for (const [kind, count] of now) {
    const extra = count - (before.get(kind) ?? 0);
    if (extra > 0) leaked.set(kind, extra);
  }
  return leaked;
}

export interface LeakPatience {
  /** How long closing may take in the background before it counts as a leak. */
  deadlineMs?: number;
  /** Pause between two looks. */
  intervalMs?: number;
}

/**
 * Resolves once nothing is open beyond `before`; rejects, naming kind and number, if that is still so at the deadline.
 * Sockets and workers close over several turns of the event loop, hence the repeated looks.
 */
export async function expectNoLeaks(before: HandleCounts, patience: LeakPatience = {}): Promise<void> {
  const { deadlineMs = 5_000, intervalMs = 25 } = patience;
  const endMs = performance.now() + deadlineMs;
  let leaked = leakedHandles(before);
  while (leaked.size > 0 && performance.now() < endMs) {
    await sleep(intervalMs);
    leaked = leakedHandles(before);
  }
  if (leaked.size === 0) return;
  const list = [...leaked].map(([kind, count]) => `${count} × ${kind}`).join(', ');
  throw new Error(`Still open ${deadlineMs} ms after everything should have been closed: ${list}`);
}
