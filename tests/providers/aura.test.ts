import { afterEach, describe, expect, it } from 'vitest';
import { startDeepgramEmulator } from '../../bench/emulators/deepgram.ts';
import type { DeepgramEmulator, DeepgramEmulatorSettings } from '../../bench/emulators/deepgram.ts';
import { createDeepgramTts } from '../../src/pipeline/providers/deepgram/tts.ts';
import { sleep, until } from './harness.ts';
import { heard, openVoice, say } from './voice-call.ts';
import type { VoiceCall } from './voice-call.ts';

let emulator: DeepgramEmulator;

afterEach(async () => {
  await emulator.close();
});

async function start(settings: Partial<DeepgramEmulatorSettings> = {}): Promise<void> {
  emulator = await startDeepgramEmulator({ auraFirstAudioMs: 5, auraSpeed: 100, ...settings });
}

function open(options: { apiKey?: string; connectTimeoutMs?: number; voice?: string; url?: string } = {}): VoiceCall {
  const provider = createDeepgramTts({
    apiKey: options.apiKey ?? emulator.settings.apiKey,
    baseUrl: options.url ?? emulator.url,
    connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
  });
  return openVoice(provider, { voice: options.voice });
}

const gone = () => until('all connections gone', () => emulator.connections === 0).then(() => true);
const sent = () => emulator.received.map(({ text }) => (JSON.parse(text) as { type: string }).type);
const sockets = () => new Set(emulator.received.map(({ connection }) => connection)).size;

describe('deepgram aura', () => {
  it('speaks utterances in order, to the letter, on one socket, with a flush at each end', async () => {
    await start();
    const call = open();
    expect(await say(call, 'a', 'Hello there.', 'How are you today? ')).toBe('Hello there. How are you today?');
    expect(await say(call, 'b', 'Second.')).toBe('Second.');
    expect(call.received.parts.at(-1)).toEqual({ type: 'utterance-finished', utteranceId: 'b' });
    expect(emulator.requests[0]?.url).toBe('/v1/speak?model=aura-2-thalia-en&encoding=mulaw&sample_rate=8000');
    call.stream.close();
    expect(await gone()).toBe(true);
    expect(sockets()).toBe(1);
    expect(sent().at(-1)).toBe('Close');
  });

  it('flushes the first clause at once, and no other while the audio before it lasts', async () => {
    await start();
    const { received, stream } = open();
    stream.speak('a', 'This first clause is long enough to be heard for a good while, more than two seconds.');
    await received.first('audio-chunk');
    for (const clause of ['One more.', 'And another.', 'And a last one.']) {
      stream.speak('a', clause);
      await sleep(20);
    }
    expect(sent().filter((type) => type === 'Flush')).toHaveLength(1);
    stream.finish('a');
    await received.first('utterance-finished');
    expect(heard(received, 'a')).toMatch(/seconds\. One more\. And another\. And a last one\.$/);
    expect(sent().filter((type) => type === 'Flush')).toHaveLength(2);
    stream.close();
    expect(await gone()).toBe(true);
  });

  it('flushes text that waits when the audio before it runs out, although the utterance has not ended', async () => {
    await start();
    const { received, stream } = open();
    // 13 characters are heard for 780 ms: there are 80 ms to spare before the second clause must be flushed.
    stream.speak('a', 'Just a moment');
    await received.first('audio-chunk', 3);
    stream.speak('a', 'Here it is.');
    await until('the second clause', () => heard(received, 'a') === 'Just a moment Here it is.');
    expect(received.of('utterance-finished')).toEqual([]);
    stream.finish('a');
    await received.first('utterance-finished');
    expect(sent().filter((type) => type === 'Flush')).toHaveLength(2);
    stream.close();
    expect(await gone()).toBe(true);
  });

  it('drops what a cancelled utterance still says, and speaks the next one to the letter', async () => {
    await start({ auraSpeed: 10, auraChunkMs: 60 });
    const call = open();
    const { received, stream } = call;
    stream.speak('a', 'This is a rather long sentence that nobody wants to hear to its end.');
    stream.finish('a');
    await received.first('audio-chunk', 3);
    stream.cancel('a');
    const before = received.of('audio-chunk').length;
    expect(await say(call, 'b', 'Sorry.')).toBe('Sorry.');
    expect(received.of('audio-chunk').filter((part) => part.utteranceId === 'a')).toHaveLength(before);
    expect(received.of('utterance-finished')).toEqual([{ type: 'utterance-finished', utteranceId: 'b' }]);
    expect(sent()).toContain('Clear');
    stream.close();
    expect(await gone()).toBe(true);
    expect(sockets()).toBe(1);
  });

  it('opens another socket when a Clear is not answered', async () => {
    await start();
    const call = open();
    await until('open', () => emulator.requests.length === 1);
    emulator.settings.faults = { stallAfter: 1 };
    call.stream.speak('a', 'Never heard.');
    await until('the text', () => sent().includes('Flush'));
    call.stream.cancel('a');
    emulator.settings.faults = { ...emulator.settings.faults };
    await until('the clear', () => sent().includes('Clear'));
    emulator.settings.faults = {};
    expect(await say(call, 'b', 'Heard.')).toBe('Heard.');
    call.stream.close();
    expect(await gone()).toBe(true);
  });

  it('speaks one utterance after the other when they come at once', async () => {
    await start({ auraSpeed: 50 });
    const { received, stream } = open();
    stream.speak('a', 'First.');
    stream.speak('b', 'Second.');
    stream.finish('b');
    stream.finish('a');
    await received.first('utterance-finished', 2);
    expect([heard(received, 'a'), heard(received, 'b')]).toEqual(['First.', 'Second.']);
    stream.close();
    expect(await gone()).toBe(true);
  });

  it('goes on with another socket when utterances have used the flushes of a minute up', async () => {
    await start({ auraFirstAudioMs: 0, auraSpeed: 10_000 });
    const call = open();
    for (let n = 0; n < 40; n++) expect(await say(call, `u${n}`, `Number ${n}.`)).toBe(`Number ${n}.`);
    expect(sent().filter((type) => type === 'Flush')).toHaveLength(40);
    call.stream.close();
    expect(await gone()).toBe(true);
  });

  it('finishes an utterance without words, and does not begin ended ones again', async () => {
    await start();
    const { received, stream } = open();
    stream.speak('a', '  ');
    stream.finish('a');
    expect(received.parts).toEqual([]);
    await received.first('utterance-finished');
    stream.speak('a', 'Again?');
    stream.cancel('b');
    stream.speak('b', 'Cancelled before it began.');
    stream.finish('b');
    await sleep(50);
    expect(received.parts).toHaveLength(1);
    expect(sent()).toEqual([]);
    stream.close();
    expect(await gone()).toBe(true);
  });

  it('opens another socket for the next utterance after an idle close', async () => {
    await start();
    const call = open();
    await say(call, 'a', 'One.');
    emulator.disconnect(1000);
    expect(await gone()).toBe(true);
    await sleep(20);
    expect(await say(call, 'b', 'Two.')).toBe('Two.');
    call.stream.close();
    expect(await gone()).toBe(true);
  });

  it('releases everything on abort and close at every stage', async () => {
    await start({ auraSpeed: 5 });
    for (const end of ['close', 'abort'] as const) {
      for (const waitMs of [0, 1, 5, 20, 60]) {
        const { received, stream } = open();
        stream.speak('a', 'Hello there, whoever you are.');
        stream.finish('a');
        stream.finish('b');
        if (waitMs > 0) await sleep(waitMs);
        received.expectNoMore();
        if (end === 'close') stream.close();
        else received.controller.abort();
        stream.speak('a', 'More.');
        stream.finish('c');
        stream.cancel('a');
        stream.close();
      }
    }
    expect(await gone()).toBe(true);
  });

  it.each([
    ['a wrong key', { apiKey: 'wrong' }, {}, 'provider.auth', undefined],
    ['a voice that there is not', { voice: 'nobody' }, {}, 'provider.bad-request', undefined],
    ['nobody there', { url: 'http://127.0.0.1:1' }, {}, 'provider.unavailable', undefined],
    ['a base URL that is none', { url: 'deepgram' }, {}, 'config.invalid', undefined],
    ['429', {}, { refuse: { status: 429, retryAfterSeconds: 2 } }, 'provider.rate-limited', 2000],
    ['500', {}, { refuse: { status: 500 } }, 'provider.overloaded', undefined],
    ['a hang at connect', { connectTimeoutMs: 50 }, { hang: true }, 'provider.timeout-connect', undefined],
    ['a close at once', {}, { closeAfter: { messages: 0, code: 1011 } }, 'provider.overloaded', undefined],
    ['garbage', {}, { garbageAfter: 0 }, 'provider.protocol', undefined],
    ['a reset mid-utterance', {}, { resetAfter: 3 }, 'provider.closed', undefined],
    ['a close mid-utterance', {}, { closeAfter: { messages: 3, code: 1008 } }, 'provider.bad-request', undefined],
  ] as const)('reports %s once', async (_what, options, faults, code, retryAfterMs) => {
    await start({ faults });
    const { received, stream } = open(options);
    stream.speak('a', 'Does anybody hear me, out there?');
    stream.finish('a');
    const error = await received.failedWith('stream-failed', code);
    expect(error.retryAfterMs).toBe(retryAfterMs);
    stream.speak('b', 'No.');
    stream.close();
    expect(await gone()).toBe(true);
  });

  it.each(['wav', 'mp3', 'pcm-16khz', 'empty'] as const)('takes %s for a failure of the utterance', async (audio) => {
    await start({ faults: { audio } });
    const call = open();
    call.stream.speak('a', 'Does anybody hear me, out there?');
    call.stream.finish('a');
    await call.received.failedWith('utterance-failed', 'provider.protocol');
    emulator.settings.faults = {};
    expect(await say(call, 'b', 'Good again.')).toBe('Good again.');
    call.stream.close();
    expect(await gone()).toBe(true);
  });

  it('refuses more text than anybody could speak, of that utterance only', async () => {
    await start({ faults: { hang: true } });
    const { received, stream } = open();
    for (let n = 0; n < 301; n++) stream.speak('a', 'x'.repeat(100));
    expect(received.parts).toEqual([]);
    await received.failedWith('utterance-failed', 'provider.overloaded');
    stream.close();
    expect(await gone()).toBe(true);
  });
});
