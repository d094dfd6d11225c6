/** What a call used and cost, against what the vendors got: with an interruption, a guess that was wrong and a greeting that was kept. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import type { Traffic } from '../../bench/emulators/server.ts';
import { Phone } from '../../bench/phone/phone.ts';
import { callResponse } from '../../src/control/calls/json.ts';
import { startEmulatedCloud } from '../support/cloud.ts';
import type { EmulatedCloud } from '../support/cloud.ts';
import { startTestServer } from '../support/server.ts';
import type { TestServer } from '../support/server.ts';
import { fixtureAudio } from '../support/speech-fixtures.ts';

const GREETING = 'Hello, Ada here.';
const STORY = 'It was a dark and stormy night, and the rain fell in torrents, except at occasional intervals of wind.';
const HOURS = 'We open at nine and close at five.';
/** To what the caller seems to have said, and goes on from: it is still being written then. */
const ENDLESS = `${HOURS} ${'And so on. '.repeat(100)}`;
const HALF = 'When do you open?';
const PRICES = {
  telephony: { inbound: { usd_per_minute: 0.01 } },
  stt: [{ provider: 'deepgram', model: 'nova-3', usd_per_minute: 0.6 }],
  llm: [{ provider: 'openai', usd_per_million_input_tokens: 100, usd_per_million_output_tokens: 400 }],
  tts: [{ provider: 'elevenlabs', usd_per_million_characters: 1_000 }],
};
const human = (file: string): Uint8Array => fixtureAudio(file).mulaw();

let cloud: EmulatedCloud;
let server: TestServer;
let directory: string;
/** What is recognised next; nothing in other sounds. */
const announced: string[] = [];

beforeAll(async () => {
  cloud = await startEmulatedCloud({
    deepgram: { transcripts: () => announced.shift() ?? '', finalDelayMs: 50 },
    openai: {
      firstTokenMs: 50,
      interTokenMs: 5,
      reply: (messages) => {
        const asked = messages.at(-1)?.content ?? '';
        if (asked === HALF) return ENDLESS;
        return asked.includes('story') ? STORY : HOURS;
      },
    },
    elevenlabs: { firstAudioMs: 50 },
    anthropic: { firstTokenMs: 50, interTokenMs: 5, reply: () => HOURS },
  });
  directory = await mkdtemp(join(tmpdir(), 'bvrai-prices-'));
  const prices = join(directory, 'prices.json');
  await writeFile(prices, JSON.stringify(PRICES));
  // Long enough to go on after a pause on which a guess was made.
  const turn_taking = { end_of_turn_silence_ms: 1_500 };
  server = await startTestServer({
    agents: {
      ada: { name: 'Ada', first_message: GREETING, turn_taking },
      eve: { name: 'Eve', first_message: GREETING, llm: [{ provider: 'openai' }, { provider: 'anthropic' }] },
    },
    environment: { ...cloud.environment, PRICES_FILE: prices },
  });
});

afterAll(async () => {
  await server?.close();
  await cloud?.close();
  await rm(directory, { recursive: true, force: true });
});

const usageEvent = z.looseObject({ usage: z.looseObject({ prompt_tokens: z.int(), completion_tokens: z.int() }) });
const spokenText = z.looseObject({ text: z.string() });

/** What the vendors get, and what they say of it, from now on. */
class Bills {
  readonly #audioBytesBefore = cloud.deepgram.audioBytes;
  readonly llm = { requests: 0, reported: 0, inputTokens: 0, outputTokens: 0 };
  characters = 0;

  constructor() {
    cloud.openai.watch((traffic) => this.#onChat(traffic));
    cloud.elevenlabs.watch(({ direction, message }) => {
      const said = direction === 'received' ? spokenText.safeParse(JSON.parse(String(message))) : undefined;
      this.characters += said?.data?.text.trim().length ?? 0;
    });
  }

  get audioMs(): number {
    return (cloud.deepgram.audioBytes - this.#audioBytesBefore) / 8;
  }

  #onChat({ direction, url, message }: Traffic): void {
    if (!url.endsWith('/chat/completions')) return;
    if (direction === 'received') this.llm.requests++;
    const told = direction === 'sent' ? usageEvent.safeParse(message).data?.usage : undefined;
    if (!told) return;
    this.llm.reported++;
    this.llm.inputTokens += told.prompt_tokens;
    this.llm.outputTokens += told.completion_tokens;
  }
}

/** Waits until what is kept for emergencies has been made, which begins some seconds after the first call. */
async function untilVoiceIsQuiet(): Promise<void> {
  const { received } = cloud.elevenlabs;
  const beforeEmergency = received.length;
  await expect.poll(() => received.length, { timeout: 15_000 }).toBeGreaterThan(beforeEmergency);
  for (let before = -1; before !== received.length; await sleep(2_000)) before = received.length;
}

async function recordOf({ callSid }: Phone): Promise<z.infer<typeof callResponse>> {
  // Waits until it has been written.
  await server.call(callSid);
  const headers = { authorization: `Bearer ${server.apiKey}` };
  return callResponse.parse(await (await fetch(`${server.url}/api/v1/calls/${callSid}`, { headers })).json());
}

it('has used what its vendors got, and costs what they bill', async () => {
  const first = await Phone.ring({ serverUrl: server.url, agent: 'ada' });
  await first.waitForAgent({ silenceMs: 300 });
  await first.hangUp();
  await untilVoiceIsQuiet();

  const bills = new Bills();
  const phone = await Phone.ring({ serverUrl: server.url, agent: 'ada' });
  await phone.waitForAgent({ silenceMs: 300 });
  // Kept from the first call.
  expect(bills.characters).toBe(0);
  announced.push(HALF);
  await phone.say(human('cards-001.wav'));
  await expect.poll(() => bills.llm.requests, { timeout: 5_000 }).toBeGreaterThan(0);
  announced.push('And on Sundays?');
  await phone.say(human('cards-001.wav'));
  await phone.waitForAgent({ silenceMs: 300 });
  announced.push('Tell me a story.');
  await phone.say(human('cards-001.wav'));
  await phone.waitUntilAgentSpeaks();
  await phone.sayNothing(2_000);
  announced.push('Stop, and tell me your hours.');
  await phone.say(human('cards-001.wav'));
  await phone.waitForAgent({ silenceMs: 300 });
  await phone.hangUp();

  const record = await recordOf(phone);
  const types = new Set(record.events.map(({ type }) => type));
  expect([...types]).toEqual(expect.arrayContaining(['speculation-missed', 'barge-in']));
  // The last of it may still be on the wire.
  await expect.poll(() => bills.audioMs, { timeout: 5_000 }).toBe(record.usage?.stt[0]?.audio_ms);
  const { requests, reported, inputTokens, outputTokens } = bills.llm;
  // Of the guess that was dropped in the midst of its reply.
  expect(requests - reported).toBeGreaterThan(0);
  const said = record.messages.filter(({ role }) => role === 'agent').map(({ text }) => text);
  expect(bills.characters).toBeGreaterThan(said.slice(1).join('').length);
  const duration_ms = record.duration_ms ?? 0;
  const minutes = Math.ceil(duration_ms / 60_000);
  const costs = {
    telephony: minutes * 0.01,
    stt: (bills.audioMs / 60_000) * 0.6,
    llm: (inputTokens * 100 + outputTokens * 400) / 1e6,
    tts: (bills.characters * 1_000) / 1e6,
  };
  const close = (usd: number): unknown => expect.closeTo(usd, 5);
  expect(record.usage).toEqual({
    telephony: { duration_ms, cost_usd: close(costs.telephony) },
    stt: [{ provider: 'deepgram', model: 'nova-3', audio_ms: bills.audioMs, cost_usd: close(costs.stt) }],
    llm: [
      {
        provider: 'openai',
        model: 'gpt-4o-mini',
        requests,
        unreported_requests: requests - reported,
        input_tokens: inputTokens,
        output_tokens: outputTokens,
        cost_usd: close(costs.llm),
      },
    ],
    tts: [
      {
        provider: 'elevenlabs',
        model: 'eleven_flash_v2_5',
        characters: bills.characters,
        cost_usd: close(costs.tts),
      },
    ],
  });
  const { telephony, stt, llm, tts } = costs;
  expect(record.missing_prices).toEqual([]);
  expect(record.cost_usd).toEqual({
    telephony: close(telephony),
    stt: close(stt),
    llm: close(llm),
    tts: close(tts),
    total: close(telephony + stt + llm + tts),
    is_minimum: true,
  });
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  expect(metrics).toContain(`provider="elevenlabs",model="eleven_flash_v2_5",unit="characters"}`);
}, 90_000);

it('has asked two models when the first one stalls, and names the price that is missing', async () => {
  cloud.openai.settings.faults = { stallAfter: 0 };
  const phone = await Phone.ring({ serverUrl: server.url, agent: 'eve' });
  await phone.waitForAgent({ silenceMs: 300 });
  announced.push('What are your hours?');
  await phone.say(human('cards-001.wav'));
  await phone.waitForAgent({ silenceMs: 300 });
  await phone.hangUp();
  const record = await recordOf(phone);
  const [stalled, answered] = record.usage?.llm ?? [];
  expect(stalled).toMatchObject({ provider: 'openai', input_tokens: 0, output_tokens: 0, cost_usd: null });
  expect(stalled?.unreported_requests).toBe(stalled?.requests);
  expect(answered).toMatchObject({ provider: 'anthropic', model: 'claude-haiku-4-5', cost_usd: null });
  expect(answered?.output_tokens).toBeGreaterThan(0);
  expect(record.missing_prices).toEqual([{ stage: 'llm', provider: 'anthropic', model: 'claude-haiku-4-5' }]);
  expect(record.cost_usd).toMatchObject({ llm: null, total: null, is_minimum: true });
  expect(record.cost_usd.stt).toBeGreaterThan(0);
}, 60_000);

it('keeps a server with a faulty price from starting', async () => {
  const faulty = join(directory, 'faulty.json');
  await writeFile(faulty, '{"stt":[{"provider":"deepgram","usd_per_hour":1}]}');
  const starting = startTestServer({ agents: { ada: { name: 'Ada' } }, environment: { PRICES_FILE: faulty } });
  const message = expect.stringContaining('usd_per_hour');
  await expect(starting).rejects.toMatchObject({ code: 'config.invalid', message });
});
