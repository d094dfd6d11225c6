/** Whose a number may be: one that the operator's account has at Twilio, and one organization's at a time. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTwilioEmulator } from '../../bench/emulators/twilio.ts';
import type { TwilioEmulator } from '../../bench/emulators/twilio.ts';
import { TwilioRest } from '../../src/control/twilio/rest.ts';
import { startTestApi } from '../support/api.ts';
import type { ApiResponse, TestAccount, TestApi } from '../support/api.ts';

const OWN = '+15550100';

let twilio: TwilioEmulator;
let api: TestApi;
let ada: TestAccount;
let grace: TestAccount;

beforeAll(async () => {
  twilio = await startTwilioEmulator();
  const rest = new TwilioRest({
    accountSid: `AC${'0'.repeat(32)}`,
    authToken: 'token',
    baseUrl: twilio.url,
    publicUrl: 'https://voice.example.com',
  });
  api = await startTestApi({ telephone: { twilio: rest, callsPerSecond: 1 } });
  [ada, grace] = [await api.register(), await api.register()];
}, 60_000);
afterEach(() => {
  twilio.fault = undefined;
  twilio.numbers = undefined;
});
afterAll(async () => {
  await api?.close();
  await twilio?.close();
});

const add = ({ accessToken: token }: TestAccount, number: string, of = api): Promise<ApiResponse> =>
  of.call({ method: 'POST', url: '/api/v1/phone-numbers', token, body: { number } });
const giveUp = async ({ accessToken: token }: TestAccount, { body }: ApiResponse): Promise<void> => {
  const gone = await api.call({ method: 'DELETE', url: `/api/v1/phone-numbers/${String(body.id)}`, token });
  expect(gone.status).toBe(204);
};
const refusal = (status: number, code: string, detail: string) => ({
  status,
  body: { code, errors: [{ in: 'body', pointer: '/number', detail: expect.stringContaining(detail) }] },
});

describe('a number', () => {
  it('is refused unless the account has it, wholly', async () => {
    twilio.numbers = new Set([`${OWN}7`, '+15550101']);
    expect(await add(ada, OWN)).toMatchObject(refusal(422, 'invalid-fields', 'Twilio account'));
    twilio.numbers = new Set([`${OWN}7`, OWN]);
    const added = await add(ada, OWN);
    expect(added.status).toBe(201);
    await giveUp(ada, added);
  });

  it('is one organization’s at a time', async () => {
    const first = await add(ada, OWN);
    expect(first.status).toBe(201);
    expect(await add(grace, OWN)).toMatchObject(refusal(409, 'conflict', 'another organization'));
    expect(await add(ada, OWN)).toMatchObject(refusal(409, 'conflict', 'among your numbers'));
    await giveUp(ada, first);
    const second = await add(grace, OWN);
    expect(second.status).toBe(201);
    expect(await add(ada, OWN)).toMatchObject(refusal(409, 'conflict', 'another organization'));
    await giveUp(grace, second);
  });

  it('is one organization’s though two ask for it at the same moment', async () => {
    for (let time = 0; time < 5; time++) {
      const number = `+1555020${time}`;
      const answers = await Promise.all([ada, grace].map((account) => add(account, number)));
      expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 409]);
    }
  });

  it('is not added while Twilio cannot be asked, and can be when it can', async () => {
    twilio.fault = 'reset';
    expect(await add(ada, OWN)).toMatchObject({ status: 503, body: { code: 'carrier-unavailable' } });
    twilio.fault = { status: 401, code: 20003, message: 'Authenticate' };
    expect(await add(ada, OWN)).toMatchObject({
      status: 503,
      body: { detail: expect.stringContaining('credentials') },
    });
    twilio.fault = undefined;
    const added = await add(ada, OWN);
    expect(added.status).toBe(201);
    await giveUp(ada, added);
  });
});

describe('without an account at Twilio', () => {
  it('a number is whoever’s claims it first, as nobody can say whose it is', async () => {
    const local = await startTestApi({ telephone: null });
    try {
      const [first, second] = [await local.register(), await local.register()];
      for (const account of [first, second]) expect((await add(account, OWN, local)).status).toBe(201);
    } finally {
      await local.close();
    }
  }, 60_000);
});
