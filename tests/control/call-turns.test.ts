/** Bursts of calls that the API is asked to ring: as many in a second as the carrier takes, and no more than may wait. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTwilioEmulator } from '../../bench/emulators/twilio.ts';
import type { TwilioEmulator } from '../../bench/emulators/twilio.ts';
import { TwilioRest } from '../../src/control/twilio/rest.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { NO_LIMITS, startTestApi } from '../support/api.ts';
import type { ApiResponse, TestAccount, TestApi } from '../support/api.ts';

/** Other tests run meanwhile. */
const GENEROUS = { timeout: 15_000, interval: 20 };
const NUMBERS = ['+15550100', '+15550101'];

let twilio: TwilioEmulator;
let api: TestApi;
let clock: VirtualClock;
let owners: TestAccount[];
let agents: string[];

beforeAll(async () => {
  twilio = await startTwilioEmulator();
});
afterAll(() => twilio?.close());

beforeEach(async () => {
  const rest = new TwilioRest({
    accountSid: `AC${'0'.repeat(32)}`,
    authToken: 'token',
    baseUrl: twilio.url,
    publicUrl: 'https://voice.example.com',
  });
  clock = new VirtualClock();
  api = await startTestApi({ api: { clock, ...NO_LIMITS }, telephone: { twilio: rest, callsPerSecond: 1 } });
  owners = [await api.register(), await api.register()];
  agents = [];
  for (const [index, owner] of owners.entries()) {
    const post = (url: string, body: object) => api.call({ method: 'POST', url, token: owner.accessToken, body });
    const agent = await post('/api/v1/agents', { name: 'Ada' });
    agents.push(agent.body.id);
    await post('/api/v1/phone-numbers', { number: NUMBERS[index], agent_id: agent.body.id });
  }
}, 60_000);
afterEach(() => api?.close());

const call = (of: number, headers: Readonly<Record<string, string>> = {}): Promise<ApiResponse> =>
  api.call({
    method: 'POST',
    url: '/api/v1/calls',
    token: owners[of]?.accessToken,
    headers,
    body: { agent_id: agents[of], to: '+15550177' },
  });
const made = async (of: number): Promise<number> =>
  Number((await api.call({ url: '/api/v1/calls?limit=100', token: owners[of]?.accessToken })).body.items.length);
/** Those that have come so far. */
function answersOf(calls: readonly Promise<ApiResponse>[]): readonly ApiResponse[] {
  const answers: ApiResponse[] = [];
  for (const each of calls) each.then((answer) => answers.push(answer)).catch(() => {});
  return answers;
}

describe('a burst of calls', () => {
  it('is rung one a second; what would wait for too long, or be more than one organization’s share, is not begun', async () => {
    const before = twilio.requests.length;
    const rung = (): number => twilio.requests.length - before;
    const burst = Array.from({ length: 12 }, () => call(0));
    const answers = answersOf(burst);
    // One rings at once and eight wait: half of the turns in 15 s.
    await expect.poll(() => answers.length, GENEROUS).toBe(4);
    const refused = answers.filter(({ status }) => status === 503);
    expect(refused).toHaveLength(3);
    for (const { body, headers } of refused) {
      expect(body).toMatchObject({ code: 'capacity', detail: expect.stringContaining('TWILIO_CALLS_PER_SECOND') });
      expect(headers['retry-after']).toBe('1');
    }
    expect(await made(0)).toBe(9);
    expect(rung()).toBe(1);
    // The other one's turn comes, too, if behind them.
    const others = answersOf([call(1)]);
    await expect.poll(() => made(1), GENEROUS).toBe(1);
    for (let turn = 2; turn <= 10; turn++) {
      clock.advance(1_000);
      await expect.poll(rung, GENEROUS).toBe(turn);
    }
    expect(twilio.requests.slice(before).map(({ form }) => form.get('From'))).toEqual([
      ...Array.from({ length: 9 }, () => NUMBERS[0]),
      NUMBERS[1],
    ]);
    await expect.poll(() => [...answers, ...others].filter(({ status }) => status === 201).length, GENEROUS).toBe(10);
  }, 60_000);

  it('can be tried again with its key where it was refused', async () => {
    const burst = Array.from({ length: 9 }, () => call(0));
    await expect.poll(() => made(0), GENEROUS).toBe(9);
    const key = { 'idempotency-key': 'tried-again' };
    expect((await call(0, key)).status).toBe(503);
    clock.advance(1_000);
    const again = answersOf([call(0, key)]);
    await expect.poll(() => made(0), GENEROUS).toBe(10);
    clock.advance(15_000);
    await Promise.all(burst);
    await expect.poll(() => again.map(({ status }) => status), GENEROUS).toEqual([201]);
  }, 60_000);

  it('ends with the server: what waits has failed, and says why', async () => {
    const waiting = [await call(0), ...(await startWaiting())];
    const { status, body } = waiting[1] ?? {};
    expect([status, body?.code]).toEqual([503, 'carrier-unavailable']);
    const organizationId = owners[0]?.organizationId ?? '';
    const rows = await api.database.door.inTenant(
      organizationId,
      async (tx) => (await tx.execute('SELECT end_reason, end_detail FROM calls ORDER BY created_at')).rows,
    );
    expect(rows).toMatchObject([
      { end_reason: null },
      { end_reason: 'dial-failed', end_detail: expect.stringContaining('shutting down') },
    ]);
  }, 60_000);

  /** One that waits for its turn when the server closes. */
  async function startWaiting(): Promise<ApiResponse[]> {
    const second = call(0);
    await expect.poll(() => made(0), GENEROUS).toBe(2);
    await api.app.close();
    return [await second];
  }
});
