/** Follows the events of calls as the database keeps them: what has happened first, then what happens, in one order. */
import { and, asc, eq, gt, sql } from 'drizzle-orm';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../../core/log.ts';
import { callEvents, calls } from '../db/schema.ts';
import type { JsonObject } from '../db/schema.ts';
import type { TenantDoor, Transaction } from '../db/tenant.ts';

/** One event; `id` orders all events of an organization and is what a follower resumes behind. */
export interface FeedEvent {
  readonly id: number;
  readonly callId: string;
  readonly type: string;
  readonly body: JsonObject;
}

export interface FeedRequest {
  readonly orgId: string;
  /** One call; undefined: all of the organization. */
  readonly callId?: string | undefined;
  /** Events behind this one. */
  readonly after: number;
  readonly signal: AbortSignal;
  /** Takes some, in their order; resolves when it can take more. Must not reject. */
  readonly onEvents: (events: readonly FeedEvent[]) => Promise<void>;
}

/** Events of other servers, and those whose wake-up was missed, come at latest so much later. */
const POLL_MS = 1_000;
const RETRY_MS = 1_000;
const BATCH = 500;
/** Between two reads of a follower; the recorder gathers about as long. */
const LEAST_PAUSE_MS = 100;

interface Outcome {
  readonly events: readonly FeedEvent[];
  readonly ended: boolean;
}

/**
 * Wakes the followers in this process whenever its recorder has written; the database is asked anyway once a second. Followers that stand at the
 * same place share one read, so that a hundred of an organization ask as often as one.
 */
export class EventFeed {
  readonly #door: TenantDoor;
  readonly #log: Log;
  readonly #sleepers = new Map<string, Set<() => void>>();
  /** By what was asked, and after how many wakes: a read that began before a wake may not know what was written. */
  readonly #reads = new Map<string, Promise<Outcome | undefined>>();
  #wakes = 0;

  constructor(door: TenantDoor, log: Log) {
    this.#door = door;
    this.#log = log;
  }

  /** New events of these organizations can be read now. */
  wake(orgIds: readonly string[]): void {
    this.#wakes++;
    for (const orgId of orgIds) for (const wake of this.#sleepers.get(orgId) ?? []) wake();
  }

  /** The newest event of an organization; 0: there is none. */
  async newest(orgId: string): Promise<number> {
    return this.#door.inTenant(orgId, async (tx) => {
      const [row] = await tx
        .select({ id: sql<number>`coalesce(max(${callEvents.id}), 0)`.mapWith(Number) })
        .from(callEvents)
        .where(eq(callEvents.orgId, orgId));
      return row?.id ?? 0;
    });
  }

  /** Resolves when `signal` aborts, or when the one call has ended and all of it was told. An outage only delays. */
  async follow(request: FeedRequest): Promise<void> {
    const { orgId, callId, signal, onEvents } = request;
    let { after } = request;
    while (!signal.aborted) {
      const woken = this.#nextWake(orgId, signal);
      const readAtMs = performance.now();
      const outcome = await this.#readTogether(orgId, callId, after);
      if (outcome === undefined) {
        await sleep(RETRY_MS, undefined, { signal }).catch(() => {});
        continue;
      }
      const newest = outcome.events.at(-1);
      if (newest && !signal.aborted) {
        after = newest.id;
        await onEvents(outcome.events);
      }
      if (outcome.events.length === BATCH) continue;
      if (outcome.ended) return;
      await woken;
      const pauseMs = LEAST_PAUSE_MS - (performance.now() - readAtMs);
      if (pauseMs > 0) await sleep(pauseMs, undefined, { signal }).catch(() => {});
    }
  }

  #readTogether(orgId: string, callId: string | undefined, after: number): Promise<Outcome | undefined> {
    const key = `${orgId} ${callId ?? ''} ${after} ${this.#wakes}`;
    const known = this.#reads.get(key);
    if (known) return known;
    const reading = this.#read(orgId, callId, after);
    this.#reads.set(key, reading);
    // Not as long as a follower waits at least, so that nobody is told the same twice.
    setTimeout(() => this.#reads.delete(key), LEAST_PAUSE_MS / 2).unref();
    return reading;
  }

  async #read(orgId: string, callId: string | undefined, after: number): Promise<Outcome | undefined> {
    try {
      return await this.#door.inTenant(orgId, async (tx) => {
        // Asked first: whoever has ended says nothing after it.
        const ended = callId !== undefined && (await hasEnded(tx, callId));
        return { events: await readBehind(tx, { orgId, callId, after }), ended };
      });
    } catch (thrown) {
      this.#log.warn({ err: thrown }, 'events cannot be read for their followers; trying again');
      return undefined;
    }
  }

  #nextWake(orgId: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const sleepers = this.#sleepers.get(orgId) ?? new Set();
      this.#sleepers.set(orgId, sleepers);
      const wake = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', wake);
        sleepers.delete(wake);
        if (sleepers.size === 0 && this.#sleepers.get(orgId) === sleepers) this.#sleepers.delete(orgId);
        resolve();
      };
      const timer = setTimeout(wake, POLL_MS);
      signal.addEventListener('abort', wake, { once: true });
      sleepers.add(wake);
    });
  }
}

async function hasEnded(tx: Transaction, callId: string): Promise<boolean> {
  const [row] = await tx.select({ endedAt: calls.endedAt }).from(calls).where(eq(calls.id, callId));
  return row === undefined || row.endedAt !== null;
}

async function readBehind(
  tx: Transaction,
  { orgId, callId, after }: Pick<FeedRequest, 'orgId' | 'callId' | 'after'>,
): Promise<FeedEvent[]> {
  const rows = await tx
    .select({
      id: callEvents.id,
      callId: callEvents.callId,
      seq: callEvents.seq,
      type: callEvents.type,
      atMs: callEvents.atMs,
      payload: callEvents.payload,
    })
    .from(callEvents)
    .where(
      and(
        eq(callEvents.orgId, orgId),
        gt(callEvents.id, after),
        callId === undefined ? undefined : eq(callEvents.callId, callId),
      ),
    )
    .orderBy(asc(callEvents.id))
    .limit(BATCH);
  return rows.map(({ id, callId: call, seq, type, atMs, payload }) => ({
    id,
    callId: call,
    type,
    body: { ...payload, type, at_ms: atMs, seq, call_id: call },
  }));
}
