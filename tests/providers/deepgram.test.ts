import { afterEach, describe, expect, it } from 'vitest';
import { startDeepgramEmulator } from '../../bench/emulators/deepgram.ts';
import type { DeepgramEmulator, DeepgramEmulatorSettings } from '../../bench/emulators/deepgram.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { createDeepgramStt } from '../../src/pipeline/providers/deepgram/stt.ts';
import type { SttPart, SttRequest, SttStream } from '../../src/pipeline/providers/spec.ts';
import { Received, silence, sleep, speech, until } from './harness.ts';

const REQUEST: SttRequest = { language: 'en', phrases: ['Zimmer frame', 'bvrai'] };

let emulator: DeepgramEmulator;

afterEach(async () => {
  await emulator.close();
});

interface Call {
  readonly received: Received<SttPart>;
  readonly stream: SttStream;
}

async function start(settings: Partial<DeepgramEmulatorSettings> = {}): Promise<void> {
  emulator = await startDeepgramEmulator({ finalDelayMs: 5, interimDelayMs: 0, ...settings });
}

function open(options: { apiKey?: string; connectTimeoutMs?: number; request?: SttRequest; url?: string } = {}): Call {
  const provider = createDeepgramStt({
    apiKey: options.apiKey ?? emulator.settings.apiKey,
    baseUrl: options.url ?? emulator.url,
    connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
  });
  const received = new Received<SttPart>();
  const stream = received.open(() => provider.open(options.request ?? REQUEST, received.sink, received.context));
  return { received, stream };
}

/** No socket is left. */
const gone = () => until('all connections gone', () => emulator.connections === 0).then(() => true);
const texts = () => emulator.received.map(({ text }) => text);

describe('deepgram', () => {
  it('turns speech into interims, a final with word times, and the end of the utterance', async () => {
    await start({ transcripts: ['Hello there, friend.', 'Bye.'] });
    const { received, stream } = open();
    // Before it is open: queued, in order.
    stream.write(silence(500));
    stream.write(speech(1000));
    stream.write(silence(1200));
    await received.first('utterance-ended');
    const types = received.parts.map((part) => part.type);
    expect(types[0]).toBe('stream-opened');
    expect(types[1]).toBe('speech-started');
    expect(received.of('transcript-interim').map(({ text }) => text)).toContain('Hello there,');
    const [final] = received.of('transcript-final');
    expect(final).toMatchObject({ text: 'Hello there, friend.', speechFinal: true, fromFinalize: false });
    expect(final?.words.map(({ text }) => text)).toEqual(['Hello', 'there,', 'friend.']);
    expect(final?.words[0]?.startMs).toBeCloseTo(500, -2);
    expect(final?.words[2]?.endMs).toBeCloseTo(1500, -2);
    stream.write(speech(500));
    stream.write(silence(400));
    expect(await received.first('transcript-final', 2)).toMatchObject({ text: 'Bye.' });
    received.expectNoMore();
    stream.close();
    expect(await gone()).toBe(true);
    expect(texts()).toEqual(['{"type":"CloseStream"}']);
  });

  it('asks for the final when the local detector heard the end', async () => {
    await start({ transcripts: ['Yes.'] });
    const { received, stream } = open();
    stream.write(speech(400));
    stream.hint('speech-started');
    stream.hint('speech-ended');
    expect(await received.first('transcript-final')).toMatchObject({ text: 'Yes.', fromFinalize: true });
    stream.hint('speech-ended');
    expect(await received.first('transcript-final', 2)).toMatchObject({ text: '', fromFinalize: true });
    stream.close();
    expect(await gone()).toBe(true);
  });

  it('keeps the stream alive while no audio comes', async () => {
    await start({ keepAliveTimeoutMs: 1_000_000 });
    const clock = new VirtualClock();
    const received = new Received<SttPart>();
    const provider = createDeepgramStt({ apiKey: emulator.settings.apiKey, baseUrl: emulator.url });
    const stream = provider.open(REQUEST, received.sink, { ...received.context, clock });
    await received.first('stream-opened');
    clock.advance(3_000);
    stream.write(silence(20));
    clock.advance(3_900);
    await until('audio', () => emulator.audioBytes === 160);
    expect(texts()).toEqual([]);
    clock.advance(200);
    await until('KeepAlive', () => texts().length === 1);
    clock.advance(8_000);
    await until('KeepAlives', () => texts().length === 3);
    expect(new Set(texts())).toEqual(new Set(['{"type":"KeepAlive"}']));
    stream.close();
    expect(await gone()).toBe(true);
    // The linger timer goes with the socket.
    await until('no timers', () => clock.pendingTimers === 0);
  });

  it('is told when the vendor gives up for want of audio', async () => {
    await start({ keepAliveTimeoutMs: 50 });
    const { received } = open();
    const error = await received.failedWith('stream-failed', 'provider.overloaded');
    expect(error.details).toMatchObject({ provider: 'deepgram', closeCode: 1011 });
    expect(await gone()).toBe(true);
  });

  it('releases everything on abort and close at every stage', async () => {
    await start();
    for (const end of ['close', 'abort'] as const) {
      for (const waitMs of [0, 1, 5, 20, 60]) {
        const { received, stream } = open();
        stream.write(speech(500));
        if (waitMs > 0) await sleep(waitMs);
        received.expectNoMore();
        if (end === 'close') stream.close();
        else received.controller.abort();
        stream.write(speech(500));
        stream.hint('speech-ended');
        stream.close();
      }
    }
    expect(await gone()).toBe(true);
  });

  it('does nothing when the call is already over', async () => {
    await start();
    const received = new Received<SttPart>();
    received.controller.abort();
    received.expectNoMore();
    const provider = createDeepgramStt({ apiKey: emulator.settings.apiKey, baseUrl: emulator.url });
    provider.open(REQUEST, received.sink, received.context).write(speech(20));
    await sleep(50);
    expect(emulator.connections).toBe(0);
  });

  it.each([
    ['a wrong key', { apiKey: 'wrong' }, {}, 'provider.auth', undefined],
    ['a key that no header can carry', { apiKey: 'line\nbreak' }, {}, 'provider.bad-request', undefined],
    ['a base URL that is none', { url: 'deepgram' }, {}, 'config.invalid', undefined],
    ['nobody there', { url: 'http://127.0.0.1:1' }, {}, 'provider.unavailable', undefined],
    ['429', {}, { refuse: { status: 429, retryAfterSeconds: 7 } }, 'provider.rate-limited', 7000],
    ['503', {}, { refuse: { status: 503 } }, 'provider.overloaded', undefined],
    [
      '400',
      {},
      { refuse: { status: 400, body: { err_code: 'X', err_msg: 'why' } } },
      'provider.bad-request',
      undefined,
    ],
    ['a redirect', {}, { refuse: { status: 302 } }, 'provider.protocol', undefined],
    ['a hang at connect', { connectTimeoutMs: 50 }, { hang: true }, 'provider.timeout-connect', undefined],
    ['a close at once', {}, { closeAfter: { messages: 0, code: 1011 } }, 'provider.overloaded', undefined],
    [
      'undecodable audio',
      {},
      { closeAfter: { messages: 0, code: 1008, reason: 'DATA-0000' } },
      'provider.bad-request',
      undefined,
    ],
    ['a cut line', {}, { closeAfter: { messages: 0, code: 1006 } }, 'provider.closed', undefined],
    ['garbage', {}, { garbageAfter: 0 }, 'provider.protocol', undefined],
  ] as const)('reports %s once', async (_what, options, faults, code, retryAfterMs) => {
    await start({ faults });
    const { received, stream } = open(options);
    stream.write(speech(500));
    const error = await received.failedWith('stream-failed', code);
    expect(error.retryAfterMs).toBe(retryAfterMs);
    expect(JSON.stringify([error.message, error.details])).not.toContain(emulator.settings.apiKey);
    stream.write(speech(500));
    stream.close();
    expect(await gone()).toBe(true);
  });

  it('lives through a vendor that accepts and stays silent, until it is closed', async () => {
    await start({ faults: { stallAfter: 0 } });
    const { received, stream } = open();
    await received.first('stream-opened');
    for (let n = 0; n < 50; n++) stream.write(speech(20));
    await until('audio', () => emulator.audioBytes === 8000);
    expect(received.parts).toHaveLength(1);
    stream.close();
    expect(await gone()).toBe(true);
  });

  it('fails rather than queue more than ten seconds of audio', async () => {
    await start({ faults: { hang: true } });
    const { received, stream } = open();
    for (let n = 0; n < 501; n++) stream.write(silence(20));
    expect(received.parts).toEqual([]);
    await received.failedWith('stream-failed', 'provider.overloaded');
    expect(await gone()).toBe(true);
  });

  it('breaks off mid-stream', async () => {
    await start({ faults: { closeAfter: { messages: 3, code: 1011 } } });
    const { received, stream } = open();
    stream.write(speech(5000));
    await received.failedWith('stream-failed', 'provider.overloaded');
    expect(await gone()).toBe(true);
  });
});
