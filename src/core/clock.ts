/** Time as an argument: `media` and `pipeline` take a {@link Clock} and never read one themselves. */

/** A pending call-back; `cancel` is idempotent and harmless after it has fired. */
export interface Timer {
  cancel(): void;
}

/** Monotonic time. `nowMs` never jumps with the wall clock (reliability.md, fault 40). */
export interface Clock {
  /** Milliseconds since an arbitrary origin, with sub-millisecond fractions. */
  nowMs(): number;
  /** Runs `callback` once, no earlier than `delayMs` from now; a delay ≤ 0 means as soon as possible, never synchronously. */
  after(delayMs: number, callback: () => void): Timer;
}

/** The process's monotonic clock. Its timers keep the process alive: whoever sets one cancels it. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  after(delayMs, callback) {
    // setTimeout drops the fraction, and would fire early.
    const handle = setTimeout(callback, Math.ceil(Math.max(0, delayMs)));
    return { cancel: () => clearTimeout(handle) };
  },
};

interface VirtualTimer {
  dueMs: number;
  order: number;
  callback: () => void;
}

/** A clock that moves only when told to: simulations run minutes of call time in milliseconds, the same way every time. */
export class VirtualClock implements Clock {
  #nowMs: number;
  #nextOrder = 0;
  readonly #timers = new Set<VirtualTimer>();

  constructor(startMs = 0) {
    this.#nowMs = startMs;
  }

  /** Timers that have not fired and were not cancelled: zero when everything that set one has cleaned up. */
  get pendingTimers(): number {
    return this.#timers.size;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): Timer {
    const timer = { dueMs: this.#nowMs + Math.max(0, delayMs), order: this.#nextOrder++, callback };
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  }

  /** Moves time forward by `durationMs`, firing due timers in order of due time, then of creation. */
  advance(durationMs: number): void {
    const endMs = this.#nowMs + durationMs;
    for (let timer = this.#earliest(); timer && timer.dueMs <= endMs; timer = this.#earliest()) {
      this.#timers.delete(timer);
      this.#nowMs = Math.max(this.#nowMs, timer.dueMs);
      timer.callback();
    }
    this.#nowMs = endMs;
  }

  #earliest(): VirtualTimer | undefined {
    let earliest: VirtualTimer | undefined;
    for (const timer of this.#timers) {
      if (
        !earliest ||
        timer.dueMs < earliest.dueMs ||
        (timer.dueMs === earliest.dueMs && timer.order < earliest.order)
      ) {
        earliest = timer;
      }
    }
    return earliest;
  }
}
