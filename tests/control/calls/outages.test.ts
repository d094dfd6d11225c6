/** Kill -9 in the middle of ten calls, and a database that is away in the middle of ten calls: nothing lost, nothing twice. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { OrphanKeeper } from '../../../src/control/calls/orphans.ts';
import { CallRecorder } from '../../../src/control/calls/recorder.ts';
import { listCalls } from '../../../src/control/calls/store.ts';
import { holdDataDirectory } from '../../../src/control/data-directory.ts';
import { newId } from '../../../src/control/db/ids.ts';
import { openDatabase } from '../../../src/control/db/open.ts';
import { openTenantDoor } from '../../../src/control/db/tenant.ts';
import type { TenantDoor } from '../../../src/control/db/tenant.ts';
import { silentLog } from '../../../src/core/log.ts';
import { createEmptyDatabase, migrationsDirectory, testDatabaseUrl } from '../../support/database.ts';
import { findPostgresBinaries, startPostgresServer } from '../../support/postgres-server.ts';
import { TalkingCall, expectRecord, readAs } from '../../support/recorded-calls.ts';
import type { RecorderProcessOptions, SafeEvents } from '../../support/recorder-process.ts';
import { foundTenant } from '../../support/tenant.ts';

const log = silentLog;
const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Server {
  readonly door: TenantDoor;
  readonly recorder: CallRecorder;
  close(): Promise<void>;
}

/** What a server has of all this. */
async function startServer(dataDirectory: string, url: string | undefined): Promise<Server> {
  const directory = await holdDataDirectory(dataDirectory, log);
  const database = await openDatabase({ url, dataDirectory, migrationsDirectory, log });
  const door = openTenantDoor(database);
  const instanceId = newId();
  const recorder = await CallRecorder.open({ door, directory: dataDirectory, instanceId, log });
  const { replayed } = recorder;
  const beats = { beatEveryMs: 250, deadAfterBeats: 8 };
  const orphans = await OrphanKeeper.start({ door, instanceId, nodeId: directory.nodeId, log, replayed, ...beats });
  const close = async (): Promise<void> => {
    await recorder.close(5_000);
    await orphans.close();
    await database.close();
    await directory.close();
  };
  return { door, recorder, close };
}

async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'bvrai-outage-'));
  cleanups.push(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** Starts recorder-process.ts, lets it talk, and kills it; what it said was safe. */
async function killInTheMiddle(options: RecorderProcessOptions): Promise<ReadonlyMap<string, number>> {
  const here = dirname(fileURLToPath(import.meta.url));
  const script = join(here, '../../support/recorder-process.ts');
  const tsx = createRequire(import.meta.url).resolve('tsx/cli');
  // Its loader runs in the same process, so that the kill meets the recorder and not a parent of it.
  const loader = join(dirname(tsx), 'loader.mjs');
  const child = spawn(process.execPath, ['--import', loader, script, JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const safe = new Map<string, number>();
  let rounds = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    for (const { callId, events } of JSON.parse(line) as SafeEvents[]) safe.set(callId, events);
    if (++rounds === 40) child.kill('SIGKILL');
  }
  const [, signal] = (await exited) as [number | null, string | null];
  expect(signal).toBe('SIGKILL');
  return safe;
}

async function expectWholeCalls(door: TenantDoor, orgId: string, safe: ReadonlyMap<string, number>): Promise<void> {
  const { items } = await door.inTenant(orgId, (tx) => listCalls(tx, {}, { limit: 100 }));
  expect(items).toHaveLength(10);
  expect(items.filter(({ end_reason: reason }) => reason === 'caller-hung-up')).toHaveLength(2);
  expect(items.filter(({ end_reason: reason }) => reason === 'server-restarted')).toHaveLength(8);
  for (const { id } of items) {
    const record = await readAs(door, orgId, id);
    const own = record?.events.filter(({ type, reason }) => type !== 'call-ended' || reason === 'caller-hung-up') ?? [];
    // Contiguous, and at least what was said to be safe.
    expect(own.map(({ seq }) => seq)).toEqual(own.map((_, index) => index));
    expect(own.length).toBeGreaterThanOrEqual(safe.get(id) ?? 42);
    expect(record?.messages).toHaveLength(
      own.filter(({ type }) => type === 'caller-said' || type === 'agent-said').length,
    );
    expect(record?.events.filter(({ type }) => type === 'call-ended')).toHaveLength(1);
  }
}

describe('kill -9 in the middle of ten calls', () => {
  it('loses nothing that was on disk, doubles nothing, and each call ends once', async () => {
    const dataDirectory = await temporaryDirectory();
    const database = testDatabaseUrl === undefined ? undefined : await createEmptyDatabase(testDatabaseUrl);
    if (database) cleanups.push(() => database.drop());
    const before = await startServer(dataDirectory, database?.url);
    const owner = await foundTenant(before.door, 'killed');
    await before.close();

    const safe = await killInTheMiddle({ dataDirectory, url: database?.url, owner });

    const after = await startServer(dataDirectory, database?.url);
    cleanups.push(() => after.close());
    await after.recorder.replayed;
    const openCalls = () =>
      after.door.inTenant(
        owner.orgId,
        async (tx) => (await listCalls(tx, { status: 'in_progress' }, { limit: 10 })).items,
      );
    await vi.waitFor(async () => expect(await openCalls()).toEqual([]), { timeout: 10_000, interval: 50 });
    await expectWholeCalls(after.door, owner.orgId, safe);
  }, 90_000);
});

/** How long the database is away; the promise is for 20 s: `OUTAGE_MS=20000 scripts/with-postgres.sh npx vitest run <this>`. */
const outageMs = Number(process.env['OUTAGE_MS'] ?? 2_500);
const binaries = testDatabaseUrl === undefined ? undefined : findPostgresBinaries();

describe.runIf(binaries !== undefined)('a Postgres that is away in the middle of ten calls', () => {
  it.each(['crashed', 'hung'] as const)(
    '%s: calls go on, and every record is whole afterwards',
    async (kind) => {
      const postgres = await startPostgresServer(binaries ?? '');
      cleanups.push(() => postgres.close());
      const server = await startServer(await temporaryDirectory(), postgres.url);
      cleanups.push(() => server.close());
      const owner = await foundTenant(server.door, 'away');
      const calls = Array.from({ length: 10 }, () => new TalkingCall(server.recorder, owner));

      const ended: TalkingCall[] = [];
      const state = { away: false };
      const talk = async (): Promise<void> => {
        for (let turn = 1; turn <= 10 || state.away; turn++) {
          for (const call of calls) call.turn(turn);
          await sleep(25);
        }
      };
      await talk();
      state.away = true;
      if (kind === 'crashed') await postgres.stop('immediate');
      else postgres.pause();
      const talking = talk();
      await sleep(outageMs / 2);
      // Two end while nobody can write it down.
      for (const call of calls.splice(0, 2)) {
        call.end();
        ended.push(call);
      }
      await sleep(outageMs / 2);
      if (kind === 'crashed') {
        expect(server.recorder.status.writing).toBe(false);
        await postgres.start();
      } else postgres.resume();
      state.away = false;
      await talking;
      for (const call of calls) call.end();

      await vi.waitFor(() => expect(server.recorder.status).toMatchObject({ writing: true, waitingBytes: 0 }), {
        timeout: 30_000,
        interval: 50,
      });
      expect(server.recorder.status).toMatchObject({ droppedLines: 0, rejectedLines: 0 });
      for (const call of [...calls, ...ended]) {
        const record = await readAs(server.door, owner.orgId, call.id);
        expectRecord(record, call.events);
        expect(record?.end_reason).toBe('caller-hung-up');
      }
    },
    120_000,
  );
});
