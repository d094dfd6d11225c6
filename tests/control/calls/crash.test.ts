/**
 * Kill -9 of the whole server in the middle of ten calls over real sockets, and its next start.
 *
 * What is promised: an event is safe once its line is in the spool, some milliseconds after it happened. After the next start the
 * records hold exactly the events that were safe, each once, and every call has one terminal state. The rest of the last write is
 * lost: of what a caller had heard to its end that can be the last answer.
 */
import { cp, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { parseApiKey } from '../../../src/control/auth/opaque-tokens.ts';
import { findApiKey } from '../../../src/control/db/lookups.ts';
import { openDatabase } from '../../../src/control/db/open.ts';
import { callEvents } from '../../../src/control/db/schema.ts';
import { openTenantDoor } from '../../../src/control/db/tenant.ts';
import { silentLog } from '../../../src/core/log.ts';
import { startEmulatedCloud } from '../../support/cloud.ts';
import {
  createEmptyDatabase,
  embeddedDirectory,
  migrationsDirectory,
  testDatabaseUrl,
} from '../../support/database.ts';
import { EventFollower } from '../../support/event-follower.ts';
import { NUMBERED_CLOUD, makeNumberedAgents, ringNumberedCallers } from '../../support/numbered-callers.ts';
import { expectCutRecord, ownEvents, readRecord } from '../../support/numbered-records.ts';
import { findPostgresBinaries, startPostgresServer } from '../../support/postgres-server.ts';
import type { PostgresServer } from '../../support/postgres-server.ts';
import { startServerOfItsOwn } from '../../support/server-of-its-own.ts';
import type { ServerOfItsOwn } from '../../support/server-of-its-own.ts';

const CALLS = 10;
/** With nothing else on the machine all of them are. */
const LEAST_COMPARED = 3;
/** Answers that everybody has heard when the server is killed. */
const TURNS_BEFORE = 2;

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A place for a server, with a migrated database in it when that is the embedded one. */
async function dataDirectoryFor(databaseUrl: string | undefined): Promise<string> {
  const directory =
    databaseUrl === undefined ? await embeddedDirectory('migrated') : await mkdtemp(join(tmpdir(), 'bvrai-crash-'));
  cleanups.push(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

type EventName = `${string} ${number}`;

const spoolLine = z.looseObject({ kind: z.string(), call_id: z.string(), seq: z.number().optional() });

/** The events whose lines are whole in the files of the spool. */
async function eventsInSpool(dataDirectory: string): Promise<Set<EventName>> {
  const directory = join(dataDirectory, 'spool');
  const events = new Set<EventName>();
  for (const name of await readdir(directory)) {
    for (const text of (await readFile(join(directory, name), 'utf8')).split('\n').slice(0, -1)) {
      const { kind, call_id: call, seq } = spoolLine.parse(JSON.parse(text));
      if (kind === 'event') events.add(`${call} ${seq ?? Number.NaN}`);
    }
  }
  return events;
}

/** The events that the database has; of the embedded one in a copy, so that its server finds it as it was left. */
async function eventsInDatabase(
  dataDirectory: string,
  url: string | undefined,
  apiKey: string,
): Promise<Set<EventName>> {
  const copy = await mkdtemp(join(tmpdir(), 'bvrai-crash-copy-'));
  if (url === undefined) await cp(join(dataDirectory, 'pglite'), join(copy, 'pglite'), { recursive: true });
  const database = await openDatabase({ url, dataDirectory: copy, migrationsDirectory, log: silentLog });
  try {
    const door = openTenantDoor(database);
    const key = await door.beforeTenant((tx) => findApiKey(tx, parseApiKey(apiKey)?.keyId ?? ''));
    const rows = await door.inTenant(key?.org_id ?? '', (tx) =>
      tx.select({ callId: callEvents.callId, seq: callEvents.seq }).from(callEvents),
    );
    return new Set(rows.map(({ callId, seq }): EventName => `${callId} ${seq}`));
  } finally {
    await database.close();
    await rm(copy, { recursive: true, force: true });
  }
}

async function untilAllEnded(server: ServerOfItsOwn): Promise<void> {
  const open = async () =>
    z.object({ items: z.array(z.unknown()) }).parse(await server.get('/api/v1/calls?status=in_progress'));
  await expect.poll(async () => (await open()).items, { timeout: 15_000 }).toEqual([]);
}

const sorted = (names: Iterable<string>): string[] => [...names].toSorted();

/** Postgres, when there is one: one that may be stopped, if it is to be away. */
async function databaseFor(
  moment: Moment,
): Promise<{ readonly url: string | undefined; readonly server?: PostgresServer }> {
  if (moment === 'while Postgres is away') {
    const server = await startPostgresServer(binaries ?? '');
    cleanups.push(() => server.close());
    return { url: server.url, server };
  }
  const database = testDatabaseUrl === undefined ? undefined : await createEmptyDatabase(testDatabaseUrl);
  if (database) cleanups.push(() => database.drop());
  return { url: database?.url };
}

type Moment = 'while all is well' | 'while Postgres is away';
const binaries = testDatabaseUrl === undefined ? undefined : findPostgresBinaries();
const moments: readonly Moment[] = [
  'while all is well',
  ...(binaries === undefined ? [] : (['while Postgres is away'] as const)),
];

describe('kill -9 of the server in the middle of ten calls', () => {
  it.each(moments)(
    '%s: every call ends once, and what was on disk is recorded once',
    async (moment) => {
      const { url: databaseUrl, server: postgres } = await databaseFor(moment);
      const dataDirectory = await dataDirectoryFor(databaseUrl);
      const cloud = await startEmulatedCloud(NUMBERED_CLOUD);
      cleanups.push(() => cloud.close());
      const { environment } = cloud;
      const first = await startServerOfItsOwn({ dataDirectory, databaseUrl, environment });
      cleanups.push(() => first.stop());
      const before = await EventFollower.connect({ url: `${first.url}/api/v1/events`, token: first.apiKey });
      const callers = await ringNumberedCallers(first.url, await makeNumberedAgents(first, CALLS));
      await Promise.all(callers.map((caller) => caller.untilAnswered(1)));
      await postgres?.stop('immediate');
      await Promise.all(callers.map((caller) => caller.untilAnswered(TURNS_BEFORE)));

      await first.kill();
      await Promise.all(callers.map(({ done }) => done));
      expect(await before.ended).toBe('broken');
      await postgres?.start();
      const inSpool = await eventsInSpool(dataDirectory);
      const inDatabase = await eventsInDatabase(dataDirectory, databaseUrl, first.apiKey);
      const safe = new Set([...inSpool, ...inDatabase]);

      const second = await startServerOfItsOwn({ dataDirectory, databaseUrl, environment });
      cleanups.push(() => second.stop());
      const after = await EventFollower.connect({
        url: `${second.url}/api/v1/events`,
        token: second.apiKey,
        lastEventId: before.lastEventId,
      });
      cleanups.push(() => after.close());
      await untilAllEnded(second);
      const records = await Promise.all(callers.map(({ callSid }) => readRecord(second, callSid)));
      const compared = callers.filter((caller, index) => expectCutRecord(records[index]!, caller));
      expect(compared.length).toBeGreaterThanOrEqual(LEAST_COMPARED);
      const recorded = records.flatMap((record) =>
        ownEvents(record).map(({ seq }): EventName => `${record.id} ${seq}`),
      );
      expect(sorted(recorded)).toEqual(sorted(safe));

      // Whoever followed, and came back, was told all of it once and in one order.
      const all = records.flatMap(({ id, events }) => events.map(({ seq }): EventName => `${id} ${seq}`));
      await expect.poll(() => before.events.length + after.events.length, { timeout: 10_000 }).toBe(all.length);
      const followed = [...before.events, ...after.events];
      expect(sorted(followed.map(({ callId, seq }) => `${callId} ${seq}`))).toEqual(sorted(all));
      expect(followed.map(({ id }) => id)).toEqual(followed.map(({ id }) => id).toSorted((a, b) => a - b));
      console.info(
        `killed ${moment}: ${safe.size} events were on disk, of which the database had ${inDatabase.size}; ${compared.length} calls compared word for word`,
      );
    },
    180_000,
  );
});
