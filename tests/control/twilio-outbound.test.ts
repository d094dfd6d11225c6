/** Calls that the API has Twilio ring: from the request to the record, and what is told when Twilio does not do it. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { decodeToneSpeech } from '../../bench/emulators/tone-speech.ts';
import type { Phone } from '../../bench/phone/phone.ts';
import { VARIABLES_DESCRIPTION } from '../../src/control/calls/variables.ts';
import { NUMBER, Switchboard } from '../support/switchboard.ts';

const CALLED = '+15550177';
const HOURS = 'We open at nine and close at five.';

let board: Switchboard;

beforeAll(async () => {
  board = await Switchboard.start(
    {
      name: 'Ada',
      system_prompt: 'You call {{customer}} of {{company}}.',
      first_message: 'Hello {{customer}}, {{company}} here.{{nobody_knows}}',
      variables: { company: 'Harbour View', customer: 'there' },
    },
    { openai: { firstTokenMs: 50, interTokenMs: 5, reply: [{ reply: HOURS }] } },
  );
}, 60_000);
afterEach(async () => {
  board.twilio.fault = undefined;
  await board.hangUpAll();
});
afterAll(() => board?.close());

/** What Twilio was asked to ring last. */
const rung = () => {
  const asked = board.twilio.requests.at(-1);
  if (!asked) throw new Error('Twilio was asked for nothing');
  const address = (name: string): string => asked.form.get(name) ?? '';
  const report = async (CallStatus: string, sequence: number, more: Record<string, string> = {}): Promise<void> => {
    const form = { CallSid: asked.callSid, CallStatus, SequenceNumber: String(sequence), ...more };
    expect((await board.hook(address('StatusCallback'), form)).status).toBe(204);
  };
  return { ...asked, address, report };
};
const call = (body: object = {}, headers: Record<string, string> = {}) =>
  board.api('POST', '/calls', { agent_id: board.agentId, to: CALLED, ...body }, { headers });
const heardBy = (phone: Phone): string => decodeToneSpeech(phone.heard()).text.replace(/\s+/gu, ' ').trim();

describe('a number that another organization has', () => {
  it('cannot be added by a second one, and rings nobody in its name', async () => {
    const bearer = await board.register('mallory@example.com');
    const post = (path: string, body: object) => board.api('POST', path, body, { bearer });
    const { body: agent } = await post('/agents', { name: 'Mallory' });
    expect(await post('/phone-numbers', { number: NUMBER, agent_id: agent.id })).toMatchObject({
      status: 409,
      body: { code: 'conflict', errors: [{ pointer: '/number' }] },
    });
    const before = board.twilio.requests.length;
    for (const from of [NUMBER, undefined]) {
      const refused = await post('/calls', { agent_id: agent.id, to: CALLED, from });
      expect(refused).toMatchObject({ status: 422, body: { errors: [{ pointer: '/from' }] } });
    }
    expect(board.twilio.requests).toHaveLength(before);
  });
});

describe('a call that is rung', () => {
  it('is answered, knows whom it calls, and ends in the record as the conversation did', async () => {
    const made = await call({ variables: { customer: 'Grace' }, metadata: { campaign: 'spring' } });
    expect(made).toMatchObject({
      status: 201,
      body: { status: 'initiated', direction: 'outbound', from: NUMBER, to: CALLED, variables: { customer: 'Grace' } },
    });
    const { id } = made.body;
    const state = () => board.api('GET', `/calls/${id}`);
    const { address, report, callSid } = rung();
    expect((await state()).body.twilio_call_sid).toBe(callSid);
    await report('initiated', 0);
    await report('ringing', 1);
    expect((await state()).body.status).toBe('ringing');

    const phone = await board.ring({ answers: address('Url'), callSid, from: NUMBER, to: CALLED });
    await report('in-progress', 2);
    await board.listen(phone);
    await board.say(phone, 'When do you open?');
    await board.listen(phone);
    expect(heardBy(phone)).toBe(`Hello Grace, Harbour View here. ${HOURS}`);
    expect(board.cloud.openai.received.at(-1)?.text).toContain('You call Grace of Harbour View.');
    await phone.hangUp();
    // Twilio's word may well come before the record of the conversation is written: it does not decide.
    await report('completed', 3, { CallDuration: '9' });

    const record = await board.ended(id);
    expect(record).toMatchObject({
      status: 'completed',
      end_reason: 'caller-hung-up',
      end_detail: null,
      twilio_call_sid: callSid,
      metadata: { campaign: 'spring' },
    });
    expect(record.messages.map(({ role, heard_text }) => [role, heard_text])).toEqual([
      ['agent', 'Hello Grace, Harbour View here.'],
      ['caller', 'When do you open?'],
      ['agent', HOURS],
    ]);
    expect(record.turns).toHaveLength(1);
    // The webhook's address is good for a call that goes on only.
    const late = { CallSid: callSid, From: NUMBER, To: CALLED, Direction: 'outbound-api' };
    expect((await board.hook(address('Url'), late)).body).toContain('This call has ended');
    const warned = board.server.log.filter(({ msg }) => msg.startsWith('the agent uses variables'));
    expect(warned.at(-1)?.['variables']).toEqual(['nobody_knows']);
  }, 60_000);

  it('ends as its conversation did, even when Twilio reports the end before anything of it is written', async () => {
    const { id } = (await call()).body;
    const { address, report, callSid } = rung();
    const phone = await board.ring({ answers: address('Url'), callSid, from: NUMBER, to: CALLED });
    await expect.poll(() => board.server.server.activeCalls).toBe(1);
    await report('completed', 3);
    await phone.waitUntilAgentSpeaks();
    await phone.hangUp();
    expect(await board.ended(id)).toMatchObject({ status: 'completed', end_reason: 'caller-hung-up' });
  }, 60_000);

  it.each([
    ['busy', 'busy'],
    ['no-answer', 'no_answer'],
    ['failed', 'failed'],
    ['canceled', 'cancelled'],
  ])('and not answered ends as Twilio says: %s', async (twilioStatus, status) => {
    const { id } = (await call({ machine_detection: 'Enable' })).body;
    const { report, address, callSid, form } = rung();
    expect(form.get('MachineDetection')).toBe('Enable');
    await board.hook(address('AsyncAmdStatusCallback'), { CallSid: callSid, AnsweredBy: 'machine_start' });
    await report(twilioStatus, 1);
    expect((await board.api('GET', `/calls/${id}`)).body).toMatchObject({
      status,
      end_reason: twilioStatus,
      answered_by: 'machine_start',
    });
  });

  it('rings nobody twice for one Idempotency-Key', async () => {
    const before = board.twilio.requests.length;
    const [first, second] = [
      await call({}, { 'idempotency-key': 'once' }),
      await call({}, { 'idempotency-key': 'once' }),
    ];
    expect(board.twilio.requests.length).toBe(before + 1);
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(second.body).toEqual(first.body);
    expect(second.headers.get('idempotency-replayed')).toBe('true');
    expect((await call({ to: '+15550178' }, { 'idempotency-key': 'once' })).status).toBe(422);
    expect(board.twilio.requests.length).toBe(before + 1);
    // At the same moment, while Twilio takes its time.
    const release = board.twilio.hold();
    let settled = 0;
    const together = [1, 2, 3].map(() => call({}, { 'idempotency-key': 'together' }).finally(() => settled++));
    await expect.poll(() => board.twilio.held).toBe(1);
    await expect.poll(() => settled).toBe(2);
    release();
    const answers = await Promise.all(together);
    expect(answers.map(({ status }) => status).filter((status) => status !== 201 && status !== 409)).toEqual([]);
    expect(board.twilio.requests.length).toBe(before + 2);
  });
});

describe('a call that Twilio does not ring', () => {
  const invalid = { status: 400, code: 21211, message: "The 'To' number +15550177 is not a valid phone number." };

  it.each([
    [invalid, 422, 'carrier-refused', 'dial-refused', '21211'],
    [{ status: 400, code: 21215, message: 'Geo permissions' }, 422, 'carrier-refused', 'dial-refused', '21215'],
    [{ status: 500, code: 20500, message: 'Internal' }, 503, 'carrier-unavailable', 'dial-failed', '20500'],
    [{ status: 401, code: 20003, message: 'Authenticate' }, 503, 'carrier-unavailable', 'dial-failed', 'credentials'],
    ['reset', 503, 'carrier-unavailable', 'dial-failed', 'cannot be reached'],
  ] as const)(
    'is a problem, and has failed for that reason in the record (%#)',
    async (fault, status, code, reason, words) => {
      board.twilio.fault = fault;
      const refused = await call();
      expect(refused.headers.get('content-type')).toContain('application/problem+json');
      expect(refused).toMatchObject({ status, body: { status, code, detail: expect.stringContaining(words) } });
      const { items } = (await board.api('GET', '/calls?limit=1')).body;
      expect(items[0]).toMatchObject({
        status: 'failed',
        end_reason: reason,
        end_detail: refused.body.detail,
        direction: 'outbound',
        twilio_call_sid: null,
      });
    },
  );

  it('is ended at Twilio if it rings nevertheless, and taken by nobody', async () => {
    board.twilio.fault = 'lose-answer';
    expect((await call()).status).toBe(503);
    board.twilio.fault = undefined;
    const { callSid, report, address } = rung();
    await report('ringing', 1);
    expect(board.twilio.requests.at(-1)?.path).toContain(`/Calls/${callSid}.json`);
    expect(board.twilio.requests.at(-1)?.form.get('Status')).toBe('completed');
    const form = { CallSid: callSid, From: NUMBER, To: CALLED, Direction: 'outbound-api' };
    expect((await board.hook(address('Url'), form)).body).toContain('This call has ended');
    const asked = board.twilio.requests.length;
    await report('canceled', 2);
    expect(board.twilio.requests.length).toBe(asked);
  });

  it('says which field was at fault', async () => {
    board.twilio.fault = invalid;
    expect((await call()).body.errors).toMatchObject([{ in: 'body', pointer: '/to' }]);
  });

  it('is not rung by repeating the request, but by a new one', async () => {
    board.twilio.fault = invalid;
    const first = await call({}, { 'idempotency-key': 'refused' });
    board.twilio.fault = undefined;
    const before = board.twilio.requests.length;
    const again = await call({}, { 'idempotency-key': 'refused' });
    expect([again.status, again.body.code, again.body.detail]).toEqual([422, 'carrier-refused', first.body.detail]);
    expect(board.twilio.requests.length).toBe(before);
    expect((await call({}, { 'idempotency-key': 'another' })).status).toBe(201);
    expect(board.twilio.requests.length).toBe(before + 1);
  });
});

describe('a request for a call', () => {
  it.each([
    [{ variables: { 'Not a name': 'x' } }, '/variables'],
    [{ variables: { customer: 1 } }, '/variables/customer'],
    [{ variables: { customer: 'x'.repeat(2_001) } }, '/variables/customer'],
    [{ variables: Object.fromEntries(Array.from({ length: 51 }, (_, n) => [`v${n}`, ''])) }, '/variables'],
    [
      { variables: Object.fromEntries(Array.from({ length: 9 }, (_, n) => [`v${n}`, 'x'.repeat(2_000)])) },
      '/variables',
    ],
    [{ variables: { time_zone: 'Mars/Olympus' } }, '/variables/time_zone'],
    [{ to: undefined }, '/to'],
    [{ to: '5550177' }, '/to'],
    [{ from: '+15550111' }, '/from'],
  ])('that is wrong says where (%#)', async (body, pointer) => {
    const before = board.twilio.requests.length;
    const refused = await call(body);
    expect(refused).toMatchObject({ status: 422, body: { code: 'invalid-fields' } });
    expect(refused.body.errors[0].pointer).toContain(pointer);
    expect(board.twilio.requests.length).toBe(before);
  });

  it('is described in the OpenAPI document', async () => {
    const document = await (await fetch(`${board.server.url}/openapi.json`)).text();
    expect(document).toContain(JSON.stringify(VARIABLES_DESCRIPTION));
  });
});
