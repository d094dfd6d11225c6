/** From an account to the record of a call, with Twilio's signatures: over HTTP, the webhooks and the media socket. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { decodeToneSpeech } from '../../bench/emulators/tone-speech.ts';
import { newSid } from '../../bench/phone/connect.ts';
import { Phone } from '../../bench/phone/phone.ts';
import { askVoiceWebhook } from '../../bench/phone/voice-webhook.ts';
import { AUTH_TOKEN, CALLER, NUMBER, PUBLIC_URL, Switchboard } from '../support/switchboard.ts';

const GREETING = 'Hello from the harbour.';
const HOURS = 'We open at nine and close at five.';
const STORY = 'It was a dark and stormy night, and the rain fell in torrents, except at occasional intervals of wind.';

let board: Switchboard;

beforeAll(async () => {
  board = await Switchboard.start(
    { name: 'Ada', first_message: GREETING },
    {
      openai: {
        firstTokenMs: 50,
        interTokenMs: 5,
        reply: [{ match: /open/u, reply: HOURS }, { match: /story/u, reply: STORY }, { reply: 'I do not know.' }],
      },
    },
  );
}, 60_000);
afterEach(() => board.hangUpAll());
afterAll(() => board?.close());

const heardBy = (phone: Phone): string => decodeToneSpeech(phone.heard()).text.replace(/\s+/gu, ' ').trim();
const inboundForm = (CallSid: string, To = NUMBER) => ({ CallSid, From: CALLER, To, Direction: 'inbound' });

/**
 * What a turn passes through, in this order. A transcript, and what is begun on a guess, may come before the caller's voice has
 * ended.
 */
function expectPlausible(stages: Readonly<Record<string, number>>): void {
  const at = (name: string): number => stages[name] ?? Number.NaN;
  expect(at('speech_ended_at_ms')).toBeGreaterThan(0);
  expect(at('speech_end_detected_ms')).toBeGreaterThanOrEqual(0);
  expect(at('turn_confirmed_ms')).toBeGreaterThanOrEqual(at('speech_end_detected_ms'));
  expect(at('turn_confirmed_ms')).toBeGreaterThanOrEqual(at('transcript_ms'));
  expect(at('first_clause_ms')).toBeGreaterThanOrEqual(at('first_token_ms'));
  expect(at('first_audio_ms')).toBeGreaterThanOrEqual(at('first_clause_ms'));
  expect(at('first_audio_ms')).toBeGreaterThanOrEqual(at('turn_confirmed_ms'));
}

describe('a call', () => {
  it('goes from the number to the agent, is talked through and interrupted, and is all in the record', async () => {
    const phone = await board.ring();
    await phone.waitForAgent({ silenceMs: 300 });
    await board.say(phone, 'When do you open?');
    await phone.waitForAgent({ silenceMs: 300 });
    expect(heardBy(phone)).toBe(`${GREETING} ${HOURS}`);
    await board.say(phone, 'Tell me a story.');
    await phone.waitUntilAgentSpeaks();
    await phone.sayNothing(2_000);
    await board.say(phone, 'Stop, when do you open?');
    await phone.waitForAgent({ silenceMs: 300 });
    await phone.hangUp();
    await board.hook('/twilio/status', { CallSid: phone.callSid, CallStatus: 'completed', SequenceNumber: '0' });

    const record = await board.ended(phone.callSid);
    expect(record).toMatchObject({
      status: 'completed',
      end_reason: 'caller-hung-up',
      agent_id: board.agentId,
      agent_version: 1,
      direction: 'inbound',
      channel: 'phone',
      from: CALLER,
      to: NUMBER,
      twilio_call_sid: phone.callSid,
    });
    const said = record.messages.map(({ role, text }) => [role, text]);
    expect(said).toEqual([
      ['agent', GREETING],
      ['caller', 'When do you open?'],
      ['agent', HOURS],
      ['caller', 'Tell me a story.'],
      ['agent', expect.stringContaining('It was a dark')],
      ['caller', 'Stop, when do you open?'],
      ['agent', HOURS],
    ]);
    const cut = record.messages[4];
    expect(cut?.heard_text.length).toBeGreaterThan(5);
    expect(cut?.heard_text.length).toBeLessThan(STORY.length - 10);
    expect(STORY.startsWith(cut?.heard_text ?? '?')).toBe(true);
    expect(cut?.details).toMatchObject({ interrupted: true });
    for (const [index, { text, heard_text }] of record.messages.entries())
      if (index !== 4) expect(heard_text).toBe(text);
    const times = record.messages.map(({ at_ms }) => at_ms);
    expect(times).toEqual(times.toSorted((a, b) => a - b));

    expect(record.turns).toHaveLength(3);
    for (const { voice_to_voice_ms, stages } of record.turns) {
      expectPlausible(stages);
      expect(voice_to_voice_ms).toBe(stages['first_audio_ms']);
    }
    expect(record.events.at(0)?.type).toBe('call-started');
    expect(record.events.at(-1)?.type).toBe('call-ended');
    expect(record.events.filter(({ type }) => type === 'barge-in')).toHaveLength(1);
    expect(phone.warnings).toEqual([]);
  }, 60_000);

  it('is found by its id, by nobody else, and can be followed afterwards', async () => {
    const phone = await board.ring();
    await phone.waitForAgent({ silenceMs: 300 });
    await phone.hangUp();
    const record = await board.ended(phone.callSid);
    expect(await board.api('GET', `/calls/${record.id}`)).toMatchObject({ status: 200, body: { id: record.id } });
    const bearer = await board.register('eve@example.com');
    expect((await board.api('GET', `/calls/${record.id}`, undefined, { bearer })).status).toBe(404);
    const follow = async (lastId: string): Promise<string[]> => {
      const headers = { authorization: `Bearer ${board.token}`, 'last-event-id': lastId };
      const response = await fetch(`${board.server.url}/api/v1/calls/${record.id}/events`, { headers });
      return [...(await response.text()).matchAll(/^id: (\d+)$/gmu)].map(([, id = '']) => id);
    };
    const ids = await follow('');
    expect(ids).toHaveLength(record.events.length);
    expect(await follow(ids[1] ?? '')).toEqual(ids.slice(2));
  }, 30_000);

  it('is told in words that a number is not in service', async () => {
    const answer = await board.hook('/twilio/voice', inboundForm(newSid('CA'), '+15550999'));
    expect(answer).toMatchObject({
      status: 200,
      body: expect.stringMatching(/<Say>.*not in service.*<\/Say><Hangup\/>/u),
    });
  });

  it('is not taken from anybody but Twilio', async () => {
    const form = inboundForm(newSid('CA'));
    const forged = await board.hook('/twilio/voice', form, 'a-guessed-token');
    expect(forged.status).toBe(403);
    expect(JSON.parse(forged.body)).toMatchObject({ code: 'bad-signature' });
    for (const path of ['/twilio/status', '/twilio/amd', '/twilio/stream'])
      expect((await board.hook(path, { ...form, CallStatus: 'completed' }, 'a-guessed-token')).status).toBe(403);
  });
});

describe('a media socket', () => {
  const streamUrl = (): string => `${board.server.url.replace(/^http/u, 'ws')}/media`;
  /** Twilio is told where a call's stream goes; its token. */
  const announce = async (callSid: string): Promise<string> => {
    const { url, customParameters } = await askVoiceWebhook({
      url: new URL('/twilio/voice', board.server.url),
      signedUrl: `${PUBLIC_URL}/twilio/voice`,
      authToken: AUTH_TOKEN,
      parameters: inboundForm(callSid),
      signal: undefined,
    });
    expect(url).toBe(`${PUBLIC_URL.replace(/^https/u, 'wss')}/media`);
    return customParameters['token'] ?? '';
  };
  const open = async (callSid: string, token: string): Promise<Phone> => {
    const signedUrl = `${PUBLIC_URL.replace(/^https/u, 'wss')}/media`;
    const options = { callSid, authToken: AUTH_TOKEN, signedUrl, streamUrl: streamUrl(), customParameters: { token } };
    return board.keep(await Phone.dialStream(options));
  };

  it('opens once with its token, and with that of no other call', async () => {
    const [mine, other] = [newSid('CA'), newSid('CA')];
    const token = await announce(mine);
    expect(await (await open(other, token)).ended).toMatchObject({ by: 'server', code: 1008 });
    // Which leaves it good for its own call, once.
    const phone = await open(mine, token);
    await phone.waitForAgent({ silenceMs: 300 });
    expect(heardBy(phone)).toBe(GREETING);
    expect(await (await open(mine, token)).ended).toMatchObject({ by: 'server', code: 1008 });
    expect(await (await open(mine, 'a-guess')).ended).toMatchObject({ by: 'server', code: 1008 });
    // The call that was taken over in vain goes on.
    await board.say(phone, 'When do you open?');
    await phone.waitForAgent({ silenceMs: 300 });
    expect(heardBy(phone)).toBe(`${GREETING} ${HOURS}`);
    await phone.hangUp();
    expect((await board.ended(mine)).end_reason).toBe('caller-hung-up');
    expect((await board.api('GET', `/calls/${other}`)).status).toBe(404);
  }, 30_000);

  it('is refused with a signature that is not Twilio’s, whatever its token', async () => {
    const callSid = newSid('CA');
    const customParameters = { token: await announce(callSid) };
    const dialled = Phone.dialStream({
      callSid,
      customParameters,
      streamUrl: streamUrl(),
      authToken: 'a-guessed-token',
    });
    await expect(dialled).rejects.toThrow('403');
  });
});
