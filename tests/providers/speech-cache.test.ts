/** What the cache of fixed speech is for, over real sockets: the second call hears its greeting without waiting for a vendor. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startElevenLabsEmulator } from '../../bench/emulators/elevenlabs.ts';
import type { ElevenLabsEmulator } from '../../bench/emulators/elevenlabs.ts';
import { systemClock } from '../../src/core/clock.ts';
import { createElevenLabsTts } from '../../src/pipeline/providers/elevenlabs/tts.ts';
import type { TtsPart, TtsProvider } from '../../src/pipeline/providers/spec.ts';
import { SpeechCache, cachedSpeech } from '../../src/pipeline/router/speech-cache.ts';
import { candidatesOf } from '../../src/pipeline/router/testing.ts';
import { ttsRoute } from '../../src/pipeline/router/tts-route.ts';
import { Received, until } from './harness.ts';

const GREETING = ['Hello, this is Ada at the front desk.', 'How can I help you today?'];

const FIRST_AUDIO_MS = 170;

let emulator: ElevenLabsEmulator;
let route: TtsProvider;

beforeEach(async () => {
  emulator = await startElevenLabsEmulator({ firstAudioMs: FIRST_AUDIO_MS });
  const provider = createElevenLabsTts({
    apiKey: emulator.settings.apiKey,
    baseUrl: emulator.url,
    connectTimeoutMs: 10_000,
  });
  route = ttsRoute(candidatesOf('tts', systemClock, [cachedSpeech(provider, new SpeechCache())]), () => 0);
});

afterEach(async () => {
  await until('all connections gone', () => emulator.connections === 0);
  await emulator.close();
});

/** As a call begins: the stream is opened, and greets at once. */
async function greet(): Promise<{ parts: readonly TtsPart[]; firstAudioMs: number }> {
  const received = new Received<TtsPart>();
  const startMs = performance.now();
  let firstAudioMs = Number.NaN;
  const stream = received.open(() =>
    route.open(
      { language: 'en', voice: 'ada' },
      (part) => {
        if (received.parts.length === 0) firstAudioMs = performance.now() - startMs;
        received.sink(part);
      },
      received.context,
    ),
  );
  for (const text of GREETING) stream.speak('1', text, { fixed: true });
  stream.finish('1');
  await received.first('utterance-finished');
  // The vendor's socket is opened all the same: the first reply needs it.
  await until('the warm socket', () => emulator.connections === 1);
  stream.close();
  await until('the socket gone', () => emulator.connections === 0);
  return { parts: received.parts, firstAudioMs };
}

/** Whether the bytes came in a Buffer or not is nobody's business. */
const comparable = (part: TtsPart) =>
  part.type === 'audio-chunk' ? { ...part, audio: Buffer.from(part.audio).toString('base64') } : part;

describe('a greeting that has been spoken before', () => {
  it('is heard without the vendor, to the byte the same, and costs nothing', async () => {
    const first = await greet();
    const toldByFirst = emulator.received.length;
    // From now on the vendor would be too late for any test.
    emulator.settings.firstAudioMs = 1_000_000;
    const second = await greet();
    expect(second.parts.map(comparable)).toEqual(first.parts.map(comparable));
    const spoken = emulator.received.slice(toldByFirst).filter(({ text }) => text.includes('context_id'));
    expect(spoken).toEqual([]);
    console.info(
      `first audio after ${first.firstAudioMs.toFixed(1)} ms, on the second call after ${second.firstAudioMs.toFixed(1)} ms`,
    );
  });
});
