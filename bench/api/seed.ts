/** 100,000 call records in Postgres, as the benches of the records read them: by SQL, through the same door as the server's own. */
import { randomUUID } from 'node:crypto';
import pg from 'pg';

export const AGENTS_A_TENANT = 5;
/** Nearly all are the first tenant's, so that a list of one tenant is nearly a list of all. */
const CALLS_OF_TENANTS = [85_000, 5_000, 5_000, 5_000] as const;
export const CALLS = CALLS_OF_TENANTS.reduce((sum, calls) => sum + calls, 0);
const TURNS_A_CALL = 4;
const CALLS_A_STEP = 5_000;

/** An organization and the agents (at their version 1) that its calls had. */
export interface Tenant {
  readonly orgId: string;
  readonly agentIds: readonly string[];
}

/**
 * Fills a migrated database that `client` owns, and has Postgres look at what is there. `first` is the tenant with most of the
 * calls when there is one already; else it is made as well. Returns that tenant. Of the calls those whose metadata's `ref`
 * is a multiple of ten have messages, turns and events.
 */
export async function seedRecords(client: pg.ClientBase, first?: Tenant): Promise<Tenant> {
  const big = first ?? (await seedTenant(client, 'bench 0'));
  for (const [index, calls] of CALLS_OF_TENANTS.entries())
    await seedCalls(client, index === 0 ? big : await seedTenant(client, `bench ${index}`), calls);
  await client.query('VACUUM ANALYZE');
  return big;
}

async function seedTenant(client: pg.ClientBase, name: string): Promise<Tenant> {
  const tenant = { orgId: randomUUID(), agentIds: Array.from({ length: AGENTS_A_TENANT }, () => randomUUID()) };
  await inTenant(client, tenant.orgId, async () => {
    await client.query('INSERT INTO organizations (id, name) VALUES ($1, $2)', [tenant.orgId, name]);
    await client.query('INSERT INTO agents (id, org_id, name) SELECT id, $1, id::text FROM unnest($2::uuid[]) AS id', [
      tenant.orgId,
      tenant.agentIds,
    ]);
    await client.query(
      `INSERT INTO agent_versions (org_id, agent_id, version, config) SELECT $1, id, 1, '{}' FROM unnest($2::uuid[]) AS id`,
      [tenant.orgId, tenant.agentIds],
    );
  });
  return tenant;
}

async function seedCalls(client: pg.ClientBase, tenant: Tenant, count: number): Promise<void> {
  for (let done = 0; done < count; done += CALLS_A_STEP) {
    const range = [done + 1, Math.min(done + CALLS_A_STEP, count)];
    await inTenant(client, tenant.orgId, async () => {
      await client.query(INSERT_CALLS, [...range, tenant.orgId, tenant.agentIds]);
      await client.query(INSERT_CONVERSATIONS, range);
      await client.query(INSERT_MESSAGES, range);
      await client.query(INSERT_TURNS, range);
      await client.query(INSERT_EVENTS, range);
    });
  }
}

async function inTenant(client: pg.ClientBase, orgId: string, work: () => Promise<void>): Promise<void> {
  await client.query('BEGIN');
  await client.query('SET LOCAL ROLE bvrai_app');
  await client.query(`SELECT set_config('app.current_org_id', $1, true)`, [orgId]);
  await work();
  await client.query('COMMIT');
}

// $1 and $2: the first and the last `ref`.
const INSERT_CALLS = `
  INSERT INTO calls (id, org_id, direction, from_number, to_number, agent_id, agent_version, status, end_reason, created_at,
    started_at, answered_at, ended_at, duration_ms, metadata, search)
  SELECT gen_random_uuid(), $3::uuid, CASE WHEN n % 3 = 0 THEN 'outbound' ELSE 'inbound' END, '+1555' || (n % 2000),
    '+1666' || (n % 20), ($4::uuid[])[1 + n % ${AGENTS_A_TENANT}], 1,
    CASE WHEN n % 40 = 0 THEN 'failed' ELSE 'completed' END, CASE WHEN n % 40 = 0 THEN 'connection-lost' ELSE 'caller-hung-up' END,
    at, at, at, at + interval '95 seconds', 95000, jsonb_build_object('ref', n, 'campaign', n % 10),
    strip(to_tsvector('simple', 'hello i would like to book a table ' || 'word' || n || ' topic' || n % 200))
  FROM (SELECT n, now() - n * interval '30 seconds' AS at FROM generate_series($1::int, $2::int) AS n) AS calls`;
const INSERT_CONVERSATIONS = `
  INSERT INTO conversations (id, org_id, call_id, status, started_at, ended_at)
  SELECT gen_random_uuid(), org_id, id, 'completed', started_at, ended_at FROM calls
  WHERE (metadata->>'ref')::int BETWEEN $1 AND $2`;
// Only for each tenth call, so that the seeding takes seconds; a detail reads by key, whatever else there is.
const SAMPLED = `calls WHERE (metadata->>'ref')::int % 10 = 0 AND (metadata->>'ref')::int BETWEEN $1 AND $2`;
const INSERT_MESSAGES = `
  INSERT INTO messages (org_id, conversation_id, seq, role, text, heard_text, at_ms)
  SELECT c.org_id, c.id, n * 4, CASE WHEN n % 2 = 0 THEN 'caller' ELSE 'agent' END, repeat('what was said ', 10),
    repeat('what was said ', 8), n * 4000
  FROM (SELECT * FROM ${SAMPLED}) AS picked JOIN conversations AS c ON c.call_id = picked.id,
    generate_series(1, ${2 * TURNS_A_CALL}) AS n`;
const INSERT_TURNS = `
  INSERT INTO turns (org_id, call_id, seq, turn, at_ms, voice_to_voice_ms, stages)
  SELECT org_id, id, n * 4 + 1, n, n * 4000, 480, '{"speech_ended_at_ms": 1, "first_audio_ms": 480}'
  FROM (SELECT * FROM ${SAMPLED}) AS picked, generate_series(1, ${TURNS_A_CALL}) AS n`;
const INSERT_EVENTS = `
  INSERT INTO call_events (org_id, call_id, seq, type, at_ms, payload)
  SELECT org_id, id, n, 'transcript', n * 400, '{"text": "what was said", "final": true, "confidence": 0.9}'
  FROM (SELECT * FROM ${SAMPLED}) AS picked, generate_series(0, ${10 * TURNS_A_CALL}) AS n`;

/** Runs `work` with a database of its own on the server of `serverUrl`, which is dropped afterwards. */
export async function withDatabase(serverUrl: string, work: (url: string) => Promise<void>): Promise<void> {
  const name = `bvrai_bench_${randomUUID().replaceAll('-', '')}`;
  await onServer(serverUrl, `CREATE DATABASE ${name}`);
  try {
    const url = new URL(serverUrl);
    url.pathname = `/${name}`;
    await work(url.href);
  } finally {
    await onServer(serverUrl, `DROP DATABASE ${name} WITH (FORCE)`);
  }
}

/** Where Postgres is, from the environment that scripts/with-postgres.sh makes. */
export function postgresUrl(command: string): string {
  const url = process.env['TEST_DATABASE_URL'];
  if (url === undefined) throw new Error(`TEST_DATABASE_URL is not set: run it by ${command}.`);
  return url;
}

/** Runs `work` on one session. */
export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

async function onServer(url: string, statement: string): Promise<void> {
  await withClient(url, (client) => client.query(statement));
}
