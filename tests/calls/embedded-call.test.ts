/** A conversation on the embedded engines: no key, no network. What the ear received is understood by a recogniser of its own. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Phone } from '../../bench/phone/phone.ts';
import { systemClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import { encodeMulaw } from '../../src/media/audio/g711.ts';
import { createEmbeddedEngines } from '../../src/pipeline/providers/embedded/index.ts';
import { normaliseTranscript } from '../../src/pipeline/text/normalise.ts';
import { makeSpeakable } from '../../src/pipeline/text/speakable.ts';
import { startTestServer } from '../support/server.ts';
import type { TestServer } from '../support/server.ts';
import { fixtureAudio } from '../support/speech-fixtures.ts';
import { readWav } from '../support/wav.ts';

const GREETING = 'Harbour hotel, good morning.';
const FORWARD = 'Moving forward by ten meters.';
const HOURS =
  'The desk is open from seven in the morning until eleven at night, on every day of the week, also in the winter.';
const PARKING = 'Parking is free for our guests.';
const GOODBYE = 'Thank you for calling.';

const AGENT = {
  name: 'Desk',
  first_message: GREETING,
  goodbye_message: GOODBYE,
  questions_and_answers: [
    { questions: ['Go forward ten meters'], answer: FORWARD },
    { questions: ['What are your opening hours'], answer: HOURS },
    { questions: ['Do you have parking'], answer: PARKING },
  ],
};

/** A recorded human, and the demo's rendered caller. */
const human = fixtureAudio('goforward.wav').mulaw();
const rendered = (name: string): Uint8Array =>
  readWav(new URL(`../../bench/demo/questions/${name}.wav`, import.meta.url)).mulaw();

const ear = createEmbeddedEngines({ log: silentLog, clock: systemClock });
let server: TestServer;
const phones: Phone[] = [];

beforeAll(async () => {
  server = await startTestServer({ agents: { desk: AGENT } });
}, 60_000);
afterEach(async () => {
  await Promise.all(phones.splice(0).map((phone) => phone.hangUp()));
});
afterAll(async () => {
  await Promise.all([server?.close(), ear.close()]);
});

/** What a listener who expects one of `phrases` understands. */
function understand(pcm: Int16Array, phrases: readonly string[]): Promise<string> {
  const audio = new Uint8Array(pcm.length);
  encodeMulaw(pcm, audio);
  const scope = new AbortController();
  return new Promise<string>((resolve, reject) => {
    const request = { language: 'en', phrases };
    const context = { log: silentLog, clock: systemClock, signal: scope.signal };
    const stream = ear.stt.open(
      request,
      (part) => {
        if (part.type === 'transcript-final') resolve(part.text);
        if (part.type === 'stream-failed') reject(part.error);
      },
      context,
    );
    stream.hint('speech-started');
    for (let at = 0; at < audio.length; at += 160) stream.write(audio.subarray(at, at + 160));
    stream.hint('speech-ended');
  }).finally(() => scope.abort());
}

const asHeard = (text: string): string => normaliseTranscript(makeSpeakable(text, { language: 'en' }));
const SENTENCES = [GREETING, FORWARD, HOURS, PARKING, GOODBYE];

/**
 * What the agent has said since its answer to the caller's last words (or its greeting) became audible. Understood only after the call: the ear
 * shares the machine with the server, and a caller who waits for it is one who says nothing.
 */
function answerSince(phone: Phone, fromMs: number): Int16Array {
  const [greeted] = phone.events.filter(({ type }) => type === 'agent-audible');
  const audibleMs = phone.utterances.length === 0 ? greeted?.atMs : phone.utterances.at(-1)?.replyMs;
  // Of a long silence before the first word the ear would learn what the line is like.
  return phone.heard(Math.max(fromMs, (audibleMs ?? fromMs) - 200));
}

async function hearAnswer(phone: Phone, fromMs: number): Promise<Int16Array> {
  await phone.waitForAgent({ silenceMs: 500 });
  return answerSince(phone, fromMs);
}

describe('a call on the embedded engines', () => {
  it('is greeted, understood, interrupted, answered and bid goodbye, in words that the ear makes out', async () => {
    const phone = await Phone.ring({ serverUrl: server.url, agent: 'desk' });
    phones.push(phone);
    const greeting = await hearAnswer(phone, 0);

    let fromMs = phone.nowMs;
    await phone.say(human);
    const forward = await hearAnswer(phone, fromMs);

    await phone.say(rendered('opening-hours'));
    await phone.waitUntilAgentSpeaks();
    await phone.sayNothing(1_500);
    fromMs = phone.nowMs;
    const bargeIn = await phone.say(rendered('parking'));
    expect(bargeIn?.bargeInStopMs).toBeGreaterThanOrEqual(0);
    const parking = await hearAnswer(phone, fromMs + 1_000);

    fromMs = phone.nowMs;
    await phone.say(rendered('goodbye'));
    await phone.ended;
    const goodbye = answerSince(phone, fromMs);

    expect(await understand(greeting, SENTENCES)).toBe(asHeard(GREETING));
    expect(await understand(forward, SENTENCES)).toBe(asHeard(FORWARD));
    expect(await understand(parking, SENTENCES)).toBe(asHeard(PARKING));
    expect(await understand(goodbye, SENTENCES)).toBe(asHeard(GOODBYE));

    const record = await server.call(phone.callSid);
    expect(record).toMatchObject({ status: 'completed', end_reason: 'agent-hung-up' });
    const said = record.messages.map(({ role, heard_text }) => `${role}: ${heard_text}`);
    expect(said[2]).toBe(`agent: ${FORWARD}`);
    const cut = record.messages[4]?.heard_text ?? '';
    expect(HOURS.startsWith(cut)).toBe(true);
    expect(cut.length).toBeGreaterThan(5);
    expect(cut.length).toBeLessThan(HOURS.length / 2);
    expect(record.events.filter(({ type }) => type === 'turn-failed')).toEqual([]);
  }, 60_000);
});
