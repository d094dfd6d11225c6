import { afterEach, describe, expect, it } from 'vitest';
import { startElevenLabsEmulator } from '../../bench/emulators/elevenlabs.ts';
import type { ElevenLabsEmulator, ElevenLabsEmulatorSettings } from '../../bench/emulators/elevenlabs.ts';
import { decodeMulaw } from '../../bench/emulators/mulaw.ts';
import { decodeToneSpeech } from '../../bench/emulators/tone-speech.ts';
import { createElevenLabsTts } from '../../src/pipeline/providers/elevenlabs/tts.ts';
import type { TtsPart, TtsRequest, TtsStream } from '../../src/pipeline/providers/spec.ts';
import { Received, sleep, until } from './harness.ts';

const REQUEST: TtsRequest = { language: 'en-US', voice: 'someone' };

let emulator: ElevenLabsEmulator;

afterEach(async () => {
  await emulator.close();
});

interface Call {
  readonly received: Received<TtsPart>;
  readonly stream: TtsStream;
}

async function start(settings: Partial<ElevenLabsEmulatorSettings> = {}): Promise<void> {
  emulator = await startElevenLabsEmulator({ firstAudioMs: 5, speed: 100, ...settings });
}

function open(options: { apiKey?: string; connectTimeoutMs?: number; request?: TtsRequest; url?: string } = {}): Call {
  const provider = createElevenLabsTts({
    apiKey: options.apiKey ?? emulator.settings.apiKey,
    baseUrl: options.url ?? emulator.url,
    connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
  });
  const received = new Received<TtsPart>();
  const stream = received.open(() => provider.open(options.request ?? REQUEST, received.sink, received.context));
  return { received, stream };
}

/** What a listener hears of an utterance, by its audio alone. */
function heard(received: Received<TtsPart>, utteranceId: string): string {
  const chunks = received.of('audio-chunk').filter((part) => part.utteranceId === utteranceId);
  return decodeToneSpeech(decodeMulaw(Buffer.concat(chunks.map((part) => part.audio)))).text;
}

function spoken(received: Received<TtsPart>, utteranceId: string): string {
  const chunks = received.of('audio-chunk').filter((part) => part.utteranceId === utteranceId);
  return chunks
    .flatMap((part) => part.spans ?? [])
    .map(({ text }) => text)
    .join('');
}

/** No socket is left. */
const gone = () => until('all connections gone', () => emulator.connections === 0).then(() => true);
const messages = () => emulator.received.map(({ text }): unknown => JSON.parse(text));

describe('elevenlabs', () => {
  it('speaks utterances in order, to the letter, with the text aligned to the audio', async () => {
    await start();
    const { received, stream } = open();
    stream.speak('a', 'Hello there.');
    stream.speak('a', 'How are you today? ');
    stream.finish('a');
    await received.first('utterance-finished');
    expect(heard(received, 'a').trim()).toBe('Hello there. How are you today?');
    expect(spoken(received, 'a')).toBe('Hello there. How are you today? ');
    for (const part of received.of('audio-chunk')) {
      const end = part.spans?.at(-1);
      expect((end?.startMs ?? 0) + (end?.durationMs ?? 0)).toBe(part.audio.length / 8);
    }
    expect(received.parts.at(-1)).toEqual({ type: 'utterance-finished', utteranceId: 'a' });
    stream.speak('b', 'Second.');
    stream.finish('b');
    await received.first('utterance-finished', 2);
    expect(heard(received, 'b').trim()).toBe('Second.');
    expect(messages().slice(0, 5)).toEqual([
      { text: ' ', context_id: 'u1', voice_settings: { stability: 0.5, similarity_boost: 0.8 } },
      { text: 'Hello there. ', context_id: 'u1' },
      { text: 'How are you today? ', context_id: 'u1' },
      { context_id: 'u1', flush: true },
      { context_id: 'u1', close_context: true },
    ]);
    stream.close();
    expect(await gone()).toBe(true);
    expect(emulator.received.at(-1)?.text).toBe('{"close_socket":true}');
    expect(new Set(emulator.received.map(({ connection }) => connection)).size).toBe(1);
  });

  it.each(['chars', 'none'] as const)('lives with alignment %s', async (alignment) => {
    await start({ alignment });
    const { received, stream } = open();
    stream.speak('a', 'Aligned or not.');
    stream.finish('a');
    await received.first('utterance-finished');
    expect(heard(received, 'a').trim()).toBe('Aligned or not.');
    expect(spoken(received, 'a').trim()).toBe(alignment === 'chars' ? 'Aligned or not.' : '');
    stream.close();
    expect(await gone()).toBe(true);
  });

  it('finishes an utterance without words, and does not begin ended ones again', async () => {
    await start();
    const { received, stream } = open();
    stream.speak('a', '  ');
    stream.finish('a');
    expect(received.parts).toEqual([]);
    await received.first('utterance-finished');
    stream.finish('a');
    stream.speak('a', 'Again?');
    stream.cancel('b');
    stream.speak('b', 'Cancelled before it began.');
    stream.finish('b');
    await sleep(50);
    expect(received.parts).toHaveLength(1);
    stream.close();
    expect(await gone()).toBe(true);
  });

  it('drops what a cancelled utterance still says, and speaks the next one at once', async () => {
    await start({ speed: 10, chunkMs: 60 });
    const { received, stream } = open();
    stream.speak('a', 'This is a rather long sentence that nobody wants to hear to its end.');
    stream.finish('a');
    await received.first('audio-chunk', 3);
    stream.cancel('a');
    const before = received.of('audio-chunk').length;
    stream.speak('b', 'Sorry.');
    stream.finish('b');
    await received.first('utterance-finished');
    expect(received.of('audio-chunk').filter((part) => part.utteranceId === 'a')).toHaveLength(before);
    expect(received.of('utterance-finished')).toEqual([{ type: 'utterance-finished', utteranceId: 'b' }]);
    expect(heard(received, 'b').trim()).toBe('Sorry.');
    stream.close();
    expect(await gone()).toBe(true);
  });

  it('never has more than five contexts, cancelled ones included', async () => {
    await start({ speed: 20, chunkMs: 60 });
    const { received, stream } = open();
    await until('open', () => emulator.connections === 1);
    for (let n = 0; n < 12; n++) {
      stream.speak(`u${n}`, 'Something that takes a while.');
      if (n < 11) await sleep(5);
      if (n < 11) stream.cancel(`u${n}`);
    }
    stream.finish('u11');
    await received.first('utterance-finished');
    expect(heard(received, 'u11').trim()).toBe('Something that takes a while.');
    expect(received.parts.filter((part) => part.type === 'stream-failed')).toEqual([]);
    stream.close();
    expect(await gone()).toBe(true);
  });

  it('opens another socket when cancelled contexts do not end', async () => {
    await start({ firstAudioMs: 100_000 });
    const { received, stream } = open();
    await until('open', () => emulator.connections === 1);
    for (let n = 0; n < 5; n++) {
      stream.speak(`z${n}`, 'Never heard.');
      await until('the text to arrive', () => emulator.received.length >= 2 + n * 3);
      stream.cancel(`z${n}`);
    }
    emulator.settings.firstAudioMs = 5;
    stream.speak('a', 'Heard.');
    stream.finish('a');
    await received.first('utterance-finished');
    expect(heard(received, 'a').trim()).toBe('Heard.');
    stream.close();
    expect(await gone()).toBe(true);
  });

  it('keeps an idle socket and a waiting context alive', async () => {
    await start();
    const { received, stream } = open({ request: { ...REQUEST, options: { inactivity_timeout: 1 } } });
    await sleep(1_300);
    stream.speak('a', 'One.');
    await received.first('audio-chunk');
    await sleep(1_300);
    stream.speak('a', 'Two.');
    stream.finish('a');
    await received.first('utterance-finished');
    expect(heard(received, 'a').trim()).toBe('One. Two.');
    expect(messages()).toContainEqual({ text: '' });
    expect(messages()).toContainEqual({ text: '', context_id: 'u1' });
    expect(new Set(emulator.received.map(({ connection }) => connection)).size).toBe(1);
    stream.close();
    expect(await gone()).toBe(true);
  });

  it.each([
    [1000, undefined],
    [1008, 'input_timeout_exceeded'],
  ])('opens another socket for the next utterance after an idle close %i', async (code, reason) => {
    await start();
    const { received, stream } = open();
    stream.speak('a', 'One.');
    stream.finish('a');
    await received.first('utterance-finished');
    emulator.disconnect(code, reason);
    expect(await gone()).toBe(true);
    await sleep(20);
    stream.speak('b', 'Two.');
    stream.finish('b');
    await received.first('utterance-finished', 2);
    expect(heard(received, 'b').trim()).toBe('Two.');
    stream.close();
    expect(await gone()).toBe(true);
  });

  it.each([
    ['with nothing pending, an unclean close', false, 1006, undefined, 'provider.closed'],
    ['mid-utterance, an idle close', true, 1008, 'input_timeout_exceeded', 'provider.closed'],
    ['mid-utterance, a server error', true, 1011, undefined, 'provider.overloaded'],
    ['mid-utterance, a cut line', true, 1006, undefined, 'provider.closed'],
  ] as const)('reports once: %s', async (_what, speaking, closeCode, reason, code) => {
    await start({ speed: 1 });
    const { received, stream } = open();
    stream.speak('a', 'Hi. This takes its time.');
    if (!speaking) stream.cancel('a');
    if (speaking) await received.first('audio-chunk');
    else await until('open', () => emulator.received.length === 0 && emulator.connections === 1);
    await sleep(30);
    emulator.disconnect(closeCode, reason);
    await received.failedWith('stream-failed', code);
    stream.speak('b', 'Anybody?');
    expect(await gone()).toBe(true);
  });

  it('releases everything on abort and close at every stage', async () => {
    await start({ speed: 5 });
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
    ['nobody there', { url: 'http://127.0.0.1:1' }, {}, 'provider.unavailable', undefined],
    ['a base URL that is none', { url: 'elevenlabs' }, {}, 'config.invalid', undefined],
    [
      '429',
      {},
      { refuse: { status: 429, retryAfterSeconds: 2, body: { detail: { status: 'system_busy' } } } },
      'provider.rate-limited',
      2000,
    ],
    ['500', {}, { refuse: { status: 500 } }, 'provider.overloaded', undefined],
    ['a hang at connect', { connectTimeoutMs: 50 }, { hang: true }, 'provider.timeout-connect', undefined],
    ['a close at once', {}, { closeAfter: { messages: 0, code: 1011 } }, 'provider.overloaded', undefined],
    ['garbage', {}, { garbageAfter: 0 }, 'provider.protocol', undefined],
    ['a close mid-utterance', {}, { closeAfter: { messages: 2, code: 1006 } }, 'provider.closed', undefined],
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

  it('lives through a vendor that accepts and stays silent, until it is closed', async () => {
    await start({ faults: { stallAfter: 0 } });
    const { received, stream } = open();
    stream.speak('a', 'Hello?');
    stream.finish('a');
    await until('text', () => emulator.received.length >= 4);
    await sleep(30);
    expect(received.parts).toEqual([]);
    stream.close();
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
