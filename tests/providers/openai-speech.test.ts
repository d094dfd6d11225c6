import { describe, expect, it } from 'vitest';
import { startOpenAiEmulator } from '../../bench/emulators/openai.ts';
import type { OpenAiEmulatorSettings } from '../../bench/emulators/openai.ts';
import { createOpenAiTts } from '../../src/pipeline/providers/openai/tts.ts';
import { EmulatedVoice, ttsContract } from './tts-contract.ts';
import { say } from './voice-call.ts';

const voice = new EmulatedVoice<OpenAiEmulatorSettings>(
  (settings) => startOpenAiEmulator({ speechFirstAudioMs: 5, speechSpeed: 100, ...settings }),
  (access, connections) => createOpenAiTts({ ...access, connections }),
  { voice: 'alloy' },
);

const inputs = () => voice.texts.map((text) => (JSON.parse(text) as { input: string }).input);

describe('openai speech', () => {
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
    faults: [
      {
        what: '429 for want of credit',
        faults: { refuse: { status: 429, body: { error: { code: 'insufficient_quota' } } } },
        code: 'provider.no-credit',
      },
    ],
  });
});
