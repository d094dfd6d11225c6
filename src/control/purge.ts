/** Removes what has expired, now and then. */
import type { Clock, Timer } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import { purgeExpired } from './db/lookups.ts';
import type { TenantDoor } from './db/tenant.ts';

export interface PurgeOptions {
  readonly door: Pick<TenantDoor, 'beforeTenant'>;
  readonly clock: Clock;
  readonly log: Log;
  /** From 0 to 1, as Math.random gives it. */
  readonly random: () => number;
  /** Rows of a kind in one transaction. */
  readonly batch?: number;
}

/** Soon after the start, for servers that never live for an hour. */
const FIRST_WITHIN_MS = 5 * 60_000;
const EVERY_MS = 60 * 60_000;
/** Servers that started together must not stay in step. */
const JITTER = 0.25;
const BATCH = 5_000;

/** One job for each server; the database lets one of them work at a time. */
export class Purge {
  readonly #options: PurgeOptions;
  readonly #stop = new AbortController();
  #timer: Timer;
  #running: Promise<void> = Promise.resolve();

  constructor(options: PurgeOptions) {
    this.#options = options;
    this.#timer = this.#after(FIRST_WITHIN_MS * options.random());
  }

  /** Begins nothing any more, and waits for the transaction under way. Idempotent. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#timer.cancel();
    await this.#running;
  }

  #after(delayMs: number): Timer {
    return this.#options.clock.after(delayMs, () => {
      this.#running = this.#run();
    });
  }

  async #run(): Promise<void> {
    const { log, random } = this.#options;
    try {
      const rows = await this.#purgeAll();
      if (rows > 0) log.info({ rows }, 'what had expired was removed');
    } catch (thrown) {
      log.warn({ err: thrown }, 'what has expired was not removed');
    }
    if (!this.#stop.signal.aborted) this.#timer = this.#after(EVERY_MS * (1 + JITTER * (2 * random() - 1)));
  }

  async #purgeAll(): Promise<number> {
    const { door, batch = BATCH } = this.#options;
    let rows = 0;
    let purged: number;
    do {
      purged = await door.beforeTenant((tx) => purgeExpired(tx, batch));
      rows += purged;
    } while (purged >= batch && !this.#stop.signal.aborted);
    return rows;
  }
}
