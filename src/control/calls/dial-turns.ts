/** When calls may be rung: a carrier takes so many of an account in a second, and lets the others wait where nobody sees them. */
import type { Clock, Timer } from '../../core/clock.ts';
import { BvraiError } from '../../core/errors.ts';

export interface DialTurnsOptions {
  readonly clock: Clock;
  /** Above 0; less than 1 too. */
  readonly callsPerSecond: number;
}

/** One call's. A turn that is not used passes. */
export interface DialTurn {
  /** How long it is until then, from the moment at which it was taken. */
  readonly waitMs: number;
  /** Resolves at that time. Rejects with `capacity` when the server stops before. */
  come(): Promise<void>;
}

/** Whoever asked for a call waits for so long at most, and then for the carrier's answer. */
export const LONGEST_TURN_MS = 15_000;
/** Of the turns that are left, one organization has so many at most: the next one shall find some. */
const SHARE_OF_ONE = 0.5;

interface Taken {
  readonly orgId: string;
  readonly atMs: number;
}

/**
 * Turns are given out in the order in which they are asked for, evenly spaced; so a wait is known beforehand, and what would have to wait
 * for too long is refused before anything is written down.
 */
export class DialTurns {
  readonly #clock: Clock;
  readonly #spacingMs: number;
  readonly #mostOfOne: number;
  /** Those to come, the first one first; `LONGEST_TURN_MS` bounds their number. */
  #taken: Taken[] = [];
  #nextMs = -Infinity;
  readonly #waiting = new Map<Timer, (reason: BvraiError) => void>();
  #isClosed = false;

  constructor({ clock, callsPerSecond }: DialTurnsOptions) {
    this.#clock = clock;
    this.#spacingMs = 1_000 / callsPerSecond;
    this.#mostOfOne = Math.max(1, Math.ceil((LONGEST_TURN_MS / this.#spacingMs) * SHARE_OF_ONE));
  }

  /** Throws `capacity`, with the time after which there is one again, when there is none within {@link LONGEST_TURN_MS}. */
  take(orgId: string): DialTurn {
    if (this.#isClosed) throw stopping();
    const nowMs = this.#clock.nowMs();
    this.#taken = this.#taken.filter(({ atMs }) => atMs > nowMs);
    const atMs = Math.max(nowMs, this.#nextMs);
    const own = this.#taken.filter((taken) => taken.orgId === orgId);
    const [firstOfOwn] = own;
    if (atMs - nowMs > LONGEST_TURN_MS) throw tooMany(atMs - nowMs - LONGEST_TURN_MS);
    if (firstOfOwn && own.length >= this.#mostOfOne) throw tooMany(firstOfOwn.atMs - nowMs);
    this.#nextMs = atMs + this.#spacingMs;
    if (atMs > nowMs) this.#taken.push({ orgId, atMs });
    return { waitMs: atMs - nowMs, come: () => this.#until(atMs) };
  }

  /** Nobody has a turn any more. */
  close(): void {
    this.#isClosed = true;
    for (const [timer, reject] of this.#waiting) {
      timer.cancel();
      reject(stopping());
    }
    this.#waiting.clear();
  }

  #until(atMs: number): Promise<void> {
    const waitMs = atMs - this.#clock.nowMs();
    if (this.#isClosed) return Promise.reject(stopping());
    if (waitMs <= 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(waitMs, () => {
        this.#waiting.delete(timer);
        resolve();
      });
      this.#waiting.set(timer, reject);
    });
  }
}

const tooMany = (retryAfterMs: number): BvraiError =>
  new BvraiError(
    'capacity',
    'More calls are waiting to be rung than may wait (TWILIO_CALLS_PER_SECOND). Try again when Retry-After says.',
    { retryAfterMs },
  );

const stopping = (): BvraiError => new BvraiError('capacity', 'The server is shutting down; the call was not rung.');
