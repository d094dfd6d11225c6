/** Waits of one call: each has a condition and a deadline, and all of them end when the call does. */
import { nowMs } from './ticker.ts';
import { CallFailed } from './voice-webhook.ts';

interface Waiter {
  readonly what: string;
  readonly deadlineMs: number;
  readonly isDone: () => boolean;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Asked on every tick of its call; has no timer of its own. */
export class Waiters {
  readonly #waiting = new Set<Waiter>();

  /** Resolves when `isDone` says so; rejects with {@link CallFailed} at the deadline or when the call ends. */
  async until(what: string, timeoutMs: number, isDone: () => boolean): Promise<void> {
    if (isDone()) return;
    const deadlineMs = nowMs() + timeoutMs;
    await new Promise<void>((resolve, reject) => {
      this.#waiting.add({ what: `${what} (${Math.round(timeoutMs)} ms)`, deadlineMs, isDone, resolve, reject });
    });
  }

  /** Settles what is done or overdue. */
  check(): void {
    const now = nowMs();
    for (const waiter of this.#waiting) {
      if (waiter.isDone()) this.#settle(waiter);
      else if (now >= waiter.deadlineMs) this.#settle(waiter, `gave up waiting for ${waiter.what}`);
    }
  }

  abort(why: string): void {
    for (const waiter of this.#waiting) this.#settle(waiter, `${why} while waiting for ${waiter.what}`);
  }

  #settle(waiter: Waiter, failure?: string): void {
    this.#waiting.delete(waiter);
    if (failure) waiter.reject(new CallFailed(failure));
    else waiter.resolve();
  }
}
