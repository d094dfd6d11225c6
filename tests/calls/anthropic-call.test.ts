/** A call whose model is Anthropic's: the agent speaks first and answers, and the next model answers when that one is overloaded. */
import { afterEach, expect, it } from 'vitest';
import { decodeToneSpeech } from '../../bench/emulators/tone-speech.ts';
import { Phone } from '../../bench/phone/phone.ts';
import { startEmulatedCloud } from '../support/cloud.ts';
import type { EmulatedCloud } from '../support/cloud.ts';
import { startTestServer } from '../support/server.ts';
import type { TestServer } from '../support/server.ts';
import { fixtureAudio } from '../support/speech-fixtures.ts';

const GREETING = 'Hello.';
const question = fixtureAudio('cards-001.wav').mulaw();
const heardBy = (phone: Phone): string => decodeToneSpeech(phone.heard()).text.replace(/\s+/gu, ' ').trim();

let cloud: EmulatedCloud | undefined;
let server: TestServer | undefined;

afterEach(async () => {
  await server?.close();
  await cloud?.close();
});

it('is answered by the model of its route, and by the next one when that is overloaded', async () => {
  cloud = await startEmulatedCloud({
    deepgram: { transcripts: ['When do you open?'], finalDelayMs: 50 },
    openai: { firstTokenMs: 50, interTokenMs: 5, reply: [{ reply: 'We open at ten.' }] },
    elevenlabs: { firstAudioMs: 50 },
    anthropic: { firstTokenMs: 50, interTokenMs: 5, reply: [{ reply: 'We open at nine.' }] },
  });
  const llm = [{ provider: 'anthropic' }, { provider: 'openai' }];
  const agents = { ada: { name: 'Ada', first_message: GREETING, llm } };
  server = await startTestServer({ agents, environment: cloud.environment });
  const phone = await Phone.ring({ serverUrl: server.url, agent: 'ada' });
  await phone.waitForAgent({ silenceMs: 300 });
  await phone.say(question);
  await phone.waitForAgent({ silenceMs: 300 });
  expect(heardBy(phone)).toBe(`${GREETING} We open at nine.`);
  const asked = cloud.anthropic.received.at(-1)?.text ?? '';
  expect(JSON.parse(asked)).toMatchObject({
    messages: [{ role: 'user' }, { role: 'assistant', content: [{ text: GREETING }] }, { role: 'user' }],
  });

  cloud.anthropic.settings.faults = { refuse: { status: 529 } };
  await phone.say(question);
  await phone.waitForAgent({ silenceMs: 300 });
  expect(heardBy(phone)).toBe(`${GREETING} We open at nine. We open at ten.`);
  await phone.hangUp();
});
