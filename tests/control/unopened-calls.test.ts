/** Calls that were begun and of which nobody says what became of them. */
import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readCallSummary } from '../../src/control/calls/store.ts';
import type { StoredCallSummary } from '../../src/control/calls/store.ts';
import { startTwilioEmulator } from '../../bench/emulators/twilio.ts';
import type { TwilioEmulator } from '../../bench/emulators/twilio.ts';
import { UnopenedCalls } from '../../src/control/calls/unopened.ts';
import type { UnopenedCall } from '../../src/control/calls/unopened.ts';
import { newId } from '../../src/control/db/ids.ts';
import { calls, conversations } from '../../src/control/db/schema.ts';
import type { TenantDoor } from '../../src/control/db/tenant.ts';
import { TwilioRest } from '../../src/control/twilio/rest.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { BvraiError } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/log.ts';
import { NO_LIMITS, startTestApi } from '../support/api.ts';
import { openTestDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { foundTenant } from '../support/tenant.ts';

/** Other tests run meanwhile. */
const GENEROUS = { timeout: 15_000, interval: 20 };

let database: TestDatabase;
let tenant: Awaited<ReturnType<typeof foundTenant>>;
let twilio: TwilioEmulator;

beforeAll(async () => {
  database = await openTestDatabase();
  twilio = await startTwilioEmulator();
  tenant = await foundTenant(database.door, 'ada');
}, 60_000);
afterAll(async () => {
  await database?.close();
  await twilio?.close();
});

async function insert(channel: UnopenedCall['channel'], status: 'initiated' | 'in_progress'): Promise<UnopenedCall> {
  const { orgId, agentId } = tenant;
  const id = newId();
  const values = { id, orgId, agentId, agentVersion: 1, channel, status, direction: 'outbound' } as const;
  await database.door.inTenant(orgId, (tx) => tx.insert(calls).values(values));
  return { id, orgId, channel };
}

/** Rung, as the API does it. */
async function dialled(): Promise<{ readonly call: UnopenedCall; readonly callSid: string }> {
  const call = await insert('phone', 'initiated');
  const numbers = { from: '+15550100', to: '+15550177', machineDetection: undefined, ringTimeoutS: 30 };
  const twilioCallSid = await carrier().dial({ ...call, ...numbers });
  await update(call, { twilioCallSid });
  return { call, callSid: twilioCallSid };
}

const update = ({ id, orgId }: UnopenedCall, change: Partial<typeof calls.$inferInsert>): Promise<unknown> =>
  database.door.inTenant(orgId, (tx) => tx.update(calls).set(change).where(eq(calls.id, id)));
const age = (call: UnopenedCall): Promise<unknown> => update(call, { createdAt: new Date(Date.now() - 16 * 60_000) });

const read = ({ id }: UnopenedCall): Promise<StoredCallSummary | undefined> =>
  database.door.inTenant(tenant.orgId, (tx) => readCallSummary(tx, id));
const becomes = async (call: UnopenedCall, expected: object): Promise<void> => {
  await expect.poll(() => read(call), GENEROUS).toMatchObject(expected);
};

/** Of what the calls' desk was told, the places that were kept and given up. */
const places: string[] = [];
const watcher = (clock: VirtualClock, begun: readonly string[] = [], door: TenantDoor = database.door) => {
  const desk = {
    hasBegun: (id: string) => begun.includes(id),
    keepRinging: (id: string) => void places.push(`${id} kept`),
    endRinging: (id: string) => void places.push(`${id} given up`),
  };
  return new UnopenedCalls({ door, clock, log: silentLog, desk, carrier: carrier() });
};

const carrier = () =>
  new TwilioRest({
    accountSid: `AC${'0'.repeat(32)}`,
    authToken: 'token',
    baseUrl: twilio.url,
    publicUrl: 'https://voice.example.com',
    deadlineMs: 2_000,
  });

describe('a call that nobody opens', () => {
  it('and nobody watches is found by the sweep, unless it is new or has a conversation', async () => {
    const { orgId } = tenant;
    const [answered, talking, fresh] = [
      await insert('phone', 'in_progress'),
      await insert('phone', 'in_progress'),
      await insert('web', 'initiated'),
    ];
    const instanceId = newId();
    await database.door.inTenant(orgId, async (tx) => {
      await tx.insert(conversations).values({ orgId, callId: talking.id, startedAt: new Date() });
      const old = new Date(Date.now() - 16 * 60_000);
      for (const { id } of [answered, talking])
        await tx.update(calls).set({ instanceId, createdAt: old }).where(eq(calls.id, id));
      await tx.update(calls).set({ instanceId }).where(eq(calls.id, fresh.id));
    });
    const clock = new VirtualClock();
    const unopened = watcher(clock);
    unopened.sweep(instanceId);
    clock.advance(60_000);
    await becomes(answered, { status: 'failed', end_reason: 'no-callback' });
    // The next sweep is set once this one is over.
    await expect.poll(() => clock.pendingTimers, GENEROUS).toBe(1);
    expect(await read(talking)).toMatchObject({ status: 'in_progress' });
    expect(await read(fresh)).toMatchObject({ status: 'initiated' });
    unopened.close();
    expect(clock.pendingTimers).toBe(0);
  });

  it.each([
    ['web', 'no_answer', 'never-opened'],
    ['phone', 'failed', 'no-callback'],
  ] as const)('ends by itself (%s)', async (channel, status, reason) => {
    const clock = new VirtualClock();
    const call = await insert(channel, 'initiated');
    const unopened = watcher(clock);
    unopened.watch(call, 75_000);
    clock.advance(74_999);
    expect(await read(call)).toMatchObject({ status: 'initiated' });
    clock.advance(1);
    await becomes(call, { status, end_reason: reason });
    unopened.close();
  });

  it.each([
    ['never rings', 'no-callback'],
    ['is forgotten by its carrier', 'no-callback'],
    ['rings and is not answered', 'no-answer'],
    ['is canceled', 'canceled'],
  ])('is asked for at its carrier, which has others to ring first, and in the end %s', async (outcome, reason) => {
    const clock = new VirtualClock();
    twilio.callsPerSecond = 0;
    const { call, callSid } = await dialled();
    const unopened = watcher(clock);
    unopened.watch(call, 90_000);
    clock.advance(90_000);
    for (let asked = 0; asked < 3; asked++) {
      // It is watched again, and has not ended.
      await expect.poll(() => clock.pendingTimers, GENEROUS).toBe(1);
      expect(await read(call)).toMatchObject({ status: 'initiated' });
      clock.advance(30_000);
    }
    await expect.poll(() => clock.pendingTimers, GENEROUS).toBe(1);
    expect(places.filter((place) => place === `${call.id} kept`)).toHaveLength(4);
    if (outcome === 'never rings') await age(call);
    else if (outcome === 'is forgotten by its carrier') twilio.calls.delete(callSid);
    else {
      expect(twilio.ringNext()).toBe(callSid);
      clock.advance(30_000);
      await expect.poll(() => clock.pendingTimers, GENEROUS).toBe(1);
      expect(await read(call)).toMatchObject({ end_reason: null });
      twilio.calls.set(callSid, reason);
    }
    clock.advance(30_000);
    await becomes(call, { end_reason: reason });
    await expect.poll(() => places.at(-1), GENEROUS).toBe(`${call.id} given up`);
    // What has been given up rings nobody any more.
    if (outcome === 'never rings') expect(twilio.calls.get(callSid)).toBe('canceled');
    expect(clock.pendingTimers).toBe(0);
    unopened.close();
  });

  it('is not given up because its carrier cannot be asked', async () => {
    const clock = new VirtualClock();
    twilio.callsPerSecond = 0;
    const { call, callSid } = await dialled();
    const unopened = watcher(clock);
    unopened.watch(call, 90_000);
    twilio.fault = 'reset';
    clock.advance(90_000);
    await expect.poll(() => clock.pendingTimers, GENEROUS).toBe(1);
    expect(await read(call)).toMatchObject({ status: 'initiated' });
    twilio.fault = undefined;
    twilio.calls.set(callSid, 'busy');
    clock.advance(30_000);
    await becomes(call, { status: 'busy', end_reason: 'busy' });
    unopened.close();
  });

  it('is left alone when it goes on, has ended, or its record is on its way', async () => {
    const clock = new VirtualClock();
    const [going, over, begun, last] = [
      await insert('phone', 'in_progress'),
      await insert('phone', 'initiated'),
      await insert('web', 'initiated'),
      await insert('web', 'initiated'),
    ];
    const ended = { status: 'busy', endReason: 'busy', endedAt: new Date() } as const;
    await database.door.inTenant(tenant.orgId, (tx) => tx.update(calls).set(ended).where(eq(calls.id, over.id)));
    const unopened = watcher(clock, [begun.id]);
    for (const call of [going, over, begun]) unopened.watch(call, 1_000);
    unopened.watch(last, 1_001);
    clock.advance(1_001);
    await becomes(last, { end_reason: 'never-opened' });
    expect(await read(going)).toMatchObject({ status: 'in_progress' });
    expect(await read(over)).toMatchObject({ status: 'busy' });
    expect(await read(begun)).toMatchObject({ status: 'initiated' });
    unopened.close();
  });

  it('ends when the database is back, if it is away at that time', async () => {
    const clock = new VirtualClock();
    const call = await insert('web', 'initiated');
    let tries = 0;
    const door: TenantDoor = {
      ...database.door,
      inTenant: (orgId, work) =>
        ++tries === 1 ? Promise.reject(new BvraiError('db.unavailable', 'away')) : database.door.inTenant(orgId, work),
    };
    const unopened = watcher(clock, [], door);
    unopened.watch(call, 1_000);
    clock.advance(1_000);
    await expect.poll(() => tries, GENEROUS).toBe(1);
    expect(await read(call)).toMatchObject({ status: 'initiated' });
    clock.advance(10_000);
    await becomes(call, { end_reason: 'never-opened' });
    unopened.close();
  });

  it('is watched no more by a server that closes', async () => {
    const clock = new VirtualClock();
    const call = await insert('web', 'initiated');
    const unopened = watcher(clock);
    unopened.watch(call, 1_000);
    unopened.close();
    clock.advance(2_000);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await read(call)).toMatchObject({ status: 'initiated' });
  });
});

describe('a browser call that was begun over the API', () => {
  it('ends when its socket has not been opened while its token was good', async () => {
    const clock = new VirtualClock();
    const api = await startTestApi({ api: { clock, ...NO_LIMITS } });
    try {
      const { accessToken: token } = await api.register();
      const agent = await api.call({ method: 'POST', url: '/api/v1/agents', token, body: { name: 'Ada' } });
      const body = { agent_id: agent.body.id, channel: 'web' };
      const { id } = (await api.call({ method: 'POST', url: '/api/v1/calls', token, body })).body;
      const state = async (): Promise<string> => {
        const { status, end_reason: reason } = (await api.call({ url: `/api/v1/calls/${id}`, token })).body;
        return `${status} ${reason}`;
      };
      clock.advance(60_000);
      expect(await state()).toBe('initiated null');
      clock.advance(15_000);
      await expect.poll(state, GENEROUS).toBe('no_answer never-opened');
    } finally {
      await api.close();
    }
  }, 30_000);
});
