import { describe, expect, it } from 'vitest';
import { startDeepgramEmulator } from '../../bench/emulators/deepgram.ts';
import type { DeepgramEmulatorSettings } from '../../bench/emulators/deepgram.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { createDeepgramTts } from '../../src/pipeline/providers/deepgram/tts.ts';
import { until } from './harness.ts';
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
    // Its time stands still: the audio before lasts.
    const { received, stream } = voice.open({ clock: new VirtualClock() });
    stream.speak('a', 'This first clause is long enough to be heard for a good while, more than two seconds.');
    await received.first('audio-chunk');
    for (const clause of ['One more.', 'And another.', 'And a last one.']) stream.speak('a', clause);
    await until('the clauses', () => sent().filter((type) => type === 'Speak').length === 4);
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
    const clock = new VirtualClock();
    const { received, stream } = voice.open({ clock });
    // With the space after it this is heard for 840 ms: there are 140 to spare before the second clause must be flushed.
    stream.speak('a', 'Just a moment');
    await until('the first clause', () => heard(received, 'a') === 'Just a moment');
    stream.speak('a', 'Here it is.');
    await until('the wait for that', () => clock.pendingTimers === 1);
    clock.advance(139);
    expect(clock.pendingTimers).toBe(1);
    clock.advance(1);
    expect(clock.pendingTimers).toBe(0);
    await until('the second clause', () => heard(received, 'a') === 'Just a moment Here it is.');
    expect(received.of('utterance-finished')).toEqual([]);
    stream.finish('a');
    await received.first('utterance-finished');
    expect(sent().filter((type) => type === 'Flush')).toHaveLength(2);
    stream.close();
    await voice.gone();
  });

  it('opens another socket when a Clear is not answered', async () => {
    await voice.start({ faults: { stallAfter: 1 } });
    const clock = new VirtualClock();
    const call = voice.open({ clock });
    call.stream.speak('a', 'Never heard.');
    await until('the text', () => sent().includes('Flush'));
    call.stream.cancel('a');
    await until('the clear', () => sent().includes('Clear'));
    voice.emulator.settings.faults = {};
    const saying = say(call, 'b', 'Heard.');
    clock.advance(499);
    expect(voice.emulator.requests).toHaveLength(1);
    clock.advance(1);
    expect(await saying).toBe('Heard.');
    expect(voice.emulator.requests).toHaveLength(2);
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
