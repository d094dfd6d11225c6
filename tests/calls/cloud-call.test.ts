/** A conversation through the cloud adapters and their emulated vendors, checked on what reached the caller's ear. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { decodeToneSpeech } from '../../bench/emulators/tone-speech.ts';
import { Phone } from '../../bench/phone/phone.ts';
import type { RingOptions } from '../../bench/phone/phone.ts';
import { startEmulatedCloud } from '../support/cloud.ts';
import type { EmulatedCloud } from '../support/cloud.ts';
import { heardOfAnswer, words } from '../support/heard-words.ts';
import { startTestServer } from '../support/server.ts';
import type { TestServer } from '../support/server.ts';
import { fixtureAudio } from '../support/speech-fixtures.ts';

const GREETING = 'Hello, Ada here.';
const HOURS = 'We open at nine and close at five.';
const STORY = 'It was a dark and stormy night, and the rain fell in torrents, except at occasional intervals of wind.';

const chat = z.object({ messages: z.array(z.object({ role: z.string(), content: z.string() })) });
/** What the ear made out in a span of the call; white space between clauses is not asserted. */
const heardBy = (phone: Phone, fromMs?: number, toMs?: number): string =>
  decodeToneSpeech(phone.heard(fromMs, toMs)).text.replace(/\s+/gu, ' ').trim();
const human = (file: string): Uint8Array => fixtureAudio(file).mulaw();

let cloud: EmulatedCloud;
let server: TestServer;
/** What is recognised next; nothing in sounds that nobody announced, such as the second half of what a pause has cut in two. */
const announced: string[] = [];
const say = (phone: Phone, text: string) => {
  announced.push(text);
  return phone.say(human('cards-001.wav'));
};

beforeAll(async () => {
  cloud = await startEmulatedCloud({
    deepgram: { transcripts: () => announced.shift() ?? '', finalDelayMs: 50 },
    openai: {
      firstTokenMs: 50,
      interTokenMs: 5,
      reply: [{ match: /open/u, reply: HOURS }, { match: /story/u, reply: STORY }, { reply: 'I do not know.' }],
    },
    elevenlabs: { firstAudioMs: 50 },
  });
  server = await startTestServer({
    agents: { ada: { name: 'Ada', first_message: GREETING } },
    environment: cloud.environment,
  });
});

afterAll(async () => {
  await server?.close();
  await cloud?.close();
});

const phones: Phone[] = [];
const ring = async (options: Partial<RingOptions> = {}): Promise<Phone> => {
  const phone = await Phone.ring({ serverUrl: server.url, agent: 'ada', ...options });
  phones.push(phone);
  return phone;
};

afterEach(async () => {
  await Promise.all(phones.splice(0).map((phone) => phone.hangUp()));
});

describe('a call through the emulated cloud', () => {
  it('is greeted, answered, interrupted and answered again, to the letter, at the ear', async () => {
    const phone = await ring();
    await phone.waitForAgent({ silenceMs: 300 });
    expect(heardBy(phone)).toBe(GREETING);

    await say(phone, 'When do you open?');
    await phone.waitForAgent({ silenceMs: 300 });
    expect(heardBy(phone)).toBe(`${GREETING} ${HOURS}`);

    const beforeStoryMs = phone.nowMs;
    await say(phone, 'Tell me a story.');
    await phone.waitUntilAgentSpeaks();
    await phone.sayNothing(2_000);
    const bargeIn = await say(phone, 'Stop, when do you open?');
    await phone.waitForAgent({ silenceMs: 300 });
    // The last: a server that has not yet been told that its answer was heard to the end clears at the next question, too.
    const clearedAtMs = phone.events.findLast((event) => event.type === 'clear')?.atMs ?? Number.NaN;
    expect(clearedAtMs).toBeGreaterThan(beforeStoryMs);
    const storyHeard = heardBy(phone, beforeStoryMs, clearedAtMs);
    expect(storyHeard.length).toBeGreaterThan(10);
    expect(STORY.startsWith(storyHeard)).toBe(true);
    expect(storyHeard.length).toBeLessThan(STORY.length - 10);
    expect(heardBy(phone, clearedAtMs)).toBe(HOURS);
    expect(bargeIn?.bargeInStopMs).toBeGreaterThan(0);
    await phone.hangUp();

    // The model was told what the ear had heard of the story, to a word, and not what had been generated.
    const told = chat.parse(JSON.parse(cloud.openai.received.at(-1)?.text ?? '')).messages;
    const roles = told.map(({ role }) => role);
    expect(roles).toEqual(['system', 'assistant', 'user', 'assistant', 'user', 'assistant', 'user']);
    const record = await server.call(phone.callSid);
    const { least, most } = heardOfAnswer(server, phone, record, STORY, beforeStoryMs);
    const remembered = told[5]?.content ?? '?';
    expect(STORY.startsWith(remembered)).toBe(true);
    expect(words(remembered)).toBeGreaterThanOrEqual(least - 1);
    expect(words(remembered)).toBeLessThanOrEqual(most + 1);

    expect(record).toMatchObject({ status: 'completed', end_reason: 'caller-hung-up' });
    expect(record.messages.map(({ role, heard_text }) => [role, heard_text])).toEqual([
      ['agent', GREETING],
      ['caller', 'When do you open?'],
      ['agent', HOURS],
      ['caller', 'Tell me a story.'],
      ['agent', remembered],
      ['caller', 'Stop, when do you open?'],
      ['agent', HOURS],
    ]);
    expect(phone.warnings).toEqual([]);
  });

  it('goes on with a far side that echoes no marks and sends nothing in silence', async () => {
    const phone = await ring({ echoMarks: false, sendSilence: false });
    await phone.waitForAgent({ silenceMs: 300 });
    await say(phone, 'When do you open?');
    await phone.waitForAgent({ silenceMs: 300 });
    expect(heardBy(phone)).toBe(`${GREETING} ${HOURS}`);
    await phone.hangUp();
    const { messages } = await server.call(phone.callSid);
    expect(messages.map(({ heard_text }) => heard_text)).toEqual([GREETING, 'When do you open?', HOURS]);
  });

  it('leaves no provider socket open once the caller has hung up', async () => {
    const phone = await ring();
    await phone.waitUntilAgentSpeaks();
    await say(phone, 'When do you open?');
    await phone.hangUp();
    await expect.poll(() => server.server.activeCalls, { timeout: 5_000 }).toBe(0);
    await expect
      .poll(
        () => [
          server.callConnections('deepgram', cloud.deepgram),
          server.callConnections('elevenlabs', cloud.elevenlabs),
          cloud.openai.activeRequests,
        ],
        {
          timeout: 5_000,
        },
      )
      .toEqual([[], [], 0]);
  });
});
