/** What followers of events cost the database. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { EventFeed } from '../../../src/control/calls/feed.ts';
import type { FeedEvent } from '../../../src/control/calls/feed.ts';
import { newId } from '../../../src/control/db/ids.ts';
import { callEvents, calls } from '../../../src/control/db/schema.ts';
import type { TenantDoor } from '../../../src/control/db/tenant.ts';
import { silentLog } from '../../../src/core/log.ts';
import { openTestDatabase } from '../../support/database.ts';
import type { TestDatabase } from '../../support/database.ts';
import { foundTenant } from '../../support/tenant.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
}, 60_000);
afterAll(() => db?.close());

it('a hundred followers ask the database about as often as one, and each hears everything once', async () => {
  const { orgId, agentId } = await foundTenant(db.door, 'followed');
  const callId = newId();
  await db.door.inTenant(orgId, (tx) =>
    tx.insert(calls).values({ id: callId, orgId, agentId, agentVersion: 1, direction: 'inbound' }),
  );
  let reads = 0;
  const counted: TenantDoor = {
    ...db.door,
    inTenant: (...parameters) => {
      reads++;
      return db.door.inTenant(...parameters);
    },
  };
  const feed = new EventFeed(counted, silentLog);
  const stop = new AbortController();
  const after = await feed.newest(orgId);
  const heard: number[][] = [];
  const following = Array.from({ length: 100 }, (_, index) => {
    heard[index] = [];
    const onEvents = async (events: readonly FeedEvent[]): Promise<void> =>
      void heard[index]?.push(...events.map(({ id }) => id));
    return feed.follow({ orgId, after, signal: stop.signal, onEvents });
  });
  for (let seq = 0; seq < 10; seq++) {
    const event = { orgId, callId, seq, type: 'call-started', atMs: 0, payload: {} };
    await db.door.inTenant(orgId, (tx) => tx.insert(callEvents).values(event));
    feed.wake([orgId]);
    await sleep(100);
  }
  await expect.poll(() => heard.every((ids) => ids.length === 10), { timeout: 10_000 }).toBe(true);
  stop.abort();
  await Promise.all(following);
  expect(new Set(heard.map((ids) => ids.join())).size).toBe(1);
  // Each for itself they would ask some thousand times.
  expect(reads).toBeLessThan(200);
}, 30_000);
