/** Whose calls a number has when several organizations claim it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findPhoneNumber } from '../../src/control/db/lookups.ts';
import { deletePhoneNumber, insertPhoneNumber } from '../../src/control/phone-numbers/store.ts';
import { openTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { foundTenant } from '../support/tenant.ts';

type Tenant = Awaited<ReturnType<typeof foundTenant>>;
let db: TestDatabase;
let first: Tenant;
let second: Tenant;

beforeAll(async () => {
  db = await openTestDatabase();
  first = await foundTenant(db.door, 'first');
  second = await foundTenant(db.door, 'second');
}, 60_000);
afterAll(() => db?.close());

async function claim({ orgId, agentId }: Tenant, number: string, agent: string | null = agentId): Promise<string> {
  const fields = { number, agentId: agent, label: null, metadata: {} };
  return (await db.door.inTenant(orgId, (tx) => insertPhoneNumber(tx, orgId, fields))).id;
}
const giveUp = ({ orgId }: Tenant, id: string) => db.door.inTenant(orgId, (tx) => deletePhoneNumber(tx, id));
const answeredBy = async (number: string) => (await db.door.beforeTenant((tx) => findPhoneNumber(tx, number)))?.org_id;

describe('a number that several organizations claim', () => {
  it('is still the first one’s when that removes it and adds it again', async () => {
    const number = '+15550177';
    const id = await claim(first, number);
    await claim(second, number);
    expect(await answeredBy(number)).toBe(first.orgId);
    await giveUp(first, id);
    expect(await answeredBy(number)).toBe(second.orgId);
    await claim(first, number);
    expect(await answeredBy(number)).toBe(first.orgId);
  });

  it('is the other’s when the first has given it up a month ago', async () => {
    const number = '+15550178';
    await giveUp(first, await claim(first, number));
    await claim(second, number);
    await db.door.inTenant(first.orgId, (tx) =>
      tx.execute(`UPDATE phone_number_claims SET claimed_at = now() - interval '90 days',
        given_up_at = now() - interval '31 days' WHERE number = '${number}'`),
    );
    await claim(first, number);
    expect(await answeredBy(number)).toBe(second.orgId);
  });

  it('is not silenced by a claim without an agent', async () => {
    const number = '+15550179';
    await claim(first, number, null);
    await claim(second, number);
    expect(await answeredBy(number)).toBe(second.orgId);
  });
});
