/** From an account to the record of a call, with Twilio's signatures: over HTTP, the webhooks and the media socket. */
import { z } from 'zod';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTwilioEmulator } from '../../bench/emulators/twilio.ts';
import type { TwilioEmulator } from '../../bench/emulators/twilio.ts';
import { Phone } from '../../bench/phone/phone.ts';
import { twilioSignature } from '../../bench/phone/voice-webhook.ts';
import { startEmulatedCloud } from '../support/cloud.ts';
import type { EmulatedCloud } from '../support/cloud.ts';
import { startTestServer } from '../support/server.ts';
import type { TestServer } from '../support/server.ts';

const AUTH_TOKEN = 'twilio-auth-token';
const NUMBER = '+15550100';
const publicUrl = 'http://voice.example.com';

let cloud: EmulatedCloud;
let twilio: TwilioEmulator;
let server: TestServer;
let token: string;
let agentId: string;

const call = z.looseObject({
  id: z.string(),
  status: z.string(),
  end_reason: z.string().nullable(),
  twilio_call_sid: z.string().nullable(),
  messages: z.array(z.looseObject({ text: z.string() })).default([]),
  events: z.array(z.unknown()).default([]),
});
const created = z.looseObject({ id: z.string() });
const session = z.looseObject({ access_token: z.string() });

async function api(
  method: string,
  path: string,
  body?: object,
  bearer: string | null = token,
): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`${server.url}/api/v1${path}`, {
    method,
    headers: {
      ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
}

async function hook(path: string, form: Record<string, string>): Promise<{ status: number; text: string }> {
  const signature = twilioSignature(AUTH_TOKEN, `${publicUrl}${path}`, form);
  const response = await fetch(`${server.url}${path}`, {
    method: 'POST',
    body: new URLSearchParams(form),
    headers: { 'x-twilio-signature': signature },
  });
  return { status: response.status, text: await response.text() };
}

/** Twilio connects to the public address; here that is this machine. */
const ring = (): Promise<Phone> =>
  Phone.ring({
    serverUrl: server.url,
    publicUrl,
    authToken: AUTH_TOKEN,
    to: NUMBER,
  });

const organization = (email: string) => ({
  email,
  password: 'correct horse battery staple',
  name: 'Ada',
  organization_name: 'Harbour View',
});

async function register(email: string): Promise<string> {
  return session.parse((await api('POST', '/auth/register', organization(email), null)).body).access_token;
}

beforeAll(async () => {
  cloud = await startEmulatedCloud({ elevenlabs: { firstAudioMs: 20 } });
  twilio = await startTwilioEmulator();
  server = await startTestServer({
    agents: {},
    environment: {
      ...cloud.environment,
      HOST: '127.0.0.1',
      PUBLIC_URL: publicUrl,
      TWILIO_AUTH_TOKEN: AUTH_TOKEN,
      TWILIO_ACCOUNT_SID: `AC${'0'.repeat(32)}`,
      TWILIO_API_BASE_URL: twilio.url,
    },
  });
  token = await register('ada@example.com');
  const agent = { name: 'Ada', first_message: 'Hello from the harbour.' };
  agentId = created.parse((await api('POST', '/agents', agent)).body).id;
  expect((await api('POST', '/phone-numbers', { number: NUMBER, agent_id: agentId })).status).toBe(201);
}, 60_000);
afterAll(async () => {
  await server?.close();
  await Promise.all([cloud?.close(), twilio?.close()]);
});

describe('a call', () => {
  it('goes from the number to the agent, over the media socket, into the record', async () => {
    const phone = await ring();
    await phone.waitForAgent({ silenceMs: 300 });
    await phone.hangUp();
    const find = async () => call.parse((await api('GET', `/calls/${phone.callSid}`)).body);
    await expect.poll(async () => (await find()).status, { timeout: 10_000 }).toBe('completed');
    const record = await find();
    expect(record).toMatchObject({
      end_reason: 'caller-hung-up',
      agent_id: agentId,
      agent_version: 1,
      direction: 'inbound',
      to: NUMBER,
    });
    expect(record.messages).toMatchObject([
      { role: 'agent', text: 'Hello from the harbour.', heard_text: 'Hello from the harbour.' },
    ]);
    expect(await api('GET', `/calls/${record.id}`)).toMatchObject({ status: 200, body: { id: record.id } });
    // Somebody else's does not exist.
    const other = await register('eve@example.com');
    expect((await api('GET', `/calls/${record.id}`, undefined, other)).status).toBe(404);
    // The whole of it can be followed afterwards, and resumed.
    const follow = async (lastId: string): Promise<string> =>
      (
        await fetch(`${server.url}/api/v1/calls/${record.id}/events`, {
          headers: { authorization: `Bearer ${token}`, 'last-event-id': lastId },
        })
      ).text();
    const ids = [...(await follow('')).matchAll(/^id: (\d+)$/gmu)].map(([, id = '']) => id);
    expect(ids).toHaveLength(record.events.length);
    const rest = [...(await follow(ids[1] ?? '')).matchAll(/^id: (\d+)$/gmu)].map(([, id]) => id);
    expect(rest).toEqual(ids.slice(2));
  }, 30_000);

  it('is told in words that a number is not in service', async () => {
    const form = { CallSid: `CA${'2'.repeat(32)}`, From: '+15550199', To: '+15550999', Direction: 'inbound' };
    expect(await hook('/twilio/voice', form)).toMatchObject({
      status: 200,
      text: expect.stringContaining('not in service'),
    });
  });

  it('that we ring moves forward by its status callbacks, in whatever order they come', async () => {
    const made = await api('POST', '/calls', { agent_id: agentId, to: '+15550177', machine_detection: 'Enable' });
    expect(made).toMatchObject({ status: 201, body: { status: 'initiated', direction: 'outbound', from: NUMBER } });
    const { id } = created.parse(made.body);
    const status = async () => call.parse((await api('GET', `/calls/${id}`)).body);
    await expect.poll(async () => (await status()).twilio_call_sid).toMatch(/^CA/u);
    const asked = twilio.requests.at(-1);
    expect(asked?.form.get('MachineDetection')).toBe('Enable');
    const own = (name: string): string => (asked?.form.get(name) ?? '').replace(publicUrl, '');
    const CallSid = asked?.callSid ?? '';
    await hook(own('AsyncAmdStatusCallback'), { CallSid, AnsweredBy: 'human' });
    await hook(own('StatusCallback'), { CallSid, CallStatus: 'in-progress', SequenceNumber: '2' });
    await hook(own('StatusCallback'), { CallSid, CallStatus: 'ringing', SequenceNumber: '1' });
    expect(await status()).toMatchObject({ status: 'in_progress', answered_by: 'human' });
    await hook(own('StatusCallback'), { CallSid, CallStatus: 'busy', SequenceNumber: '3' });
    await hook(own('StatusCallback'), { CallSid, CallStatus: 'completed', SequenceNumber: '4' });
    expect(await status()).toMatchObject({ status: 'busy', end_reason: 'busy' });
    expect((await api('POST', `/calls/${id}/hangup`)).status).toBe(409);
    expect((await api('POST', `/calls/${id}/say`, { text: 'Hello' })).status).toBe(409);
  });

  it('in progress says what it is told to, is transferred, and ends when it is told to', async () => {
    const phone = await ring();
    await phone.waitForAgent({ silenceMs: 300 });
    await expect.poll(async () => (await api('GET', `/calls/${phone.callSid}`)).status).toBe(200);
    expect((await api('POST', `/calls/${phone.callSid}/say`, { text: 'A word from outside.' })).status).toBe(204);
    await phone.waitForAgent({ silenceMs: 300 });
    expect((await api('POST', `/calls/${phone.callSid}/transfer`, { to: '+15550155' })).status).toBe(204);
    expect(twilio.requests.at(-1)?.form.get('Twiml')).toContain('<Number>+15550155</Number>');
    expect((await api('POST', `/calls/${phone.callSid}/hangup`)).status).toBe(204);
    await phone.ended;
    const find = async () => call.parse((await api('GET', `/calls/${phone.callSid}`)).body);
    await expect.poll(async () => (await find()).end_reason, { timeout: 10_000 }).toBe('agent-hung-up');
    expect((await find()).messages.map(({ text }) => text)).toContain('A word from outside.');
  }, 30_000);
});
