/** Browser calls: from the API to a socket, through a conversation on it, into the record. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { decodeToneSpeech } from '../../bench/emulators/tone-speech.ts';
import { Phone } from '../../bench/phone/phone.ts';
import { PUBLIC_URL, Switchboard } from '../support/switchboard.ts';

const HOURS = 'We open at nine and close at five.';

const socket = z.looseObject({ id: z.string(), socket_url: z.string(), token: z.string(), call_sid: z.string() });
type Socket = z.infer<typeof socket>;

let board: Switchboard;

beforeAll(async () => {
  board = await Switchboard.start(
    { name: 'Ada', first_message: 'Hello {{visitor}}, Ada here.', variables: { visitor: 'there' } },
    { openai: { firstTokenMs: 50, interTokenMs: 5, reply: [{ reply: HOURS }] } },
  );
}, 60_000);
afterEach(() => board.hangUpAll());
afterAll(() => board?.close());

async function begin(body: object = {}): Promise<Socket> {
  const made = await board.api('POST', '/calls', { agent_id: board.agentId, channel: 'web', ...body });
  expect(made).toMatchObject({ status: 201, body: { status: 'initiated', channel: 'web', direction: 'inbound' } });
  return socket.parse(made.body);
}

/** A browser cannot sign. `path`: where it goes instead of where it was told. */
async function open({ socket_url: url, token, call_sid: callSid }: Socket, path = '/web'): Promise<Phone> {
  expect(url).toBe(`${PUBLIC_URL.replace(/^https/u, 'wss')}/web`);
  const streamUrl = board.server.url.replace(/^http/u, 'ws') + path;
  return board.keep(await Phone.dialStream({ streamUrl, callSid, customParameters: { token } }));
}

const heardBy = (phone: Phone): string => decodeToneSpeech(phone.heard()).text.replace(/\s+/gu, ' ').trim();

describe('a browser call', () => {
  it('is a conversation like any other, and has a record', async () => {
    const call = await begin({ variables: { visitor: 'Grace' }, metadata: { page: 'pricing' } });
    const phone = await open(call);
    await board.listen(phone);
    await board.say(phone, 'When do you open?');
    await board.listen(phone);
    expect(heardBy(phone)).toBe(`Hello Grace, Ada here. ${HOURS}`);
    expect((await board.api('GET', `/calls/${call.id}`)).body).toMatchObject({ status: 'in_progress', channel: 'web' });
    await phone.hangUp();
    const record = await board.ended(call.id);
    expect(record).toMatchObject({
      status: 'completed',
      end_reason: 'caller-hung-up',
      agent_id: board.agentId,
      twilio_call_sid: null,
      variables: { visitor: 'Grace' },
      metadata: { page: 'pricing' },
    });
    expect(record.messages.map(({ role, heard_text }) => [role, heard_text])).toEqual([
      ['agent', 'Hello Grace, Ada here.'],
      ['caller', 'When do you open?'],
      ['agent', HOURS],
    ]);
    expect(record.turns[0]?.voice_to_voice_ms).toBeGreaterThan(0);
    expect(phone.warnings).toEqual([]);
  }, 60_000);

  it('opens once, with its own token, at its own door', async () => {
    const [call, other] = [await begin(), await begin()];
    expect(await (await open(call, '/media')).ended).toMatchObject({ by: 'server', code: 1008 });
    // A token that was shown at the wrong door is spent.
    expect(await (await open(call)).ended).toMatchObject({ by: 'server', code: 1008 });
    expect(await (await open({ ...other, call_sid: call.call_sid })).ended).toMatchObject({ by: 'server', code: 1008 });
    const phone = await open(other);
    await board.listen(phone);
    expect(await (await open(other)).ended).toMatchObject({ by: 'server', code: 1008 });
    expect(heardBy(phone)).toBe('Hello there, Ada here.');
    expect((await board.api('POST', `/calls/${other.id}/hangup`)).status).toBe(204);
    expect(await phone.ended).toMatchObject({ by: 'server', code: 1000 });
    expect((await board.ended(other.id)).end_reason).toBe('agent-hung-up');
  }, 60_000);

  it('cannot be had for the agent of somebody else, or an unknown one', async () => {
    const bearer = await board.register('eve@example.com');
    const body = { agent_id: board.agentId, channel: 'web' };
    const refused = await board.api('POST', '/calls', body, { bearer });
    expect(refused).toMatchObject({ status: 422, body: { errors: [{ in: 'body', pointer: '/agent_id' }] } });
    expect((await board.api('POST', '/calls', body, { bearer: null })).status).toBe(401);
  });

  it('gives the same socket for the same Idempotency-Key', async () => {
    const ask = () =>
      board.api(
        'POST',
        '/calls',
        { agent_id: board.agentId, channel: 'web' },
        { headers: { 'idempotency-key': 'web' } },
      );
    const [first, second] = [await ask(), await ask()];
    expect(second.body).toEqual(first.body);
    const phone = await open(socket.parse(second.body));
    await phone.waitUntilAgentSpeaks();
  }, 60_000);
});
