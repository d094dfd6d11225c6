/** Migrations: once each, also when servers start together, and never past a file that was changed. */
import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Database } from '../../../src/control/db/database.ts';
import { openEmbedded } from '../../../src/control/db/embedded.ts';
import { migrate } from '../../../src/control/db/migrate.ts';
import { newId } from '../../../src/control/db/ids.ts';
import { openPostgres } from '../../../src/control/db/postgres.ts';
import { agentVersions, agents, organizations } from '../../../src/control/db/schema.ts';
import { openTenantDoor } from '../../../src/control/db/tenant.ts';
import { memoryLog, silentLog } from '../../../src/core/log.ts';
import {
  createEmptyDatabase,
  embeddedDirectory,
  migrationsDirectory,
  testDatabaseUrl,
} from '../../support/database.ts';

let database: Database;
let directory: string;
const cleanups: (() => Promise<void>)[] = [];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bvrai-migrations-'));
  cleanups.push(() => rm(directory, { recursive: true, force: true }));
  await cp(migrationsDirectory, directory, { recursive: true });
  if (testDatabaseUrl === undefined) {
    const embedded = await embeddedDirectory('empty');
    cleanups.push(() => rm(embedded, { recursive: true, force: true }));
    database = await openEmbedded({ directory: embedded, log: silentLog });
  } else {
    const empty = await createEmptyDatabase(testDatabaseUrl);
    cleanups.push(() => empty.drop());
    database = openPostgres({ url: empty.url, log: silentLog });
  }
  cleanups.push(() => database.close());
}, 90_000);
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const applied = () =>
  database.withConnection(async (connection) => {
    const { rows } = await connection.query('SELECT name FROM schema_migrations ORDER BY name');
    return rows.map(({ name }) => name);
  });
const refused = (message: RegExp) =>
  expect(migrate(database, directory, silentLog)).rejects.toMatchObject({
    code: 'db.migration',
    message: expect.stringMatching(message) as string,
  });

describe('migrations', () => {
  it('run once, also when several servers start together', async () => {
    const log = memoryLog();
    await Promise.all([1, 2, 3].map(() => migrate(database, directory, log)));
    await migrate(database, directory, log);
    expect(log.lines).toHaveLength(1);
    expect(await applied()).toContain('0001_control_plane.sql');
  }, 90_000);

  it('refuse a file that was changed after it was applied, one that is unknown, and one that comes late', async () => {
    await migrate(database, directory, silentLog);
    const first = join(directory, '0001_control_plane.sql');
    await writeFile(first, '-- more\n', { flag: 'a' });
    await refused(/Changed after they were applied: 0001_control_plane\.sql/u);
    await cp(join(migrationsDirectory, '0001_control_plane.sql'), first);
    await writeFile(join(directory, '0900_more.sql'), 'CREATE TABLE more (id integer);');
    await migrate(database, directory, silentLog);
    await writeFile(join(directory, '0899_late.sql'), 'SELECT 1;');
    await refused(/0899_late\.sql is new, but 0900_more\.sql/u);
    await rm(join(directory, '0899_late.sql'));
    await rm(join(directory, '0900_more.sql'));
    await refused(/does not know: 0900_more\.sql/u);
  }, 90_000);

  it('do not stand in a table’s queue for long: they step back, and try again', async () => {
    const waits = { timeoutMs: 1_234, pauseMs: 1, tries: 4 };
    // A sequence counts on when its transaction is taken back.
    await writeFile(join(directory, '0900_tries.sql'), 'CREATE SEQUENCE tries;');
    await migrate(database, directory, silentLog);
    const inUse = (until: number) =>
      `DO $$ BEGIN IF nextval('tries') < ${until} THEN RAISE EXCEPTION 'planted' USING ERRCODE = '55P03'; END IF; END $$;`;
    await writeFile(
      join(directory, '0901_in_use.sql'),
      `CREATE TABLE waits AS SELECT current_setting('lock_timeout') AS timeout; ${inUse(3)}`,
    );
    const log = memoryLog();
    await migrate(database, directory, log, waits);
    expect(log.lines.map(({ message }) => message)).toEqual([
      ...[1, 2].map(() => expect.stringContaining('a table is in use') as string),
      'the database has been migrated',
    ]);
    expect(await applied()).toContain('0901_in_use.sql');
    const { rows } = await database.withConnection((connection) => connection.query('SELECT timeout FROM waits'));
    expect(rows).toEqual([{ timeout: '1234ms' }]);

    await writeFile(join(directory, '0902_in_use.sql'), inUse(1_000));
    await expect(migrate(database, directory, silentLog, waits)).rejects.toMatchObject({ code: 'db.timeout' });
    expect(await applied()).not.toContain('0902_in_use.sql');
  }, 90_000);

  it('that fail leave the database as it was, and say which and why', async () => {
    await migrate(database, directory, silentLog);
    const before = await applied();
    await writeFile(join(directory, '0900_good.sql'), 'CREATE TABLE good (id integer);');
    await writeFile(join(directory, '0901_bad.sql'), 'CREATE TABLE bad (id integer);\nSELECT * FROM nowhere;');
    await refused(/0901_bad\.sql failed: relation "nowhere" does not exist/u);
    expect(await applied()).toEqual(before);
    await writeFile(join(directory, '0901_bad.sql'), 'CREATE TABLE bad (id integer);');
    await migrate(database, directory, silentLog);
    expect((await applied()).slice(-2)).toEqual(['0900_good.sql', '0901_bad.sql']);
  }, 90_000);

  it('take an English default that was written into a version for not set, and what differs from it for set', async () => {
    const late = '0025_texts_nobody_set.sql';
    for (const name of await readdir(directory)) if (name >= late) await rm(join(directory, name));
    await migrate(database, directory, silentLog);
    const stored = {
      defaults: {
        language: 'de',
        goodbye_message: 'Thank you for calling. Goodbye.',
        end_call_phrases: ['goodbye', 'bye bye', 'thank you goodbye'],
        silence: { max_reminders: 1, reminder_message: 'Are you still there?' },
      },
      own: { goodbye_message: 'Servus!', end_call_phrases: ['goodbye'], silence: { reminder_message: 'Hallo?' } },
      older: { language: 'de' },
    };
    const [orgId, agentId] = [newId(), newId()];
    // Who owns the tables may be bound by their policies.
    const door = openTenantDoor(database);
    await door.inTenant(orgId, async (tx) => {
      await tx.insert(organizations).values({ id: orgId, name: 'Stored' });
      await tx.insert(agents).values({ id: agentId, orgId, name: 'Ada' });
      const rows = Object.values(stored).map((config, index) => ({ orgId, agentId, version: index + 1, config }));
      await tx.insert(agentVersions).values(rows);
    });
    await cp(join(migrationsDirectory, late), join(directory, late));
    await migrate(database, directory, silentLog);
    const rows = await door.inTenant(orgId, (tx) =>
      tx.select({ config: agentVersions.config }).from(agentVersions).orderBy(agentVersions.version),
    );
    expect(rows.map(({ config }) => config)).toEqual([
      { language: 'de', silence: { max_reminders: 1 } },
      stored.own,
      stored.older,
    ]);
  }, 90_000);

  it('have names that say their order', async () => {
    await writeFile(join(directory, 'later.sql'), 'SELECT 1;');
    await refused(/later\.sql; migrations are named like/u);
  });
});
