/** That each list of the API, with each of its filters, is read by the index that was made for it: the plans of its own queries. */
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestApi } from '../../support/api.ts';
import type { TestAccount, TestApi } from '../../support/api.ts';
import { testDatabaseUrl } from '../../support/database.ts';
import { explained } from '../../support/explain.ts';
import type { ExplainedDatabase } from '../../support/explain.ts';

/** Of each of three organizations. The embedded database takes its time. */
const CALLS = testDatabaseUrl === undefined ? 5_000 : 30_000;

let api: TestApi;
let asked: ExplainedDatabase;
let owner: TestAccount;
let agentId: string;

beforeAll(async () => {
  const main = await startTestApi();
  asked = explained(main.database.database);
  api = { ...(await main.another({ database: asked.database })), close: () => main.close() };
  for (let organization = 0; organization < 3; organization++) {
    owner = await api.register();
    const post = (url: string, body: object) => api.call({ method: 'POST', url, token: owner.accessToken, body });
    agentId = (await post('/api/v1/agents', { name: 'Ada' })).body.id;
    const other = (await post('/api/v1/agents', { name: 'Grace' })).body.id;
    await fill(owner.organizationId, [agentId, other]);
  }
  // The statistics are the owner's to take.
  for (const table of ['calls', 'conversations', 'messages', 'call_events', 'audit_log', 'phone_numbers'])
    await api.database.asOwner(`ANALYZE ${table}`);
}, 180_000);
afterAll(() => api?.close());

/** Calls of which few are rung, on the web, live or of the first agent, each with a conversation and what was said in it. */
async function fill(orgId: string, [rare, usual]: readonly string[]): Promise<void> {
  const statements = [
    `INSERT INTO calls (id, org_id, direction, channel, from_number, to_number, agent_id, agent_version, status, end_reason,
       ended_at, created_at, metadata, search)
     SELECT gen_random_uuid(), '${orgId}', CASE WHEN n % 500 = 7 THEN 'outbound' ELSE 'inbound' END,
       CASE WHEN n % 500 = 8 THEN 'web' ELSE 'phone' END, '+1555' || 1000000 + n % 2000, '+1556' || 1000000 + n % 2000,
       CASE WHEN n % 500 = 9 THEN '${rare}' ELSE '${usual}' END::uuid, 1,
       CASE n % 500 WHEN 10 THEN 'in_progress' WHEN 11 THEN 'failed' ELSE 'completed' END,
       CASE WHEN n % 500 <> 10 THEN 'x' END, CASE WHEN n % 500 <> 10 THEN now() END, now() - n * interval '1 minute',
       jsonb_build_object('ref', n), to_tsvector('simple', 'word' || n)
     FROM generate_series(1, ${CALLS}) AS n`,
    `INSERT INTO conversations (id, org_id, call_id, status, ended_at, created_at)
     SELECT gen_random_uuid(), org_id, id, CASE WHEN ended_at IS NULL THEN 'active' ELSE 'completed' END, ended_at, created_at
     FROM calls`,
    `INSERT INTO messages (org_id, conversation_id, seq, role, text, heard_text, at_ms)
     SELECT org_id, id, seq, 'caller', 'hello', 'hello', seq FROM conversations, generate_series(1, 2) AS seq`,
    `INSERT INTO call_events (org_id, call_id, seq, type, at_ms)
     SELECT org_id, id, seq, 'x', seq FROM calls, generate_series(1, 3) AS seq`,
    `INSERT INTO audit_log (id, org_id, actor_type, action, resource_type, resource_id, created_at)
     SELECT gen_random_uuid(), '${orgId}', 'system', 'x', CASE WHEN n % 500 = 7 THEN 'agent' ELSE 'call' END, 'r' || n,
       now() - n * interval '1 minute' FROM generate_series(1, ${CALLS}) AS n`,
    `INSERT INTO phone_numbers (id, org_id, number, agent_id, created_at)
     SELECT gen_random_uuid(), '${orgId}', '+1557' || 1000000 + n, CASE WHEN n % 500 = 7 THEN '${rare}' ELSE '${usual}' END::uuid,
       now() - n * interval '1 minute' FROM generate_series(1, ${CALLS}) AS n`,
  ];
  for (const statement of statements) await api.database.door.inTenant(orgId, (tx) => tx.execute(sql.raw(statement)));
}

/** Of the request's queries those that read one of the large tables. */
async function plansOf(url: string): Promise<readonly string[]> {
  await asked.takePlans();
  const answer = await api.call({ url, token: owner.accessToken });
  expect([answer.status, answer.body.code]).toEqual([200, undefined]);
  const plans = await asked.takePlans();
  return plans.filter((plan) => / on (?:calls|conversations|messages|audit_log|phone_numbers)\b/u.test(plan));
}

/** These were used, and no table was read as a whole. */
function expectIndexes(plans: readonly string[], ...indexes: readonly string[]): void {
  expect(plans.length).toBeGreaterThan(0);
  const used = plans.flatMap((plan) => [...plan.matchAll(/(?:using|Index Scan on) (\w+)/gu)].map(([, index]) => index));
  expect(used, plans.join('\n\n')).toEqual(expect.arrayContaining([...indexes]));
  for (const plan of plans) expect(plan).not.toContain('Seq Scan');
}

const DAY_MS = 24 * 3_600_000;
const ago = (days: number): string => new Date(Date.now() - days * DAY_MS).toISOString();

describe('a list', () => {
  it.each([
    ['/calls', 'calls_list'],
    ['/calls?status=failed', 'calls_list_by_status'],
    ['/calls?status=busy', 'calls_list_by_status'],
    ['/calls?status=completed', /calls_list(?:_by_status)?$/u],
    ['/calls?agent_id=RARE', 'calls_list_by_agent'],
    ['/calls?direction=outbound', 'calls_list_by_direction'],
    ['/calls?channel=web', 'calls_list_by_channel'],
    ['/calls?channel=web&status=failed', /calls_list_by_(?:channel|status)$/u],
    [`/calls?from=FROM&to=TO`, 'calls_list'],
    ['/conversations', 'conversations_list'],
    ['/conversations?status=active', 'conversations_list_by_status'],
    ['/conversations?status=abandoned', 'conversations_list_by_status'],
    ['/audit-log', 'audit_log_list'],
    ['/audit-log?resource_type=agent', 'audit_log_by_resource'],
    ['/audit-log?resource_id=r77', 'audit_log_by_resource_id'],
    ['/audit-log?resource_type=call&resource_id=r77', /audit_log_by_resource(?:_id)?$/u],
    ['/phone-numbers', 'phone_numbers_list'],
    ['/phone-numbers?agent_id=RARE', 'phone_numbers_agent'],
  ])('%s is read by its index', async (path, index) => {
    const url = path.replace('RARE', agentId).replace('FROM', ago(2)).replace('TO', ago(1));
    const plans = await plansOf(`/api/v1${url}`);
    expectIndexes(plans, expect.stringMatching(index));
  });

  it('is read by its index behind a cursor, too', async () => {
    for (const [path, index] of [
      ['/calls?limit=10', 'calls_list'],
      ['/conversations?limit=10', 'conversations_list'],
      ['/audit-log?limit=10', 'audit_log_list'],
    ] as const) {
      const first = await api.call({ url: `/api/v1${path}`, token: owner.accessToken });
      expectIndexes(await plansOf(`/api/v1${path}&cursor=${encodeURIComponent(first.body.next_cursor)}`), index);
    }
  });

  it('of calls with a number is read by the indexes of both ends', async () => {
    expectIndexes(await plansOf('/api/v1/calls?number=%2B15551000077'), 'calls_list_by_from', 'calls_list_by_to');
  });

  it('of calls in which a word was said, or with certain metadata, is read by the ids that were looked up', async () => {
    for (const filter of [
      'q=word77',
      `metadata=${encodeURIComponent('{"ref":77}')}`,
      'q=word77&metadata=%7B%22ref%22%3A77%7D',
    ])
      expectIndexes(await plansOf(`/api/v1/calls?${filter}`), expect.stringMatching(/^calls_/u));
  });
});

describe('one of many', () => {
  it('is read by its ids: a call with all that happened in it, a conversation and its messages', async () => {
    const one = async (path: string): Promise<string> =>
      String((await api.call({ url: `/api/v1${path}?limit=1`, token: owner.accessToken })).body.items[0].id);
    expectIndexes(await plansOf(`/api/v1/calls/${await one('/calls')}`), 'call_events_pkey', 'messages_pkey');
    const conversation = await one('/conversations');
    expectIndexes(await plansOf(`/api/v1/conversations/${conversation}/messages`), 'messages_pkey');
  });
});

describe('the metadata of calls', () => {
  const found = async (metadata: unknown) => {
    const filter = encodeURIComponent(typeof metadata === 'string' ? metadata : JSON.stringify(metadata));
    return api.call({ url: `/api/v1/calls?metadata=${filter}`, token: owner.accessToken });
  };

  it('find them, by whole values and within the organization only', async () => {
    expect((await found({ ref: 77 })).body.items).toMatchObject([{ metadata: { ref: 77 } }]);
    expect((await found({ ref: '77' })).body.items).toEqual([]);
    expect((await found({ ref: 77, more: true })).body.items).toEqual([]);
    // All have them, so they are not looked up.
    expect((await found({})).body.items).toHaveLength(20);
  });

  it.each(['{', '[]', '7', '"x"', '{"a":"\\u0000"}'])(
    'that are no JSON object of ours are refused: %s',
    async (text) => {
      expect(await found(text)).toMatchObject({
        status: 422,
        body: { code: 'invalid-fields', errors: [{ in: 'query', pointer: '/metadata' }] },
      });
    },
  );
});
