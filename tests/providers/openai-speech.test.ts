import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startOpenAiEmulator } from '../../bench/emulators/openai.ts';
import type { OpenAiEmulator, OpenAiEmulatorSettings } from '../../bench/emulators/openai.ts';
import { HttpConnections } from '../../src/pipeline/providers/http-connections.ts';
import { createOpenAiTts } from '../../src/pipeline/providers/openai/tts.ts';
import { sleep, until } from './harness.ts';
import { heard, openVoice, say } from './voice-call.ts';
import type { VoiceCall } from './voice-call.ts';

let emulator: OpenAiEmulator;
let connections: HttpConnections;

beforeEach(() => {
  connections = new HttpConnections(10_000);
});

afterEach(async () => {
  await connections.close();
  await emulator.close();
});

async function start(settings: Partial<OpenAiEmulatorSettings> = {}): Promise<void> {
  emulator = await startOpenAiEmulator({ speechFirstAudioMs: 5, speechSpeed: 100, ...settings });
}

function open(options: { apiKey?: string; url?: string } = {}): VoiceCall {
  const { apiKey = emulator.settings.apiKey, url = emulator.url } = options;
  return openVoice(createOpenAiTts({ apiKey, baseUrl: url, connections }), { voice: 'alloy' });
}

const idle = () => until('no request is left', () => emulator.activeRequests === 0).then(() => true);
const inputs = () => emulator.received.map(({ text }) => (JSON.parse(text) as { input: string }).input);

describe('openai speech', () => {
  it('speaks utterances in order, to the letter, a request a clause, over connections that it keeps', async () => {
    await start();
    const call = open();
    expect(await say(call, 'a', 'Hello there. ', 'How are you today?')).toBe('Hello there.How are you today?');
    expect(await say(call, 'b', 'Second.')).toBe('Second.');
    expect(inputs()).toEqual(['Hello there.', 'How are you today?', 'Second.']);
    expect(emulator.connections).toBeLessThanOrEqual(2);
    call.stream.close();
  });

  it('asks for the next clause while the first is being said, and for no more', async () => {
    await start({ speechSpeed: 5 });
    const call = open();
    for (const clause of ['One is said for a while.', 'Two.', 'Three.', 'Four.']) call.stream.speak('a', clause);
    await call.received.first('audio-chunk');
    expect(inputs()).toEqual(['One is said for a while.', 'Two.']);
    call.stream.finish('a');
    await call.received.first('utterance-finished');
    expect(heard(call.received, 'a')).toBe('One is said for a while.Two.Three.Four.');
    call.stream.close();
  });

  it('waits for clauses that come slowly', async () => {
    await start();
    const { received, stream } = open();
    stream.speak('a', 'One.');
    await until('the first clause', () => heard(received, 'a') === 'One.');
    expect(await idle()).toBe(true);
    stream.speak('a', 'Two.');
    stream.finish('a');
    await received.first('utterance-finished');
    expect(heard(received, 'a')).toBe('One.Two.');
    stream.close();
  });

  it('drops what a cancelled utterance still says, tells the vendor at once, and speaks the next one', async () => {
    await start({ speechSpeed: 1 });
    const call = open();
    const { received, stream } = call;
    stream.speak('a', 'This is a rather long sentence that nobody wants to hear to its end.');
    stream.speak('a', 'And neither this.');
    stream.finish('a');
    await received.first('audio-chunk');
    expect(emulator.activeRequests).toBe(2);
    stream.cancel('a');
    const before = received.of('audio-chunk').length;
    expect(await idle()).toBe(true);
    emulator.settings.speechSpeed = 100;
    expect(await say(call, 'b', 'Sorry.')).toBe('Sorry.');
    expect(received.of('audio-chunk').filter((part) => part.utteranceId === 'a')).toHaveLength(before);
    expect(received.of('utterance-finished')).toEqual([{ type: 'utterance-finished', utteranceId: 'b' }]);
    stream.close();
  });

  it('ends the requests of a cancelled utterance within one turn of the event loop', async () => {
    await start({ speechSpeed: 1 });
    const sockets: Socket[] = [];
    const onConnected = (message: unknown): void => void sockets.push((message as { socket: Socket }).socket);
    subscribe('undici:client:connected', onConnected);
    const { received, stream } = open();
    stream.speak('a', 'This is a rather long sentence that nobody wants to hear to its end.');
    stream.speak('a', 'And neither this.');
    await received.first('audio-chunk');
    await until('both requests', () => emulator.activeRequests === 2);
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([false, false]);
    stream.cancel('a');
    await new Promise((resolve) => setImmediate(resolve));
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true, true]);
    unsubscribe('undici:client:connected', onConnected);
    stream.close();
    expect(await idle()).toBe(true);
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
    expect(emulator.requests).toEqual([]);
    stream.close();
  });

  it('releases everything on abort and close at every stage', async () => {
    await start({ speechSpeed: 5 });
    for (const end of ['close', 'abort'] as const) {
      for (const waitMs of [0, 1, 5, 20, 60]) {
        const { received, stream } = open();
        stream.speak('a', 'Hello there, whoever you are.');
        stream.speak('a', 'I am fine.');
        stream.finish('a');
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
    expect(await idle()).toBe(true);
  });

  it.each([
    ['a wrong key', { apiKey: 'wrong' }, {}, 'provider.auth', undefined],
    ['nobody there', { url: 'http://127.0.0.1:1/v1' }, {}, 'provider.unavailable', undefined],
    ['a base URL that is none', { url: 'openai' }, {}, 'config.invalid', undefined],
    ['429', {}, { refuse: { status: 429, retryAfterSeconds: 2 } }, 'provider.rate-limited', 2000],
    [
      'no credit',
      {},
      { refuse: { status: 429, body: { error: { code: 'insufficient_quota' } } } },
      'provider.no-credit',
      undefined,
    ],
    ['500', {}, { refuse: { status: 500 } }, 'provider.overloaded', undefined],
    ['400', {}, { refuse: { status: 400 } }, 'provider.bad-request', undefined],
    ['a cut line at once', {}, { closeAfter: { messages: 0, code: 1006 } }, 'provider.closed', undefined],
    ['a reset mid-clause', {}, { resetAfter: 1 }, 'provider.closed', undefined],
    ['garbage', {}, { garbageAfter: 0 }, 'provider.protocol', undefined],
    ['a WAV file', {}, { audio: 'wav' }, 'provider.protocol', undefined],
    ['an MP3 file', {}, { audio: 'mp3' }, 'provider.protocol', undefined],
    ['no audio', {}, { audio: 'empty' }, 'provider.protocol', undefined],
  ] as const)('reports %s once, and goes on', async (_what, options, faults, code, retryAfterMs) => {
    await start({ faults });
    const call = open(options);
    call.stream.speak('a', 'Does anybody hear me, out there?');
    call.stream.speak('a', 'Hello?');
    call.stream.finish('a');
    const error = await call.received.failedWith('utterance-failed', code);
    expect(error.retryAfterMs).toBe(retryAfterMs);
    expect(await idle()).toBe(true);
    emulator.settings.faults = {};
    if (Object.keys(options).length === 0) expect(await say(call, 'b', 'Good again.')).toBe('Good again.');
    call.stream.close();
  });

  it('lives through a vendor that stays silent after its headers, until it is cancelled', async () => {
    await start({ faults: { stallAfter: 0 } });
    const { received, stream } = open();
    stream.speak('a', 'Hello?');
    stream.finish('a');
    await until('the request', () => emulator.activeRequests === 1);
    await sleep(30);
    expect(received.parts).toEqual([]);
    stream.cancel('a');
    expect(await idle()).toBe(true);
    stream.close();
  });

  it('refuses more text than anybody could speak, of that utterance only', async () => {
    await start({ faults: { hang: true } });
    const { received, stream } = open();
    for (let n = 0; n < 310; n++) stream.speak('a', 'x'.repeat(100));
    expect(received.parts).toEqual([]);
    await received.failedWith('utterance-failed', 'provider.overloaded');
    stream.close();
    expect(await idle()).toBe(true);
  });
});
