/**
 * Reads of call records at 100,000 calls on a real Postgres: lists with each filter and details, at the level of the store.
 * `npm run bench:records` starts a Postgres if TEST_DATABASE_URL names none. Exits 1 when a p99 is over its limit.
 */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { sql } from 'drizzle-orm';
import pg from 'pg';
import { listCalls, readCall } from '../../src/control/calls/store.ts';
import type { CallFilter } from '../../src/control/calls/store.ts';
import { newId } from '../../src/control/db/ids.ts';
import { migrate } from '../../src/control/db/migrate.ts';
import { openPostgres } from '../../src/control/db/postgres.ts';
import * as schema from '../../src/control/db/schema.ts';
import { openTenantDoor } from '../../src/control/db/tenant.ts';
import type { TenantDoor } from '../../src/control/db/tenant.ts';
import { silentLog } from '../../src/core/log.ts';

const CALLS = 100_000;
const TURNS_A_CALL = 4;
const TENANTS = 4;
const AGENTS_A_TENANT = 5;
const READS = 400;
const LIMIT_P99_MS = 20;
/** Reads at the same time, as of several people. */
const READERS = 2;

interface Tenant {
  readonly orgId: string;
  readonly agentIds: readonly string[];
}

async function main(): Promise<void> {
  const serverUrl = process.env['TEST_DATABASE_URL'];
  if (serverUrl === undefined) throw new Error('TEST_DATABASE_URL is not set: run it by npm run bench:records.');
  const name = `bvrai_bench_${randomUUID().replaceAll('-', '')}`;
  await onServer(serverUrl, `CREATE DATABASE ${name}`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  const database = openPostgres({ url: url.href, log: silentLog });
  try {
    await migrate(database, join(import.meta.dirname, '../../migrations'), silentLog);
    const door = openTenantDoor(database);
    const tenants = await seed(door);
    await database.withConnection((connection) => connection.run('VACUUM ANALYZE', 120_000));
    const missed = await measure(door, tenants);
    process.exitCode = missed ? 1 : 0;
  } finally {
    await database.close();
    await onServer(serverUrl, `DROP DATABASE ${name} WITH (FORCE)`);
  }
}

/** The first tenant has 85 % of the calls, so that a list of one tenant is nearly a list of all. */
async function seed(door: TenantDoor): Promise<Tenant[]> {
  const tenants: Tenant[] = [];
  for (let tenant = 0; tenant < TENANTS; tenant++) {
    const orgId = newId();
    const agentIds = Array.from({ length: AGENTS_A_TENANT }, () => newId());
    await door.inTenant(orgId, async (tx) => {
      await tx.insert(schema.organizations).values({ id: orgId, name: `bench ${tenant}` });
      await tx.insert(schema.agents).values(agentIds.map((id) => ({ id, orgId, name: id })));
      await tx
        .insert(schema.agentVersions)
        .values(agentIds.map((agentId) => ({ orgId, agentId, version: 1, config: {} })));
    });
    const calls = tenant === 0 ? CALLS * 0.85 : (CALLS * 0.15) / (TENANTS - 1);
    for (let done = 0; done < calls; done += 5_000)
      await seedCalls(door, { orgId, agentIds }, done, Math.min(5_000, calls - done));
    tenants.push({ orgId, agentIds });
  }
  return tenants;
}

async function seedCalls(door: TenantDoor, { orgId, agentIds }: Tenant, first: number, count: number): Promise<void> {
  await door.inTenant(orgId, async (tx) => {
    const agents = sql.raw(`(ARRAY['${agentIds.join("','")}']::uuid[])`);
    await tx.execute(sql`
      INSERT INTO calls (id, org_id, direction, from_number, to_number, agent_id, agent_version, status, end_reason, created_at,
        started_at, answered_at, ended_at, duration_ms, metadata, search)
      SELECT gen_random_uuid(), ${orgId}, CASE WHEN n % 3 = 0 THEN 'outbound' ELSE 'inbound' END, '+1555' || (n % 2000),
        '+1666' || (n % 20), ${agents}[1 + n % ${AGENTS_A_TENANT}], 1,
        CASE WHEN n % 40 = 0 THEN 'failed' ELSE 'completed' END, CASE WHEN n % 40 = 0 THEN 'connection-lost' ELSE 'caller-hung-up' END,
        at, at, at, at + interval '95 seconds', 95000, jsonb_build_object('ref', n, 'campaign', n % 10),
        strip(to_tsvector('simple', 'hello i would like to book a table ' || 'word' || n || ' topic' || n % 200))
      FROM (SELECT n, now() - n * interval '30 seconds' AS at FROM generate_series(${first + 1}::int, ${first + count}::int) AS n) AS calls`);
    await tx.execute(sql`INSERT INTO conversations (id, org_id, call_id, status, started_at, ended_at)
      SELECT gen_random_uuid(), org_id, id, 'completed', started_at, ended_at FROM calls
      WHERE NOT EXISTS (SELECT FROM conversations WHERE call_id = calls.id)`);
    // Only for each tenth call, so that the seeding takes seconds; a detail reads by key, whatever else there is.
    const sampled = sql.raw(`calls WHERE (metadata->>'ref')::int % 10 = 0
      AND (metadata->>'ref')::int BETWEEN ${first + 1} AND ${first + count}`);
    await tx.execute(sql`INSERT INTO messages (org_id, conversation_id, seq, role, text, heard_text, at_ms)
      SELECT c.org_id, c.id, n * 4, CASE WHEN n % 2 = 0 THEN 'caller' ELSE 'agent' END, repeat('what was said ', 10), repeat('what was said ', 8), n * 4000
      FROM (SELECT * FROM ${sampled}) AS picked JOIN conversations AS c ON c.call_id = picked.id, generate_series(1, ${2 * TURNS_A_CALL}) AS n`);
    await tx.execute(sql`INSERT INTO turns (org_id, call_id, seq, turn, at_ms, voice_to_voice_ms, stages)
      SELECT org_id, id, n * 4 + 1, n, n * 4000, 480, '{"speech_ended_at_ms": 1, "first_audio_ms": 480}'
      FROM (SELECT * FROM ${sampled}) AS picked, generate_series(1, ${TURNS_A_CALL}) AS n`);
    await tx.execute(sql`INSERT INTO call_events (org_id, call_id, seq, type, at_ms, payload)
      SELECT org_id, id, n, 'transcript', n * 400, '{"text": "what was said", "final": true, "confidence": 0.9}'
      FROM (SELECT * FROM ${sampled}) AS picked, generate_series(0, ${10 * TURNS_A_CALL}) AS n`);
  });
}

interface Case {
  readonly name: string;
  read(tenant: Tenant, round: number): Promise<unknown>;
}

/** True when a limit was missed. */
async function measure(door: TenantDoor, tenants: readonly Tenant[]): Promise<boolean> {
  const big = tenants[0];
  if (!big) throw new Error('nothing was seeded');
  const { rows } = await door.inTenant(big.orgId, (tx) =>
    tx.execute<{ id: string }>(sql`SELECT id FROM calls WHERE (metadata->>'ref')::int % 10 = 0 LIMIT 2000`),
  );
  const cursors = await pageCursors(door, big);
  const list =
    (filterOf: (round: number) => CallFilter, cursorOf: (round: number) => string | undefined = () => undefined) =>
    ({ orgId }: Tenant, round: number) =>
      door.inTenant(orgId, (tx) => listCalls(tx, filterOf(round), { limit: 50, cursor: cursorOf(round) }));
  const days = (round: number): Date => new Date(Date.now() - (round % 25) * 86_400_000);
  const cases: readonly Case[] = [
    { name: 'list, newest', read: list(() => ({})) },
    {
      name: 'list, a later page',
      read: list(
        () => ({}),
        (round) => cursors[round % cursors.length],
      ),
    },
    { name: 'list by status', read: list(() => ({ status: 'failed' })) },
    { name: 'list by agent', read: list((round) => ({ agentId: big.agentIds[round % AGENTS_A_TENANT] })) },
    { name: 'list by number', read: list((round) => ({ number: `+1555${(round * 7) % 2000}` })) },
    { name: 'list by direction', read: list(() => ({ direction: 'outbound' })) },
    { name: 'list by time', read: list((round) => ({ createdFrom: days(round + 1), createdBefore: days(round) })) },
    { name: 'list by a rare word', read: list((round) => ({ text: `word${1 + round * 13}` })) },
    { name: 'list by a topic', read: list((round) => ({ text: `topic${round % 200} table` })) },
    { name: 'list by a word of every call', read: list(() => ({ text: 'book table' })) },
    { name: 'list by metadata', read: list((round) => ({ metadata: { ref: 1 + round } })) },
    {
      name: 'detail',
      read: ({ orgId }, round) => door.inTenant(orgId, (tx) => readCall(tx, rows[round % rows.length]?.id ?? '')),
    },
  ];
  let missed = false;
  process.stdout.write(`${CALLS} calls of ${TENANTS} tenants; ${READS} reads each, ${READERS} at a time; ms\n`);
  for (const one of cases) {
    const { name } = one;
    const times = await timeReads((round) => one.read(big, round));
    const at = (share: number): number =>
      times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? Number.NaN;
    const over = at(0.99) > LIMIT_P99_MS;
    missed ||= over;
    const figures = [0.5, 0.95, 0.99].map((share) => `p${share * 100} ${at(share).toFixed(1).padStart(6)}`).join('  ');
    process.stdout.write(
      `${name.padEnd(30)} ${figures}  max ${at(1).toFixed(1).padStart(6)}${over ? `  over ${LIMIT_P99_MS}` : ''}\n`,
    );
  }
  return missed;
}

async function pageCursors(door: TenantDoor, { orgId }: Tenant): Promise<string[]> {
  const cursors: string[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < 40; page++) {
    const { nextCursor } = await door.inTenant(orgId, (tx) => listCalls(tx, {}, { limit: 500, cursor }));
    if (nextCursor === null) break;
    cursors.push((cursor = nextCursor));
  }
  return cursors;
}

/** Sorted. The first tenth warms up. */
async function timeReads(read: (round: number) => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  let next = 0;
  const reader = async (): Promise<void> => {
    while (next < READS * 1.1) {
      const round = next++;
      const startedMs = performance.now();
      await read(round);
      if (round >= READS * 0.1) times.push(performance.now() - startedMs);
    }
  };
  await Promise.all(Array.from({ length: READERS }, reader));
  return times.sort((a, b) => a - b);
}

async function onServer(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

await main();
