/** Each cloud voice in a whole call, to the letter, at the caller's ear. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeToneSpeech } from '../../bench/emulators/tone-speech.ts';
import { Phone } from '../../bench/phone/phone.ts';
import { startEmulatedCloud } from '../support/cloud.ts';
import type { EmulatedCloud } from '../support/cloud.ts';
import { startTestServer } from '../support/server.ts';
import type { TestServer } from '../support/server.ts';

const GREETING = 'Hello, Ada here. How can I help you today?';

const VOICES = {
  aura: { provider: 'deepgram', voice: 'aura-2-thalia-en' },
  alloy: { provider: 'openai', model: 'gpt-4o-mini-tts', voice: 'alloy' },
  'alloy in opus': { provider: 'openai', voice: 'alloy', options: { response_format: 'opus' } },
  george: { provider: 'elevenlabs' },
};

let cloud: EmulatedCloud;
let server: TestServer;

beforeAll(async () => {
  cloud = await startEmulatedCloud({
    deepgram: { auraFirstAudioMs: 50 },
    openai: { speechFirstAudioMs: 50 },
    // So that George speaks over HTTP.
    elevenlabs: { firstAudioMs: 50, pathFaults: { 'multi-stream-input': { refuse: { status: 503 } } } },
  });
  const agents = Object.entries(VOICES).map(([id, voice]) => [id, { name: id, first_message: GREETING, tts: [voice] }]);
  server = await startTestServer({ agents: Object.fromEntries(agents), environment: cloud.environment });
});

afterAll(async () => {
  await server?.close();
  await cloud?.close();
});

describe('a greeting', () => {
  it.each(Object.keys(VOICES))('is heard to the letter from %s', async (agent) => {
    const phone = await Phone.ring({ serverUrl: server.url, agent });
    await phone.waitForAgent({ silenceMs: 500 });
    expect(
      decodeToneSpeech(phone.heard())
        .text.replaceAll(/[\s.]+/gu, ' ')
        .trim(),
    ).toBe(GREETING.replaceAll(/[\s.]+/gu, ' '));
    await phone.hangUp();
    expect(server.log.filter(({ msg }) => msg === 'provider failed')).toEqual([]);
  });

  it('leaves nothing open once its callers have hung up', async () => {
    await expect.poll(() => server.server.activeCalls, { timeout: 5_000 }).toBe(0);
    // What the agents would say in an emergency is being synthesised for a few seconds more.
    const patience = { timeout: 15_000 };
    await expect.poll(() => [cloud.openai.activeRequests, cloud.elevenlabs.activeRequests], patience).toEqual([0, 0]);
    await expect.poll(() => server.callConnections('deepgram', cloud.deepgram), patience).toEqual([]);
  });
});
