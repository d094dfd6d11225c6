/** Postgres is stopped in the middle of ten calls over real sockets and started again: nobody on the phone notices, and nothing is lost. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { CallRefused, Phone } from '../../../bench/phone/phone.ts';
import { startEmulatedCloud } from '../../support/cloud.ts';
import { testDatabaseUrl } from '../../support/database.ts';
import { EventFollower } from '../../support/event-follower.ts';
import { NUMBERED_CLOUD, makeNumberedAgents, ringNumberedCallers } from '../../support/numbered-callers.ts';
import { expectWholeRecord, readRecord } from '../../support/numbered-records.ts';
import { findPostgresBinaries, startPostgresServer } from '../../support/postgres-server.ts';
import { startServerOfItsOwn } from '../../support/server-of-its-own.ts';

const CALLS = 10;
/** With nothing else on the machine all of them are. */
const LEAST_COMPARED = 3;
/** How long Postgres is away; the promise is for 20 s: `OUTAGE_MS=20000 scripts/with-postgres.sh npx vitest run <this>`. */
const outageMs = Number(process.env['OUTAGE_MS'] ?? 5_000);
const binaries = testDatabaseUrl === undefined ? undefined : findPostgresBinaries();

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

describe.runIf(binaries !== undefined)('Postgres away in the middle of ten calls', () => {
  it('calls go on, new ones are answered, readiness says it, and every record is whole afterwards', async () => {
    const postgres = await startPostgresServer(binaries ?? '');
    cleanups.push(() => postgres.close());
    const dataDirectory = await mkdtemp(join(tmpdir(), 'bvrai-away-'));
    cleanups.push(() => rm(dataDirectory, { recursive: true, force: true }));
    const cloud = await startEmulatedCloud(NUMBERED_CLOUD);
    cleanups.push(() => cloud.close());
    const server = await startServerOfItsOwn({
      dataDirectory,
      databaseUrl: postgres.url,
      environment: cloud.environment,
    });
    cleanups.push(() => server.stop());
    const follower = await EventFollower.connect({ url: `${server.url}/api/v1/events`, token: server.apiKey });
    cleanups.push(() => follower.close());
    const agents = await makeNumberedAgents(server, CALLS);
    const callers = await ringNumberedCallers(server.url, agents);
    await Promise.all(callers.map((caller) => caller.untilAnswered(1)));
    const answeredBefore = callers.map(({ answered }) => answered);

    await postgres.stop('fast');
    const backAtMs = performance.now() + outageMs;
    await expect
      .poll(() => server.readiness(), { timeout: outageMs })
      .toEqual({ status: 503, parts: { embedded_engines: true, database: false, accepting_calls: true } });
    // Their agent has answered before, and is known; nobody knows who answers this number.
    const newcomers = await ringNumberedCallers(server.url, agents.slice(0, 2));
    const stranger = Phone.ring({ serverUrl: server.url, to: '+15550123' });
    await expect(stranger).rejects.toBeInstanceOf(CallRefused);
    await expect(stranger).rejects.toThrow('We are sorry');
    await Promise.all(newcomers.map((caller) => caller.untilAnswered(1)));
    // Three hang up while nobody can write it down.
    const leaving = [...callers.slice(8), ...newcomers.slice(1)];
    await Promise.all(leaving.map((caller) => caller.hangUp()));
    await sleep(Math.max(0, backAtMs - performance.now()));
    const goingOn = callers.filter((caller) => caller.answered > (answeredBefore[caller.caller] ?? 0));
    expect(goingOn.length).toBeGreaterThanOrEqual(LEAST_COMPARED);
    await postgres.start();

    await Promise.all([...callers, ...newcomers].map((caller) => caller.hangUp()));
    await server.written();
    await expect.poll(() => server.readiness(), { timeout: 15_000 }).toMatchObject({ status: 200 });
    const all = [...callers, ...newcomers];
    const records = await Promise.all(all.map(({ callSid }) => readRecord(server, callSid)));
    const compared = all.filter((caller, index) => expectWholeRecord(records[index]!, caller));
    expect(compared.length).toBeGreaterThanOrEqual(LEAST_COMPARED);

    // The follower's connection has outlived it all: every event once, in order.
    const recorded = records.flatMap(({ id, events }) => events.map(({ seq }) => `${id} ${seq}`));
    await expect.poll(() => follower.events.length, { timeout: 10_000 }).toBe(recorded.length);
    expect(follower.events.map(({ callId, seq }) => `${callId} ${seq}`).toSorted()).toEqual(recorded.toSorted());
    expect(follower.events.map(({ id }) => id)).toEqual(follower.events.map(({ id }) => id).toSorted((a, b) => a - b));
    // With no calls it is the heartbeat that notices.
    await postgres.stop('fast');
    await expect
      .poll(() => server.readiness(), { timeout: 15_000 })
      .toMatchObject({ status: 503, parts: { database: false } });
    await postgres.start();
    await expect.poll(() => server.readiness(), { timeout: 15_000 }).toMatchObject({ status: 200 });
    const turns = records.reduce((sum, { messages }) => sum + (messages.length - 1) / 2, 0);
    console.info(
      `Postgres away for ${outageMs} ms: ${records.length} calls, ${turns} turns, ${recorded.length} events, ${compared.length} calls compared word for word`,
    );
  }, 180_000);
});
