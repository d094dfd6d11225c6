/** Follows the events of calls as the database keeps them: what has happened first, then what happens, in one order. */
import { and, asc, eq, gt, inArray, isNull, sql } from 'drizzle-orm';
import type { Log } from '../../core/log.ts';
import { callEvents, calls } from '../db/schema.ts';
import type { TenantDoor, Transaction } from '../db/tenant.ts';
import { BATCH, FeedReader, RETRY_MS, pause } from './feed-reader.ts';
import type { FeedEvent, Reading, Untold } from './feed-reader.ts';

export type { FeedEvent } from './feed-reader.ts';

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

interface CaughtUp {
  readonly events: readonly FeedEvent[];
  /** What the reader had kept before these were read: nothing up to here is missing. */
  readonly since: number | undefined;
}

/**
 * Each organization that is followed has one reader, which is woken whenever this process's recorder has written and asks once a second
 * anyway. Its followers take from it, each at its own pace; those that stand further back read for themselves until they have come up
 * to it.
 */
export class EventFeed {
  readonly #door: TenantDoor;
  readonly #log: Log;
  readonly #readers = new Map<string, FeedReader>();
  /** By what was asked: followers that come back all at once stand at the same place. */
  readonly #catchingUp = new Map<string, Promise<CaughtUp>>();

  constructor(door: TenantDoor, log: Log) {
    this.#door = door;
    this.#log = log;
  }

  /** New events of these organizations can be read now. */
  wake(orgIds: readonly string[]): void {
    for (const orgId of orgIds) this.#readers.get(orgId)?.wake();
  }

  /** The newest event of an organization; 0: there is none. */
  newest(orgId: string): Promise<number> {
    return this.#door.inTenant(orgId, (tx) => readNewest(tx, orgId));
  }

  /** Resolves when `signal` aborts, or when the one call has ended and all of it was told. An outage only delays. */
  async follow(request: FeedRequest): Promise<void> {
    const { orgId, callId } = request;
    const reader = this.#readerOf(orgId);
    reader.join(callId);
    try {
      await this.#tell(reader, request);
    } finally {
      if (reader.leave(callId)) {
        this.#readers.delete(orgId);
        await reader.close();
      }
    }
  }

  async #tell(reader: FeedReader, { orgId, callId, after, signal, onEvents }: FeedRequest): Promise<void> {
    let position = after;
    while (!signal.aborted) {
      const { rounds } = reader;
      const untold = reader.behind(position, callId) ?? (await this.#catchUp(reader, { orgId, callId, position }));
      if (untold === undefined) {
        await pause(RETRY_MS, signal);
        continue;
      }
      if (untold.events.length > 0 && !signal.aborted) await onEvents(untold.events);
      ({ position } = untold);
      if (untold.isEnd) return;
      if (!untold.isPart) await reader.roundAfter(rounds, signal);
    }
  }

  #readerOf(orgId: string): FeedReader {
    const known = this.#readers.get(orgId);
    if (known) return known;
    const read = (after: number | undefined, callIds: readonly string[]): Promise<Reading> =>
      this.#door.inTenant(orgId, (tx) => readForAll(tx, orgId, after, callIds));
    const reader = new FeedReader({ read, log: this.#log });
    this.#readers.set(orgId, reader);
    return reader;
  }

  /** Undefined: the database is away. */
  async #catchUp(
    reader: FeedReader,
    {
      orgId,
      callId,
      position,
    }: { readonly orgId: string; readonly callId: string | undefined; readonly position: number },
  ): Promise<Untold | undefined> {
    const key = `${orgId} ${callId ?? ''} ${position}`;
    const { since: sinceBefore } = reader;
    const reading =
      this.#catchingUp.get(key) ??
      this.#door
        .inTenant(orgId, (tx) => readBehind(tx, { orgId, callId, after: position }))
        .then((events) => ({ events, since: sinceBefore }))
        .finally(() => this.#catchingUp.delete(key));
    this.#catchingUp.set(key, reading);
    try {
      const { events, since } = await reading;
      const last = events.at(-1)?.id ?? position;
      if (events.length === BATCH) return { events, position: last, isPart: true, isEnd: false };
      return { events, position: Math.max(last, since ?? last), isPart: since !== undefined, isEnd: false };
    } catch (thrown) {
      this.#log.warn({ err: thrown }, 'events cannot be read for a follower; trying again');
      return undefined;
    }
  }
}

async function readNewest(tx: Transaction, orgId: string): Promise<number> {
  const [row] = await tx
    .select({ id: sql<number>`coalesce(max(${callEvents.id}), 0)`.mapWith(Number) })
    .from(callEvents)
    .where(eq(callEvents.orgId, orgId));
  return row?.id ?? 0;
}

async function readForAll(
  tx: Transaction,
  orgId: string,
  after: number | undefined,
  callIds: readonly string[],
): Promise<Reading> {
  // Asked first: whoever has ended says nothing after it.
  const ended = await endedOf(tx, callIds);
  if (after === undefined) return { ended, events: [], newest: await readNewest(tx, orgId) };
  const events = await readBehind(tx, { orgId, callId: undefined, after });
  return { ended, events, newest: events.at(-1)?.id ?? after };
}

/** Of these calls those that have ended, or are gone. */
async function endedOf(tx: Transaction, callIds: readonly string[]): Promise<readonly string[]> {
  if (callIds.length === 0) return [];
  const rows = await tx
    .select({ id: calls.id })
    .from(calls)
    .where(and(inArray(calls.id, [...callIds]), isNull(calls.endedAt)));
  const open = new Set(rows.map(({ id }) => id));
  return callIds.filter((id) => !open.has(id));
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
