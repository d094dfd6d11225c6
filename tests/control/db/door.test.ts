/** The tenant door: what a transaction sees, how it ends, and what its errors say. */
import { eq, sql } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findLogin, findPhoneNumber } from '../../../src/control/db/lookups.ts';
import { newId } from '../../../src/control/db/ids.ts';
import { agents, memberships, organizations, phoneNumbers, users } from '../../../src/control/db/schema.ts';
import type { Transaction } from '../../../src/control/db/tenant.ts';
import { openTestDatabase } from '../../support/database.ts';
import type { TestDatabase } from '../../support/database.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
}, 90_000);
afterAll(() => db.close());

async function register(email: string): Promise<{ orgId: string; userId: string }> {
  const [orgId, userId] = [newId(), newId()];
  await db.door.inTenant(
    orgId,
    async (tx) => {
      await tx.insert(organizations).values({ id: orgId, name: 'Acme' });
      await tx.insert(users).values({ id: userId, email, name: 'Ada', passwordHash: 'hash' });
      await tx.insert(memberships).values({ orgId, userId, role: 'owner' });
    },
    { userId },
  );
  return { orgId, userId };
}

describe('the tenant door', () => {
  it('lets a newcomer register, and finds them by e-mail before a tenant is known', async () => {
    const { orgId, userId } = await register('ada@example.com');
    expect(await db.door.beforeTenant((tx) => findLogin(tx, 'ADA@example.com'))).toEqual({
      user_id: userId,
      password_hash: 'hash',
      status: 'active',
    });
    expect(await db.door.asUser(userId, (tx) => tx.select().from(memberships))).toMatchObject([
      { orgId, role: 'owner' },
    ]);
    expect(await db.door.asUser(userId, (tx) => tx.select().from(organizations))).toMatchObject([{ id: orgId }]);
  });

  it('names the constraint that a conflict is about', async () => {
    await register('twice@example.com');
    await expect(register('twice@example.com')).rejects.toMatchObject({
      code: 'conflict',
      details: { constraint: 'users_email_key' },
    });
  });

  it('shows one tenant nothing of another, and before a tenant nothing at all', async () => {
    const [a, b] = [await register('a@example.com'), await register('b@example.com')];
    const agentId = newId();
    await db.door.inTenant(a.orgId, (tx) => tx.insert(agents).values({ id: agentId, orgId: a.orgId, name: 'Ada' }));
    expect(await db.door.inTenant(a.orgId, (tx) => tx.select().from(agents))).toHaveLength(1);
    expect(await db.door.inTenant(b.orgId, (tx) => tx.select().from(agents))).toHaveLength(0);
    expect(await db.door.beforeTenant((tx) => tx.select().from(agents))).toHaveLength(0);
    const stolen = db.door.inTenant(b.orgId, (tx) =>
      tx.insert(phoneNumbers).values({ orgId: b.orgId, number: '+15550100', agentId }),
    );
    await expect(stolen).rejects.toMatchObject({ code: 'reference-missing' });
  });

  it('gives a number to its oldest claim', async () => {
    const [a, b] = [await register('first@example.com'), await register('second@example.com')];
    for (const { orgId } of [a, b]) {
      await db.door.inTenant(orgId, (tx) => tx.insert(phoneNumbers).values({ orgId, number: '+15550123' }));
    }
    expect(await db.door.beforeTenant((tx) => findPhoneNumber(tx, '+15550123'))).toMatchObject({ org_id: a.orgId });
  });

  it('rolls back when the call-back throws, and refuses to call a swallowed error a success', async () => {
    const { orgId } = await register('rollback@example.com');
    const failing = db.door.inTenant(orgId, async (tx) => {
      await tx.update(organizations).set({ name: 'Changed' }).where(eq(organizations.id, orgId));
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    const swallowing = db.door.inTenant(orgId, async (tx) => {
      await tx.update(organizations).set({ name: 'Changed' }).where(eq(organizations.id, orgId));
      await tx.execute(sql`SELECT 1/0`).catch(() => {});
    });
    await expect(swallowing).rejects.toMatchObject({ code: 'internal' });
    expect(await db.door.inTenant(orgId, (tx) => tx.select().from(organizations))).toMatchObject([{ name: 'Acme' }]);
  });

  it('asks one read at once: within its tenant, and nothing behind it', async () => {
    const [{ orgId }, other] = [await register('once@example.com'), await register('other@example.com')];
    const names = (tx: Transaction) => tx.select({ id: organizations.id }).from(organizations);
    const once = { oneRead: true };
    for (const id of [orgId, other.orgId, orgId]) expect(await db.door.inTenant(id, names, once)).toEqual([{ id }]);
    const asksTwice = db.door.inTenant(
      orgId,
      async (tx) => {
        await names(tx);
        return names(tx);
      },
      once,
    );
    await expect(asksTwice).rejects.toMatchObject({ code: 'internal' });
    const writes = db.door.inTenant(
      orgId,
      (tx) => tx.update(organizations).set({ name: 'Changed' }).where(eq(organizations.id, orgId)),
      once,
    );
    await expect(writes).rejects.toMatchObject({ details: { sqlState: '25006' } });
    const fails = db.door.inTenant(orgId, (tx) => tx.execute(sql`SELECT 1/0`), once);
    await expect(fails).rejects.toMatchObject({ code: 'invalid-value' });
    expect(await db.door.inTenant(orgId, names, once)).toEqual([{ id: orgId }]);
    // What a session was lent for leaves nothing behind in it.
    expect(await db.door.beforeTenant((tx) => tx.select().from(organizations))).toEqual([]);
  });
});
