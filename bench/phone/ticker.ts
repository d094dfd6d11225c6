/** One timer for all phones of a process: each says when it is due next, and is called then. */

/** Something that wants to run at moments of its own choosing. */
export interface Ticked {
  /** When `tick` is wanted next, on the clock of {@link nowMs}. */
  nextDueMs(): number;
  tick(): void;
}

/** The phone's only clock: monotonic milliseconds. */
export const nowMs = (): number => performance.now();

/**
 * Calls everything that is due and sleeps until the earliest next moment. Lateness is never added up, because each
 * member works out its due moments from its own fixed origin. It keeps the process alive only while it has members.
 */
export class Ticker {
  readonly #members = new Set<Ticked>();
  #timer: NodeJS.Timeout | undefined;
  #wakeAtMs = Infinity;

  add(member: Ticked): void {
    this.#members.add(member);
    this.reschedule();
  }

  remove(member: Ticked): void {
    this.#members.delete(member);
    if (this.#members.size === 0) this.#sleepUntil(Infinity);
  }

  /** To be called when a member became due earlier than it last said. */
  reschedule(): void {
    let earliestMs = Infinity;
    for (const member of this.#members) earliestMs = Math.min(earliestMs, member.nextDueMs());
    if (earliestMs !== this.#wakeAtMs) this.#sleepUntil(earliestMs);
  }

  #sleepUntil(wakeAtMs: number): void {
    clearTimeout(this.#timer);
    this.#wakeAtMs = wakeAtMs;
    this.#timer =
      wakeAtMs === Infinity ? undefined : setTimeout(() => this.#run(), Math.max(0, Math.ceil(wakeAtMs - nowMs())));
  }

  #run(): void {
    this.#wakeAtMs = -Infinity;
    const now = nowMs();
    try {
      for (const member of this.#members) if (member.nextDueMs() <= now) member.tick();
    } finally {
      this.reschedule();
    }
  }
}

/** The ticker of this process. */
export const sharedTicker = new Ticker();
