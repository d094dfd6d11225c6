/** What both drivers promise: values both ways, notifications, bounds; and what each does when its database is lost. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { holdDataDirectory } from '../../../src/control/data-directory.ts';
import type { Database } from '../../../src/control/db/database.ts';
import { openEmbedded } from '../../../src/control/db/embedded.ts';
import { toDatabaseError } from '../../../src/control/db/errors.ts';
import { openPostgres } from '../../../src/control/db/postgres.ts';
import { openTenantDoor } from '../../../src/control/db/tenant.ts';
import { memoryLog, silentLog } from '../../../src/core/log.ts';
import { embeddedDirectory, openTestDatabase, testDatabaseUrl } from '../../support/database.ts';
import type { TestDatabase } from '../../support/database.ts';
import { findPostgresBinaries, startPostgresServer } from '../../support/postgres-server.ts';
import { foundTenant } from '../../support/tenant.ts';

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function openTest() {
  const db = await openTestDatabase();
  cleanups.push(() => db.close());
  return db;
}

async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'bvrai-driver-'));
  cleanups.push(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** What a channel says, and how often it was connected. */
function hear(database: Database, channel: string): { payloads: string[]; connections: number } {
  const heard = { payloads: [] as string[], connections: 0 };
  const listener = {
    channel,
    onNotification: (payload: string) => heard.payloads.push(payload),
    onConnected: () => heard.connections++,
  };
  cleanups.push(database.listen(listener));
  return heard;
}

describe('the driver', () => {
  let shared: TestDatabase;
  beforeAll(async () => {
    shared = await openTestDatabase();
  }, 90_000);
  afterAll(() => shared.close());

  it('takes values and gives them back, as the other driver does', async () => {
    const { database } = shared;
    const { rows } = await database.withConnection((connection) =>
      connection.query(
        `SELECT $1::text AS text, $2::integer AS number, $3::bigint AS big, $4::boolean AS truth, $5::timestamptz AS time,
           $6::jsonb AS json, $7::text[] AS list, $8::uuid AS nothing, $9::bytea AS bytes, 1.5::float8 AS float`,
        [
          `quo'te "\\ ß 🎧`,
          7,
          9_007_199_254_740_993n,
          true,
          new Date('2026-11-28T05:00:00.123Z'),
          { a: [1, null, 'x'] },
          ['plain', 'with "quotes", commas and \\', '', 'NULL'],
          null,
          new Uint8Array([0, 255]),
        ],
      ),
    );
    expect(rows).toEqual([
      {
        text: `quo'te "\\ ß 🎧`,
        number: 7,
        big: '9007199254740993',
        truth: true,
        time: new Date('2026-11-28T05:00:00.123Z'),
        json: { a: [1, null, 'x'] },
        list: ['plain', 'with "quotes", commas and \\', '', 'NULL'],
        nothing: null,
        bytes: Buffer.from([0, 255]),
        float: 1.5,
      },
    ]);
  });

  it('hears what is notified when its transaction is committed, and not otherwise', async () => {
    const { database, door } = shared;
    const heard = hear(database, 'keys');
    await vi.waitFor(() => expect(heard.connections).toBe(1));
    const { orgId } = await foundTenant(door, 'notifying');
    const notify = (payload: string, fails: boolean) =>
      door.inTenant(orgId, async (tx) => {
        await tx.execute(sql`SELECT pg_notify('keys', ${payload})`);
        if (fails) throw new Error('no');
      });
    await expect(notify('never', true)).rejects.toThrow('no');
    await notify('revoked', false);
    await vi.waitFor(() => expect(heard.payloads).toEqual(['revoked']));
  });

  it('runs a transaction again that lost against another', async () => {
    const { door } = shared;
    const { orgId } = await foundTenant(door, 'racing');
    let tries = 0;
    const increment = () =>
      door.inTenant(
        orgId,
        async (tx) => {
          tries++;
          const { rows } = await tx.execute<{ n: number }>(
            sql`SELECT coalesce((metadata->>'n')::int, 0) AS n FROM organizations`,
          );
          await tx.execute(
            sql`UPDATE organizations SET metadata = jsonb_build_object('n', ${(rows[0]?.n ?? 0) + 1}::int)`,
          );
        },
        { isolation: 'serializable' },
      );
    await Promise.all([increment(), increment(), increment()]);
    const { rows } = await door.inTenant(orgId, (tx) => tx.execute(sql`SELECT metadata FROM organizations`));
    expect(rows).toEqual([{ metadata: { n: 3 } }]);
    // The embedded database runs one after the other anyway.
    if (testDatabaseUrl !== undefined) expect(tries).toBeGreaterThan(3);
  });

  it('refuses work once it is closed', async () => {
    const db = await openTestDatabase();
    await db.close();
    await expect(db.database.withConnection(() => Promise.resolve())).rejects.toMatchObject({ code: 'db.unavailable' });
  }, 90_000);
});

describe('the embedded database', () => {
  const emptyDirectory = async (): Promise<string> => {
    const directory = await embeddedDirectory('empty');
    cleanups.push(() => rm(directory, { recursive: true, force: true }));
    return directory;
  };

  it('keeps its data over a restart', async () => {
    const directory = await emptyDirectory();
    const first = await openEmbedded({ directory, log: silentLog });
    await first.withConnection((connection) =>
      connection.run('CREATE TABLE kept (n integer); INSERT INTO kept VALUES (42)'),
    );
    await first.close();
    const second = await openEmbedded({ directory, log: silentLog });
    cleanups.push(() => second.close());
    const { rows } = await second.withConnection((connection) => connection.query('SELECT n FROM kept'));
    expect(rows).toEqual([{ n: 42 }]);
  }, 90_000);

  it('keeps its files to itself in a folder that others may enter', async () => {
    const directory = await temporaryDirectory();
    await chmod(directory, 0o755);
    const database = await openEmbedded({ directory, log: silentLog });
    cleanups.push(() => database.close());
    const [inside] = await readdir(directory);
    expect((await stat(join(directory, inside ?? ''))).mode & 0o777).toBe(0o700);
  }, 90_000);

  it('works in a thread of its own: a long query does not hold this one up', async () => {
    const database = await openEmbedded({ directory: await emptyDirectory(), log: silentLog });
    cleanups.push(() => database.close());
    let ticks = 0;
    const ticking = setInterval(() => ticks++, 1);
    await database.withConnection((connection) =>
      connection.query('SELECT count(*) FROM generate_series(1, 3000000) AS n WHERE n % 7 = 3'),
    );
    clearInterval(ticking);
    // On the thread of the query there would be none.
    expect(ticks).toBeGreaterThan(10);
  }, 90_000);

  it('starts another thread when its own is lost, and listens again', async () => {
    const log = memoryLog();
    const directory = await emptyDirectory();
    const database = await openEmbedded({ directory, log });
    cleanups.push(() => database.close());
    const heard = hear(database, 'keys');
    await vi.waitFor(() => expect(heard.connections).toBe(1));
    await database.withConnection((connection) => connection.run('CREATE TABLE kept (n integer)'));
    // A query that does not come back is the same to it as a thread that died.
    const stuck = database.withConnection((connection) => connection.run('SELECT pg_sleep(60)', 300));
    await expect(stuck).rejects.toMatchObject({ code: 'db.timeout' });
    const { rows } = await database.withConnection((connection) =>
      connection.query('SELECT count(*)::int AS n FROM kept'),
    );
    expect(rows).toEqual([{ n: 0 }]);
    await vi.waitFor(() => expect(heard.connections).toBe(2));
    await database.withConnection((connection) => connection.run(`NOTIFY keys, 'again'`));
    await vi.waitFor(() => expect(heard.payloads).toEqual(['again']));
  }, 90_000);
});

describe('DATA_DIR', () => {
  it('belongs to one process at a time, which is told who has it', async () => {
    const directory = await temporaryDirectory();
    const held = await holdDataDirectory(directory, silentLog);
    await expect(holdDataDirectory(directory, silentLog)).rejects.toMatchObject({
      code: 'db.locked',
      message: expect.stringMatching(new RegExp(`in use by process ${process.pid}`, 'u')) as string,
    });
    await held.close();
    const again = await holdDataDirectory(directory, silentLog);
    expect(again.nodeId).toBe(held.nodeId);
    await again.close();
  });

  it('is taken from a process that was killed', async () => {
    const directory = await temporaryDirectory();
    const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60_000)'], { stdio: 'ignore' });
    await once(child, 'spawn');
    const held = await holdDataDirectory(directory, silentLog);
    cleanups.push(() => held.close());
    // As if that process had taken it: it lives.
    const file = join(directory, 'lock');
    const processStat = await readFile(`/proc/${child.pid}/stat`, 'utf8');
    const processStart = processStat.slice(processStat.lastIndexOf(')') + 2).split(' ')[19];
    const holder = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
    const foreign = { ...holder, pid: child.pid, process_start: processStart, token: 'foreign' };
    await writeFile(file, JSON.stringify(foreign));
    await expect(holdDataDirectory(directory, silentLog)).rejects.toMatchObject({ code: 'db.locked' });
    // The same number, but another process: it is dead.
    await writeFile(file, JSON.stringify({ ...foreign, process_start: '1' }));
    const taken = await holdDataDirectory(directory, silentLog);
    await taken.close();
    await writeFile(file, JSON.stringify(foreign));
    child.kill('SIGKILL');
    await once(child, 'exit');
    await (await holdDataDirectory(directory, silentLog)).close();
  });
});

const binaries = testDatabaseUrl === undefined ? undefined : findPostgresBinaries();

describe.runIf(binaries !== undefined)('Postgres', () => {
  it('that restarts takes no process with it: idle, lent and listening sessions come back', async () => {
    const postgres = await startPostgresServer(binaries ?? '');
    cleanups.push(() => postgres.close());
    const database = openPostgres({ url: postgres.url, log: silentLog });
    cleanups.push(() => database.close());
    const heard = hear(database, 'keys');
    await vi.waitFor(() => expect(heard.connections).toBe(1), { timeout: 5_000 });
    const lent = database.withConnection(async (connection) => {
      await connection.query('SELECT 1');
      await postgres.stop('immediate');
      await sleep(100);
      return connection.query('SELECT 1');
    });
    // In which words `pg` says so depends on how far it was.
    expect(toDatabaseError(await lent.catch((thrown: unknown) => thrown))).toMatchObject({ code: 'db.unavailable' });
    await expect(openTenantDoor(database).beforeTenant(() => Promise.resolve())).rejects.toMatchObject({
      code: 'db.unavailable',
      retryable: true,
    });
    await postgres.start();
    await database.withConnection((connection) => connection.run(`NOTIFY keys, 'lost or not'`));
    await vi.waitFor(() => expect(heard.connections).toBe(2), { timeout: 15_000 });
    await database.withConnection((connection) => connection.run(`NOTIFY keys, 'heard'`));
    await vi.waitFor(() => expect(heard.payloads).toContain('heard'), { timeout: 5_000 });
  }, 90_000);

  it('says db.timeout for a statement and for a lock that take too long, and db.unavailable for no session in time', async () => {
    const { database, url } = await openTest();
    const door = openTenantDoor(database);
    const timeouts = (set: string, query: string) =>
      door.beforeTenant(async (tx) => {
        await tx.execute(sql.raw(set));
        await tx.execute(sql.raw(query));
      });
    await expect(timeouts('SET LOCAL statement_timeout = 50', 'SELECT pg_sleep(10)')).rejects.toMatchObject({
      code: 'db.timeout',
    });
    await database.withConnection(async (connection) => {
      await connection.run('BEGIN; LOCK TABLE instances IN ACCESS EXCLUSIVE MODE');
      await expect(timeouts('SET LOCAL lock_timeout = 50', 'SELECT * FROM instances')).rejects.toMatchObject({
        code: 'db.timeout',
      });
      await connection.run('ROLLBACK');
    });
    const small = openPostgres({ url: url ?? '', log: silentLog, poolSize: 1 });
    cleanups.push(() => small.close());
    await small.withConnection(() =>
      expect(small.withConnection(() => Promise.resolve())).rejects.toMatchObject({ code: 'db.unavailable' }),
    );
  }, 30_000);
});
