/** Everything that keeps the records of calls: the database, the spool before it, and who closes what others left open. */
import { randomUUID } from 'node:crypto';
import { systemClock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import { OrphanKeeper } from './calls/orphans.ts';
import { readPrices } from './calls/prices.ts';
import { CallRecorder } from './calls/recorder.ts';
import { holdDataDirectory } from './data-directory.ts';
import type { Database } from './db/database.ts';
import { openDatabase } from './db/open.ts';
import { openPostgres } from './db/postgres.ts';
import { openTenantDoor } from './db/tenant.ts';
import type { TenantDoor } from './db/tenant.ts';
import { Purge } from './purge.ts';

export interface RecordsOptions {
  readonly databaseUrl: string | undefined;
  readonly dataDirectory: string;
  readonly migrationsDirectory: string;
  /** Sessions of the database at most; not for the embedded one. */
  readonly poolSize?: number;
  /** Says what vendors charge (prices.ts). Absent: nothing has a price. */
  readonly pricesFile?: string | undefined;
  readonly log: Log;
}

export interface Records {
  readonly database: Database;
  readonly door: TenantDoor;
  readonly recorder: CallRecorder;
  /** Tells for which organizations events have been written. */
  onWritten(listener: (orgIds: readonly string[]) => void): void;
  /** This start of this server. */
  readonly instanceId: string;
  /** Whether the database took what was written to it last: call records, or the heartbeat of a server without calls. */
  readonly isDatabaseReady: boolean;
  /** Writes what it can within `graceMs`; the rest waits on disk for the next start. Idempotent. */
  close(graceMs: number): Promise<void>;
}

/** A heartbeat that waits longer is none; the next one gets a new session. */
const BEAT_TIMEOUT_MS = 2_000;

/** Opens all of it, migrates, and begins to close orphans. Throws `db.…` or `config.invalid`, having closed what it opened. */
export async function openRecords(options: RecordsOptions): Promise<Records> {
  const { databaseUrl: url, dataDirectory, log } = options;
  const prices = await readPrices(options.pricesFile);
  const closers: (() => Promise<void>)[] = [];
  const closeAll = async (): Promise<void> => {
    for (const close of closers.splice(0).toReversed()) await close();
  };
  try {
    const directory = await holdDataDirectory(dataDirectory, log);
    closers.push(() => directory.close());
    const database = await openDatabase({ ...options, url });
    closers.push(() => database.close());
    const door = openTenantDoor(database);
    const listeners: ((orgIds: readonly string[]) => void)[] = [];
    const instanceId = randomUUID();
    let graceMs = 0;
    const recorder = await CallRecorder.open({
      door,
      directory: dataDirectory,
      instanceId,
      prices,
      log,
      onWritten: (orgIds) => listeners.forEach((listener) => listener(orgIds)),
    });
    closers.push(() => recorder.close(graceMs));
    const { replayed } = recorder;
    const beating =
      url === undefined ? undefined : openPostgres({ url, log, poolSize: 1, statementTimeoutMs: BEAT_TIMEOUT_MS });
    closers.push(async () => beating?.close());
    const beatDoor = beating ? openTenantDoor(beating) : door;
    const { nodeId } = directory;
    const keeper = await OrphanKeeper.start({ door, beatDoor, instanceId, nodeId, prices, log, replayed });
    closers.push(() => keeper.close());
    const purge = new Purge({ door, clock: systemClock, log, random: Math.random });
    closers.push(() => purge.close());
    return {
      database,
      door,
      recorder,
      onWritten: (listener) => listeners.push(listener),
      instanceId,
      get isDatabaseReady() {
        return recorder.status.writing && keeper.isBeating;
      },
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
