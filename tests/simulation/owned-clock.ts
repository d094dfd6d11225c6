/** The session's own view of the virtual clock: whoever looks can tell its timers from the model's. */
import type { Clock, Timer, VirtualClock } from '../../src/core/clock.ts';

/** A session that sets so many timers for one moment goes round in circles, and time would stand still for ever. */
const MAX_FIRED_AT_ONCE = 5_000;

export class OwnedClock implements Clock {
  readonly #clock: VirtualClock;
  #pending = 0;
  #firedAtMs = -1;
  #firedAtOnce = 0;

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
      if (!done()) return;
      this.#count();
      callback();
    });
    return {
      cancel: () => {
        if (done()) timer.cancel();
      },
    };
  }

  #count(): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs !== this.#firedAtMs) this.#firedAtOnce = 0;
    this.#firedAtMs = nowMs;
    if (++this.#firedAtOnce > MAX_FIRED_AT_ONCE)
      throw new RangeError(`time stands still: ${this.#firedAtOnce} timers fired at once`);
  }
}
