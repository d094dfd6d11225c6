/** What followers of events cost the database, and that each hears everything once, whatever the others do. */
import { setTimeout as sleep } from 'node:timers/promises';
import { eq, sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EventFeed } from '../../../src/control/calls/feed.ts';
import type { FeedEvent, FeedRequest } from '../../../src/control/calls/feed.ts';
import { newId } from '../../../src/control/db/ids.ts';
import { callEvents, calls } from '../../../src/control/db/schema.ts';
import type { TenantDoor } from '../../../src/control/db/tenant.ts';
import { BvraiError } from '../../../src/core/errors.ts';
import { silentLog } from '../../../src/core/log.ts';
import { openTestDatabase } from '../../support/database.ts';
import type { TestDatabase } from '../../support/database.ts';
import { foundTenant } from '../../support/tenant.ts';

const GENEROUS = { timeout: 15_000, interval: 20 };

let db: TestDatabase;
let orgId: string;
let agentId: string;
let reads = 0;
let isAway = false;
let feed: EventFeed;
let tenants = 0;

beforeAll(async () => {
  db = await openTestDatabase();
}, 60_000);
afterAll(() => db?.close());
beforeEach(async () => {
  ({ orgId, agentId } = await foundTenant(db.door, `followed-${++tenants}`));
  const counted: TenantDoor = {
    ...db.door,
    inTenant: (...parameters) => {
      reads++;
      return isAway ? Promise.reject(new BvraiError('db.unavailable', 'planted')) : db.door.inTenant(...parameters);
    },
  };
  feed = new EventFeed(counted, silentLog);
});

async function insertCall(): Promise<string> {
  const id = newId();
  const values = { id, orgId, agentId, agentVersion: 1, direction: 'inbound' } as const;
  await db.door.inTenant(orgId, (tx) => tx.insert(calls).values(values));
  return id;
}
/** Of one call, with these numbers. */
async function write(callId: string, ...seqs: readonly number[]): Promise<void> {
  const rows = seqs.map((seq) => ({ orgId, callId, seq, type: 'x', atMs: 0, payload: {} }));
  await db.door.inTenant(orgId, (tx) => tx.insert(callEvents).values(rows));
  feed.wake([orgId]);
}
const end = (callId: string): Promise<unknown> =>
  db.door.inTenant(orgId, (tx) =>
    tx.update(calls).set({ status: 'failed', endReason: 'x', endedAt: new Date() }).where(eq(calls.id, callId)),
  );

interface Follower {
  /** `call seq`, in the order in which they were heard. */
  readonly heard: string[];
  readonly done: Promise<void>;
  readonly stop: () => Promise<void>;
}

function follow(request: Partial<FeedRequest> = {}): Follower {
  const heard: string[] = [];
  const stopping = new AbortController();
  const onEvents = async (events: readonly FeedEvent[]): Promise<void> =>
    void heard.push(...events.map(({ callId, body }) => `${callId} ${String(body['seq'])}`));
  const done = feed.follow({ orgId, after: 0, signal: stopping.signal, onEvents, ...request });
  return {
    heard,
    done,
    stop: () => {
      stopping.abort();
      return done;
    },
  };
}
const named = (callId: string, ...seqs: readonly number[]): string[] => seqs.map((seq) => `${callId} ${seq}`);

describe('followers', () => {
  it('of a hundred different calls, and of all, ask the database as often as one; each hears its own once', async () => {
    const callIds = await Promise.all(Array.from({ length: 100 }, insertCall));
    for (const callId of callIds) await write(callId, 0);
    const followers = callIds.map((callId) => follow({ callId }));
    const ofAll = Array.from({ length: 5 }, () => follow());
    await expect.poll(() => [...followers, ...ofAll].every(({ heard }) => heard.length > 0), GENEROUS).toBe(true);
    reads = 0;
    const startedMs = performance.now();
    for (let seq = 1; seq <= 10; seq++) {
      const all = callIds.map((callId) => ({ orgId, callId, seq, type: 'x', atMs: 0, payload: {} }));
      await db.door.inTenant(orgId, (tx) => tx.insert(callEvents).values(all));
      feed.wake([orgId]);
      await sleep(100);
    }
    const heardAll = (): boolean => followers.every(({ heard }) => heard.length === 11);
    await expect.poll(heardAll, GENEROUS).toBe(true);
    await expect.poll(() => ofAll.map(({ heard }) => heard.length), GENEROUS).toEqual(ofAll.map(() => 1_100));
    // A read for each wake, and no pause shorter than 100 ms; each for itself they would have asked more than a thousand times.
    expect(reads).toBeLessThanOrEqual(Math.ceil((performance.now() - startedMs) / 100) + 10);
    for (const [index, { heard }] of followers.entries())
      expect(heard).toEqual(named(callIds[index] ?? '', 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
    for (const { heard } of ofAll) expect(new Set(heard).size).toBe(1_100);
    await Promise.all([...followers, ...ofAll].map(({ stop }) => stop()));
    reads = 0;
    await sleep(1_500);
    // Nobody is left for whom anything would be read.
    expect(reads).toBe(0);
  }, 60_000);

  it('hear all of a long past in its order, and what happens meanwhile', async () => {
    const callId = await insertCall();
    await db.door.inTenant(orgId, (tx) =>
      tx.execute(sql`INSERT INTO call_events (org_id, call_id, seq, type, at_ms)
        SELECT ${orgId}, ${callId}, n, 'x', 0 FROM generate_series(0, 1199) AS n`),
    );
    const [early, late] = [follow({ callId }), follow()];
    await write(callId, 1_200);
    await expect.poll(() => early.heard.length, GENEROUS).toBe(1_201);
    const latest = follow({ after: await feed.newest(orgId) });
    await expect.poll(() => late.heard.length, GENEROUS).toBe(1_201);
    await write(callId, 1_201);
    for (const { heard } of [early, late]) {
      await expect.poll(() => heard.length, GENEROUS).toBe(1_202);
      expect(heard).toEqual(named(callId, ...Array.from({ length: 1_202 }, (_, seq) => seq)));
    }
    await expect.poll(() => latest.heard, GENEROUS).toEqual(named(callId, 1_201));
    await Promise.all([early, late, latest].map(({ stop }) => stop()));
  }, 60_000);

  it('that take their time hold nobody up, and hear everything when they come back', async () => {
    const callId = await insertCall();
    let goOn!: () => void;
    const holding = new Promise<void>((resolve) => (goOn = resolve));
    const slowly: number[] = [];
    const slow = follow({
      onEvents: async (events) => {
        slowly.push(...events.map(({ body }) => Number(body['seq'])));
        await holding;
      },
    });
    const quick = follow();
    await write(callId, 0);
    await expect.poll(() => slowly, GENEROUS).toEqual([0]);
    // More than is kept for anybody.
    for (let from = 1; from < 3_001; from += 300)
      await write(callId, ...Array.from({ length: 300 }, (_, index) => from + index));
    await expect.poll(() => quick.heard.length, GENEROUS).toBe(3_001);
    expect(slowly).toEqual([0]);
    goOn();
    await expect.poll(() => slowly.length, GENEROUS).toBe(3_001);
    expect(slowly).toEqual(Array.from({ length: 3_001 }, (_, seq) => seq));
    await Promise.all([slow, quick].map(({ stop }) => stop()));
  }, 60_000);

  it('of a call that ends, or has ended, are done when they have heard it all', async () => {
    const [ending, other] = [await insertCall(), await insertCall()];
    await write(ending, 0);
    const [first, second, bystander] = [
      follow({ callId: ending }),
      follow({ callId: ending }),
      follow({ callId: other }),
    ];
    await expect.poll(() => first.heard.length, GENEROUS).toBe(1);
    await write(ending, 1);
    await end(ending);
    await Promise.all([first.done, second.done]);
    const late = follow({ callId: ending });
    await late.done;
    for (const { heard } of [first, second, late]) expect(heard).toEqual(named(ending, 0, 1));
    await write(other, 0);
    await expect.poll(() => bystander.heard, GENEROUS).toEqual(named(other, 0));
    await bystander.stop();
    // With no reader there yet.
    const alone = follow({ callId: ending, after: 0 });
    await alone.done;
    expect(alone.heard).toEqual(named(ending, 0, 1));
  }, 60_000);

  it('hear everything after an outage, whether they came before it or in it', async () => {
    const callId = await insertCall();
    const before = follow();
    await write(callId, 0);
    await expect.poll(() => before.heard.length, GENEROUS).toBe(1);
    isAway = true;
    await write(callId, 1);
    const meanwhile = follow({ callId });
    await sleep(300);
    isAway = false;
    await write(callId, 2);
    for (const { heard } of [before, meanwhile])
      await expect.poll(() => heard, GENEROUS).toEqual(named(callId, 0, 1, 2));
    await Promise.all([before, meanwhile].map(({ stop }) => stop()));
  }, 60_000);
});
