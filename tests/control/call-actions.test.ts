/** What the API can do with a call that goes on: say something, transfer it, end it. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { decodeToneSpeech } from '../../bench/emulators/tone-speech.ts';
import type { Phone } from '../../bench/phone/phone.ts';
import { Switchboard } from '../support/switchboard.ts';

const audited = z.object({ items: z.array(z.looseObject({ action: z.string() })) });

const GREETING = 'Hello from the harbour.';
const COLLEAGUE = '+15550155';

let board: Switchboard;

beforeAll(async () => {
  board = await Switchboard.start({ name: 'Ada', first_message: GREETING });
}, 60_000);
afterEach(async () => {
  board.twilio.fault = undefined;
  await board.hangUpAll();
});
afterAll(() => board?.close());

const heardBy = (phone: Phone): string => decodeToneSpeech(phone.heard()).text.replace(/\s+/gu, ' ').trim();
/** A call that has been greeted, and whose record has begun. */
async function greeted(): Promise<Phone> {
  const phone = await board.ring();
  await board.listen(phone);
  await expect
    .poll(() => board.api('GET', `/calls/${phone.callSid}`))
    .toMatchObject({ status: 200, body: { status: 'in_progress' } });
  return phone;
}
const act = (phone: Phone, action: string, body?: object) =>
  board.api('POST', `/calls/${phone.callSid}/${action}`, body);

describe('a call that goes on', () => {
  it('says what it is told to, and ends when it is told to', async () => {
    const phone = await greeted();
    expect((await act(phone, 'say', { text: 'A word from outside.' })).status).toBe(204);
    await phone.waitUntil('the word from outside', 10_000, () => heardBy(phone).endsWith('outside.'));
    expect(heardBy(phone)).toBe(`${GREETING} A word from outside.`);
    expect((await act(phone, 'hangup')).status).toBe(204);
    expect(await phone.ended).toMatchObject({ by: 'server', code: 1000 });
    const record = await board.ended(phone.callSid);
    expect(record).toMatchObject({ status: 'completed', end_reason: 'agent-hung-up' });
    expect(record.messages.map(({ heard_text }) => heard_text)).toEqual([GREETING, 'A word from outside.']);
    for (const [action, body] of [['say', { text: 'Too late.' }], ['hangup'], ['transfer', { to: COLLEAGUE }]] as const)
      expect(await act(phone, action, body)).toMatchObject({ status: 409, body: { code: 'conflict' } });
    const { items } = audited.parse((await board.api('GET', '/audit-log?limit=50')).body);
    const entries = items.map(({ action }) => action);
    expect(entries).toEqual(expect.arrayContaining(['call.spoken_in', 'call.hung_up']));
  }, 60_000);

  it('is transferred, and its record says so', async () => {
    const phone = await greeted();
    expect((await act(phone, 'transfer', { to: COLLEAGUE })).status).toBe(204);
    const asked = board.twilio.requests.at(-1);
    expect(asked).toMatchObject({ callSid: phone.callSid });
    expect(asked?.form.get('Twiml')).toBe(
      `<?xml version="1.0" encoding="UTF-8"?><Response><Dial answerOnBridge="true"><Number>${COLLEAGUE}</Number></Dial></Response>`,
    );
    expect(await phone.ended).toMatchObject({ by: 'server', code: 1000 });
    expect(await board.ended(phone.callSid)).toMatchObject({ status: 'completed', end_reason: 'transferred' });
  }, 60_000);

  it('is transferred too when Twilio ends its stream before it answers', async () => {
    const phone = await greeted();
    const release = board.twilio.hold();
    const transferred = act(phone, 'transfer', { to: COLLEAGUE });
    await phone.waitUntil('Twilio to be asked', 10_000, () => board.twilio.held > 0);
    await phone.hangUp();
    release();
    expect((await transferred).status).toBe(204);
    expect(await board.ended(phone.callSid)).toMatchObject({ status: 'completed', end_reason: 'transferred' });
  }, 60_000);

  it('was hung up when its caller does so while Twilio is asked, and Twilio then refuses', async () => {
    const phone = await greeted();
    board.twilio.fault = { status: 400, code: 21220, message: 'Call is not in-progress.' };
    const release = board.twilio.hold();
    const refused = act(phone, 'transfer', { to: COLLEAGUE });
    await phone.waitUntil('Twilio to be asked', 10_000, () => board.twilio.held > 0);
    expect(await act(phone, 'transfer', { to: COLLEAGUE })).toMatchObject({ status: 409, body: { code: 'conflict' } });
    await phone.hangUp();
    release();
    expect((await refused).status).toBe(422);
    expect(await board.ended(phone.callSid)).toMatchObject({ status: 'completed', end_reason: 'caller-hung-up' });
  }, 60_000);

  it('goes on when Twilio does not transfer it', async () => {
    const phone = await greeted();
    board.twilio.fault = { status: 400, code: 21220, message: 'Call is not in-progress.' };
    const refused = await act(phone, 'transfer', { to: COLLEAGUE });
    expect(refused).toMatchObject({
      status: 422,
      body: { code: 'carrier-refused', detail: expect.stringContaining('21220') },
    });
    board.twilio.fault = 'reset';
    expect(await act(phone, 'transfer', { to: COLLEAGUE })).toMatchObject({
      status: 503,
      body: { code: 'carrier-unavailable' },
    });
    expect((await act(phone, 'say', { text: 'Still here.' })).status).toBe(204);
    await phone.waitUntil('the agent to go on', 10_000, () => heardBy(phone).endsWith('Still here.'));
    await phone.hangUp();
    expect((await board.ended(phone.callSid)).end_reason).toBe('caller-hung-up');
  }, 60_000);

  it('that still rings is ended through Twilio', async () => {
    const made = await board.api('POST', '/calls', { agent_id: board.agentId, to: '+15550177' });
    const rung = board.twilio.requests.at(-1);
    expect((await board.api('POST', `/calls/${made.body.id}/say`, { text: 'Hello?' })).status).toBe(409);
    expect((await board.api('POST', `/calls/${made.body.id}/hangup`)).status).toBe(204);
    const asked = board.twilio.requests.at(-1);
    expect(asked?.path).toContain(`/Calls/${rung?.callSid}.json`);
    expect(asked?.form.get('Status')).toBe('completed');
    const form = { CallSid: rung?.callSid ?? '', CallStatus: 'canceled', SequenceNumber: '2' };
    await board.hook(rung?.form.get('StatusCallback') ?? '', form);
    expect(await board.ended(made.body.id)).toMatchObject({ status: 'cancelled', end_reason: 'canceled' });
  });

  it('is nobody else’s to act on', async () => {
    const phone = await greeted();
    const bearer = await board.register('eve@example.com');
    for (const [action, body] of [['say', { text: 'Boo.' }], ['hangup'], ['transfer', { to: COLLEAGUE }]] as const)
      expect((await board.api('POST', `/calls/${phone.callSid}/${action}`, body, { bearer })).status).toBe(404);
    await phone.hangUp();
    expect((await board.ended(phone.callSid)).messages.map(({ text }) => text)).toEqual([GREETING]);
  }, 60_000);
});
