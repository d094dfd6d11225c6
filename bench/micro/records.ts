/**
 * Reads of call records at 100,000 calls on a real Postgres: lists with each filter and details, at the level of the store.
 * `npm run bench:records` starts a Postgres if TEST_DATABASE_URL names none. Exits 1 when a p99 is over its limit.
 */
import { join } from 'node:path';
import { sql } from 'drizzle-orm';
import { listCalls, readCall } from '../../src/control/calls/store.ts';
import type { CallFilter } from '../../src/control/calls/store.ts';
import { migrate } from '../../src/control/db/migrate.ts';
import { openPostgres } from '../../src/control/db/postgres.ts';
import { openTenantDoor } from '../../src/control/db/tenant.ts';
import type { TenantDoor } from '../../src/control/db/tenant.ts';
import { silentLog } from '../../src/core/log.ts';
import { AGENTS_A_TENANT, CALLS, postgresUrl, seedRecords, withClient, withDatabase } from '../api/seed.ts';
import type { Tenant } from '../api/seed.ts';

const READS = 400;
const LIMIT_P99_MS = 20;
/** Reads at the same time, as of several people. */
const READERS = 2;

async function main(): Promise<void> {
  await withDatabase(postgresUrl('npm run bench:records'), async (url) => {
    const database = openPostgres({ url, log: silentLog });
    try {
      await migrate(database, join(import.meta.dirname, '../../migrations'), silentLog);
      const tenant = await withClient(url, (client) => seedRecords(client));
      const missed = await measure(openTenantDoor(database), tenant);
      process.exitCode = missed ? 1 : 0;
    } finally {
      await database.close();
    }
  });
}

interface Case {
  readonly name: string;
  read(tenant: Tenant, round: number): Promise<unknown>;
}

/** True when a limit was missed. */
async function measure(door: TenantDoor, big: Tenant): Promise<boolean> {
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
  process.stdout.write(`${CALLS} calls; ${READS} reads each, ${READERS} at a time; ms\n`);
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

await main();
