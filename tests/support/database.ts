/** A migrated database of its own for each test file: embedded, or on a real Postgres when TEST_DATABASE_URL names one. */
import { createHash, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, readFile, readdir, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { Database } from '../../src/control/db/database.ts';
import { openEmbedded } from '../../src/control/db/embedded.ts';
import { migrate } from '../../src/control/db/migrate.ts';
import { openPostgres } from '../../src/control/db/postgres.ts';
import { openTenantDoor } from '../../src/control/db/tenant.ts';
import type { TenantDoor } from '../../src/control/db/tenant.ts';
import { silentLog } from '../../src/core/log.ts';
import type { Log } from '../../src/core/log.ts';
import { projectRoot } from '../architecture/source-tree.ts';

export const migrationsDirectory = join(projectRoot, 'migrations');

/** The real Postgres to test against: a URL of a database on which others may be created. */
export const testDatabaseUrl: string | undefined = process.env['TEST_DATABASE_URL'] || undefined;

export interface TestDatabase {
  readonly database: Database;
  readonly door: TenantDoor;
  /** As the owner of the tables, past row-level security when the owner is a superuser. */
  asOwner(text: string, values?: readonly unknown[]): Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** The URL of a real Postgres's database; undefined: embedded. */
  readonly url: string | undefined;
  /** Drops it. */
  close(): Promise<void>;
}

/** Opens a fresh database, with all migrations applied. */
export async function openTestDatabase(log: Log = silentLog): Promise<TestDatabase> {
  return testDatabaseUrl === undefined ? openEmbeddedCopy(log) : openPostgresCopy(testDatabaseUrl, log);
}

function toTestDatabase(database: Database, url: string | undefined, drop: () => Promise<void>): TestDatabase {
  return {
    database,
    door: openTenantDoor(database),
    url,
    asOwner: (text, values) =>
      database.withConnection(async (connection) => (await connection.query(text, values)).rows),
    async close() {
      await database.close();
      await drop();
    },
  };
}

async function openEmbeddedCopy(log: Log): Promise<TestDatabase> {
  const directory = await embeddedDirectory('migrated');
  const database = await openEmbedded({ directory, log });
  return toTestDatabase(database, undefined, () => rm(directory, { recursive: true, force: true }));
}

/** A temporary directory with an embedded database, which the caller removes. */
export async function embeddedDirectory(kind: 'empty' | 'migrated'): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'bvrai-database-'));
  await cp(await embeddedTemplate(kind), directory, { recursive: true });
  return directory;
}

/**
 * Making a database takes seconds, so every other one is a copy of this. Two test processes may make the template at once: each makes
 * its own, and the first to finish wins.
 */
async function embeddedTemplate(kind: 'empty' | 'migrated'): Promise<string> {
  const template = join(tmpdir(), `bvrai-embedded-${kind === 'empty' ? kind : await migrationsHash()}`);
  if (!existsSync(template)) {
    const draft = await mkdtemp(`${template}-`);
    const database = await openEmbedded({ directory: draft, log: silentLog });
    if (kind === 'migrated') await migrate(database, migrationsDirectory, silentLog);
    await database.close();
    await rename(draft, template).catch(() => rm(draft, { recursive: true, force: true }));
  }
  return template;
}

/** The same without opening it; undefined: there is no real Postgres to test against. */
export async function migratedDatabaseUrl(): Promise<{ url: string; drop: () => Promise<void> } | undefined> {
  return testDatabaseUrl === undefined ? undefined : copyTemplate(testDatabaseUrl, silentLog);
}

async function openPostgresCopy(serverUrl: string, log: Log): Promise<TestDatabase> {
  const { url, drop } = await copyTemplate(serverUrl, log);
  return toTestDatabase(openPostgres({ url, log }), url, drop);
}

async function copyTemplate(serverUrl: string, log: Log): Promise<{ url: string; drop: () => Promise<void> }> {
  const template = `bvrai_template_${await migrationsHash()}`;
  const name = `bvrai_test_${randomUUID().replaceAll('-', '')}`;
  const url = withDatabase(serverUrl, name);
  await onServer(serverUrl, async (client) => {
    await client.query(`SELECT pg_advisory_lock(7261)`);
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [template]);
    if (rowCount === 0) await makeTemplate(client, serverUrl, template, log);
    await client.query(`CREATE DATABASE ${name} TEMPLATE ${template}`);
  });
  const drop = () =>
    onServer(serverUrl, async (client) => void (await client.query(`DROP DATABASE ${name} WITH (FORCE)`)));
  return { url, drop };
}

async function makeTemplate(client: pg.Client, serverUrl: string, template: string, log: Log): Promise<void> {
  const draft = `${template}_draft`;
  await client.query(`DROP DATABASE IF EXISTS ${draft} WITH (FORCE)`);
  await client.query(`CREATE DATABASE ${draft}`);
  const database = openPostgres({ url: withDatabase(serverUrl, draft), log });
  await migrate(database, migrationsDirectory, log);
  await database.close();
  await client.query(`ALTER DATABASE ${draft} RENAME TO ${template}`);
}

/** A database without any table, on the real Postgres. */
export async function createEmptyDatabase(serverUrl: string): Promise<{ url: string; drop: () => Promise<void> }> {
  const name = `bvrai_test_${randomUUID().replaceAll('-', '')}`;
  await onServer(serverUrl, async (client) => void (await client.query(`CREATE DATABASE ${name}`)));
  return {
    url: withDatabase(serverUrl, name),
    drop: () => onServer(serverUrl, async (client) => void (await client.query(`DROP DATABASE ${name} WITH (FORCE)`))),
  };
}

async function onServer(url: string, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

function withDatabase(serverUrl: string, name: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}

async function migrationsHash(): Promise<string> {
  const hash = createHash('sha256');
  for (const name of (await readdir(migrationsDirectory)).sort()) {
    hash.update(name).update(await readFile(join(migrationsDirectory, name)));
  }
  return hash.digest('hex').slice(0, 12);
}
