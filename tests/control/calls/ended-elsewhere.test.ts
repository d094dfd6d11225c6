/** A call that is live on one server and is transferred, or ended, over the API of another. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Phone } from '../../../bench/phone/phone.ts';
import { endElsewhere } from '../../../src/control/calls/asked-end.ts';
import { CallRecorder } from '../../../src/control/calls/recorder.ts';
import { newId } from '../../../src/control/db/ids.ts';
import type { AskedEnd } from '../../../src/control/db/schema.ts';
import type { TenantDoor } from '../../../src/control/db/tenant.ts';
import { BvraiError } from '../../../src/core/errors.ts';
import { memoryLog, silentLog } from '../../../src/core/log.ts';
import type { CallEndReason } from '../../../src/pipeline/ports.ts';
import { createEmptyDatabase, openTestDatabase, testDatabaseUrl } from '../../support/database.ts';
import type { TestDatabase } from '../../support/database.ts';
import { TalkingCall, expectRecord, readAs } from '../../support/recorded-calls.ts';
import type { CallOwner } from '../../support/recorded-calls.ts';
import { startTestServer } from '../../support/server.ts';
import type { TestServer } from '../../support/server.ts';
import { Switchboard } from '../../support/switchboard.ts';
import { foundTenant } from '../../support/tenant.ts';

describe('the record of a call that another server was asked to end', () => {
  let db: TestDatabase;
  let owner: CallOwner;
  let recorder: CallRecorder;
  let directory: string;
  beforeAll(async () => {
    db = await openTestDatabase();
    owner = await foundTenant(db.door, 'elsewhere');
    directory = await mkdtemp(join(tmpdir(), 'bvrai-elsewhere-'));
    recorder = await CallRecorder.open({ door: db.door, directory, instanceId: newId(), log: silentLog });
  }, 90_000);
  afterAll(async () => {
    await recorder.close(10_000);
    await db.close();
    await rm(directory, { recursive: true, force: true });
  });

  const written = async (): Promise<void> => {
    await vi.waitFor(() => expect(recorder.status.waitingBytes).toBe(0), { timeout: 15_000, interval: 20 });
  };
  const going = async (): Promise<TalkingCall> => {
    const call = new TalkingCall(recorder, owner);
    call.turn(1);
    await written();
    return call;
  };
  const end = (call: TalkingCall, reason: CallEndReason): void =>
    call.say({ at_ms: 9_000, type: 'call-ended', reason });
  const askElsewhere = (call: TalkingCall, asked: AskedEnd, ask: () => Promise<void>, log = silentLog) =>
    endElsewhere({ door: db.door, log }, { orgId: owner.orgId, id: call.id, end: asked }, ask);

  it.each([
    ['transferred', 'caller-hung-up'],
    ['transferred', 'connection-lost'],
    ['agent-hung-up', 'caller-hung-up'],
  ] as const)('says %s when its stream ends (%s), in its state and in its last event', async (asked, seen) => {
    const call = await going();
    await askElsewhere(call, asked, () => {
      end(call, seen);
      return Promise.resolve();
    });
    await written();
    const record = await readAs(db.door, owner.orgId, call.id);
    expect(record).toMatchObject({ status: 'completed', end_reason: asked });
    expectRecord(record, [...call.events.slice(0, -1), { at_ms: 9_000, type: 'call-ended', reason: asked }]);
  });

  it('says what its own server knows better', async () => {
    const call = await going();
    await askElsewhere(call, 'transferred', () => Promise.resolve());
    end(call, 'max-duration');
    await written();
    expect(await readAs(db.door, owner.orgId, call.id)).toMatchObject({ end_reason: 'max-duration' });
  });

  it('says what its own server saw when the carrier has refused', async () => {
    const call = await going();
    const refusal = new BvraiError('carrier-refused', 'Call is not in-progress.');
    await expect(askElsewhere(call, 'transferred', () => Promise.reject(refusal))).rejects.toBe(refusal);
    end(call, 'caller-hung-up');
    await written();
    expect(await readAs(db.door, owner.orgId, call.id)).toMatchObject({ end_reason: 'caller-hung-up' });
  });

  it('stays as it is once it has ended, and the carrier is not asked', async () => {
    const call = await going();
    end(call, 'caller-hung-up');
    await written();
    let asked = 0;
    const late = askElsewhere(call, 'transferred', () => Promise.resolve(void asked++));
    await expect(late).rejects.toMatchObject({ code: 'conflict' });
    expect(asked).toBe(0);
    expect(await readAs(db.door, owner.orgId, call.id)).toMatchObject({ end_reason: 'caller-hung-up' });
  });

  it('is marked by its own organization only', async () => {
    const call = await going();
    const { orgId } = await foundTenant(db.door, 'foreign');
    const foreign = endElsewhere({ door: db.door, log: silentLog }, { orgId, id: call.id, end: 'transferred' }, () =>
      Promise.resolve(),
    );
    await expect(foreign).rejects.toMatchObject({ code: 'conflict' });
    end(call, 'caller-hung-up');
    await written();
    expect(await readAs(db.door, owner.orgId, call.id)).toMatchObject({ end_reason: 'caller-hung-up' });
  });

  it('may stay marked when the database goes away meanwhile, which the log says, and the carrier’s refusal is told', async () => {
    const call = await going();
    const refusal = new BvraiError('carrier-refused', 'Call is not in-progress.');
    let times = 0;
    const door: TenantDoor = {
      ...db.door,
      inTenant: (...parameters) =>
        ++times === 1 ? db.door.inTenant(...parameters) : Promise.reject(new BvraiError('db.unavailable', 'planted')),
    };
    const log = memoryLog();
    const call_ = { orgId: owner.orgId, id: call.id, end: 'transferred' } as const;
    await expect(endElsewhere({ door, log }, call_, () => Promise.reject(refusal))).rejects.toBe(refusal);
    expect(log.lines).toMatchObject([{ level: 'error', fields: { call: call.id } }]);
  });
});

/** Two servers need a database that both can open. */
describe.runIf(testDatabaseUrl !== undefined)(
  'a call that is live on another server than the one that is asked',
  () => {
    const COLLEAGUE = '+15550155';
    let database: { url: string; drop(): Promise<void> };
    let board: Switchboard;
    let other: TestServer;
    beforeAll(async () => {
      database = await createEmptyDatabase(testDatabaseUrl ?? '');
      const shared = { DATABASE_URL: database.url, AUTH_SECRET: 'the-same-on-both-servers-of-this-test' };
      board = await Switchboard.start({ name: 'Ada', first_message: 'Hello.' }, {}, shared);
      other = await startTestServer({ agents: {}, environment: board.environment });
    }, 120_000);
    afterEach(async () => {
      board.twilio.fault = undefined;
      await board.hangUpAll();
    });
    afterAll(async () => {
      await other?.close();
      await board?.close();
      await database?.drop();
    });

    const goingOnTheOther = async (): Promise<Phone> => {
      const phone = await board.ring({ serverUrl: other.url });
      await expect
        .poll(() => board.api('GET', `/calls/${phone.callSid}`), { timeout: 15_000 })
        .toMatchObject({ status: 200, body: { status: 'in_progress' } });
      return phone;
    };

    it.each([
      ['transfer', { to: COLLEAGUE }, 'transferred'],
      ['hangup', undefined, 'agent-hung-up'],
    ])(
      'ends as it was asked to (%s)',
      async (action, body, reason) => {
        const phone = await goingOnTheOther();
        expect((await board.api('POST', `/calls/${phone.callSid}/${action}`, body)).status).toBe(204);
        expect(board.twilio.requests.at(-1)).toMatchObject({ callSid: phone.callSid });
        // Which is what Twilio does with its stream then.
        await phone.hangUp();
        const record = await board.ended(phone.callSid);
        expect(record).toMatchObject({ status: 'completed', end_reason: reason });
        expect(record.events.at(-1)).toMatchObject({ type: 'call-ended', reason });
      },
      60_000,
    );

    it('goes on when Twilio refuses, and ends by itself', async () => {
      const phone = await goingOnTheOther();
      board.twilio.fault = { status: 400, code: 21220, message: 'Call is not in-progress.' };
      const refused = await board.api('POST', `/calls/${phone.callSid}/transfer`, { to: COLLEAGUE });
      expect(refused).toMatchObject({ status: 422, body: { code: 'carrier-refused' } });
      await phone.hangUp();
      expect(await board.ended(phone.callSid)).toMatchObject({ end_reason: 'caller-hung-up' });
    }, 60_000);
  },
);
