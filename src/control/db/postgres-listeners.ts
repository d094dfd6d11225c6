/** LISTEN over a session of its own, which is opened again whenever it is lost. */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { BvraiError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import type { NotificationListener } from './database.ts';
import { toDatabaseError } from './errors.ts';
import { NotificationListeners } from './notification-listeners.ts';

const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5_000;
/** A session that nobody hears from may be half-open: it is asked for a sign of life this often. */
const PROBE_EVERY_MS = 5_000;

/**
 * Modes: idle (no listener: no session), connected, and between two sessions. One loop (`#follow`) runs while there are
 * listeners; it alone opens and ends sessions.
 */
export class PostgresListeners {
  readonly #settings: pg.ClientConfig;
  readonly #log: Log;
  readonly #listeners: NotificationListeners;
  readonly #stop = new AbortController();
  #loop: Promise<void> | undefined;
  #client: pg.Client | undefined;

  constructor(settings: pg.ClientConfig, log: Log) {
    this.#settings = settings;
    this.#log = log;
    this.#listeners = new NotificationListeners(log);
  }

  /** Hears `listener.channel` until the result is called. */
  add(listener: NotificationListener): () => void {
    if (this.#stop.signal.aborted) throw new BvraiError('db.unavailable', 'The database is closed.');
    const remove = this.#listeners.add(listener);
    if (this.#client) this.#hear(this.#client, [listener]);
    this.#loop ??= this.#follow();
    return remove;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#listeners.clear();
    await this.#loop;
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop;
    let retryMs = FIRST_RETRY_MS;
    while (!signal.aborted) {
      try {
        await this.#session(() => (retryMs = FIRST_RETRY_MS));
      } catch (thrown) {
        if (signal.aborted) return;
        this.#log.warn(
          { err: toDatabaseError(thrown), retryMs },
          'database notifications are not heard; connecting again',
        );
      }
      await sleep(retryMs, undefined, { signal }).catch(() => {});
      retryMs = Math.min(retryMs * 2, LAST_RETRY_MS);
    }
  }

  /** One session, from its opening until it is lost (throws) or the listeners are closed (returns). */
  async #session(onConnected: () => void): Promise<void> {
    const client = new pg.Client(this.#settings);
    const lost = new Promise<never>((_, reject) => {
      client.on('error', reject);
      client.on('end', () => reject(new BvraiError('db.unavailable', 'The session for notifications ended.')));
    });
    // Whoever waits for it hears of it; until then it must not count as unhandled.
    lost.catch(() => {});
    client.on('notification', ({ channel, payload }) => this.#listeners.deliver(channel, payload ?? ''));
    try {
      await client.connect();
      this.#client = client;
      onConnected();
      this.#hear(client, this.#listeners.all);
      const { signal } = this.#stop;
      while (!signal.aborted) {
        await Promise.race([sleep(PROBE_EVERY_MS, undefined, { signal, ref: false }).catch(() => {}), lost]);
        if (!signal.aborted) await client.query('SELECT 1');
      }
    } finally {
      this.#client = undefined;
      // A session that hangs cannot be ended politely.
      await Promise.race([client.end().catch(() => {}), sleep(1_000, undefined, { ref: false })]);
    }
  }

  #hear(client: pg.Client, listeners: readonly NotificationListener[]): void {
    for (const listener of listeners) {
      client.query(`LISTEN ${pg.escapeIdentifier(listener.channel)}`).then(
        () => this.#listeners.connected(listener),
        // The session is lost, and with it this listener's turn comes again.
        (thrown: unknown) =>
          this.#log.warn({ err: toDatabaseError(thrown), channel: listener.channel }, 'LISTEN failed'),
      );
    }
  }
}
