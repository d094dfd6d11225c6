/** Who listens to the database's notifications, and how they are told: one that throws is logged and keeps nobody from hearing. */
import type { Log } from '../../core/log.ts';
import type { NotificationListener } from './database.ts';

export class NotificationListeners {
  readonly #log: Log;
  readonly #all = new Set<NotificationListener>();

  constructor(log: Log) {
    this.#log = log;
  }

  get all(): readonly NotificationListener[] {
    return [...this.#all];
  }

  /** Returns what ends it. */
  add(listener: NotificationListener): () => void {
    this.#all.add(listener);
    return () => this.#all.delete(listener);
  }

  clear(): void {
    this.#all.clear();
  }

  /** Its channel is heard from now on. */
  connected(listener: NotificationListener): void {
    this.#safely(listener, () => listener.onConnected());
  }

  deliver(channel: string, payload: string): void {
    for (const listener of this.#all) {
      if (listener.channel === channel) this.#safely(listener, () => listener.onNotification(payload));
    }
  }

  #safely(listener: NotificationListener, work: () => void): void {
    try {
      work();
    } catch (thrown) {
      this.#log.error({ err: thrown, channel: listener.channel }, 'a listener to database notifications failed');
    }
  }
}
