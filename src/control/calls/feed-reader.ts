/** Reads the events of one organization for all who follow them. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../../core/log.ts';
import type { JsonObject } from '../db/schema.ts';

/** One event; `id` orders all events of an organization and is what a follower resumes behind. */
export interface FeedEvent {
  readonly id: number;
  readonly callId: string;
  readonly type: string;
  readonly body: JsonObject;
}

/** What one question finds out. */
export interface Reading {
  /** Those behind the last one, or behind the newest of all when nothing was read before; {@link BATCH} at most. */
  readonly events: readonly FeedEvent[];
  /** The last of these; what was asked behind if there is none. */
  readonly newest: number;
  /** Of the calls that were asked for those that had ended before the events were read. */
  readonly ended: readonly string[];
}

export interface FeedReaderOptions {
  /** Events behind `after` (undefined: none, only which is the newest), and which of these calls have ended. */
  readonly read: (after: number | undefined, callIds: readonly string[]) => Promise<Reading>;
  readonly log: Log;
}

/** What a follower has not been told yet. */
export interface Untold {
  readonly events: readonly FeedEvent[];
  /** Where the follower stands when it has been told. */
  readonly position: number;
  /** There is more already. */
  readonly isPart: boolean;
  /** The one call has ended, and this is all of it. */
  readonly isEnd: boolean;
}

/** In one question. */
export const BATCH = 500;
/** Events of other servers, and those whose wake-up was missed, come at latest so much later. */
const POLL_MS = 1_000;
export const RETRY_MS = 1_000;
/** Between two questions; the recorder gathers about as long. */
const LEAST_PAUSE_MS = 100;
/** For followers that take their time; who is further behind than this asks for itself. */
const MAX_KEPT = 2_000;

/** Lives while it has followers. Modes: starting (it does not know yet where the events stand), following, closed. */
export class FeedReader {
  readonly #options: FeedReaderOptions;
  readonly #stop = new AbortController();
  readonly #loop: Promise<void>;
  /** In their order, without a gap between `#since` and `#newest`. */
  #events: FeedEvent[] = [];
  #since: number | undefined;
  #newest: number | undefined;
  /** How many follow each call; and those calls that have ended, all of whose events were read. */
  readonly #followed = new Map<string, number>();
  readonly #over = new Set<string>();
  #followers = 0;
  #rounds = 0;
  readonly #waiting = new Set<() => void>();
  #isWoken = false;
  #onWake: (() => void) | undefined;

  constructor(options: FeedReaderOptions) {
    this.#options = options;
    this.#loop = this.#run();
  }

  /** The events behind it are kept. Undefined: none are yet. */
  get since(): number | undefined {
    return this.#since;
  }

  /** Counts the questions that were answered. */
  get rounds(): number {
    return this.#rounds;
  }

  join(callId: string | undefined): void {
    this.#followers++;
    if (callId === undefined) return;
    this.#followed.set(callId, (this.#followed.get(callId) ?? 0) + 1);
    // It may have ended already.
    this.wake();
  }

  /** True: nobody is left, and it is to be closed. */
  leave(callId: string | undefined): boolean {
    const left = callId === undefined ? 0 : (this.#followed.get(callId) ?? 0) - 1;
    if (callId !== undefined && left > 0) this.#followed.set(callId, left);
    else if (callId !== undefined) {
      this.#followed.delete(callId);
      this.#over.delete(callId);
    }
    return --this.#followers === 0;
  }

  /** There may be new events. */
  wake(): void {
    this.#isWoken = true;
    this.#onWake?.();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#onWake?.();
    await this.#loop;
  }

  /** What is kept behind `position`, of one call or of all. Undefined: not all of that is. */
  behind(position: number, callId: string | undefined): Untold | undefined {
    if (this.#since === undefined || this.#newest === undefined || position < this.#since) return undefined;
    let first = this.#events.length;
    while (first > 0 && (this.#events[first - 1]?.id ?? 0) > position) first--;
    const fresh = this.#events.slice(first).filter((event) => callId === undefined || event.callId === callId);
    const events = fresh.slice(0, BATCH);
    const last = events.at(-1);
    if (last && fresh.length > BATCH) return { events, position: last.id, isPart: true, isEnd: false };
    const isEnd = callId !== undefined && this.#over.has(callId);
    return { events, position: Math.max(position, this.#newest), isPart: false, isEnd };
  }

  /** Resolves when more rounds than these have ended, or `signal` aborts. */
  async roundAfter(rounds: number, signal: AbortSignal): Promise<void> {
    if (this.#rounds > rounds || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const settle = (): void => {
        this.#waiting.delete(settle);
        signal.removeEventListener('abort', settle);
        resolve();
      };
      this.#waiting.add(settle);
      signal.addEventListener('abort', settle, { once: true });
    });
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const startedMs = performance.now();
      this.#isWoken = false;
      try {
        if (!(await this.#round())) continue;
        await this.#untilWoken();
        await pause(LEAST_PAUSE_MS - (performance.now() - startedMs), signal);
      } catch (thrown) {
        this.#options.log.warn({ err: thrown }, 'events cannot be read for their followers; trying again');
        await pause(RETRY_MS, signal);
      }
    }
  }

  /** False: there is more to be read. */
  async #round(): Promise<boolean> {
    const { events, newest, ended } = await this.#options.read(this.#newest, [...this.#followed.keys()]);
    const isAll = events.length < BATCH;
    this.#since ??= newest;
    this.#newest = newest;
    this.#events.push(...events);
    const dropped = this.#events.splice(0, this.#events.length - MAX_KEPT).at(-1);
    if (dropped) this.#since = dropped.id;
    if (isAll) for (const callId of ended) if (this.#followed.has(callId)) this.#over.add(callId);
    this.#rounds++;
    for (const settle of this.#waiting) settle();
    return isAll;
  }

  async #untilWoken(): Promise<void> {
    if (this.#isWoken || this.#stop.signal.aborted) return;
    await new Promise<void>((resolve) => {
      const settle = (): void => {
        clearTimeout(timer);
        this.#onWake = undefined;
        resolve();
      };
      const timer = setTimeout(settle, POLL_MS);
      this.#onWake = settle;
    });
  }
}

/** Shorter when `signal` aborts. */
export async function pause(forMs: number, signal: AbortSignal): Promise<void> {
  if (forMs > 0) await sleep(forMs, undefined, { signal }).catch(() => {});
}
