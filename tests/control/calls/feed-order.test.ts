/** That followers of events miss none, whoever writes them: ids can be seen in their order. */
import { eq, sql } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EventFeed } from '../../../src/control/calls/feed.ts';
import { OrphanKeeper } from '../../../src/control/calls/orphans.ts';
import { lockEvents } from '../../../src/control/calls/record-writer.ts';
import { newId } from '../../../src/control/db/ids.ts';
import { callEvents, calls, instances } from '../../../src/control/db/schema.ts';
import { silentLog } from '../../../src/core/log.ts';
import { openTestDatabase, testDatabaseUrl } from '../../support/database.ts';
import type { TestDatabase } from '../../support/database.ts';
import { foundTenant } from '../../support/tenant.ts';

const GENEROUS = { timeout: 15_000, interval: 20 };

// The embedded database has one session: no transaction of it can overtake another.
describe.runIf(testDatabaseUrl !== undefined)('the end of an orphan', () => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await openTestDatabase();
  }, 60_000);
  afterAll(() => db?.close());

  it('is not told before what a transaction that began earlier has to say: a follower would never hear that', async () => {
    const { orgId, agentId } = await foundTenant(db.door, 'ordered');
    const [instanceId, deadId, nodeId] = [newId(), newId(), newId()];
    const insertCall = async (owner: string): Promise<string> => {
      const id = newId();
      const values = { id, orgId, agentId, agentVersion: 1, direction: 'inbound', status: 'in_progress' } as const;
      await db.door.inTenant(orgId, (tx) => tx.insert(calls).values({ ...values, instanceId: owner }));
      return id;
    };
    // An earlier start of the same server.
    await db.door.beforeTenant((tx) => tx.insert(instances).values({ id: deadId, nodeId, host: 'here' }));
    const [living, orphan] = [await insertCall(instanceId), await insertCall(deadId)];
    const hasEnded = async (): Promise<boolean> => {
      const rows = await db.door.inTenant(orgId, (tx) => tx.select().from(calls).where(eq(calls.id, orphan)));
      return rows[0]?.endReason === 'server-restarted';
    };
    const isWaiting = async (): Promise<boolean> => {
      const waiting = await db.asOwner(`SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`);
      return waiting.length > 0;
    };

    const feed = new EventFeed(db.door, silentLog);
    const heard: string[] = [];
    const stop = new AbortController();
    const following = feed.follow({
      orgId,
      after: await feed.newest(orgId),
      signal: stop.signal,
      onEvents: async (events) => void heard.push(...events.map(({ type }) => type)),
    });
    let commit!: () => void;
    const written = new Promise<void>((resolve) => (commit = resolve));
    let hasInserted!: () => void;
    const inserted = new Promise<void>((resolve) => (hasInserted = resolve));
    const writing = db.door.inTenant(orgId, async (tx) => {
      await lockEvents(tx, orgId);
      await tx.insert(callEvents).values({ orgId, callId: living, seq: 1, type: 'call-started', atMs: 0, payload: {} });
      hasInserted();
      await written;
    });
    await inserted;
    const replayed = Promise.resolve();
    const options = { door: db.door, instanceId, nodeId, log: silentLog, replayed, beatEveryMs: 50 };
    const keeper = await OrphanKeeper.start(options);
    try {
      // Whatever it does with the transaction that has not been committed: it waits for it, or does not and is heard first.
      await expect.poll(async () => (await isWaiting()) || heard.includes('call-ended'), GENEROUS).toBe(true);
      commit();
      await writing;
      await expect.poll(hasEnded, GENEROUS).toBe(true);
      await expect.poll(() => heard, GENEROUS).toEqual(['call-started', 'call-ended']);
    } finally {
      commit();
      stop.abort();
      await Promise.all([keeper.close(), following]);
    }
    // Nor is anything told twice.
    const rows = await db.door.inTenant(orgId, (tx) => tx.execute(sql`SELECT type FROM call_events ORDER BY id`));
    expect(rows.rows).toEqual([{ type: 'call-started' }, { type: 'call-ended' }]);
  }, 60_000);
});
