/** A question and its answer by each recogniser that commits at our pauses, over the real wires, checked at the caller's ear. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeToneSpeech } from '../../bench/emulators/tone-speech.ts';
import { Phone } from '../../bench/phone/phone.ts';
import { startEmulatedCloud } from '../support/cloud.ts';
import type { EmulatedCloud } from '../support/cloud.ts';
import { startTestServer } from '../support/server.ts';
import type { TestServer } from '../support/server.ts';
import { fixtureAudio } from '../support/speech-fixtures.ts';

const GREETING = 'Hello, Ada here.';
const HOURS = 'We open at nine and close at five.';
const QUESTION = 'When do you open?';

const RECOGNISERS = {
  'openai-live': { provider: 'openai', model: 'gpt-live-transcribe' },
  'openai-mini': { provider: 'openai', model: 'gpt-4o-mini-transcribe' },
  scribe: { provider: 'elevenlabs', model: 'scribe_v2_realtime' },
};

let cloud: EmulatedCloud;
let server: TestServer;

beforeAll(async () => {
  cloud = await startEmulatedCloud({
    openai: { transcripts: [QUESTION], firstTokenMs: 50, interTokenMs: 5, reply: [{ match: /open/u, reply: HOURS }] },
    elevenlabs: { transcripts: [QUESTION], firstAudioMs: 50 },
  });
  const agents = Object.entries(RECOGNISERS).map(([id, stt]) => [
    id,
    { name: 'Ada', first_message: GREETING, stt: [stt] },
  ]);
  server = await startTestServer({ agents: Object.fromEntries(agents), environment: cloud.environment });
});

afterAll(async () => {
  await server?.close();
  await cloud?.close();
});

describe('a call', () => {
  it.each(Object.keys(RECOGNISERS))('is answered through %s', async (agent) => {
    const phone = await Phone.ring({ serverUrl: server.url, agent });
    await phone.waitForAgent({ silenceMs: 300 });
    await phone.say(fixtureAudio('cards-001.wav').mulaw());
    await phone.waitForAgent({ silenceMs: 300 });
    const heard = decodeToneSpeech(phone.heard()).text.replace(/\s+/gu, ' ').trim();
    expect(heard).toBe(`${GREETING} ${HOURS}`);
    await phone.hangUp();
    const { messages } = await server.call(phone.callSid);
    expect(messages.map(({ heard_text }) => heard_text)).toEqual([GREETING, QUESTION, HOURS]);
    expect(cloud.deepgram.requests).toEqual([]);
    await expect
      .poll(() => [server.callConnections('elevenlabs', cloud.elevenlabs), cloud.openai.activeRequests], {
        timeout: 5_000,
      })
      .toEqual([[], 0]);
  });
});
