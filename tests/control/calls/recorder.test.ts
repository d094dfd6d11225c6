/** The recorder: everything once, whatever the database does meanwhile. */
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { sql } from 'drizzle-orm';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { OrphanKeeper } from '../../../src/control/calls/orphans.ts';
import { CallRecorder } from '../../../src/control/calls/recorder.ts';
import { callResponse, callSummaryResponse } from '../../../src/control/calls/json.ts';
import { listCalls, readCallSummary } from '../../../src/control/calls/store.ts';
import { newId } from '../../../src/control/db/ids.ts';
import { calls } from '../../../src/control/db/schema.ts';
import { openTenantDoor } from '../../../src/control/db/tenant.ts';
import type { TenantDoor } from '../../../src/control/db/tenant.ts';
import { BvraiError } from '../../../src/core/errors.ts';
import { memoryLog, silentLog } from '../../../src/core/log.ts';
import type { Log } from '../../../src/core/log.ts';
import { openTestDatabase } from '../../support/database.ts';
import type { TestDatabase } from '../../support/database.ts';
import { TalkingCall, expectRecord, readAs, recordedCall } from '../../support/recorded-calls.ts';
import type { CallOwner } from '../../support/recorded-calls.ts';
import { foundTenant } from '../../support/tenant.ts';

let db: TestDatabase;
let owner: CallOwner;
let other: CallOwner;
const directories = new Set<string>();
const open: (CallRecorder | OrphanKeeper)[] = [];

beforeAll(async () => {
  db = await openTestDatabase();
  owner = await foundTenant(db.door, 'recorded');
  other = await foundTenant(db.door, 'other');
}, 90_000);
afterAll(() => db.close());
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await (one instanceof CallRecorder ? one.close(10_000) : one.close());
  for (const directory of directories) await rm(directory, { recursive: true, force: true });
  directories.clear();
});

interface Server {
  readonly recorder: CallRecorder;
  readonly orphans: OrphanKeeper;
  readonly nodeId: string;
  readonly directory: string;
}

/** A server's recorder; one on the node and the directory of `after` is its successor. */
async function startServer(
  options: { door?: TenantDoor; after?: Server; log?: Log; maxSpoolBytes?: number } = {},
): Promise<Server> {
  const { log = silentLog, door = db.door, after, maxSpoolBytes } = options;
  const instanceId = newId();
  const nodeId = after?.nodeId ?? newId();
  const directory = after?.directory ?? (await mkdtemp(join(tmpdir(), 'bvrai-recorder-')));
  directories.add(directory);
  const limits = maxSpoolBytes === undefined ? {} : { maxSpoolBytes };
  const recorder = await CallRecorder.open({ door, directory, instanceId, log, ...limits });
  const { replayed } = recorder;
  const beats = { beatEveryMs: 250, deadAfterBeats: 4 };
  const orphans = await OrphanKeeper.start({ door: db.door, instanceId, nodeId, log, replayed, ...beats });
  open.push(recorder, orphans);
  return { recorder, orphans, nodeId, directory };
}

async function untilWritten(recorder: CallRecorder): Promise<void> {
  await vi.waitFor(() => expect(recorder.status.waitingBytes).toBe(0), { timeout: 15_000, interval: 20 });
}

async function untilOnDisk(recorder: CallRecorder): Promise<void> {
  await vi.waitFor(() => expect(recorder.status.unsafeBytes).toBe(0), { timeout: 15_000, interval: 1 });
}

/** A door that fails now and then: before anything was done or, which is worse, after it was committed. */
function unreliable(door: TenantDoor, failures: ('before' | 'after' | undefined)[]): TenantDoor {
  const fault = () => new BvraiError('db.unavailable', 'planted');
  return {
    ...door,
    async inTenant(orgId, work, options) {
      const failure = failures.shift();
      if (failure === 'before') throw fault();
      const result = await door.inTenant(orgId, work, options);
      if (failure === 'after') throw fault();
      return result;
    },
  };
}

describe('the recorder', () => {
  it('writes calls, messages, turns and events', async () => {
    const { recorder } = await startServer();
    const call = new TalkingCall(recorder, owner);
    call.turn(1);
    call.say({ at_ms: 1_950, type: 'transcript', text: 'inter', final: false, confidence: 0.1 });
    call.events.pop();
    call.say({ at_ms: 2_000.6, type: 'tool-finished', name: 'weather', result: 'sun\0ny \ud800' });
    call.events.pop();
    call.end();
    await untilWritten(recorder);
    const record = await readAs(db.door, owner.orgId, call.id);
    expect(record).toMatchObject({
      id: call.id,
      status: 'completed',
      end_reason: 'caller-hung-up',
      from: '+15550001',
      to: '+15550100',
      agent_id: owner.agentId,
      agent_version: 1,
      twilio_call_sid: call.callSid,
      duration_ms: 1_901,
      messages: [
        { seq: 2, role: 'caller', text: 'question 1', heard_text: 'question 1', at_ms: 1_010 },
        { seq: 4, role: 'agent', text: 'answer 1 in full', heard_text: 'answer 1', details: { interrupted: true } },
        // What Postgres cannot hold is replaced, and stops nothing.
        { seq: 5, role: 'tool', text: 'sun\ufffdny \ufffd', at_ms: 2_001, details: { name: 'weather' } },
      ],
      turns: [{ turn: 1, voice_to_voice_ms: 450.25, stages: { first_audio_ms: 450.25 } }],
    });
    expect(record?.events.map(({ seq }) => seq)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(await readAs(db.door, other.orgId, call.id)).toBeUndefined();
    const found = await db.door.inTenant(owner.orgId, (tx) =>
      listCalls(tx, { text: 'ANSWER question' }, { limit: 10 }),
    );
    expect(found.items.map(({ id }) => id)).toEqual([call.id]);
    // Nobody checks them again on their way out: they have the documented fields, of the documented types, and no others.
    expect(callResponse.parse(record)).toEqual(record);
    expect(z.array(callSummaryResponse).parse(found.items)).toEqual(found.items);
    expect(await db.door.inTenant(owner.orgId, (tx) => readCallSummary(tx, call.id))).toEqual(found.items[0]);
    expect(await readAs(db.door, owner.orgId, call.callSid)).toEqual(record);
  });

  it('takes up a call that the API or a webhook has made, and leaves one alone that has ended meanwhile', async () => {
    const { recorder } = await startServer();
    const [made, ended] = [new TalkingCall(recorder, owner), new TalkingCall(recorder, owner)];
    const row = { orgId: owner.orgId, direction: 'outbound', agentId: owner.agentId, agentVersion: 1 } as const;
    await db.door.inTenant(owner.orgId, async (tx) => {
      const values = [
        { ...row, id: made.id, status: 'ringing' as const, metadata: { ref: 7 } },
        { ...row, id: ended.id, status: 'no_answer' as const, endReason: 'no-answer', endedAt: new Date() },
      ];
      await tx.insert(calls).values(values).onConflictDoNothing();
    });
    made.end();
    ended.end();
    await untilWritten(recorder);
    expect(await readAs(db.door, owner.orgId, made.id)).toMatchObject({ status: 'completed' });
    expect(['no_answer', 'completed']).toContain((await readAs(db.door, owner.orgId, ended.id))?.status);
  });

  it('does not take a call for missed that has a conversation, or has ended already', async () => {
    const { recorder } = await startServer();
    const [talking, told] = [recordedCall(owner), recordedCall(owner)];
    for (const call of [talking, told]) recorder.announce(call);
    recorder.begin(talking);
    recorder.miss(told, { status: 'cancelled', reason: 'canceled', at: new Date(0), announced: true });
    // In the same transaction, and in one of its own.
    for (let time = 0; time < 2; time++) {
      for (const call of [talking, told])
        recorder.miss(call, { status: 'failed', reason: 'never-opened', detail: 'late', announced: true });
      await untilWritten(recorder);
    }
    const goingOn = { status: 'in_progress', end_reason: null, end_detail: null };
    expect(await readAs(db.door, owner.orgId, talking.id)).toMatchObject(goingOn);
    const record = await readAs(db.door, owner.orgId, told.id);
    expect(record).toMatchObject({ status: 'cancelled', end_reason: 'canceled', end_detail: null });
    // Not before it was made, whatever the carrier says.
    expect(record?.ended_at).toBe(record?.created_at);
  });

  it('writes nothing twice and loses nothing when the database fails before or after a commit', async () => {
    const failures = Array.from(
      { length: 25 },
      (_, index) => (['before', undefined, 'after', undefined, undefined] as const)[index % 5],
    );
    const { recorder } = await startServer({ door: unreliable(db.door, failures) });
    const talking = Array.from(
      { length: 10 },
      (_, index) => new TalkingCall(recorder, index % 2 === 0 ? owner : other),
    );
    for (let turn = 1; turn <= 20; turn++) {
      for (const call of talking) call.turn(turn);
      // Several batches, of two organizations each.
      if (turn % 4 === 0) await untilWritten(recorder);
    }
    for (const call of talking) call.end();
    await untilWritten(recorder);
    expect(failures.length).toBeLessThan(20);
    for (const [index, call] of talking.entries()) {
      expectRecord(await readAs(db.door, (index % 2 === 0 ? owner : other).orgId, call.id), call.events);
    }
  });

  it('waits out whatever is not the fault of the data, such as a password that was changed', async () => {
    const state = { refuses: true };
    const refusal = Object.assign(new Error('password authentication failed'), { severity: 'FATAL', code: '28P01' });
    const door = openTenantDoor({
      ...db.database,
      withConnection: (work) => (state.refuses ? Promise.reject(refusal) : db.database.withConnection(work)),
    });
    const { recorder } = await startServer({ door });
    const call = new TalkingCall(recorder, owner);
    await vi.waitFor(() => expect(recorder.status.writing).toBe(false), { timeout: 10_000, interval: 20 });
    call.turn(1);
    call.end();
    state.refuses = false;
    await untilWritten(recorder);
    expectRecord(await readAs(db.door, owner.orgId, call.id), call.events);
    expect(recorder.status).toMatchObject({ writing: true, rejectedLines: 0 });
  });

  it('records a further stream of a telephone call as a call of its own', async () => {
    const { recorder } = await startServer();
    const [first, again] = [recordedCall(owner), recordedCall(owner)];
    recorder.begin(first);
    recorder.begin({ ...again, twilioCallSid: first.twilioCallSid });
    recorder.append(again.id, { at_ms: 7, type: 'call-ended', reason: 'caller-hung-up' });
    await untilWritten(recorder);
    expect(await readAs(db.door, owner.orgId, first.id)).toMatchObject({ twilio_call_sid: first.twilioCallSid });
    const record = await readAs(db.door, owner.orgId, again.id);
    expect(record).toMatchObject({ twilio_call_sid: null, end_reason: 'caller-hung-up' });
  });

  it('does not take a server for dead because its own heartbeat is slow', async () => {
    const quiet = await startServer();
    const call = new TalkingCall(quiet.recorder, owner);
    await untilWritten(quiet.recorder);
    await quiet.orphans.close();
    const slow: TenantDoor = {
      ...db.door,
      beforeTenant: async (work) => {
        await sleep(60);
        return db.door.beforeTenant(work);
      },
    };
    const beats = { beatEveryMs: 20, deadAfterBeats: 3 };
    const parts = { door: db.door, instanceId: newId(), nodeId: newId(), log: silentLog, replayed: Promise.resolve() };
    const orphans = await OrphanKeeper.start({ ...parts, beatDoor: slow, ...beats });
    open.push(orphans);
    await sleep(1_000);
    expect(await readAs(db.door, owner.orgId, call.id)).toMatchObject({ end_reason: null });
  });

  it('goes on beating while it ends the calls of a dead server, and leaves those alone that ring', async () => {
    const dead = await startServer();
    const lost = Array.from({ length: 150 }, () => recordedCall(owner));
    for (const call of lost) dead.recorder.begin(call);
    await untilWritten(dead.recorder);
    const rings = newId();
    const { rows } = await db.door.inTenant(owner.orgId, (tx) =>
      tx.execute(sql`INSERT INTO calls (id, org_id, direction, agent_id, agent_version, status, instance_id)
        SELECT ${rings}, org_id, 'outbound', agent_id, agent_version, 'ringing', instance_id
        FROM calls WHERE id = ${lost[0]!.id} RETURNING instance_id`),
    );
    await dead.orphans.close();
    await startServer();
    const ended = async () =>
      expect((await readAs(db.door, owner.orgId, lost[149]!.id))?.end_reason).toBe('server-lost');
    await vi.waitFor(ended, { timeout: 30_000, interval: 100 });
    const [ringing] = await db.asOwner('SELECT status, instance_id FROM calls WHERE id = $1', [rings]);
    expect(ringing).toMatchObject({ status: 'ringing' });
    expect(ringing?.['instance_id']).not.toBe(rows[0]?.['instance_id']);
  });

  it('puts aside an event that it does not understand, and no other call', async () => {
    const { recorder } = await startServer();
    const [odd, good] = [new TalkingCall(recorder, owner), new TalkingCall(recorder, owner)];
    const { stages: _, ...torn } = { at_ms: 5, type: 'turn-traced', turn: 1, stages: {} } as const;
    odd.say(torn as never);
    good.end();
    await untilWritten(recorder);
    expectRecord(await readAs(db.door, owner.orgId, good.id), good.events);
    expect(recorder.status.rejectedLines).toBeGreaterThan(0);
  });

  it('keeps what the database does not take for the next process, whose predecessor’s calls it ends', async () => {
    const away: TenantDoor = {
      ...db.door,
      inTenant: () => Promise.reject(new BvraiError('db.unavailable', 'planted')),
    };
    const first = await startServer({ door: away });
    const [finished, cut] = [new TalkingCall(first.recorder, owner), new TalkingCall(first.recorder, owner)];
    for (const call of [finished, cut]) call.turn(1);
    finished.end();
    await first.recorder.close(0);
    await first.orphans.close();
    // And a line that was cut when the process ended.
    const spool = join(first.directory, 'spool');
    const [file] = await readdir(spool);
    await writeFile(join(spool, file!), '{"kind":"eve', { flag: 'a' });

    const second = await startServer({ after: first });
    const going = new TalkingCall(second.recorder, owner);
    await second.recorder.replayed;
    expectRecord(await readAs(db.door, owner.orgId, finished.id), finished.events);
    const ended = async () => expect((await readAs(db.door, owner.orgId, cut.id))?.end_reason).toBe('server-restarted');
    await vi.waitFor(ended, { timeout: 10_000 });
    const record = await readAs(db.door, owner.orgId, cut.id);
    expect(record?.status).toBe('failed');
    expectRecord(record, cut.events);
    await untilWritten(second.recorder);
    expect(await readAs(db.door, owner.orgId, going.id)).toMatchObject({ status: 'in_progress', end_reason: null });
  });

  it('ends the calls of a server whose heartbeat stands still, and no others', async () => {
    const dead = await startServer();
    const lost = new TalkingCall(dead.recorder, owner);
    await untilWritten(dead.recorder);
    await dead.orphans.close();
    const alive = await startServer();
    const going = new TalkingCall(alive.recorder, owner);
    await untilWritten(alive.recorder);
    const status = async (call: TalkingCall) => (await readAs(db.door, owner.orgId, call.id))?.end_reason;
    await vi.waitFor(async () => expect(await status(lost)).toBe('server-lost'), { timeout: 30_000 });
    expect(await status(going)).toBeNull();
    // The dead one was not dead after all: what it says is recorded, and its call keeps the end that it was given.
    lost.turn(1);
    lost.end();
    going.end();
    await Promise.all([untilWritten(dead.recorder), untilWritten(alive.recorder)]);
    const record = await readAs(db.door, owner.orgId, lost.id);
    expect(record?.end_reason).toBe('server-lost');
    expect(record?.messages).toHaveLength(2);
    expect(await status(going)).toBe('caller-hung-up');
  });

  it('puts aside what the database refuses for good, and writes the rest', async () => {
    const log = memoryLog();
    const { recorder, directory } = await startServer({ log });
    const good = new TalkingCall(recorder, owner);
    const bad = new TalkingCall(recorder, { ...owner, agentId: newId() });
    for (const call of [good, bad]) {
      call.turn(1);
      call.end();
    }
    await untilWritten(recorder);
    expectRecord(await readAs(db.door, owner.orgId, good.id), good.events);
    expect(await readAs(db.door, owner.orgId, bad.id)).toBeUndefined();
    const rejected = (await readFile(join(directory, 'rejected.jsonl'), 'utf8')).trim().split('\n');
    expect(rejected).toHaveLength(bad.events.length + 1);
    expect(recorder.status.rejectedLines).toBe(rejected.length);
    expect(log.lines.some(({ level, fields }) => level === 'error' && fields['callId'] === bad.id)).toBe(true);
    // What was said stays out of the log.
    expect(
      JSON.stringify(log.lines.map(({ fields, message }) => [Object.values(fields).map(String), message])),
    ).not.toContain('question');
  });

  it('lets go of the oldest events and refused calls when the spool is full, never of a call’s begin and end', async () => {
    const state = { away: true };
    const door: TenantDoor = {
      ...db.door,
      inTenant: (...parameters) =>
        state.away ? Promise.reject(new BvraiError('db.unavailable', 'planted')) : db.door.inTenant(...parameters),
    };
    const log = memoryLog();
    const { recorder } = await startServer({ door, log, maxSpoolBytes: 1_000_000 });
    const talking = Array.from({ length: 10 }, () => new TalkingCall(recorder, owner));
    const [rung, refused] = [recordedCall(owner), recordedCall(owner)];
    for (let turn = 1; turn <= 600; turn++) {
      for (const call of talking) call.turn(turn);
      if (turn === 60) {
        recorder.announce(rung);
        recorder.miss(rung, { status: 'failed', reason: 'never-opened', announced: true });
        recorder.miss(refused, { status: 'busy', reason: 'over-capacity', announced: false });
      }
      await untilOnDisk(recorder);
    }
    for (const call of talking) call.end();
    await untilOnDisk(recorder);
    expect(recorder.status).toMatchObject({ writing: false });
    expect(recorder.status.droppedLines).toBeGreaterThan(1_000);
    expect(recorder.status.waitingBytes).toBeLessThan(1_600_000);
    expect(log.lines.some(({ level, message }) => level === 'error' && message.includes('is full'))).toBe(true);
    state.away = false;
    await untilWritten(recorder);
    for (const call of talking) {
      const record = await readAs(db.door, owner.orgId, call.id);
      expect(record).toMatchObject({ status: 'completed' });
      // The newest are there, and those that are there are not torn.
      expect(record?.messages.at(-1)?.text).toBe('answer 600 in full');
    }
    expect(await readAs(db.door, owner.orgId, rung.id)).toMatchObject({ end_reason: 'never-opened' });
    expect(await readAs(db.door, owner.orgId, refused.id)).toBeUndefined();
  }, 90_000);
});
