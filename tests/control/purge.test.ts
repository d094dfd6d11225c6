/** The job that removes what has expired. */
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { calls, invitations } from '../../src/control/db/schema.ts';
import { newId } from '../../src/control/db/ids.ts';
import type { TenantDoor } from '../../src/control/db/tenant.ts';
import { Purge } from '../../src/control/purge.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { BvraiError } from '../../src/core/errors.ts';
import { memoryLog, silentLog } from '../../src/core/log.ts';
import { openTestDatabase, testDatabaseUrl } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { foundTenant } from '../support/tenant.ts';

const MINUTE_MS = 60_000;
let db: TestDatabase;
let owner: { orgId: string; userId: string; agentId: string };
beforeAll(async () => {
  db = await openTestDatabase();
  owner = await foundTenant(db.door, 'purged');
}, 90_000);
afterAll(() => db.close());

/** So many refresh tokens and idempotency keys of each kind. */
async function insertTokensAndKeys(expired: number, good: number): Promise<void> {
  const { orgId, userId } = owner;
  const when = sql`now() + CASE WHEN n <= ${expired} THEN -1 ELSE 1 END * interval '1 hour'`;
  await db.door.inTenant(orgId, async (tx) => {
    await tx.execute(sql`INSERT INTO refresh_tokens (id, org_id, user_id, family_id, token_hash, expires_at)
      SELECT gen_random_uuid(), ${orgId}, ${userId}, gen_random_uuid(), gen_random_uuid()::text, ${when}
      FROM generate_series(1, ${expired + good}) AS n`);
    await tx.execute(sql`INSERT INTO idempotency_keys (org_id, key, route, request_hash, expires_at)
      SELECT ${orgId}, gen_random_uuid()::text, 'POST /', 'hash', ${when} FROM generate_series(1, ${expired + good}) AS n`);
  });
}

/** One that expires in so many days. */
async function insertInvitation(inDays: number, acceptedAt: Date | null = null): Promise<string> {
  const [id, expiresAt] = [newId(), new Date(Date.now() + inDays * 86_400_000)];
  const values = { id, orgId: owner.orgId, email: 'grace@example.com', role: 'member', tokenHash: id } as const;
  await db.door.inTenant(owner.orgId, (tx) => tx.insert(invitations).values({ ...values, expiresAt, acceptedAt }));
  return id;
}

/** A server that was heard of so many hours ago. */
async function insertInstance(hoursAgo: number): Promise<string> {
  const id = newId();
  await db.door.beforeTenant((tx) =>
    tx.execute(sql`INSERT INTO instances (id, node_id, host, heartbeat_at)
      VALUES (${id}, ${newId()}, 'host', now() - ${hoursAgo} * interval '1 hour')`),
  );
  return id;
}

async function insertCall(instanceId: string, status: 'in_progress' | 'completed'): Promise<void> {
  const { orgId, agentId } = owner;
  const end = status === 'completed' ? { endedAt: new Date(), endReason: 'caller-hung-up' } : {};
  await db.door.inTenant(orgId, (tx) =>
    tx
      .insert(calls)
      .values({ id: newId(), orgId, direction: 'inbound', agentId, agentVersion: 1, instanceId, status, ...end }),
  );
}

async function counts(): Promise<{ tokens: number; keys: number }> {
  const { rows } = await db.door.inTenant(owner.orgId, (tx) =>
    tx.execute(
      sql`SELECT (SELECT count(*)::int FROM refresh_tokens) AS tokens, (SELECT count(*)::int FROM idempotency_keys) AS keys`,
    ),
  );
  return { tokens: Number(rows[0]?.['tokens']), keys: Number(rows[0]?.['keys']) };
}

async function instanceIds(): Promise<string[]> {
  const { rows } = await db.door.beforeTenant((tx) => tx.execute(sql`SELECT id FROM instances`));
  return rows.map(({ id }) => String(id)).toSorted();
}

describe('the purge', () => {
  it('removes what has expired, in as many steps as it takes, soon after the start and every hour', async () => {
    const clock = new VirtualClock();
    const log = memoryLog();
    const purge = new Purge({ door: db.door, clock, log, random: () => 0.5, batch: 3 });
    await insertTokensAndKeys(10, 2);
    clock.advance(2 * MINUTE_MS);
    expect(await counts()).toEqual({ tokens: 12, keys: 12 });
    clock.advance(MINUTE_MS);
    await expect.poll(counts, { timeout: 10_000 }).toEqual({ tokens: 2, keys: 2 });
    await expect.poll(() => log.lines.map(({ fields }) => fields), { timeout: 10_000 }).toEqual([{ rows: 20 }]);

    await insertTokensAndKeys(1, 0);
    clock.advance(59 * MINUTE_MS);
    expect(await counts()).toEqual({ tokens: 3, keys: 3 });
    clock.advance(MINUTE_MS);
    await expect.poll(counts, { timeout: 10_000 }).toEqual({ tokens: 2, keys: 2 });
    await purge.close();
    expect(clock.pendingTimers).toBe(0);
  });

  it('removes invitations that nobody has accepted, a month after they expired, and leaves the others', async () => {
    const old = [await insertInvitation(-31), await insertInvitation(-400)];
    const kept = [
      await insertInvitation(-29),
      await insertInvitation(6),
      // It says how somebody came to be a member.
      await insertInvitation(-31, new Date()),
    ];
    const ids = async (): Promise<string[]> =>
      (await db.door.inTenant(owner.orgId, (tx) => tx.select({ id: invitations.id }).from(invitations))).map(
        ({ id }) => id,
      );
    expect((await ids()).toSorted()).toEqual([...old, ...kept].toSorted());
    const clock = new VirtualClock();
    // As many steps as it takes.
    const purge = new Purge({ door: db.door, clock, log: silentLog, random: () => 0, batch: 1 });
    clock.advance(0);
    await expect.poll(async () => (await ids()).toSorted(), { timeout: 10_000 }).toEqual(kept.toSorted());
    await purge.close();
  });

  it('removes servers that are long gone, unless they have a call to be closed', async () => {
    const [gone, quiet, withEnded, withOpen] = [
      await insertInstance(25),
      await insertInstance(23),
      await insertInstance(48),
      await insertInstance(48),
    ];
    await insertCall(withEnded, 'completed');
    await insertCall(withOpen, 'in_progress');
    expect(await instanceIds()).toEqual([gone, quiet, withEnded, withOpen].toSorted());
    const clock = new VirtualClock();
    const purge = new Purge({ door: db.door, clock, log: silentLog, random: () => 0 });
    clock.advance(0);
    await expect.poll(instanceIds, { timeout: 10_000 }).toEqual([quiet, withOpen].toSorted());
    await purge.close();
  });

  it('goes on after a failure, and does not run in step with others', async () => {
    const clock = new VirtualClock();
    const asked: number[] = [];
    const door = {
      beforeTenant: () => {
        asked.push(clock.nowMs() / MINUTE_MS);
        return Promise.reject(new BvraiError('db.unavailable', 'planted'));
      },
    };
    const log = memoryLog();
    const draws = [0.2, 0, 1];
    const purge = new Purge({ door, clock, log, random: () => draws.shift() ?? 0.5 });
    for (const [afterMinutes, times] of [
      [1, 1],
      [45, 2],
      [75, 3],
    ] as const) {
      clock.advance(afterMinutes * MINUTE_MS);
      await expect.poll(() => log.lines.length).toBe(times);
    }
    expect(asked).toEqual([1, 46, 121]);
    await purge.close();
  });

  it('waits at its end for the step under way, and takes no other', async () => {
    const clock = new VirtualClock();
    let steps = 0;
    let finishStep = (): void => {};
    const door: Pick<TenantDoor, 'beforeTenant'> = {
      async beforeTenant(work) {
        steps++;
        await new Promise<void>((resolve) => (finishStep = resolve));
        return db.door.beforeTenant(work);
      },
    };
    await insertTokensAndKeys(3, 0);
    const purge = new Purge({ door, clock, log: silentLog, random: () => 0, batch: 1 });
    clock.advance(0);
    let closed = false;
    const closing = purge.close().then(() => (closed = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect(closed).toBe(false);
    finishStep();
    await closing;
    expect(steps).toBe(1);
    expect(await counts()).toEqual({ tokens: 4, keys: 4 });
    expect(clock.pendingTimers).toBe(0);
  });

  it.runIf(testDatabaseUrl !== undefined)('is done by one server at a time', async () => {
    const before = await counts();
    await insertTokensAndKeys(1, 0);
    await db.database.withConnection(async (connection) => {
      await connection.run(`BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('purge_expired', 0))`);
      const clock = new VirtualClock();
      const purge = new Purge({ door: db.door, clock, log: silentLog, random: () => 0 });
      clock.advance(0);
      await purge.close();
      expect(await counts()).toEqual({ tokens: before.tokens + 1, keys: before.keys + 1 });
      await connection.run('COMMIT');
    });
  });
});
