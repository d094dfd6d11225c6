import { describe, expect, it, vi } from 'vitest';
import { startOpenAiEmulator } from '../../bench/emulators/openai.ts';
import type { OpenAiEmulatorSettings } from '../../bench/emulators/openai.ts';
import { OpusStreamDecoder } from '../../src/media/audio/opus.ts';
import { createOpenAiTts } from '../../src/pipeline/providers/openai/tts.ts';
import type { TtsRequest } from '../../src/pipeline/providers/spec.ts';
import type { FaultCase } from './fault-cases.ts';
import { until } from './harness.ts';
import { EmulatedVoice, ttsContract } from './tts-contract.ts';
import { heard, say } from './voice-call.ts';

function emulated(options: Readonly<Record<string, unknown>>): EmulatedVoice<OpenAiEmulatorSettings> {
  return new EmulatedVoice<OpenAiEmulatorSettings>(
    (settings) => startOpenAiEmulator({ speechFirstAudioMs: 5, speechSpeed: 100, ...settings }),
    (access, connections) => createOpenAiTts({ ...access, connections }),
    { voice: 'alloy', options },
  );
}

const NO_CREDIT: FaultCase<TtsRequest> = {
  what: '429 for want of credit',
  faults: { refuse: { status: 429, body: { error: { code: 'insufficient_quota' } } } },
  code: 'provider.no-credit',
};

describe('openai speech', () => {
  const voice = emulated({});
  const inputs = () => voice.texts.map((text) => (JSON.parse(text) as { input: string }).input);

  it('makes a request of each clause', async () => {
    await voice.start();
    const call = voice.open();
    expect(await say(call, 'a', 'Hello there. ', 'How are you today?')).toBe('Hello there.How are you today?');
    expect(await say(call, 'b', 'Second.')).toBe('Second.');
    expect(inputs()).toEqual(['Hello there.', 'How are you today?', 'Second.']);
    call.stream.close();
  });

  ttsContract(voice, {
    wire: 'http',
    joint: '',
    messagesToAudio: 1,
    knowsWrongAudio: ['wav', 'mp3', 'empty'],
    setSpeed: (speed) => (voice.emulator.settings.speechSpeed = speed),
    faults: [NO_CREDIT],
  });
});

describe('openai speech in Ogg Opus', () => {
  const voice = emulated({ response_format: 'opus' });
  const bodies = () => voice.texts.map((text) => JSON.parse(text) as unknown);

  it('asks for it, and is heard to the letter whatever is said before', async () => {
    await voice.start();
    const call = voice.open();
    expect(await say(call, 'a', 'Hello there. ', 'Mississippi bookkeepers: 1223!')).toBe(
      'Hello there.Mississippi bookkeepers: 1223!',
    );
    expect(bodies()).toContainEqual(expect.objectContaining({ response_format: 'opus' }));
    call.stream.close();
  });

  it('speaks as soon as the first packet has come', async () => {
    await voice.start({ faults: { stallAfter: 1 } });
    const call = voice.open();
    call.stream.speak('a', 'Hello there, whoever you are.');
    await call.received.first('audio-chunk');
    await until('the first page', () => heard(call.received, 'a').startsWith('Hel'));
    call.stream.close();
    await voice.idle();
  });

  it('keeps its decoders, wherever their streams stopped', async () => {
    await voice.start();
    const create = vi.spyOn(OpusStreamDecoder, 'create');
    const provider = voice.provider();
    const calls = [voice.open({ provider }), voice.open({ provider })];
    for (const [index, call] of calls.entries())
      call.stream.speak('cut', `Nobody hears the end of this, number ${index}.`);
    await Promise.all(calls.map(({ received }) => received.first('audio-chunk')));
    for (const { stream } of calls) stream.cancel('cut');
    await voice.idle();
    for (const call of calls) expect(await say(call, 'a', 'Good again.')).toBe('Good again.');
    for (const { stream } of calls) stream.close();
    expect(create.mock.calls.length).toBeLessThanOrEqual(2);
    create.mockRestore();
  });

  ttsContract(voice, {
    wire: 'http',
    joint: '',
    messagesToAudio: 1,
    knowsWrongAudio: ['wav', 'mp3', 'pcm-16khz', 'empty'],
    knowsGarbage: true,
    setSpeed: (speed) => (voice.emulator.settings.speechSpeed = speed),
    faults: [NO_CREDIT],
  });
});
