/** Whether the process has the memory for one more call (reliability.md, fault 41). */
import { totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';

/** What a process uses of what it may. */
export interface MemoryReading {
  /** Of the main thread's JavaScript heap, garbage that has not been collected included. */
  readonly heapUsedBytes: number;
  /** Where V8 gives up and the process dies. */
  readonly heapLimitBytes: number;
  /** All threads and engines; what the kernel counts. */
  readonly residentBytes: number;
  /** The container's limit, or the machine's memory where there is none. */
  readonly residentLimitBytes: number;
}

/** Takes about 12 µs. */
export function readMemory(): MemoryReading {
  const { used_heap_size: heapUsedBytes, heap_size_limit: heapLimitBytes } = getHeapStatistics();
  // Without a limit libuv says 0 or a number beyond any machine, and Node's types say that it may say nothing.
  const constrained = process.constrainedMemory() ?? 0;
  const machine = totalmem();
  return {
    heapUsedBytes,
    heapLimitBytes,
    residentBytes: process.memoryUsage.rss(),
    residentLimitBytes: constrained > 0 ? Math.min(constrained, machine) : machine,
  };
}

const CLOSE_ABOVE = 0.8;
/** Lower, so that the gate does not flap with each collection. */
const OPEN_BELOW = 0.7;
const EXHAUSTED_ABOVE = 0.92;
/** So many readings in a row: a collection may be about to free most of it. */
const EXHAUSTED_READINGS = 10;

/**
 * Closes when heap or resident memory pass 80 % of their limit, and opens when both are below 70 % again. `exhausted` once ten
 * readings in a row were above 92 %, for good: what fills a process so far is not given back, and its end would take all calls at once.
 */
export class MemoryGate {
  #closed = false;
  #exhausted = false;
  #highReadings = 0;

  get closed(): boolean {
    return this.#closed;
  }

  get exhausted(): boolean {
    return this.#exhausted;
  }

  note(reading: MemoryReading): void {
    const share = Math.max(
      shareOf(reading.heapUsedBytes, reading.heapLimitBytes),
      shareOf(reading.residentBytes, reading.residentLimitBytes),
    );
    if (share > CLOSE_ABOVE) this.#closed = true;
    else if (share < OPEN_BELOW) this.#closed = false;
    this.#highReadings = share > EXHAUSTED_ABOVE ? this.#highReadings + 1 : 0;
    if (this.#highReadings >= EXHAUSTED_READINGS) this.#exhausted = true;
  }
}

function shareOf(used: number, limit: number): number {
  return limit > 0 ? used / limit : 0;
}
