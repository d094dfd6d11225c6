import { afterEach, describe, expect, it } from 'vitest';
import { startOpenAiEmulator } from '../../bench/emulators/openai.ts';
import type { OpenAiEmulator, OpenAiEmulatorSettings } from '../../bench/emulators/openai.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { createOpenAiStt } from '../../src/pipeline/providers/openai/realtime-stt.ts';
import type { SttPart, SttRequest, SttStream } from '../../src/pipeline/providers/spec.ts';
import { startBabbler } from '../fuzz/vendor.ts';
import { Received, silence, sleep, speech, until } from './harness.ts';

const REQUEST: SttRequest = { language: 'en', phrases: ['Zimmer frame'] };
const COMMIT = '{"type":"input_audio_buffer.commit"}';

let emulator: OpenAiEmulator;

afterEach(async () => {
  await emulator.close();
});

interface Call {
  readonly received: Received<SttPart>;
  readonly stream: SttStream;
}

async function start(settings: Partial<OpenAiEmulatorSettings> = {}): Promise<void> {
  emulator = await startOpenAiEmulator({ transcriptDelayMs: 5, liveDelayMs: 0, ...settings });
}

function open(options: { apiKey?: string; connectTimeoutMs?: number; request?: SttRequest; url?: string } = {}): Call {
  const provider = createOpenAiStt({
    apiKey: options.apiKey ?? emulator.settings.apiKey,
    baseUrl: options.url ?? emulator.url,
    connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
  });
  const received = new Received<SttPart>();
  const stream = received.open(() => provider.open(options.request ?? REQUEST, received.sink, received.context));
  return { received, stream };
}

/** What a caller and the local detector do: the onset is noticed late, the end after 200 ms. */
function say(stream: SttStream, durationMs: number): void {
  stream.write(speech(200));
  stream.hint('speech-started');
  stream.write(speech(durationMs - 200));
  stream.write(silence(200));
  stream.hint('speech-ended');
}

/** No socket is left. */
const gone = () => until('all connections gone', () => emulator.connections === 0).then(() => true);
const texts = () => emulator.received.map(({ text }) => text);
/** All audio that was sent, in bytes. */
const audioBytes = () =>
  texts()
    .flatMap((text) => /"audio":"([^"]*)"/.exec(text)?.[1] ?? [])
    .reduce((sum, base64) => sum + Buffer.from(base64, 'base64').length, 0);

describe('openai realtime transcription', () => {
  it('tells words while they are said, and a final at the local detector’s pause', async () => {
    await start({ transcripts: ['Hello there, friend.', 'Bye.'] });
    const { received, stream } = open();
    say(stream, 1_000);
    expect(await received.first('transcript-final')).toEqual({
      type: 'transcript-final',
      text: 'Hello there, friend.',
      confidence: 0,
      words: [],
      speechFinal: false,
      fromFinalize: true,
    });
    expect(received.parts[0]).toEqual({ type: 'stream-opened' });
    expect(received.of('transcript-interim').map(({ text }) => text)).toEqual(
      expect.arrayContaining(['Hello', 'Hello there,', 'Hello there, friend.']),
    );
    say(stream, 500);
    expect(await received.first('transcript-final', 2)).toMatchObject({ text: 'Bye.' });
    received.expectNoMore();
    stream.close();
    expect(await gone()).toBe(true);
  });

  it('sends speech only, with what came just before it, and each byte once', async () => {
    await start({ transcripts: ['Yes.'] });
    const { received, stream } = open();
    stream.write(silence(5_000));
    say(stream, 1_000);
    // A pause shorter than the pre-roll: what is left of it belongs to the next commit.
    stream.write(silence(300));
    say(stream, 1_000);
    await received.first('transcript-final', 2);
    expect(audioBytes()).toBe((400 + 1_200 + 300 + 1_200) * 8);
    expect(texts()[0]).toContain('"session.update"');
    expect(texts().filter((text) => text === COMMIT)).toHaveLength(2);
    stream.close();
    expect(await gone()).toBe(true);
  });

  it('says how sure an older model is, which begins at the commit', async () => {
    await start({ transcripts: ['Yes.'] });
    const { received, stream } = open({ request: { ...REQUEST, model: 'gpt-4o-mini-transcribe' } });
    say(stream, 400);
    const final = await received.first('transcript-final');
    expect(final.text).toBe('Yes.');
    expect(final.confidence).toBeCloseTo(0.99, 5);
    stream.close();
  });

  it('commits nothing that the vendor would refuse for being too short', async () => {
    await start({ transcripts: ['Yes.'] });
    const { received, stream } = open();
    await received.first('stream-opened');
    stream.hint('speech-ended');
    stream.write(speech(60));
    stream.hint('speech-started');
    stream.hint('speech-ended');
    say(stream, 400);
    expect(await received.first('transcript-final')).toMatchObject({ text: 'Yes.' });
    expect(texts().filter((text) => text === COMMIT)).toHaveLength(1);
    stream.close();
  });

  it('leaves turns to the vendor when the route says so', async () => {
    await start({ transcripts: ['Hello there.'] });
    const options = { turn_detection: { type: 'server_vad', silence_duration_ms: 200 } };
    const { received, stream } = open({ request: { ...REQUEST, model: 'gpt-4o-mini-transcribe', options } });
    stream.write(silence(500));
    say(stream, 800);
    await received.first('speech-started');
    expect(await received.first('transcript-final')).toMatchObject({
      text: 'Hello there.',
      speechFinal: true,
      fromFinalize: false,
    });
    expect(texts()).not.toContain(COMMIT);
    expect(audioBytes()).toBe(1_500 * 8);
    stream.close();
  });

  it('fails when a commit is not answered', async () => {
    await start({ transcripts: ['Yes.'], transcriptDelayMs: 1_000_000 });
    const clock = new VirtualClock();
    const received = new Received<SttPart>();
    const provider = createOpenAiStt({ apiKey: emulator.settings.apiKey, baseUrl: emulator.url });
    const stream = provider.open(REQUEST, received.sink, { ...received.context, clock });
    await received.first('stream-opened');
    clock.advance(60_000);
    say(stream, 400);
    clock.advance(4_999);
    expect(received.of('stream-failed')).toEqual([]);
    clock.advance(1);
    await received.failedWith('stream-failed', 'provider.timeout-gap');
    expect(await gone()).toBe(true);
    await until('no timers', () => clock.pendingTimers === 0);
  });

  it('releases everything on abort and close at every stage', async () => {
    await start();
    for (const end of ['close', 'abort'] as const) {
      for (const waitMs of [0, 1, 5, 20, 60]) {
        const { received, stream } = open();
        say(stream, 500);
        if (waitMs > 0) await sleep(waitMs);
        received.expectNoMore();
        if (end === 'close') stream.close();
        else received.controller.abort();
        say(stream, 500);
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
    const provider = createOpenAiStt({ apiKey: emulator.settings.apiKey, baseUrl: emulator.url });
    say(provider.open(REQUEST, received.sink, received.context), 500);
    await sleep(50);
    expect(emulator.connections).toBe(0);
  });

  const silentDetector = { ...REQUEST, options: { turn_detection: { type: 'server_vad' } } };

  it.each([
    ['a wrong key', { apiKey: 'wrong' }, {}, 'provider.auth', undefined],
    ['a key that no header can carry', { apiKey: 'line\nbreak' }, {}, 'provider.bad-request', undefined],
    ['a base URL that is none', { url: 'openai' }, {}, 'config.invalid', undefined],
    ['nobody there', { url: 'http://127.0.0.1:1/v1' }, {}, 'provider.unavailable', undefined],
    ['a model that is none', { request: { ...REQUEST, model: 'none' } }, {}, 'provider.bad-request', undefined],
    ['a model that detects no turns', { request: silentDetector }, {}, 'provider.bad-request', undefined],
    ['429', {}, { refuse: { status: 429, retryAfterSeconds: 7 } }, 'provider.rate-limited', 7000],
    ['503', {}, { refuse: { status: 503 } }, 'provider.overloaded', undefined],
    ['a hang', { connectTimeoutMs: 50 }, { hang: true }, 'provider.timeout-connect', undefined],
    ['silence after accepting', { connectTimeoutMs: 50 }, { stallAfter: 0 }, 'provider.timeout-connect', undefined],
    ['garbage', {}, { garbageAfter: 1 }, 'provider.protocol', undefined],
    ['a cut', {}, { closeAfter: { messages: 2, code: 1006 } }, 'provider.closed', undefined],
    ['an internal error', {}, { closeAfter: { messages: 2, code: 1011 } }, 'provider.overloaded', undefined],
  ] as const)('fails once on %s', async (_what, options, faults, code, retryAfterMs) => {
    await start({ faults });
    const { received, stream } = open(options);
    say(stream, 500);
    const error = await received.failedWith('stream-failed', code);
    expect(error.retryAfterMs).toBe(retryAfterMs);
    expect(JSON.stringify([error.message, error.details])).not.toContain(emulator.settings.apiKey);
    say(stream, 500);
    stream.close();
    expect(await gone()).toBe(true);
  });

  it('fails rather than queue more than ten seconds of audio', async () => {
    await start({ faults: { hang: true } });
    const { received, stream } = open();
    stream.hint('speech-started');
    for (let n = 0; n < 601; n++) stream.write(silence(20));
    expect(received.parts).toEqual([]);
    await received.failedWith('stream-failed', 'provider.overloaded');
    expect(await gone()).toBe(true);
  });
});

it('gives up on a vendor that opens items without end', async () => {
  await start();
  const delta = (n: number): string =>
    `{"type":"conversation.item.input_audio_transcription.delta","item_id":"i${n}","delta":"x"}`;
  const messages = Array.from({ length: 5_000 }, (_, n) => delta(n));
  const next = () => ({ messages, closeCode: 1000, status: 200, cutOff: false });
  const vendor = await startBabbler({ next, speaksFirst: false, events: false });
  const { received } = open({ url: `${vendor.url}/v1` });
  await received.failedWith('stream-failed', 'provider.protocol');
  await vendor.close();
});
