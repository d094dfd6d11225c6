/** ElevenLabs over HTTP, and as what stands behind its WebSocket. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startElevenLabsEmulator } from '../../bench/emulators/elevenlabs.ts';
import type { ElevenLabsEmulator, ElevenLabsEmulatorSettings } from '../../bench/emulators/elevenlabs.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import { BvraiError } from '../../src/core/errors.ts';
import { createElevenLabsHttpTts } from '../../src/pipeline/providers/elevenlabs/http-tts.ts';
import { createElevenLabsTts } from '../../src/pipeline/providers/elevenlabs/tts.ts';
import { withFallback } from '../../src/pipeline/providers/elevenlabs/with-fallback.ts';
import { HttpConnections } from '../../src/pipeline/providers/http-connections.ts';
import type { Sink, TtsPart, TtsProvider } from '../../src/pipeline/providers/spec.ts';
import { sleep, until } from './harness.ts';
import { openVoice, say } from './voice-call.ts';
import type { VoiceCall } from './voice-call.ts';

let emulator: ElevenLabsEmulator;
let connections: HttpConnections;

beforeEach(() => {
  connections = new HttpConnections(10_000);
});

afterEach(async () => {
  await connections.close();
  await emulator.close();
});

async function start(settings: Partial<ElevenLabsEmulatorSettings> = {}): Promise<void> {
  emulator = await startElevenLabsEmulator({ firstAudioMs: 5, speed: 100, ...settings });
}

const WEB_SOCKET = 'multi-stream-input';
const asked = (part: string) => emulator.requests.filter(({ url }) => url.includes(part)).length;
const idle = () => until('no request is left', () => emulator.activeRequests === 0).then(() => true);

describe('elevenlabs over http', () => {
  function open(apiKey = emulator.settings.apiKey, options?: Record<string, unknown>): VoiceCall {
    const provider = createElevenLabsHttpTts({ apiKey, baseUrl: emulator.url, connections });
    return openVoice(provider, { voice: 'some one', options });
  }

  it('speaks in order, to the letter, with the route of the WebSocket', async () => {
    await start();
    const call = open(undefined, {
      voice_settings: { stability: 0.9 },
      inactivity_timeout: 30,
      enable_logging: false,
      seed: 7,
    });
    expect(await say(call, 'a', 'Hello there. ', 'How are you today?')).toBe('Hello there.How are you today?');
    expect(emulator.requests[0]?.url).toBe(
      '/v1/text-to-speech/some%20one/stream?enable_logging=false&output_format=ulaw_8000',
    );
    expect(JSON.parse(emulator.received[0]?.text ?? '')).toEqual({
      language_code: 'en',
      seed: 7,
      voice_settings: { stability: 0.9 },
      model_id: 'eleven_flash_v2_5',
      text: 'Hello there.',
    });
    call.stream.close();
  });

  it('ends the request of a cancelled utterance', async () => {
    await start({ speed: 1 });
    const { received, stream } = open();
    stream.speak('a', 'This is a rather long sentence that nobody wants to hear to its end.');
    await received.first('audio-chunk');
    stream.cancel('a');
    expect(await idle()).toBe(true);
    stream.close();
  });

  it.each([
    ['a wrong key', 'wrong', {}, 'provider.auth'],
    [
      'no credit',
      undefined,
      { refuse: { status: 401, body: { detail: { status: 'quota_exceeded' } } } },
      'provider.no-credit',
    ],
    [
      '429',
      undefined,
      { refuse: { status: 429, body: { detail: { status: 'system_busy' } } } },
      'provider.rate-limited',
    ],
    ['500', undefined, { refuse: { status: 500 } }, 'provider.overloaded'],
    ['JSON', undefined, { garbageAfter: 0 }, 'provider.protocol'],
    ['an MP3 file', undefined, { audio: 'mp3' }, 'provider.protocol'],
    ['no audio', undefined, { audio: 'empty' }, 'provider.protocol'],
    ['a cut line', undefined, { closeAfter: { messages: 1, code: 1006 } }, 'provider.closed'],
  ] as const)('reports %s once', async (_what, apiKey, faults, code) => {
    await start({ faults });
    const { received, stream } = open(apiKey);
    stream.speak('a', 'Does anybody hear me, out there?');
    stream.finish('a');
    await received.failedWith('utterance-failed', code);
    stream.close();
    expect(await idle()).toBe(true);
  });
});

describe('the WebSocket with HTTP behind it', () => {
  function open(options: { apiKey?: string; connectTimeoutMs?: number } = {}): VoiceCall {
    const { apiKey = emulator.settings.apiKey, connectTimeoutMs = 10_000 } = options;
    return openVoice(createElevenLabsTts({ apiKey, baseUrl: emulator.url, connections, connectTimeoutMs }));
  }

  it('does not use it while the WebSocket speaks', async () => {
    await start();
    const call = open();
    expect(await say(call, 'a', 'Hello there.')).toBe('Hello there.');
    expect(asked('/stream?')).toBe(0);
    call.stream.close();
  });

  it.each([
    ['cannot be opened', { refuse: { status: 503 } }],
    ['is not there', { refuseConnections: true }],
    ['hangs at connect', { hang: true }],
    ['closes before it speaks', { closeAfter: { messages: 0, code: 1011 } }],
    ['says garbage before it speaks', { garbageAfter: 0 }],
  ] as const)('speaks over HTTP when it %s, from the start, and nobody is told', async (_what, faults) => {
    await start({ pathFaults: { [WEB_SOCKET]: faults } });
    const call = open({ connectTimeoutMs: 50 });
    expect(await say(call, 'a', 'Hello there.', 'How are you?')).toBe('Hello there.How are you?');
    expect(await say(call, 'b', 'Second.')).toBe('Second.');
    expect(call.received.parts.filter((part) => 'error' in part)).toEqual([]);
    expect(asked('/stream?')).toBe(3);
    call.stream.close();
  });

  it('fails what is half heard, and speaks the next utterance over HTTP', async () => {
    await start({ speed: 1 });
    const call = open();
    call.stream.speak('a', 'Hi. This takes its time.');
    await call.received.first('audio-chunk');
    emulator.disconnect(1006);
    await call.received.failedWith('utterance-failed', 'provider.closed');
    emulator.settings.speed = 100;
    expect(await say(call, 'b', 'Second.')).toBe('Second.');
    expect(asked('/stream?')).toBe(1);
    call.stream.close();
    await until('the socket gone', () => asked(WEB_SOCKET) === 1);
  });

  it.each([
    ['a wrong key', { apiKey: 'wrong' }, {}, 'provider.auth'],
    [
      'no credit',
      {},
      { refuse: { status: 401, body: { detail: { status: 'quota_exceeded' } } } },
      'provider.no-credit',
    ],
    ['429', {}, { refuse: { status: 429, retryAfterSeconds: 2 } }, 'provider.rate-limited'],
  ] as const)('tells of %s at once', async (_what, options, faults, code) => {
    await start({ faults });
    const call = open(options);
    call.stream.speak('a', 'Hello?');
    call.stream.finish('a');
    await call.received.failedWith('stream-failed', code);
    expect(asked('/stream?')).toBe(0);
    call.stream.close();
  });

  it('tells when HTTP fails too', async () => {
    await start({ faults: { refuse: { status: 500 } } });
    const call = open();
    call.stream.speak('a', 'Hello?');
    call.stream.finish('a');
    await call.received.failedWith('stream-failed', 'provider.overloaded');
    expect(asked('/stream?')).toBe(1);
    call.stream.close();
    expect(await idle()).toBe(true);
  });

  it('releases everything on abort and close at every stage', async () => {
    await start({ speed: 5, pathFaults: { [WEB_SOCKET]: { refuse: { status: 500 } } } });
    for (const end of ['close', 'abort'] as const) {
      for (const waitMs of [0, 1, 5, 20, 60]) {
        const { received, stream } = open();
        stream.speak('a', 'Hello there, whoever you are.');
        if (waitMs > 0) await sleep(waitMs);
        received.expectNoMore();
        if (end === 'close') stream.close();
        else received.controller.abort();
        stream.speak('a', 'More.');
        stream.finish('a');
        stream.close();
      }
    }
    expect(await idle()).toBe(true);
  });
});

describe('a voice with another behind it, on a virtual clock', () => {
  /** Two providers whose streams record what they are given and say what the test makes them say. */
  function rig() {
    const clock = new VirtualClock();
    const parts: TtsPart[] = [];
    const opened: { name: string; given: string[]; say: Sink<TtsPart>; closed: boolean }[] = [];
    const provider = (name: string): TtsProvider => ({
      name,
      open(_request, sink) {
        const stream = { name, given: [] as string[], say: sink, closed: false };
        opened.push(stream);
        return {
          speak: (id, text) => stream.given.push(`${id}: ${text}`),
          finish: (id) => stream.given.push(`${id}.`),
          cancel: (id) => stream.given.push(`${id} cancelled`),
          close: () => (stream.closed = true),
        };
      },
    });
    const stream = withFallback(provider('socket'), provider('http')).open(
      { language: 'en' },
      (part) => parts.push(part),
      { log: silentLog, clock, signal: new AbortController().signal },
    );
    const error = new BvraiError('provider.closed', 'gone');
    const latest = () => {
      const last = opened.at(-1);
      if (last === undefined) throw new Error('nothing was opened');
      return last;
    };
    return { clock, parts, opened, stream, latest, lose: () => latest().say({ type: 'stream-failed', error }) };
  }

  it('gives the fallback everything of an unheard utterance, and 700 ms', () => {
    const { clock, parts, stream, latest, lose } = rig();
    stream.speak('a', 'One.');
    stream.speak('a', 'Two.');
    stream.finish('a');
    lose();
    expect(latest()).toMatchObject({ name: 'http', given: ['a: One.', 'a: Two.', 'a.'] });
    clock.advance(699);
    expect(parts).toEqual([]);
    clock.advance(1);
    expect(parts).toMatchObject([{ type: 'stream-failed', error: { code: 'provider.closed' } }]);
    expect(latest().closed).toBe(true);
  });

  it('is in time with its first audio', () => {
    const { clock, parts, stream, latest, lose } = rig();
    stream.speak('a', 'One.');
    lose();
    clock.advance(600);
    latest().say({ type: 'audio-chunk', utteranceId: 'a', audio: new Uint8Array(8) });
    clock.advance(5_000);
    expect(parts.map(({ type }) => type)).toEqual(['audio-chunk']);
  });

  it('opens the first voice again after a while, between utterances, and later after each further loss', () => {
    const { clock, parts, opened, stream, latest, lose } = rig();
    lose();
    stream.speak('a', 'One.');
    clock.advance(15_000);
    expect(latest().name).toBe('http');
    latest().say({ type: 'utterance-finished', utteranceId: 'a' });
    expect(latest().name).toBe('socket');
    lose();
    clock.advance(29_999);
    expect(latest().name).toBe('http');
    clock.advance(1);
    expect(latest().name).toBe('socket');
    stream.speak('b', 'Two.');
    expect(latest().given).toEqual(['b: Two.']);
    stream.close();
    expect(opened.filter(({ name, closed }) => name === 'http' && !closed)).toEqual([]);
    expect(parts).toEqual([{ type: 'utterance-finished', utteranceId: 'a' }]);
  });

  it('does not say again what was cancelled', () => {
    const { stream, latest, lose } = rig();
    stream.speak('a', 'One.');
    stream.cancel('a');
    stream.speak('a', 'Late.');
    lose();
    expect(latest().given).toEqual([]);
  });
});
