/** Two tenants, every table: whatever the query, neither reaches the other's rows. And the ways in which that once failed. */
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findCallBySid, findOpenCalls } from '../../../src/control/db/lookups.ts';
import { openTestDatabase } from '../../support/database.ts';
import type { TestDatabase } from '../../support/database.ts';
import { fillTenant } from '../../support/tenant.ts';
import type { FilledTenant } from '../../support/tenant.ts';

let db: TestDatabase;
let ours: FilledTenant;
let theirs: FilledTenant;
beforeAll(async () => {
  db = await openTestDatabase();
  ours = await fillTenant(db.door, 'ours');
  theirs = await fillTenant(db.door, 'theirs');
}, 90_000);
afterAll(() => db.close());

/** Every table of a tenant, by the column that names it. */
const TABLES = {
  organizations: 'id',
  memberships: 'org_id',
  refresh_tokens: 'org_id',
  api_keys: 'org_id',
  agents: 'org_id',
  agent_versions: 'org_id',
  voice_configurations: 'org_id',
  phone_numbers: 'org_id',
  phone_number_claims: 'org_id',
  calls: 'org_id',
  conversations: 'org_id',
  messages: 'org_id',
  turns: 'org_id',
  call_events: 'org_id',
  call_usage: 'org_id',
  idempotency_keys: 'org_id',
  audit_log: 'org_id',
  invitations: 'org_id',
};
const APPEND_ONLY = ['agent_versions', 'messages', 'turns', 'call_events', 'audit_log'];
const tables = Object.entries(TABLES);

const count = async (orgId: string | undefined, query: string): Promise<number> => {
  const work = async (tx: Parameters<Parameters<typeof db.door.beforeTenant>[0]>[0]) =>
    Number((await tx.execute<{ n: string }>(sql.raw(query))).rows[0]?.n);
  return orgId === undefined ? db.door.beforeTenant(work) : db.door.inTenant(orgId, work);
};
const asUs = (query: string) => db.door.inTenant(ours.orgId, async (tx) => (await tx.execute(sql.raw(query))).rowCount);

describe('two tenants', () => {
  it('are complete: every tenant table is tried', async () => {
    const rows = await db.asOwner(`SELECT table_name FROM information_schema.columns
      WHERE table_schema = 'public' AND column_name = 'org_id'`);
    expect(['organizations', ...rows.map(({ table_name: name }) => String(name))].sort()).toEqual(
      Object.keys(TABLES).sort(),
    );
  });

  it.each(tables)('%s: each sees its own rows, nobody sees any before a tenant is known', async (table, column) => {
    expect(await count(ours.orgId, `SELECT count(*) AS n FROM ${table}`)).toBeGreaterThan(0);
    expect(await count(theirs.orgId, `SELECT count(*) AS n FROM ${table}`)).toBeGreaterThan(0);
    expect(await count(ours.orgId, `SELECT count(*) AS n FROM ${table} WHERE ${column} <> '${ours.orgId}'`)).toBe(0);
    expect(await count(undefined, `SELECT count(*) AS n FROM ${table}`)).toBe(0);
  });

  it.each(tables)('%s: foreign rows are neither changed nor deleted nor taken over', async (table, column) => {
    const foreign = `WHERE ${column} = '${theirs.orgId}'`;
    if (APPEND_ONLY.includes(table)) {
      // Not even one's own.
      await expect(asUs(`DELETE FROM ${table}`)).rejects.toMatchObject({ details: { sqlState: '42501' } });
      await expect(asUs(`UPDATE ${table} SET ${column} = ${column}`)).rejects.toMatchObject({
        details: { sqlState: '42501' },
      });
      return;
    }
    expect(await asUs(`UPDATE ${table} SET ${column} = ${column} ${foreign}`)).toBe(0);
    expect(await asUs(`DELETE FROM ${table} ${foreign}`)).toBe(0);
    // Giving a row away is refused as well: by the policy or, where the id leads somewhere, by a reference.
    const given = asUs(`UPDATE ${table} SET ${column} = '${theirs.orgId}' WHERE ${column} = '${ours.orgId}'`);
    await expect(given).rejects.toMatchObject({ details: { sqlState: '42501' } });
  });

  it.each(tables)('%s: rows are not written into a foreign tenant', async (table) => {
    const columns = await db.asOwner(
      `SELECT string_agg(quote_ident(column_name), ', ') AS names FROM information_schema.columns
       WHERE table_schema = 'public' AND table_name = $1 AND is_identity = 'NO'`,
      [table],
    );
    const names = String(columns[0]?.['names']);
    // A copy of our own row whose tenant is theirs.
    const values = names.replace(table === 'organizations' ? /\bid\b/u : /\borg_id\b/u, `'${theirs.orgId}'::uuid`);
    const copied = asUs(`INSERT INTO ${table} (${names}) SELECT ${values} FROM ${table} LIMIT 1`);
    await expect(copied).rejects.toMatchObject({ details: { sqlState: '42501' } });
  });

  it.each([
    ['phone_numbers', 'agent_id', (tenant: FilledTenant) => tenant.agentId],
    ['calls', 'agent_id', (tenant: FilledTenant) => tenant.agentId],
    ['conversations', 'call_id', (tenant: FilledTenant) => tenant.callId],
    ['refresh_tokens', 'user_id', (tenant: FilledTenant) => tenant.userId],
  ] as const)('%s.%s does not lead to a foreign row, whose existence it would tell', async (table, column, idOf) => {
    const code = 'reference-missing';
    await expect(asUs(`UPDATE ${table} SET ${column} = '${idOf(theirs)}'`)).rejects.toMatchObject({ code });
  });

  it('users: members are seen, strangers and password hashes are not', async () => {
    const emails = await db.door.inTenant(
      ours.orgId,
      async (tx) => (await tx.execute(sql`SELECT email FROM users`)).rows,
    );
    expect(emails).toEqual([{ email: 'ours@example.com' }]);
    await expect(asUs('SELECT password_hash FROM users')).rejects.toMatchObject({ details: { sqlState: '42501' } });
    expect(await asUs(`UPDATE users SET name = 'x'`)).toBe(0);
  });

  it('search: words and metadata of a foreign call are not found', async () => {
    const matching = (orgId: string) => count(orgId, `SELECT count(*) AS n FROM matching_calls('theirs', NULL, 10)`);
    expect(await matching(theirs.orgId)).toBe(1);
    expect(await matching(ours.orgId)).toBe(0);
    expect(await count(ours.orgId, `SELECT count(*) AS n FROM matching_calls(NULL, '{"of":"theirs"}', 10)`)).toBe(0);
    expect(await count(undefined, `SELECT count(*) AS n FROM matching_calls('theirs', NULL, 10)`)).toBe(0);
  });

  it('look-ups answer exact keys only', async () => {
    expect(await db.door.beforeTenant((tx) => findCallBySid(tx, theirs.callSid))).toMatchObject({
      org_id: theirs.orgId,
    });
    expect(await db.door.beforeTenant((tx) => findCallBySid(tx, '%'))).toBeUndefined();
    expect(await db.door.beforeTenant((tx) => findOpenCalls(tx, ours.orgId))).toEqual([]);
  });
});

describe('the traps', () => {
  it('a setting ends with its transaction: the next borrower of the session has none', async () => {
    await db.database.withConnection(async (connection) => {
      await connection.run(
        `BEGIN; SET LOCAL ROLE bvrai_app; SELECT set_config('app.current_org_id', '${ours.orgId}', true); COMMIT`,
      );
      const { rows } = await connection.query(
        `SELECT current_setting('app.current_org_id', true) AS org, current_user AS role`,
      );
      // The empty string and not NULL, which is why policies say nullif.
      expect(rows[0]?.['org']).toBe('');
      expect(rows[0]?.['role']).not.toBe('bvrai_app');
      const seen = await connection.run(`BEGIN; SET LOCAL ROLE bvrai_app; SELECT count(*)::int AS n FROM calls`);
      expect(seen.rows).toEqual([{ n: 0 }]);
      await connection.run('ROLLBACK');
    });
  });

  it('the door takes nothing but ids', async () => {
    const injected = db.door.inTenant(`${ours.orgId}'; RESET ROLE; --`, () => Promise.resolve());
    await expect(injected).rejects.toThrow('not a UUID');
  });

  it('a transaction that fails does not hand its session on half-open', async () => {
    await expect(asUs('SELECT 1/0')).rejects.toMatchObject({ code: 'invalid-value' });
    expect(await asUs('SELECT 1')).toBe(1);
  });

  it('NUL bytes and SQL in a text are data or a refused value, never a fault of the server', async () => {
    const rename = (name: string) =>
      db.door.inTenant(ours.orgId, (tx) => tx.execute(sql`UPDATE agents SET name = ${name} RETURNING name`));
    expect((await rename(`x'; DROP TABLE calls; --`)).rows).toEqual([{ name: `x'; DROP TABLE calls; --` }]);
    await expect(rename('a\0b')).rejects.toMatchObject({ code: 'invalid-value' });
  });
});
