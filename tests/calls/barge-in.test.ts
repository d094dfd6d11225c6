/** What a caller's sounds do to an agent that is speaking, with the real detector, checked on what reached the ear. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { compareHeard } from '../../bench/turn-taking/ear.ts';
import { decodeToneSpeech } from '../../bench/emulators/tone-speech.ts';
import { Phone } from '../../bench/phone/phone.ts';
import type { RingOptions } from '../../bench/phone/phone.ts';
import { startEmulatedCloud } from '../support/cloud.ts';
import type { EmulatedCloud } from '../support/cloud.ts';
import { heardOfAnswer, words } from '../support/heard-words.ts';
import { startTestServer } from '../support/server.ts';
import type { TestCallRecord, TestServer } from '../support/server.ts';
import { fixtureAudio } from '../support/speech-fixtures.ts';

const QUESTION = 'Please tell me about the house.';
const STORY = 'The house was built by a sea captain, when the harbour was still a quiet place. It has nine rooms.';
const HOURS = 'We open at nine and close at five.';
const SILENCE_MS = 2_000;
const TIMEOUT_MS = 60_000;
/** A line for each test, since they run at once: an agent whose name is in every message to a vendor. */
const LINES = Array.from({ length: 8 }, (_, index) => `line-${index}`);

const chat = z.object({ messages: z.array(z.object({ role: z.string(), content: z.string() })) });
const human = (file: string, maxMs = Infinity): Uint8Array => {
  const mulaw = fixtureAudio(file).mulaw();
  return mulaw.subarray(0, Math.min(mulaw.length, maxMs * 8));
};

let cloud: EmulatedCloud;
let server: TestServer;
/** What the recogniser makes of the next sounds on each line. */
const script = new Map<string, string[]>();
let usedLines = 0;
const phones: Phone[] = [];

beforeAll(async () => {
  cloud = await startEmulatedCloud({
    // Sounds that nobody announced are noise: nothing is recognised in them.
    deepgram: { transcripts: ({ url }) => nextFor(url) ?? '', finalDelayMs: 100, interimDelayMs: 40 },
    openai: {
      firstTokenMs: 50,
      interTokenMs: 5,
      reply: [{ match: /house/u, reply: STORY }, { match: /open/u, reply: HOURS }, { reply: 'I do not know.' }],
    },
    elevenlabs: { firstAudioMs: 50 },
  });
  const agents = LINES.map((name) => [
    name,
    {
      name,
      system_prompt: `You answer ${name}.`,
      stt: [{ provider: 'deepgram', options: { tag: name } }],
      // Only the story is said, however slow the machine is.
      turn_taking: { filler_after_ms: 30_000, turn_deadline_ms: 30_000 },
    },
  ]);
  // On a busy machine every answer may look late: the embedded voice, which no tone decoder understands, would take its place.
  const environment = { ...cloud.environment, HEDGE_SHARE: '0' };
  server = await startTestServer({ agents: Object.fromEntries(agents), environment });
});

afterAll(async () => {
  await Promise.all(phones.map((phone) => phone.hangUp()));
  await server?.close();
  await cloud?.close();
});

function nextFor(url: string): string | undefined {
  return script.get(/line-\d/u.exec(url)?.[0] ?? '')?.shift();
}

interface Listener {
  readonly phone: Phone;
  readonly line: string;
  readonly askedMs: number;
  /** What the recogniser makes of the next sounds. */
  readonly recognise: (...texts: string[]) => void;
}

/** Rings, asks for the story, and listens to the beginning of it. */
async function listenToStory(options: Partial<RingOptions> = {}): Promise<Listener> {
  const line = LINES[usedLines++] ?? 'none';
  script.set(line, [QUESTION]);
  const phone = await Phone.ring({ serverUrl: server.url, agent: line, ...options });
  phones.push(phone);
  const question = await phone.say(human('cards-001.wav'));
  await phone.waitUntilAgentSpeaks(TIMEOUT_MS);
  await phone.sayNothing(1_200);
  return { phone, line, askedMs: question?.endMs ?? 0, recognise: (...texts) => script.set(line, texts) };
}

/** Nothing came from the agent for so long that it cannot only be held back. */
async function waitForEndOfSpeech(phone: Phone): Promise<void> {
  await phone.waitUntil('the agent to finish', 30_000, () => {
    const last = phone.events.findLast(({ type }) => type === 'media' || type === 'clear');
    return last !== undefined && phone.nowMs - last.atMs > SILENCE_MS;
  });
}

const decoded = (phone: Phone, fromMs: number, toMs?: number): string =>
  decodeToneSpeech(phone.heard(fromMs, toMs)).text.replace(/\s+/gu, ' ').trim();

/** The agent was silenced, has said something since, and nothing came for so long that it was all. */
async function waitForAnswer(phone: Phone): Promise<void> {
  await phone.waitUntil('the agent to be silenced and to answer', 30_000, () => {
    const last = phone.events.findLast(({ type }) => type === 'media' || type === 'clear');
    const silenced = phone.events.some(({ type }) => type === 'clear');
    return silenced && last?.type === 'media' && phone.nowMs - last.atMs > SILENCE_MS;
  });
}

const recordOf = async (phone: Phone): Promise<TestCallRecord> => {
  await phone.hangUp();
  return server.call(phone.callSid);
};

const eventTypes = async (phone: Phone): Promise<string[]> => (await recordOf(phone)).events.map(({ type }) => type);

describe.concurrent('a caller who makes a sound while the agent speaks', () => {
  it.each([
    ['coughs', 'noise-cough.wav', 4_500],
    ['types', 'noise-keyboard.wav', 3_000],
  ])(
    'and only %s loses nothing of the answer',
    async (_what, file, maxMs) => {
      const { phone, askedMs } = await listenToStory();
      await phone.say(human(file, maxMs));
      await waitForEndOfSpeech(phone);
      expect(compareHeard(phone.heard(askedMs), STORY)).toMatchObject({ lost: '', foreign: [] });
      expect(await eventTypes(phone)).not.toContain('barge-in');
    },
    TIMEOUT_MS,
  );

  it.each([
    ['of which nothing is recognised', 'librivox-0880.wav', 700, ''],
    ['that only says "go on"', 'cards-001.wav', 700, 'Uh-huh.'],
  ])(
    '%s silences it, and hears the rest of the answer',
    async (_what, file, maxMs, text) => {
      const { phone, askedMs, recognise } = await listenToStory();
      recognise(text);
      await phone.say(human(file, maxMs));
      await waitForEndOfSpeech(phone);
      expect(phone.events.some(({ type }) => type === 'clear')).toBe(true);
      const ear = compareHeard(phone.heard(askedMs), STORY);
      expect(ear).toMatchObject({ lost: '', foreign: [] });
      // It goes on at a word.
      expect(ear.repeated.length).toBeLessThan(12);
      const types = await eventTypes(phone);
      expect(
        types.filter((type) => /^(interruption-suspected|false-interruption|resumed|barge-in)$/u.test(type)),
      ).toEqual(['interruption-suspected', 'false-interruption', 'resumed']);
    },
    TIMEOUT_MS,
  );

  it.each([
    ['', true, 1],
    [' whose line echoes no marks', false, 3],
  ])(
    'with words takes the floor%s, and the model is told what the ear had heard',
    async (_what, echoMarks, tolerance) => {
      const { phone, line, askedMs, recognise } = await listenToStory({ echoMarks });
      recognise('Stop, when do you open?');
      await phone.say(human('cards-001.wav'));
      await waitForAnswer(phone);
      const silencedMs = phone.events.findLast(({ type }) => type === 'clear')?.atMs ?? 0;
      expect(decoded(phone, silencedMs)).toBe(HOURS);
      const { least, most } = heardOfAnswer(server, phone, await recordOf(phone), STORY, askedMs);
      expect(least).toBeGreaterThan(2);
      // The last request is the one that was answered: earlier ones may have been guesses.
      const request = cloud.openai.received.findLast(({ text }) => text.includes(line));
      const told = chat.parse(JSON.parse(request?.text ?? '')).messages;
      expect(told.slice(1).map(({ role }) => role)).toEqual(['user', 'assistant', 'user']);
      const remembered = told[2]?.content ?? '?';
      expect(STORY.startsWith(remembered)).toBe(true);
      expect(words(remembered)).toBeGreaterThanOrEqual(least - tolerance);
      expect(words(remembered)).toBeLessThanOrEqual(most + tolerance);
      expect(told[3]?.content).toBe('Stop, when do you open?');
    },
    TIMEOUT_MS,
  );
});

describe('a caller who takes the floor', () => {
  it(
    'and whose last words are recognised late is answered for all of them',
    async () => {
      const { phone, recognise } = await listenToStory();
      // The pause in the middle splits what is said, so the floor is taken on the first half; the second comes long after.
      recognise('Please stop', 'and say when you open?');
      cloud.deepgram.settings.finalDelayMs = 600;
      try {
        await phone.say(human('cards-001.wav'));
        await phone.sayNothing(250);
        await phone.say(human('cards-003.wav'));
        await phone.waitForAgent({ silenceMs: 1_500 });
      } finally {
        cloud.deepgram.settings.finalDelayMs = 100;
      }
      await phone.hangUp();
      const { messages, events } = await server.call(phone.callSid);
      expect(events.some(({ type }) => type === 'barge-in')).toBe(true);
      const callerSaid = messages.filter(({ role }) => role === 'caller').map(({ text }) => text);
      expect(callerSaid.slice(1).join(' ')).toBe('Please stop and say when you open?');
      expect(messages.at(-1)).toMatchObject({ role: 'agent', text: HOURS });
    },
    TIMEOUT_MS,
  );
});
