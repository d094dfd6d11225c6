/** Everything that keeps the records of calls: the database, the spool before it, and who closes what others left open. */
import { randomUUID } from 'node:crypto';
import type { Log } from '../core/log.ts';
import { EventFeed } from './calls/feed.ts';
import { OrphanKeeper } from './calls/orphans.ts';
import { CallRecorder } from './calls/recorder.ts';
import { holdDataDirectory } from './data-directory.ts';
import type { Database } from './db/database.ts';
import { purgeExpired } from './db/lookups.ts';
import { openDatabase } from './db/open.ts';
import { openTenantDoor } from './db/tenant.ts';
import type { TenantDoor } from './db/tenant.ts';

export interface RecordsOptions {
  readonly databaseUrl: string | undefined;
  readonly dataDirectory: string;
  readonly migrationsDirectory: string;
  readonly log: Log;
}

export interface Records {
  readonly database: Database;
  readonly door: TenantDoor;
  readonly recorder: CallRecorder;
  readonly feed: EventFeed;
  /** This start of this server. */
  readonly instanceId: string;
  /** Writes what it can within `graceMs`; the rest waits on disk for the next start. Idempotent. */
  close(graceMs: number): Promise<void>;
}

const PURGE_EVERY_MS = 60 * 60 * 1_000;

/** Opens all of it, migrates, and begins to close orphans. Throws `db.…` or `config.invalid`, having closed what it opened. */
export async function openRecords(options: RecordsOptions): Promise<Records> {
  const { databaseUrl: url, dataDirectory, migrationsDirectory, log } = options;
  const closers: (() => Promise<void>)[] = [];
  const closeAll = async (): Promise<void> => {
    for (const close of closers.splice(0).toReversed()) await close();
  };
  try {
    const directory = await holdDataDirectory(dataDirectory, log);
    closers.push(() => directory.close());
    const database = await openDatabase({ url, dataDirectory, migrationsDirectory, log });
    closers.push(() => database.close());
    const door = openTenantDoor(database);
    const feed = new EventFeed(door, log);
    const instanceId = randomUUID();
    let graceMs = 0;
    const recorder = await CallRecorder.open({
      door,
      directory: dataDirectory,
      instanceId,
      log,
      onWritten: (orgIds) => feed.wake(orgIds),
    });
    closers.push(() => recorder.close(graceMs));
    const { replayed } = recorder;
    const keeper = await OrphanKeeper.start({ door, instanceId, nodeId: directory.nodeId, log, replayed });
    closers.push(() => keeper.close());
    const purging = setInterval(() => {
      door
        .beforeTenant(purgeExpired)
        .catch((thrown: unknown) => log.warn({ err: thrown }, 'what has expired was not removed'));
    }, PURGE_EVERY_MS);
    closers.push(async () => clearInterval(purging));
    return {
      database,
      door,
      recorder,
      feed,
      instanceId,
      close(limitMs) {
        graceMs = limitMs;
        return closeAll();
      },
    };
  } catch (thrown) {
    await closeAll();
    throw thrown;
  }
}
