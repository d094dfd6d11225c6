/** The HTTP side over real sockets: webhooks, records, health, and what is refused. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { twilioSignature } from '../../bench/phone/voice-webhook.ts';
import { startTestServer } from '../support/server.ts';
import type { TestServer } from '../support/server.ts';

const AGENTS = { ada: { name: 'Ada', first_message: 'Hello.', phone_numbers: ['+15550100'] } };
const CALL = { CallSid: `CA${'1'.repeat(32)}`, From: '+15550199', To: '+15550100', Direction: 'inbound' };

const post = (url: string, form: Record<string, string>, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(url, { method: 'POST', body: new URLSearchParams(form), headers });

describe('in local mode', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ agents: AGENTS, ready: false });
  }, 60_000);
  afterAll(() => server?.close());

  it('connects a call to its media stream with a one-time token', async () => {
    const response = await post(`${server.url}/twilio/voice`, CALL);
    expect(response.headers.get('content-type')).toContain('text/xml');
    const twiml = await response.text();
    expect(twiml).toMatch(
      /<Connect><Stream url="ws:\/\/127\.0\.0\.1:\d+\/media"><Parameter name="token" value="[\w-]{43}"\/><\/Stream><\/Connect>/u,
    );
    expect(await (await post(`${server.url}/twilio/voice`, CALL)).text()).not.toBe(twiml);
  });

  it('says so to a number that no agent answers, and hangs up', async () => {
    const twiml = await (await post(`${server.url}/twilio/voice`, { ...CALL, To: '+15550999' })).text();
    expect(twiml).toMatch(/<Say>.*not in service.*<\/Say><Hangup\/>/u);
  });

  it('lets the caller on this machine choose the agent', async () => {
    expect(await (await post(`${server.url}/twilio/voice?agent=ada`, { ...CALL, To: '+15550999' })).text()).toContain(
      '<Connect>',
    );
    expect(await (await post(`${server.url}/twilio/voice?agent=nobody`, CALL)).text()).toContain('not in service');
  });

  it.each(['x-forwarded-for', 'forwarded', 'cf-connecting-ip'])('refuses what a tunnel brings (%s)', async (header) => {
    const response = await post(`${server.url}/twilio/voice`, CALL, { [header]: '203.0.113.7' });
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({
      code: 'forbidden',
      detail: expect.stringContaining('TWILIO_AUTH_TOKEN'),
    });
  });

  it('answers bad input with a problem document', async () => {
    const bad = await post(`${server.url}/twilio/voice`, { ...CALL, CallSid: "CA' OR 1=1" });
    expect([bad.status, bad.headers.get('content-type')]).toEqual([
      400,
      expect.stringContaining('application/problem+json'),
    ]);
    expect(await bad.json()).toMatchObject({ code: 'bad-request', detail: expect.stringContaining('CallSid') });
    const headers = { authorization: `Bearer ${server.apiKey}` };
    expect((await fetch(`${server.url}/api/v1/calls/none`, { headers })).status).toBe(404);
    expect((await fetch(`${server.url}/api/v1/calls?limit=0`, { headers })).status).toBe(422);
    expect((await fetch(`${server.url}/api/v1/calls?cursor=nonsense`, { headers })).status).toBe(422);
    expect((await fetch(`${server.url}/nowhere`)).status).toBe(404);
    expect((await post(`${server.url}/twilio/voice`, { ...CALL, Note: 'x'.repeat(100_000) })).status).toBe(413);
    const json = await fetch(`${server.url}/twilio/voice`, {
      method: 'POST',
      body: '{"CallSid":',
      headers: { 'content-type': 'application/json' },
    });
    expect(json.status).toBe(400);
  });

  it('takes status reports', async () => {
    expect((await post(`${server.url}/twilio/status`, { ...CALL, CallStatus: 'completed' })).status).toBe(204);
  });

  it('is alive, gets ready, and exposes metrics', async () => {
    expect((await fetch(`${server.url}/health/live`)).status).toBe(200);
    await expect.poll(async () => (await fetch(`${server.url}/health/ready`)).status, { timeout: 20_000 }).toBe(200);
    expect(await (await fetch(`${server.url}/metrics`)).text()).toContain('bvrai_calls_active 0');
  });

  it('logs no full phone number', () => {
    expect(JSON.stringify(server.log)).not.toContain(CALL.From);
    expect(server.log.some(({ msg }) => msg === 'call expected')).toBe(true);
  });
});

describe('with a Twilio token', () => {
  const publicUrl = 'https://voice.example.com';
  const environment = { TWILIO_AUTH_TOKEN: 'auth-token', PUBLIC_URL: publicUrl, HOST: '127.0.0.1' };
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ agents: AGENTS, environment, ready: false });
  }, 60_000);
  afterAll(() => server?.close());

  const signed = (form: Record<string, string>): Promise<Response> => {
    const signature = twilioSignature('auth-token', `${publicUrl}/twilio/voice`, form);
    return post(`${server.url}/twilio/voice`, form, { 'x-twilio-signature': signature });
  };
  const make = async (path: string, body: object, token?: string): Promise<Record<string, unknown>> => {
    const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) };
    const response = await fetch(`${server.url}/api/v1${path}`, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
    });
    expect(response.status).toBe(201);
    return z.record(z.string(), z.unknown()).parse(await response.json());
  };

  it('begins with no agents of its own', async () => {
    expect(await (await signed(CALL)).text()).toContain('not in service');
  });

  it('takes what Twilio has signed, and sends its stream to the public address', async () => {
    const account = { email: 'ada@example.com', password: 'correct horse battery staple', name: 'Ada' };
    const session = await make('/auth/register', { ...account, organization_name: 'Harbour View' });
    const token = String(session['access_token']);
    const { id } = await make('/agents', { name: 'Ada' }, token);
    await make('/phone-numbers', { number: CALL.To, agent_id: id }, token);
    expect(await (await signed(CALL)).text()).toMatch(
      /<Connect><Stream url="wss:\/\/voice\.example\.com\/media"><Parameter name="token" value="[\w-]{43}"\/><\/Stream><\/Connect>/u,
    );
  });

  it.each([
    ['no signature', {}],
    ['a forged one', { 'x-twilio-signature': 'L/OH5YylLD5NRKLltdqwSvS0BnU=' }],
    [
      'one for other parameters',
      { 'x-twilio-signature': twilioSignature('auth-token', `${publicUrl}/twilio/voice`, { ...CALL, To: '+1' }) },
    ],
  ])('refuses %s', async (_what, headers) => {
    const response = await post(`${server.url}/twilio/voice`, CALL, headers);
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({ code: 'bad-signature' });
  });

  it('shows no call records to anybody', async () => {
    expect((await fetch(`${server.url}/api/v1/calls`)).status).toBe(401);
  });
});

describe('agent files', () => {
  it.each([
    [{ name: '' }, 'name'],
    [{ name: 'A', turn_taking: { barge_in_ms: 'x' } }, 'turn_taking.barge_in_ms'],
    [{ name: 'A', phone_numbers: ['5550100'] }, 'phone_numbers[0]'],
    [{ name: 'A', colour: 'red' }, 'colour'],
  ])('that are wrong keep the server from starting, and are told apart (%#)', async (agent, field) => {
    const started = startTestServer({ agents: { broken: agent } });
    await expect(started).rejects.toMatchObject({ code: 'agent.invalid', message: expect.stringContaining(field) });
    await expect(started).rejects.toThrow('broken.json');
  });

  it('may not share a number', async () => {
    const agent = { name: 'A', phone_numbers: ['+15550100'] };
    await expect(startTestServer({ agents: { a: agent, b: agent } })).rejects.toThrow(
      'b.json: number +15550100 already belongs to agent a',
    );
  });
});
