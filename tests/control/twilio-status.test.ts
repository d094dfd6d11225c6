/** What Twilio's status callbacks make of a call, in whatever order they come and however often. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { calls } from '../../src/control/db/schema.ts';
import { newId } from '../../src/control/db/ids.ts';
import { applyAnsweredBy, applyStatus, readStatus } from '../../src/control/twilio/status.ts';
import type { StatusOutcome } from '../../src/control/twilio/status.ts';
import { readCall } from '../../src/control/calls/store.ts';
import type { StoredCall } from '../../src/control/calls/store.ts';
import { openTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { foundTenant } from '../support/tenant.ts';

let database: TestDatabase;
let tenant: Awaited<ReturnType<typeof foundTenant>>;

beforeAll(async () => {
  database = await openTestDatabase();
  tenant = await foundTenant(database.door, 'ada');
}, 60_000);
afterAll(() => database?.close());

class RungCall {
  readonly id = newId();
  readonly callSid = `CA${this.id.replaceAll('-', '')}`;

  async insert(): Promise<this> {
    const { orgId, agentId } = tenant;
    const values = { id: this.id, orgId, agentId, agentVersion: 1, direction: 'outbound' } as const;
    await database.door.inTenant(orgId, (tx) => tx.insert(calls).values(values));
    return this;
  }

  told(fields: Record<string, string>, hasConversation = false): Promise<StatusOutcome> {
    const named = { id: this.id, orgId: tenant.orgId };
    return applyStatus(database.door, { callSid: this.callSid, named }, readStatus(fields), () => hasConversation);
  }

  async read(): Promise<StoredCall> {
    const call = await database.door.inTenant(tenant.orgId, (tx) => readCall(tx, this.id));
    if (!call) throw new Error('the call is gone');
    return call;
  }
}

const permutations = <Item>(items: readonly Item[]): Item[][] =>
  items.length < 2
    ? [[...items]]
    : items.flatMap((item, at) => permutations(items.toSpliced(at, 1)).map((rest) => [item, ...rest]));

const LIFE = ['initiated', 'ringing', 'in-progress', 'completed'];
const at = (second: number): string => `Sat, 28 Nov 2099 09:00:0${second} +0000`;
const callbacksOf = (life: readonly string[], numbered: boolean): Record<string, string>[] =>
  life.map((CallStatus, n) => ({ CallStatus, Timestamp: at(n), ...(numbered ? { SequenceNumber: String(n) } : {}) }));

describe('status callbacks', () => {
  it.each([
    ['with', true],
    ['without', false],
  ])(
    'come to the same end in every order, each twice, %s numbers',
    async (_with, numbered) => {
      for (const order of permutations(callbacksOf(LIFE, numbered))) {
        const call = await new RungCall().insert();
        for (const callback of order) {
          await call.told(callback);
          await call.told(callback);
        }
        expect(await call.read()).toMatchObject({
          status: 'completed',
          end_reason: 'ended-without-conversation',
          twilio_call_sid: call.callSid,
          answered_at: '2099-11-28T09:00:02.000Z',
          ended_at: '2099-11-28T09:00:03.000Z',
        });
      }
    },
    60_000,
  );

  it.each([
    ['with', true],
    ['without', false],
  ])(
    'show the furthest state of a call that goes on, in every order, %s numbers',
    async (_with, numbered) => {
      for (const order of permutations(callbacksOf(LIFE.slice(0, 3), numbered))) {
        const call = await new RungCall().insert();
        for (const callback of order) await call.told(callback);
        expect(await call.read()).toMatchObject({ status: 'in_progress', end_reason: null, ended_at: null });
      }
    },
    60_000,
  );

  it('that are older than what is known do not count, whatever they say', async () => {
    const call = await new RungCall().insert();
    await call.told({ CallStatus: 'in-progress', SequenceNumber: '2' });
    await call.told({ CallStatus: 'failed', SequenceNumber: '1' });
    await call.told({ CallStatus: 'failed', SequenceNumber: '2' });
    expect((await call.read()).status).toBe('in_progress');
    await call.told({ CallStatus: 'failed', SequenceNumber: '3' });
    expect(await call.read()).toMatchObject({ status: 'failed', end_reason: 'failed' });
  });

  it('with numbers and times that are none are taken as they come', async () => {
    const call = await new RungCall().insert();
    await call.told({ CallStatus: 'ringing', SequenceNumber: 'two', Timestamp: 'yesterday' });
    await call.told({ CallStatus: 'in-progress', SequenceNumber: '-1' });
    expect((await call.read()).status).toBe('in_progress');
    expect(await call.told({ CallStatus: 'on-fire' })).toBe('unknown');
    expect((await call.read()).status).toBe('in_progress');
  });

  it('never move a call back from what is known of it otherwise, nor before it was made', async () => {
    const call = await new RungCall().insert();
    await call.told({ CallStatus: 'in-progress', Timestamp: 'Sat, 28 Nov 2020 09:00:00 +0000' });
    const { answered_at: answeredAt, created_at: createdAt } = await call.read();
    expect(answeredAt).toBe(createdAt);
    await call.told({ CallStatus: 'ringing', SequenceNumber: '7' });
    expect((await call.read()).status).toBe('in_progress');
  });

  it('leave the end of a conversation to the conversation', async () => {
    const call = await new RungCall().insert();
    await call.told({ CallStatus: 'completed', SequenceNumber: '3' }, true);
    expect(await call.read()).toMatchObject({ end_reason: null, ended_at: null });
  });

  it('of calls that are not ours change nothing', async () => {
    const unknown = { callSid: `CA${'f'.repeat(32)}`, named: undefined };
    expect(await applyStatus(database.door, unknown, readStatus({ CallStatus: 'busy' }), () => false)).toBe('unknown');
    expect(await applyAnsweredBy(database.door, unknown, 'human')).toBe(false);
    // Named, as in an address of ours, but without a sid: it is not taken for one.
    const call = await new RungCall().insert();
    const nameless = { callSid: '', named: { id: call.id, orgId: tenant.orgId } };
    await applyStatus(database.door, nameless, readStatus({ CallStatus: 'ringing' }), () => false);
    expect(await call.read()).toMatchObject({ status: 'ringing', twilio_call_sid: null });
  });
});
