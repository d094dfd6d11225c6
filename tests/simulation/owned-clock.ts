/** The session's own view of the virtual clock: whoever looks can tell its timers from the model's. */
import type { Clock, Timer, VirtualClock } from '../../src/core/clock.ts';

export class OwnedClock implements Clock {
  readonly #clock: VirtualClock;
  #pending = 0;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  /** Timers set through this view that have neither fired nor been cancelled. */
  get pendingTimers(): number {
    return this.#pending;
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  after(delayMs: number, callback: () => void): Timer {
    let live = true;
    this.#pending++;
    const done = () => {
      if (!live) return false;
      live = false;
      this.#pending--;
      return true;
    };
    const timer = this.#clock.after(delayMs, () => {
      if (done()) callback();
    });
    return {
      cancel: () => {
        if (done()) timer.cancel();
      },
    };
  }
}
