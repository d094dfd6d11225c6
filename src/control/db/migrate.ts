/** Runs `migrations/*.sql`, in the order of their names, each once. */
import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { BvraiError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import type { Connection, Database } from './database.ts';
import { isOutage, toDatabaseError } from './errors.ts';

interface Migration {
  readonly name: string;
  readonly sql: string;
  readonly checksum: string;
}

const NAME = /^\d{4}_[a-z0-9_]+\.sql$/u;
/** The SQLSTATE of a lock that was not had in time. */
const LOCK_NOT_AVAILABLE = '55P03';
/** Any number, as long as it stays the same; all that migrate one database wait for each other by it. */
const ADVISORY_LOCK = 5_262_414;
const TURN_TIMEOUT_MS = 120_000;
const RUN_TIMEOUT_MS = 600_000;

/** How a migration waits for the lock of a table that is in use. */
export interface LockWaits {
  /** Of one try. Behind a waiting ALTER TABLE every query of that table queues up, those of calls in progress too. */
  readonly timeoutMs: number;
  /** Between two tries, in which those queries get through. */
  readonly pauseMs: number;
  readonly tries: number;
}

const LOCK_WAITS: LockWaits = { timeoutMs: 3_000, pauseMs: 5_000, tries: 15 };

/**
 * Brings the database up to the newest migration of `directory`, all that are missing in one transaction, under an advisory
 * lock: servers that start together wait for the first. When a table is not free within seconds, all is taken back and tried again a
 * little later, for two minutes in all; then it throws `db.timeout`. Throws `db.migration` when an applied migration has been changed,
 * or is unknown here (the database belongs to a newer version), or fails; the database is then as it was.
 */
export async function migrate(
  database: Database,
  directory: string,
  log: Log,
  lockWaits: LockWaits = LOCK_WAITS,
): Promise<void> {
  const migrations = await readMigrations(directory);
  for (let tries = 1; ; tries++) {
    try {
      const applied = await database.withConnection((connection) => migrateOnce(connection, migrations, lockWaits));
      if (applied.length > 0) log.info({ migrations: applied }, 'the database has been migrated');
      return;
    } catch (thrown) {
      if (!isLockTimeout(thrown) || tries >= lockWaits.tries) throw thrown;
      log.warn({ tries }, 'the database is not migrated yet: a table is in use; trying again');
      await sleep(lockWaits.pauseMs);
    }
  }
}

async function migrateOnce(
  connection: Connection,
  migrations: readonly Migration[],
  lockWaits: LockWaits,
): Promise<string[]> {
  try {
    return await applyMissing(connection, migrations, lockWaits);
  } catch (thrown) {
    await connection.run('ROLLBACK').catch(() => {});
    throw thrown;
  }
}

async function readMigrations(directory: string): Promise<Migration[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.sql')).sort();
  const wrong = names.find((name) => !NAME.test(name));
  if (wrong !== undefined || names.length === 0) {
    throw new BvraiError(
      'db.migration',
      `${directory}: ${wrong ?? 'no migration at all'}; migrations are named like 0001_what_it_does.sql.`,
    );
  }
  return Promise.all(
    names.map(async (name) => {
      const sql = (await readFile(join(directory, name), 'utf8')).replaceAll('\r\n', '\n');
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}

async function applyMissing(
  connection: Connection,
  migrations: readonly Migration[],
  { timeoutMs }: LockWaits,
): Promise<string[]> {
  await guarded('cannot begin', () => takeTurn(connection));
  await connection.run(`SET LOCAL lock_timeout = ${timeoutMs}`);
  const missing = missingMigrations(migrations, await appliedMigrations(connection));
  for (const { name, sql, checksum } of missing) {
    await guarded(`${name} failed`, () => connection.run(sql, RUN_TIMEOUT_MS));
    await connection.query('INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2)', [name, checksum]);
  }
  await connection.run('COMMIT');
  return missing.map(({ name }) => name);
}

/** Begins the transaction, once no other server migrates this database. */
async function takeTurn(connection: Connection): Promise<void> {
  try {
    await connection.run(
      `BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = ${TURN_TIMEOUT_MS};
       SET LOCAL idle_in_transaction_session_timeout = 0;
       SELECT pg_advisory_xact_lock(${ADVISORY_LOCK});
       CREATE TABLE IF NOT EXISTS schema_migrations (
         name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now());`,
      TURN_TIMEOUT_MS + 1_000,
    );
  } catch (thrown) {
    if (!isLockTimeout(thrown)) throw thrown;
    const seconds = TURN_TIMEOUT_MS / 1_000;
    throw new BvraiError('db.timeout', `Another server has been migrating this database for ${seconds} s.`, {
      cause: thrown,
    });
  }
}

function isLockTimeout(thrown: unknown): boolean {
  return toDatabaseError(thrown).details['sqlState'] === LOCK_NOT_AVAILABLE;
}

const appliedRow = z.object({ name: z.string(), checksum: z.string() });

async function appliedMigrations(connection: Connection): Promise<ReadonlyMap<string, string>> {
  const { rows } = await connection.query('SELECT name, checksum FROM schema_migrations ORDER BY name');
  return new Map(rows.map((row) => appliedRow.parse(row)).map(({ name, checksum }) => [name, checksum]));
}

function missingMigrations(migrations: readonly Migration[], applied: ReadonlyMap<string, string>): Migration[] {
  const known = new Set(migrations.map(({ name }) => name));
  const unknown = [...applied.keys()].filter((name) => !known.has(name));
  if (unknown.length > 0) {
    throw new BvraiError(
      'db.migration',
      `The database has migrations that this version does not know: ${unknown.join(', ')}. Start a version at least as new.`,
    );
  }
  const changed = migrations.filter(({ name, checksum }) => (applied.get(name) ?? checksum) !== checksum);
  if (changed.length > 0) {
    throw new BvraiError(
      'db.migration',
      `Changed after they were applied: ${changed.map(({ name }) => name).join(', ')}. Migrations are append-only: restore ` +
        'the file and put the change into a new one.',
    );
  }
  const missing = migrations.filter(({ name }) => !applied.has(name));
  const newest = [...applied.keys()].at(-1) ?? '';
  const late = missing.find(({ name }) => name < newest);
  if (late) {
    throw new BvraiError(
      'db.migration',
      `${late.name} is new, but ${newest}, which comes after it, has been applied: give it the next free number.`,
    );
  }
  return missing;
}

async function guarded(what: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (thrown) {
    const error = toDatabaseError(thrown);
    // Unreachable or overdue: that is not the migration's fault, and trying again helps.
    if (isOutage(error)) throw error;
    const reason = error.cause instanceof Error ? error.cause.message : error.message;
    throw new BvraiError('db.migration', `Migrating the database: ${what}: ${reason}`, {
      cause: error,
      details: error.details,
    });
  }
}
