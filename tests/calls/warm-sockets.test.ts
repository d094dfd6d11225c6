/** Calls find their connections open: no provider is connected to between a call's start and its first turn. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Phone } from '../../bench/phone/phone.ts';
import { startEmulatedCloud } from '../support/cloud.ts';
import type { EmulatedCloud } from '../support/cloud.ts';
import { expectNoLeaks, openHandles } from '../support/leaks.ts';
import { startTestServer } from '../support/server.ts';
import type { TestServer } from '../support/server.ts';
import { fixtureAudio } from '../support/speech-fixtures.ts';

const question = fixtureAudio('cards-001.wav').mulaw();
const before = openHandles();

let cloud: EmulatedCloud;
let server: TestServer;

beforeEach(async () => {
  cloud = await startEmulatedCloud({
    deepgram: { transcripts: ['When do you open?'], finalDelayMs: 50 },
    openai: { firstTokenMs: 50, reply: [{ reply: 'We open at nine.' }] },
    elevenlabs: { firstAudioMs: 50 },
  });
  server = await startTestServer({
    agents: { ada: { name: 'Ada', first_message: 'Hello.' } },
    environment: cloud.environment,
  });
});

const closeAll = async (): Promise<void> => {
  await server?.close();
  await cloud?.close();
};
afterEach(closeAll);

/** `bvrai_warm_sockets_total` of a vendor, by outcome. */
async function outcomesOf(vendor: string): Promise<ReadonlyMap<string, number>> {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  const lines = text.matchAll(/^bvrai_warm_sockets_total\{provider="(\w+)",outcome="(\w+)"\} (\d+)$/gmu);
  const outcomes = new Map<string, number>();
  for (const [, provider, outcome = '', count] of lines) {
    if (provider === vendor) outcomes.set(outcome, Number(count));
  }
  return outcomes;
}

/** One question and its answer. */
async function converse(): Promise<void> {
  const phone = await Phone.ring({ serverUrl: server.url, agent: 'ada' });
  await phone.waitForAgent({ silenceMs: 200 });
  await phone.say(question);
  await phone.waitForAgent({ silenceMs: 200 });
  await phone.hangUp();
  const { messages } = await server.call(phone.callSid);
  expect(messages.map(({ heard_text }) => heard_text)).toEqual(['Hello.', 'When do you open?', 'We open at nine.']);
}

describe('a first turn', () => {
  it('connects to nobody, in the first call and in the second, and the server closes what waits', async () => {
    const isWarm = (): boolean =>
      server.server.warmSockets('deepgram') === 1 &&
      server.server.warmSockets('elevenlabs') === 1 &&
      cloud.openai.connections > 0;
    for (const calls of [1, 2]) {
      await expect.poll(isWarm, { timeout: 10_000 }).toBe(true);
      await converse();
      for (const vendor of ['deepgram', 'elevenlabs']) {
        const outcomes = await outcomesOf(vendor);
        expect(outcomes.get('missed'), vendor).toBeUndefined();
        // The voice is opened once more, for what the agent says in an emergency.
        expect(outcomes.get('used'), vendor).toBeGreaterThanOrEqual(calls);
      }
    }
    // The model was never connected to by a question: one connection, opened at the start, has carried everything.
    expect(cloud.openai.connections).toBe(1);
    await closeAll();
    expect(server.server.warmSockets('deepgram')).toBe(0);
    await expectNoLeaks(before);
  }, 60_000);
});
