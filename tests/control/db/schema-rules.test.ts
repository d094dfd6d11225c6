/** What the tables themselves refuse and remove: statuses, one end for each call, cascades; and that lists use their indexes. */
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestDatabase } from '../../support/database.ts';
import type { TestDatabase } from '../../support/database.ts';
import { fillTenant } from '../../support/tenant.ts';
import type { FilledTenant } from '../../support/tenant.ts';

let db: TestDatabase;
let tenant: FilledTenant;
beforeAll(async () => {
  db = await openTestDatabase();
  tenant = await fillTenant(db.door, 'tenant');
}, 90_000);
afterAll(() => db.close());

const run = (text: string, orgId: string = tenant.orgId) =>
  db.door.inTenant(orgId, async (tx) => (await tx.execute<Record<string, string>>(sql.raw(text))).rows, {
    userId: tenant.userId,
  });

describe('the tables', () => {
  it.each([
    ['organizations', "status = 'gone'"],
    ['users', "status = 'gone'"],
    ['users', "email = 'Upper@example.com'"],
    ['memberships', "role = 'root'"],
    ['calls', "status = 'ringing?'"],
    ['calls', "direction = 'sideways'"],
    ['calls', "channel = 'fax'"],
    ['calls', "status = 'completed'"],
    ['calls', 'ended_at = now()'],
    ['calls', "end_reason = 'caller-hung-up'"],
    ['calls', "metadata = '[]'"],
    ['calls', 'llm_cost_usd = -1'],
    ['conversations', "status = 'completed'"],
    ['conversations', "status = 'paused'"],
    ['phone_numbers', "number = '555'"],
    ['idempotency_keys', "status = 'completed'"],
  ])('%s: refuse %s', async (table, assignment) => {
    await expect(run(`UPDATE ${table} SET ${assignment}`)).rejects.toMatchObject({ code: 'invalid-value' });
  });

  it('give a call exactly one end', async () => {
    const { orgId, callId } = await fillTenant(db.door, 'ends');
    const end = (status: string) =>
      run(`UPDATE calls SET status = '${status}', end_reason = 'x', ended_at = now() WHERE id = '${callId}'`, orgId);
    await end('completed');
    await expect(end('failed')).rejects.toMatchObject({
      code: 'invalid-value',
      details: { constraint: 'calls_one_terminal_status' },
    });
    await expect(
      run(`UPDATE calls SET status = 'in_progress', end_reason = NULL, ended_at = NULL`, orgId),
    ).rejects.toMatchObject({ details: { constraint: 'calls_one_terminal_status' } });
    // What is learned later is written all the same.
    await run(`UPDATE calls SET telephony_cost_usd = 0.0085 WHERE id = '${callId}'`, orgId);
  });

  it('keep an agent that has taken calls, and let go of its number', async () => {
    await expect(run('DELETE FROM agents')).rejects.toMatchObject({ code: 'reference-missing' });
    const { orgId, agentId } = await fillTenant(db.door, 'letgo');
    await run('DELETE FROM calls', orgId);
    await run('DELETE FROM agents', orgId);
    expect(await run('SELECT agent_id FROM phone_numbers', orgId)).toEqual([{ agent_id: null }]);
    expect(await run(`SELECT * FROM agent_versions WHERE agent_id = '${agentId}'`, orgId)).toEqual([]);
  });

  it('remove with a call its conversation, messages, turns and events', async () => {
    const { orgId } = await fillTenant(db.door, 'cascade');
    await run('DELETE FROM calls', orgId);
    for (const table of ['conversations', 'messages', 'turns', 'call_events']) {
      expect([table, await run(`SELECT * FROM ${table}`, orgId)]).toEqual([table, []]);
    }
  });

  it('remove with a membership its tokens, with a user nothing that others need', async () => {
    const { orgId, userId } = await fillTenant(db.door, 'leaver');
    await run('DELETE FROM memberships', orgId);
    expect(await run('SELECT * FROM refresh_tokens', orgId)).toEqual([]);
    await db.door.asUser(userId, (tx) => tx.execute(sql`DELETE FROM users`));
    expect(await run('SELECT created_by FROM api_keys', orgId)).toEqual([{ created_by: null }]);
    expect(await run('SELECT actor_user_id FROM audit_log', orgId)).toEqual([{ actor_user_id: null }]);
  });

  it('remove with an organization everything of it, and of no other', async () => {
    const { orgId } = await fillTenant(db.door, 'closing');
    await run('DELETE FROM organizations', orgId);
    for (const table of [
      'memberships',
      'agents',
      'calls',
      'messages',
      'audit_log',
      'phone_numbers',
      'idempotency_keys',
    ]) {
      expect([table, await run(`SELECT * FROM ${table} WHERE org_id = '${orgId}'`, orgId)]).toEqual([table, []]);
    }
    expect(await run('SELECT count(*)::int AS n FROM messages')).toEqual([{ n: 1 }]);
  });
});

describe('the list queries', () => {
  beforeAll(async () => {
    // Enough calls, of several tenants, that the planner has a choice.
    const others = [await fillTenant(db.door, 'many'), await fillTenant(db.door, 'more')];
    for (const { orgId, agentId } of [tenant, ...others]) {
      await run(
        `INSERT INTO calls (id, org_id, direction, from_number, to_number, agent_id, agent_version, status, end_reason, ended_at,
           created_at, metadata, search)
         SELECT gen_random_uuid(), '${orgId}', 'inbound', '+1555' || n % 500, '+15550100', '${agentId}', 1,
           CASE WHEN n % 50 = 0 THEN 'failed' ELSE 'completed' END, 'x', now(), now() - n * interval '1 minute',
           jsonb_build_object('ref', n), to_tsvector('simple', 'word' || n)
         FROM generate_series(1, 4000) AS n`,
        orgId,
      );
    }
    // The statistics are the owner's to take.
    await db.asOwner('ANALYZE calls');
  }, 90_000);

  const plan = async (where: string) =>
    (await run(`EXPLAIN SELECT id FROM calls WHERE ${where} ORDER BY created_at DESC, id DESC LIMIT 51`))
      .map((row) => Object.values(row)[0])
      .join('\n');

  it.each([
    ['all', 'true', 'calls_list'],
    ['a status', "status = 'failed'", 'calls_list_by_status'],
    ['an agent', 'agent_id = (SELECT id FROM agents LIMIT 1)', 'calls_list_by_agent'],
    ['a time range', "created_at >= now() - interval '2 days' AND created_at < now() - interval '1 day'", 'calls_list'],
    ['the page after a cursor', "(created_at, id) < (now() - interval '1 day', gen_random_uuid())", 'calls_list'],
  ])('%s: read an index in order, without sorting', async (_what, where, index) => {
    const text = await plan(where);
    expect(text).toMatch(new RegExp(`Index (Only )?Scan using ${index} `, 'u'));
    expect(text).not.toContain('Sort');
    expect(text).not.toContain('Seq Scan on calls');
  });

  it('a number: read the indexes of both ends', async () => {
    const text = await plan("from_number = '+15557' OR to_number = '+15557'");
    expect(text).toContain('calls_list_by_from');
    expect(text).toContain('calls_list_by_to');
  });

  it.each([
    ['words', 'calls_search', `search @@ plainto_tsquery('simple', 'word77')`],
    ['metadata', 'calls_metadata', `metadata @> '{"ref":77}'`],
  ])(
    '%s: matching_calls uses the index that row-level security would keep from the application',
    async (what, index, condition) => {
      const as = (role: string) =>
        db.database.withConnection(async (connection) => {
          await connection.run(`BEGIN; SET LOCAL ROLE ${role}; SET LOCAL app.current_org_id = '${tenant.orgId}'`);
          const { rows } = await connection.query(
            `EXPLAIN SELECT id FROM calls WHERE org_id = '${tenant.orgId}' AND ${condition}`,
          );
          await connection.run('ROLLBACK');
          return rows.map((row) => Object.values(row)[0]).join('\n');
        });
      expect(await as('bvrai_lookup')).toContain(`Bitmap Index Scan on ${index}`);
      expect(await as('bvrai_app')).not.toContain(index);
      const parameters = what === 'words' ? `'word77', NULL` : `NULL, '{"ref":77}'`;
      expect(await run(`SELECT * FROM matching_calls(${parameters}, 10)`)).toHaveLength(1);
      // A plan that Postgres keeps for any parameters would not use it.
      const [settings] = await db.asOwner(
        `SELECT proconfig::text AS text FROM pg_proc WHERE proname = 'matching_calls'`,
      );
      expect(settings?.['text']).toContain('plan_cache_mode=force_custom_plan');
    },
  );
});
