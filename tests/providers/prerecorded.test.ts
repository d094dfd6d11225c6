import { createServer } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { startDeepgramEmulator } from '../../bench/emulators/deepgram.ts';
import type { DeepgramEmulator, DeepgramEmulatorSettings } from '../../bench/emulators/deepgram.ts';
import { encodeStereoWav } from '../../bench/phone/wav.ts';
import { VirtualClock, systemClock } from '../../src/core/clock.ts';
import { createDeepgramTranscriber } from '../../src/pipeline/providers/deepgram/prerecorded.ts';
import type { Recording, RecordingTranscript } from '../../src/pipeline/providers/deepgram/prerecorded.ts';
import { decodeMulaw } from '../support/wav.ts';
import { silence, speech, until } from './harness.ts';

let emulator: DeepgramEmulator;

afterEach(async () => {
  await emulator.close();
});

async function start(settings: Partial<DeepgramEmulatorSettings> = {}): Promise<void> {
  emulator = await startDeepgramEmulator({ recordingDelayMs: 0, ...settings });
}

/** The caller speaks first, then the agent answers, then both speak at once. */
function conversation(): Uint8Array {
  const caller = [speech(1_000), silence(2_500), speech(500)];
  const agent = [silence(1_500), speech(1_000), silence(1_000), speech(500)];
  const [left, right] = [caller, agent].map((parts) => decodeMulaw(Buffer.concat(parts)));
  return encodeStereoWav(left ?? new Int16Array(), right ?? new Int16Array());
}

interface Given {
  readonly recording?: Recording;
  readonly multichannel?: boolean;
  readonly apiKey?: string;
  readonly baseUrl?: string;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

function transcribe(given: Given = {}, clock = systemClock): Promise<RecordingTranscript> {
  const { apiKey = emulator.settings.apiKey, baseUrl = emulator.url, timeoutMs } = given;
  const { multichannel = true, recording = { bytes: conversation() } } = given;
  const { signal = new AbortController().signal } = given;
  const request = { language: 'en', phrases: ['bvrai'], multichannel };
  return createDeepgramTranscriber({ apiKey, baseUrl, timeoutMs }).transcribe(recording, request, { clock, signal });
}

const CHANNELS: DeepgramEmulatorSettings['transcripts'] = ({ url, index }) =>
  (url.endsWith('#channel=1') ? ['Ada here.', 'Yes?'] : ['Hello there.', 'Ada.'])[index] ?? '';

describe('a recording', () => {
  it('becomes a conversation in order, each party from its own channel', async () => {
    await start({ transcripts: CHANNELS });
    const { durationMs, channelCount, utterances } = await transcribe();
    expect(durationMs).toBe(4_000);
    expect(channelCount).toBe(2);
    expect(utterances.map(({ channel, text }) => [channel, text])).toEqual([
      [0, 'Hello there.'],
      [1, 'Ada here.'],
      [0, 'Ada.'],
      [1, 'Yes?'],
    ]);
    expect(utterances[1]?.startMs).toBeCloseTo(1_500, -2);
    expect(utterances[1]?.endMs).toBeCloseTo(2_500, -2);
    expect(utterances[0]?.words.map(({ text }) => text)).toEqual(['Hello', 'there.']);
    expect(emulator.requests.map(({ method, url }) => `${method} ${url}`)).toEqual([
      'POST /v1/listen?language=en&smart_format=true&keyterm=bvrai&model=nova-3&multichannel=true&utterances=true',
    ]);
  });

  it('can be mixed, and fetched by the vendor', async () => {
    await start({ transcripts: ['Hello there.', 'Yes?'] });
    const files = createServer((_request, response) => response.end(conversation()));
    await new Promise<void>((resolve) => files.listen(0, '127.0.0.1', resolve));
    const address = files.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const recording = { url: `http://127.0.0.1:${port}/call.wav` };
    const { channelCount, utterances } = await transcribe({ recording, multichannel: false });
    expect(channelCount).toBe(1);
    // Half a second between the first two does not part them.
    expect(utterances.map(({ channel, text }) => [channel, text])).toEqual([
      [0, 'Hello there.'],
      [0, 'Yes?'],
    ]);
    await new Promise((resolve) => files.close(resolve));
  });

  it.each([
    ['a wrong key', { apiKey: 'wrong' }, {}, 'provider.auth'],
    ['a base URL that is none', { baseUrl: 'deepgram' }, {}, 'config.invalid'],
    ['nobody there', { baseUrl: 'http://127.0.0.1:1' }, {}, 'provider.unavailable'],
    ['bytes that are no audio', { recording: { bytes: new Uint8Array(100) } }, {}, 'provider.bad-request'],
    ['an address that leads nowhere', { recording: { url: 'http://127.0.0.1:1/x' } }, {}, 'provider.bad-request'],
    ['429', {}, { refuse: { status: 429, retryAfterSeconds: 7 } }, 'provider.rate-limited'],
    ['503', {}, { refuse: { status: 503 } }, 'provider.overloaded'],
    ['garbage', {}, { garbageAfter: 0 }, 'provider.protocol'],
    ['a cut', {}, { closeAfter: { messages: 0, code: 1006 } }, 'provider.closed'],
    ['a reset', {}, { resetAfter: 0 }, 'provider.closed'],
  ] as const)('fails, at the first attempt, on %s', async (_what, given, faults, code) => {
    await start({ faults });
    await expect(transcribe(given)).rejects.toMatchObject({
      name: 'BvraiError',
      code,
      ...(code === 'provider.rate-limited' ? { retryAfterMs: 7_000 } : {}),
    });
    expect(emulator.requests.length).toBeLessThanOrEqual(1);
    await until('all connections gone', () => emulator.activeRequests === 0);
  });

  it.each([
    ['before the headers', { hang: true }],
    ['after them', { stallAfter: 0 }],
  ])('ends at the deadline when the vendor falls silent %s', async (_when, faults) => {
    await start({ faults });
    const clock = new VirtualClock();
    const outcome = transcribe({ timeoutMs: 30_000 }, clock).catch((thrown: unknown) => thrown);
    await until('the request', () => emulator.requests.length === 1);
    clock.advance(29_999);
    expect(emulator.activeRequests).toBe(1);
    clock.advance(1);
    expect(await outcome).toMatchObject({ code: 'provider.timeout-first' });
    await until('the request gone', () => emulator.activeRequests === 0);
    expect(clock.pendingTimers).toBe(0);
  });

  it('can be called off, before and while', async () => {
    await start({ faults: { hang: true } });
    const controller = new AbortController();
    const outcome = transcribe({ signal: controller.signal }).catch((thrown: unknown) => thrown);
    await until('the request', () => emulator.requests.length === 1);
    controller.abort();
    expect(await outcome).toMatchObject({ code: 'aborted' });
    await until('the request gone', () => emulator.activeRequests === 0);
    await expect(transcribe({ signal: controller.signal })).rejects.toMatchObject({ code: 'aborted' });
    expect(emulator.requests).toHaveLength(1);
  });
});
