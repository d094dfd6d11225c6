/** The database that the configuration names, migrated and ready. */
import { BvraiError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import type { Database } from './database.ts';
import { openEmbedded } from './embedded.ts';
import { migrate } from './migrate.ts';
import { openPostgres } from './postgres.ts';

export interface DatabaseOptions {
  /** Postgres; undefined: the embedded database in `dataDirectory`. */
  readonly url: string | undefined;
  /** Held by this process (data-directory.ts). */
  readonly dataDirectory: string;
  readonly migrationsDirectory: string;
  /** Sessions at most; the embedded database has one. */
  readonly poolSize?: number;
  readonly log: Log;
}

/** Opens and migrates. Throws `db.unavailable`, `db.timeout` or `db.migration`, having closed what it opened. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const { url, dataDirectory, migrationsDirectory, log } = options;
  const database =
    url === undefined ? await openEmbedded({ directory: dataDirectory, log }) : openPostgres({ ...options, url });
  try {
    await migrate(database, migrationsDirectory, log);
  } catch (thrown) {
    await database.close();
    throw BvraiError.from(thrown);
  }
  return database;
}
