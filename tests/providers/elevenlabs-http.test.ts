/** ElevenLabs over HTTP, and as what stands behind its WebSocket. */
import { describe, expect, it } from 'vitest';
import { startElevenLabsEmulator } from '../../bench/emulators/elevenlabs.ts';
import type { ElevenLabsEmulatorSettings } from '../../bench/emulators/elevenlabs.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import { BvraiError } from '../../src/core/errors.ts';
import { createElevenLabsHttpTts } from '../../src/pipeline/providers/elevenlabs/http-tts.ts';
import { createElevenLabsTts } from '../../src/pipeline/providers/elevenlabs/tts.ts';
import { withFallback } from '../../src/pipeline/providers/elevenlabs/with-fallback.ts';
import type { Sink, TtsPart, TtsProvider } from '../../src/pipeline/providers/spec.ts';
import type { Emulate } from './emulated.ts';
import { sleep, until } from './harness.ts';
import { EmulatedVoice, ttsContract } from './tts-contract.ts';
import { say } from './voice-call.ts';

const emulate: Emulate<ElevenLabsEmulatorSettings> = (settings) =>
  startElevenLabsEmulator({ firstAudioMs: 5, speed: 100, ...settings });

const WEB_SOCKET = 'multi-stream-input';

describe('elevenlabs over http', () => {
  const voice = new EmulatedVoice<ElevenLabsEmulatorSettings>(
    emulate,
    (access, connections) => createElevenLabsHttpTts({ ...access, connections }),
    { voice: 'some one' },
  );

  it('counts what was taken to be spoken, whether it was heard or not, and nothing that was refused', async () => {
    await voice.start({ firstAudioMs: 10_000 });
    const dropped = voice.open();
    dropped.stream.speak('a', 'Never héard.');
    await until('the request', () => voice.emulator.activeRequests === 1);
    dropped.stream.cancel('a');
    const counted = { provider: 'elevenlabs', model: 'eleven_flash_v2_5', characters: 'Never heard.'.length };
    expect(dropped.received.usage.total().tts).toEqual([counted]);
    voice.emulator.settings.faults = { refuse: { status: 503 } };
    const refused = voice.open();
    refused.stream.speak('a', 'Refused.');
    await refused.received.first('utterance-failed');
    expect(refused.received.usage.total().tts).toEqual([]);
  });

  it('makes a request of each clause, with the route of the WebSocket', async () => {
    await voice.start();
    const options = { voice_settings: { stability: 0.9 }, inactivity_timeout: 30, enable_logging: false, seed: 7 };
    const call = voice.open({ request: { options } });
    expect(await say(call, 'a', 'Hello there. ', 'How are you today?')).toBe('Hello there.How are you today?');
    expect(voice.emulator.requests[0]?.url).toBe(
      '/v1/text-to-speech/some%20one/stream?enable_logging=false&output_format=ulaw_8000',
    );
    expect(JSON.parse(voice.texts[0] ?? '')).toEqual({
      language_code: 'en',
      seed: 7,
      voice_settings: { stability: 0.9 },
      model_id: 'eleven_flash_v2_5',
      text: 'Hello there.',
    });
    call.stream.close();
  });

  ttsContract(voice, {
    wire: 'http',
    joint: '',
    messagesToAudio: 1,
    // 16-bit samples are found by the check around all that this vendor says.
    knowsWrongAudio: ['wav', 'mp3', 'empty'],
    setSpeed: (speed) => (voice.emulator.settings.speed = speed),
    faults: [
      {
        what: 'an account without credit',
        faults: { refuse: { status: 401, body: { detail: { status: 'quota_exceeded' } } } },
        code: 'provider.no-credit',
      },
      {
        what: '429 for a busy system',
        faults: { refuse: { status: 429, body: { detail: { status: 'system_busy' } } } },
        code: 'provider.rate-limited',
      },
    ],
  });
});

describe('the WebSocket with HTTP behind it', () => {
  const voice = new EmulatedVoice<ElevenLabsEmulatorSettings>(emulate, (access, connections) =>
    createElevenLabsTts({ ...access, connections }),
  );
  const asked = (part: string) => voice.emulator.requests.filter(({ url }) => url.includes(part)).length;

  it('does not use it while the WebSocket speaks', async () => {
    await voice.start();
    const call = voice.open();
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
    await voice.start({ pathFaults: { [WEB_SOCKET]: faults } });
    const call = voice.open({ access: { connectTimeoutMs: 50 } });
    expect(await say(call, 'a', 'Hello there.', 'How are you?')).toBe('Hello there.How are you?');
    expect(await say(call, 'b', 'Second.')).toBe('Second.');
    expect(call.received.parts.filter((part) => 'error' in part)).toEqual([]);
    expect(asked('/stream?')).toBe(3);
    call.stream.close();
  });

  it('fails what is half heard, and speaks the next utterance over HTTP', async () => {
    await voice.start({ speed: 1 });
    const call = voice.open();
    call.stream.speak('a', 'Hi. This takes its time.');
    await call.received.first('audio-chunk');
    voice.emulator.disconnect(1006);
    await call.received.failedWith('utterance-failed', 'provider.closed');
    voice.emulator.settings.speed = 100;
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
  ] as const)('tells of %s at once', async (_what, access, faults, code) => {
    await voice.start({ faults });
    const call = voice.open({ access });
    call.stream.speak('a', 'Hello?');
    call.stream.finish('a');
    await call.received.failedWith('stream-failed', code);
    expect(asked('/stream?')).toBe(0);
    call.stream.close();
  });

  it('tells when HTTP fails too', async () => {
    await voice.start({ faults: { refuse: { status: 500 } } });
    const call = voice.open();
    call.stream.speak('a', 'Hello?');
    call.stream.finish('a');
    await call.received.failedWith('stream-failed', 'provider.overloaded');
    expect(asked('/stream?')).toBe(1);
    call.stream.close();
    await voice.idle();
  });

  it('releases everything while HTTP speaks, too', async () => {
    await voice.start({ speed: 5, pathFaults: { [WEB_SOCKET]: { refuse: { status: 500 } } } });
    for (const end of ['close', 'abort'] as const) {
      for (const waitMs of [0, 1, 5, 20, 60]) {
        const { received, stream } = voice.open();
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
    await voice.idle();
  });

  ttsContract(voice, {
    wire: 'both',
    joint: ' ',
    messagesToAudio: 2,
    knowsWrongAudio: ['wav', 'mp3', 'pcm-16khz', 'empty'],
    setSpeed: (speed) => (voice.emulator.settings.speed = speed),
    faults: [],
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
