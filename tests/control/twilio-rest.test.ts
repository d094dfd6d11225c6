/** What we ask of Twilio's REST API, and what its refusals and its silence become. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTwilioEmulator } from '../../bench/emulators/twilio.ts';
import type { TwilioEmulator } from '../../bench/emulators/twilio.ts';
import { TwilioRest } from '../../src/control/twilio/rest.ts';

const accountSid = `AC${'0'.repeat(32)}`;
const RING = {
  id: '0190',
  orgId: '0191',
  from: '+15550100',
  to: '+15550177',
  machineDetection: undefined,
  ringTimeoutS: 20,
};

let twilio: TwilioEmulator;
let rest: TwilioRest;

beforeAll(async () => {
  twilio = await startTwilioEmulator();
  const publicUrl = 'https://voice.example.com';
  rest = new TwilioRest({ accountSid, authToken: 'auth-token', baseUrl: twilio.url, publicUrl, deadlineMs: 300 });
});
afterEach(() => {
  twilio.fault = undefined;
});
afterAll(() => twilio.close());

describe('Twilio', () => {
  it('is asked to ring, and told where to ask and report', async () => {
    expect(await rest.dial(RING)).toMatch(/^CA[0-9a-f]{32}$/u);
    const { authorization, form } = twilio.requests.at(-1)!;
    expect(authorization).toBe(`Basic ${Buffer.from(`${accountSid}:auth-token`).toString('base64')}`);
    expect(Object.fromEntries(form)).toMatchObject({
      To: RING.to,
      From: RING.from,
      Timeout: '20',
      Url: 'https://voice.example.com/twilio/voice?call=0190&org=0191',
      StatusCallback: 'https://voice.example.com/twilio/status?call=0190&org=0191',
    });
    expect(form.getAll('StatusCallbackEvent')).toEqual(['initiated', 'ringing', 'answered', 'completed']);
  });

  it.each([
    [{ status: 400, code: 21211, message: 'Invalid To.' }, 'provider.bad-request', /400, error 21211.*Invalid To/u],
    [{ status: 401, code: 20003, message: 'Authenticate' }, 'provider.auth', /401/u],
    [{ status: 429, code: 20429, message: 'Too Many Requests' }, 'provider.unavailable', /429/u],
    [{ status: 503, code: 20503, message: 'Down' }, 'provider.unavailable', /503, error 20503/u],
    ['reset', 'provider.unavailable', /cannot be reached/u],
    ['hang', 'provider.timeout-first', /not answered within 300 ms/u],
  ] as const)('that does not do it (%#) is told apart', async (fault, code, message) => {
    twilio.fault = fault;
    await expect(rest.dial(RING)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });
});
