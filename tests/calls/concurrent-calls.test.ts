/** Many calls at once: what goes wrong in one of them stays there, and nothing stays behind when they are over. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { decodeToneSpeech } from '../../bench/emulators/tone-speech.ts';
import { ringWebhook } from '../../bench/phone/connect.ts';
import { Phone } from '../../bench/phone/phone.ts';
import { startEmulatedCloud } from '../support/cloud.ts';
import type { EmulatedCloud } from '../support/cloud.ts';
import { expectNoLeaks, openHandles } from '../support/leaks.ts';
import { startTestServer } from '../support/server.ts';
import type { TestServer } from '../support/server.ts';
import { fixtureAudio } from '../support/speech-fixtures.ts';

const GREETING = 'Hello.';
const ANSWER = 'We open at nine.';
const question = fixtureAudio('cards-001.wav').mulaw();
const heardBy = (phone: Phone): string => decodeToneSpeech(phone.heard()).text.replace(/\s+/gu, ' ').trim();

let cloud: EmulatedCloud;
let server: TestServer;
/** What was open before there was a server. */
const before = openHandles();

beforeEach(async () => {
  cloud = await startEmulatedCloud({
    deepgram: { transcripts: ['When do you open?'], finalDelayMs: 50 },
    openai: { firstTokenMs: 50, interTokenMs: 5, reply: [{ reply: ANSWER }], modelFaults: { dead: { hang: true } } },
    elevenlabs: { firstAudioMs: 50 },
  });
  const agent = { name: 'Ada', first_message: GREETING };
  const agents = { ada: agent, 'ada-without-model': { ...agent, llm: [{ provider: 'openai', model: 'dead' }] } };
  server = await startTestServer({ agents, environment: cloud.environment });
});

const closeAll = async (): Promise<void> => {
  await server?.close();
  await cloud?.close();
};
afterEach(closeAll);

const ring = (agent = 'ada'): Promise<Phone> => Phone.ring({ serverUrl: server.url, agent });

async function converse(phone: Phone): Promise<string> {
  await phone.waitForAgent({ silenceMs: 300 });
  await phone.say(question);
  await phone.waitForAgent({ silenceMs: 300 });
  await phone.hangUp();
  return heardBy(phone);
}

/** A stream that starts properly and then sends whatever comes to hand. */
async function sendGarbage(): Promise<number> {
  const { streamUrl, callSid, customParameters } = await ringWebhook({ serverUrl: server.url, agent: 'ada' });
  const socket = new WebSocket(streamUrl);
  const closed = new Promise<number>((resolve) => socket.once('close', resolve));
  await new Promise((resolve) => socket.once('open', resolve));
  const streamSid = `MZ${'0'.repeat(32)}`;
  const mediaFormat = { encoding: 'audio/x-mulaw', sampleRate: 8000, channels: 1 };
  const start = {
    accountSid: `AC${'0'.repeat(32)}`,
    streamSid,
    callSid,
    tracks: ['inbound'],
    mediaFormat,
    customParameters,
  };
  socket.send(JSON.stringify({ event: 'start', sequenceNumber: '1', streamSid, start }));
  for (let index = 0; index < 40; index++) {
    socket.send(index % 2 === 0 ? 'this is not JSON' : Buffer.from([0, 1, 2, 255]));
    socket.send(
      JSON.stringify({
        event: 'media',
        streamSid,
        media: { track: 'inbound', chunk: '1', timestamp: '0', payload: '!!!' },
      }),
    );
  }
  return closed;
}

describe('ten calls at once', () => {
  it('one sending garbage and one with a dead model leave the other eight untouched', async () => {
    const garbage = sendGarbage();
    const dead = ring('ada-without-model');
    const healthy = await Promise.all(Array.from({ length: 8 }, () => ring()));
    const heard = await Promise.all(healthy.map(converse));
    expect(heard).toEqual(Array.from({ length: 8 }, () => `${GREETING} ${ANSWER}`));
    for (const phone of healthy) {
      expect(phone.warnings).toEqual([]);
      expect((await server.call(phone.callSid)).end_reason).toBe('caller-hung-up');
    }
    expect(await garbage).toBe(1008);
    // The call with the dead model is not mute: after the deadline the embedded responder answers.
    const deadPhone = await dead;
    const deadHeard = await converse(deadPhone);
    expect(deadHeard.startsWith(GREETING)).toBe(true);
    expect(deadHeard.length).toBeGreaterThan(GREETING.length + 10);
    const warned = server.log.filter(
      ({ code, callSid }) => code === 'provider.timeout-first' && callSid === deadPhone.callSid,
    );
    // Once for each request: on a busy machine a guess may have been begun anew.
    expect(warned.length).toBeGreaterThan(0);
  }, 60_000);
});

/** Heap in use after everything unreachable has been collected. */
function heapAfterGc(): number {
  setFlagsFromString('--expose-gc');
  for (let pass = 0; pass < 2; pass++) runInNewContext('gc()');
  return process.memoryUsage().heapUsed;
}

/** Ends a call at a moment that differs from call to call: ringing, greeted, talking, thinking, being answered. */
async function shortCall(index: number): Promise<void> {
  const phone = await ring();
  if (index % 5 >= 1) await phone.waitUntilAgentSpeaks();
  if (index % 5 === 2) void phone.say(question).catch(() => undefined);
  if (index % 5 >= 3) await phone.say(question);
  if (index % 5 === 4) await phone.waitUntilAgentSpeaks();
  else await phone.sayNothing((index * 37) % 300);
  await phone.hangUp();
}

describe('a hundred calls', () => {
  it('leave no socket, no timer, no handle and no memory behind', async () => {
    const batch = async (from: number): Promise<void> => {
      await Promise.all(Array.from({ length: 20 }, (_, index) => shortCall(from + index)));
      await expect.poll(() => server.server.activeCalls, { timeout: 5_000 }).toBe(0);
    };
    await batch(0);
    const heapsMb: number[] = [];
    for (let from = 20; from < 120; from += 20) {
      await batch(from);
      const providerSockets = (): string[] => [
        ...server.callConnections('deepgram', cloud.deepgram),
        ...server.callConnections('elevenlabs', cloud.elevenlabs),
      ];
      await expect.poll(providerSockets, { timeout: 5_000 }).toEqual([]);
      expect(cloud.openai.activeRequests).toBe(0);
      heapsMb.push(heapAfterGc() / 1e6);
    }
    await closeAll();
    await expectNoLeaks(before);
    console.info(`heap after each 20 of 100 calls, MB: ${heapsMb.map((mb) => mb.toFixed(1)).join(' ')}`);
    // The records of ended calls are kept on purpose (bounded); a leaked call would keep its audio too, a megabyte each.
    const growthMb = (heapsMb.at(-1) ?? 0) - (heapsMb[0] ?? 0);
    expect(growthMb / 80).toBeLessThan(0.1);
  }, 120_000);
});
