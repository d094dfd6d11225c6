import { describe, expect, it } from 'vitest';
import { startDeepgramEmulator } from '../../bench/emulators/deepgram.ts';
import type { DeepgramEmulatorSettings } from '../../bench/emulators/deepgram.ts';
import { createDeepgramTts } from '../../src/pipeline/providers/deepgram/tts.ts';
import { sleep, until } from './harness.ts';
import { EmulatedVoice, ttsContract } from './tts-contract.ts';
import { heard, say } from './voice-call.ts';

const voice = new EmulatedVoice<DeepgramEmulatorSettings>(
  (settings) => startDeepgramEmulator({ auraFirstAudioMs: 5, auraSpeed: 100, ...settings }),
  createDeepgramTts,
);

const sent = () => voice.texts.map((text) => (JSON.parse(text) as { type: string }).type);

describe('deepgram aura', () => {
  it('asks for the route’s voice, flushes at the end of each utterance, and takes its leave', async () => {
    await voice.start();
    const call = voice.open();
    expect(await say(call, 'a', 'Hello there.', 'How are you today? ')).toBe('Hello there. How are you today?');
    expect(voice.emulator.requests[0]?.url).toBe('/v1/speak?model=aura-2-thalia-en&encoding=mulaw&sample_rate=8000');
    call.stream.close();
    await voice.gone();
    expect(sent().at(-1)).toBe('Close');
  });

  it('clears what it sent of a cancelled utterance, and keeps the socket', async () => {
    await voice.start({ auraSpeed: 10, auraChunkMs: 60 });
    const call = voice.open();
    call.stream.speak('a', 'This is a rather long sentence that nobody wants to hear to its end.');
    call.stream.finish('a');
    await call.received.first('audio-chunk', 3);
    call.stream.cancel('a');
    expect(await say(call, 'b', 'Sorry.')).toBe('Sorry.');
    expect(sent()).toContain('Clear');
    call.stream.close();
    await voice.gone();
    expect(voice.emulator.requests).toHaveLength(1);
  });

  it('flushes the first clause at once, and no other while the audio before it lasts', async () => {
    await voice.start();
    const { received, stream } = voice.open();
    stream.speak('a', 'This first clause is long enough to be heard for a good while, more than two seconds.');
    await received.first('audio-chunk');
    for (const clause of ['One more.', 'And another.', 'And a last one.']) {
      stream.speak('a', clause);
      await sleep(20);
    }
    expect(sent().filter((type) => type === 'Flush')).toHaveLength(1);
    stream.finish('a');
    await received.first('utterance-finished');
    expect(heard(received, 'a')).toMatch(/seconds\. One more\. And another\. And a last one\.$/);
    expect(sent().filter((type) => type === 'Flush')).toHaveLength(2);
    stream.close();
    await voice.gone();
  });

  it('flushes text that waits when the audio before it runs out, although the utterance has not ended', async () => {
    await voice.start();
    const { received, stream } = voice.open();
    // 13 characters are heard for 780 ms: there are 80 ms to spare before the second clause must be flushed.
    stream.speak('a', 'Just a moment');
    await received.first('audio-chunk', 3);
    stream.speak('a', 'Here it is.');
    await until('the second clause', () => heard(received, 'a') === 'Just a moment Here it is.');
    expect(received.of('utterance-finished')).toEqual([]);
    stream.finish('a');
    await received.first('utterance-finished');
    expect(sent().filter((type) => type === 'Flush')).toHaveLength(2);
    stream.close();
    await voice.gone();
  });

  it('opens another socket when a Clear is not answered', async () => {
    await voice.start();
    const call = voice.open();
    await until('open', () => voice.emulator.requests.length === 1);
    voice.emulator.settings.faults = { stallAfter: 1 };
    call.stream.speak('a', 'Never heard.');
    await until('the text', () => sent().includes('Flush'));
    call.stream.cancel('a');
    voice.emulator.settings.faults = { ...voice.emulator.settings.faults };
    await until('the clear', () => sent().includes('Clear'));
    voice.emulator.settings.faults = {};
    expect(await say(call, 'b', 'Heard.')).toBe('Heard.');
    call.stream.close();
    await voice.gone();
  });

  it('goes on with another socket when utterances have used the flushes of a minute up', async () => {
    await voice.start({ auraFirstAudioMs: 0, auraSpeed: 10_000 });
    const call = voice.open();
    for (let n = 0; n < 40; n++) expect(await say(call, `u${n}`, `Number ${n}.`)).toBe(`Number ${n}.`);
    expect(sent().filter((type) => type === 'Flush')).toHaveLength(40);
    call.stream.close();
    await voice.gone();
  });

  ttsContract(voice, {
    wire: 'socket',
    joint: ' ',
    messagesToAudio: 3,
    knowsWrongAudio: ['wav', 'mp3', 'pcm-16khz', 'empty'],
    setSpeed: (speed) => (voice.emulator.settings.auraSpeed = speed),
    faults: [{ what: 'a voice that there is not', request: { voice: 'nobody' }, code: 'provider.bad-request' }],
  });
});
