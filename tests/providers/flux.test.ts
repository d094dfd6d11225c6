import { afterEach, describe, expect, it } from 'vitest';
import { startDeepgramEmulator } from '../../bench/emulators/deepgram.ts';
import type { DeepgramEmulator, DeepgramEmulatorSettings } from '../../bench/emulators/deepgram.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { createDeepgramStt } from '../../src/pipeline/providers/deepgram/stt.ts';
import type { SttPart, SttRequest, SttStream } from '../../src/pipeline/providers/spec.ts';
import { Received, silence, sleep, speech, until } from './harness.ts';

const REQUEST: SttRequest = { model: 'flux-general-en', language: 'en', phrases: ['bvrai'] };
const FRAME_MS = 20;

let emulator: DeepgramEmulator;

afterEach(async () => {
  await emulator.close();
});

async function start(settings: Partial<DeepgramEmulatorSettings> = {}): Promise<void> {
  emulator = await startDeepgramEmulator(settings);
}

interface Call {
  readonly received: Received<SttPart>;
  readonly stream: SttStream;
  /** Writes audio frame by frame, as a call does, but as fast as it goes. */
  readonly hear: (...audio: Uint8Array[]) => void;
}

interface OpenOptions {
  readonly apiKey?: string;
  readonly connectTimeoutMs?: number;
  readonly request?: SttRequest;
  readonly clock?: VirtualClock;
}

function open(options: OpenOptions = {}): Call {
  const provider = createDeepgramStt({
    apiKey: options.apiKey ?? emulator.settings.apiKey,
    baseUrl: emulator.url,
    connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
  });
  const received = new Received<SttPart>();
  const context = { ...received.context, ...(options.clock ? { clock: options.clock } : {}) };
  const stream = received.open(() => provider.open(options.request ?? REQUEST, received.sink, context));
  const hear = (...audio: Uint8Array[]): void => {
    for (const stretch of audio) {
      for (let at = 0; at < stretch.length; at += FRAME_MS * 8) stream.write(stretch.subarray(at, at + FRAME_MS * 8));
    }
  };
  return { received, stream, hear };
}

const gone = () => until('all connections gone', () => emulator.connections === 0).then(() => true);
const texts = () => emulator.received.map(({ text }) => text);

describe('deepgram flux', () => {
  it('tells turns: begun, growing, likely over, over', async () => {
    await start({ transcripts: ['Hello there, my friend.', 'Bye.'] });
    const { received, stream, hear } = open();
    hear(silence(400), speech(1_200), silence(1_000));
    const ended = await received.first('turn-ended');
    expect(ended).toMatchObject({ text: 'Hello there, my friend.' });
    expect(ended.confidence).toBeGreaterThan(0.9);
    expect(received.parts[0]).toEqual({ type: 'stream-opened' });
    const types = received.parts.map(({ type }) => type).filter((type) => type !== 'transcript-interim');
    expect(types).toEqual(['stream-opened', 'speech-started', 'turn-end-likely', 'turn-ended']);
    expect(received.of('transcript-interim').map(({ text }) => text)).toContain('Hello there, my');
    expect(received.of('turn-end-likely')).toEqual([{ type: 'turn-end-likely', text: 'Hello there, my friend.' }]);
    hear(speech(400), silence(1_000));
    expect(await received.first('turn-ended', 2)).toMatchObject({ text: 'Bye.' });
    received.expectNoMore();
    stream.close();
    expect(await gone()).toBe(true);
    // Neither Finalize nor KeepAlive: this API knows none.
    expect(texts()).toEqual(['{"type":"CloseStream"}']);
  });

  it('takes a likely end back when the caller goes on', async () => {
    await start({ transcripts: [{ text: 'Tell me a story about trains.', speechMs: 2_180 }] });
    const { received, stream, hear } = open();
    hear(speech(1_000), silence(180), speech(1_000), silence(1_000));
    const ended = await received.first('turn-ended');
    expect(ended.text).toBe('Tell me a story about trains.');
    const types = received.parts.map(({ type }) => type).filter((type) => type.startsWith('turn'));
    expect(types).toEqual(['turn-end-likely', 'turn-resumed', 'turn-end-likely', 'turn-ended']);
    const [early] = received.of('turn-end-likely');
    expect(ended.text.startsWith(early?.text ?? '?')).toBe(true);
    expect(early?.text).not.toBe(ended.text);
    stream.close();
    expect(await gone()).toBe(true);
  });

  it('has no turn in noise, and no likely end when the route turns it off', async () => {
    await start({ transcripts: ['', 'Yes.'] });
    const { received, stream, hear } = open({ request: { ...REQUEST, options: { eager_eot_threshold: null } } });
    hear(speech(400), silence(1_000), speech(400), silence(1_000));
    await received.first('turn-ended');
    expect(received.of('speech-started')).toHaveLength(1);
    expect(received.of('turn-end-likely')).toEqual([]);
    stream.close();
    expect(await gone()).toBe(true);
  });

  it('sends chunks of 80 ms, and what is left at once when speech has ended', async () => {
    await start();
    // Its time stands still: no gap in the audio.
    const { received, stream, hear } = open({ clock: new VirtualClock() });
    await received.first('stream-opened');
    hear(silence(60));
    await sleep(30);
    expect(emulator.audioBytes).toBe(0);
    hear(silence(40));
    await until('a chunk', () => emulator.audioBytes === 640);
    stream.hint('speech-ended');
    await until('the rest', () => emulator.audioBytes === 800);
    // Nothing is left: no empty frame.
    stream.hint('speech-ended');
    stream.write(new Uint8Array(0));
    hear(silence(80));
    await until('another chunk', () => emulator.audioBytes === 1_440);
    stream.close();
    expect(await gone()).toBe(true);
  });

  it('fills gaps with silence, so that a turn ends although audio has stopped', async () => {
    await start({ transcripts: ['Yes.'] });
    const clock = new VirtualClock();
    const { received, stream } = open({ clock });
    await received.first('stream-opened');
    stream.write(speech(420));
    clock.advance(190);
    await until('the whole chunks', () => emulator.audioBytes === 400 * 8);
    expect(received.of('turn-ended')).toEqual([]);
    clock.advance(10);
    await until('the rest and silence', () => emulator.audioBytes === 500 * 8);
    // In real time: 80 ms every 80 ms.
    clock.advance(800);
    await until('silence', () => emulator.audioBytes === 1_300 * 8);
    expect(await received.first('turn-ended')).toMatchObject({ text: 'Yes.' });
    stream.write(silence(80));
    clock.advance(199);
    await until('audio again', () => emulator.audioBytes === 1_380 * 8);
    clock.advance(1);
    await until('silence again', () => emulator.audioBytes === 1_460 * 8);
    stream.close();
    expect(await gone()).toBe(true);
    await until('no timers', () => clock.pendingTimers === 0);
  });

  it('releases everything on abort and close at every stage', async () => {
    await start();
    for (const end of ['close', 'abort'] as const) {
      for (const waitMs of [0, 1, 5, 20, 60]) {
        const { received, stream, hear } = open();
        hear(speech(500));
        if (waitMs > 0) await sleep(waitMs);
        received.expectNoMore();
        if (end === 'close') stream.close();
        else received.controller.abort();
        hear(speech(500));
        stream.hint('speech-ended');
        stream.close();
      }
    }
    expect(await gone()).toBe(true);
  });

  it.each([
    ['a wrong key', { apiKey: 'wrong' }, {}, 'provider.auth'],
    ['a threshold that is none', { options: { eot_threshold: 7 } }, {}, 'provider.bad-request'],
    ['503', {}, { refuse: { status: 503 } }, 'provider.overloaded'],
    ['a hang at connect', { connectTimeoutMs: 50 }, { hang: true }, 'provider.timeout-connect'],
    ['a close at once', {}, { closeAfter: { messages: 0, code: 1011 } }, 'provider.overloaded'],
    ['a cut line', {}, { closeAfter: { messages: 2, code: 1006 } }, 'provider.closed'],
    ['garbage', {}, { garbageAfter: 1 }, 'provider.protocol'],
  ] as const)('reports %s once', async (_what, options, faults, code) => {
    await start({ faults });
    const request = 'options' in options ? { ...REQUEST, options: options.options } : REQUEST;
    const { received, stream, hear } = open({ ...options, request });
    hear(speech(1_000), silence(1_000));
    await received.failedWith('stream-failed', code);
    hear(speech(500));
    stream.close();
    expect(await gone()).toBe(true);
  });

  it('lives through a vendor that accepts and stays silent, and fails rather than queue more than ten seconds', async () => {
    await start({ faults: { stallAfter: 0 } });
    const silent = open();
    await silent.received.first('stream-opened');
    silent.hear(speech(1_000));
    await until('audio', () => emulator.audioBytes >= 8_000);
    expect(silent.received.parts).toHaveLength(1);
    silent.stream.close();
    emulator.settings.faults = { hang: true };
    const stuck = open();
    stuck.hear(silence(10_200));
    await stuck.received.failedWith('stream-failed', 'provider.overloaded');
    expect(await gone()).toBe(true);
  });
});
