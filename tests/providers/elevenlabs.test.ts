import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from 'vitest';
import { startElevenLabsEmulator } from '../../bench/emulators/elevenlabs.ts';
import type { ElevenLabsEmulatorSettings } from '../../bench/emulators/elevenlabs.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { createElevenLabsTts } from '../../src/pipeline/providers/elevenlabs/tts.ts';
import type { TtsPart } from '../../src/pipeline/providers/spec.ts';
import type { Received } from './harness.ts';
import { sleep, until } from './harness.ts';
import { EmulatedVoice, idleCloseSeen, ttsContract } from './tts-contract.ts';
import { heard, say } from './voice-call.ts';

const voice = new EmulatedVoice<ElevenLabsEmulatorSettings>(
  (settings) => startElevenLabsEmulator({ firstAudioMs: 5, speed: 100, ...settings }),
  // Without connections: without HTTP behind the WebSocket, for which see elevenlabs-http.test.ts.
  (access) => createElevenLabsTts(access),
  { voice: 'someone' },
);

function spoken(received: Received<TtsPart>, utteranceId: string): string {
  const chunks = received.of('audio-chunk').filter((part) => part.utteranceId === utteranceId);
  return chunks
    .flatMap((part) => part.spans ?? [])
    .map(({ text }) => text)
    .join('');
}

const messages = () => voice.texts.map((text): unknown => JSON.parse(text));

describe('elevenlabs', () => {
  it('aligns the text to the audio, and speaks each utterance by a context of its own', async () => {
    await voice.start();
    const { received, stream } = voice.open();
    stream.speak('a', 'Hello there.');
    stream.speak('a', 'How are you today? ');
    stream.finish('a');
    await received.first('utterance-finished');
    expect(heard(received, 'a')).toBe('Hello there. How are you today?');
    expect(spoken(received, 'a')).toBe('Hello there. How are you today? ');
    for (const part of received.of('audio-chunk')) {
      const end = part.spans?.at(-1);
      expect((end?.startMs ?? 0) + (end?.durationMs ?? 0)).toBe(part.audio.length / 8);
    }
    expect(received.parts.at(-1)).toEqual({ type: 'utterance-finished', utteranceId: 'a' });
    stream.speak('b', 'Second.');
    stream.finish('b');
    await received.first('utterance-finished', 2);
    expect(heard(received, 'b')).toBe('Second.');
    expect(messages().slice(0, 5)).toEqual([
      { text: ' ', context_id: 'u1', voice_settings: { stability: 0.5, similarity_boost: 0.8 } },
      { text: 'Hello there. ', context_id: 'u1' },
      { text: 'How are you today? ', context_id: 'u1' },
      { context_id: 'u1', flush: true },
      { context_id: 'u1', close_context: true },
    ]);
    stream.close();
    await voice.gone();
    expect(voice.emulator.received.at(-1)?.text).toBe('{"close_socket":true}');
    expect(new Set(voice.emulator.received.map(({ connection }) => connection)).size).toBe(1);
  });

  it.each(['chars', 'none'] as const)('lives with alignment %s', async (alignment) => {
    await voice.start({ alignment });
    const { received, stream } = voice.open();
    stream.speak('a', 'Aligned or not.');
    stream.finish('a');
    await received.first('utterance-finished');
    expect(heard(received, 'a')).toBe('Aligned or not.');
    expect(spoken(received, 'a').trim()).toBe(alignment === 'chars' ? 'Aligned or not.' : '');
    stream.close();
    await voice.gone();
  });

  it('never has more than five contexts, cancelled ones included', async () => {
    await voice.start({ speed: 20, chunkMs: 60 });
    const { received, stream } = voice.open();
    await until('open', () => voice.emulator.connections === 1);
    for (let n = 0; n < 12; n++) {
      stream.speak(`u${n}`, 'Something that takes a while.');
      if (n < 11) await sleep(5);
      if (n < 11) stream.cancel(`u${n}`);
    }
    stream.finish('u11');
    await received.first('utterance-finished');
    expect(heard(received, 'u11')).toBe('Something that takes a while.');
    expect(received.parts.filter((part) => part.type === 'stream-failed')).toEqual([]);
    stream.close();
    await voice.gone();
  });

  it('opens another socket when cancelled contexts do not end', async () => {
    await voice.start({ firstAudioMs: 100_000 });
    const clock = new VirtualClock();
    const { received, stream } = voice.open({ clock });
    await until('open', () => voice.emulator.connections === 1);
    for (let n = 0; n < 5; n++) {
      stream.speak(`z${n}`, 'Never heard.');
      await until('the text to arrive', () => voice.emulator.received.length >= 2 + n * 3);
      stream.cancel(`z${n}`);
    }
    voice.emulator.settings.firstAudioMs = 5;
    stream.speak('a', 'Heard.');
    stream.finish('a');
    clock.advance(999);
    expect(voice.emulator.requests).toHaveLength(1);
    clock.advance(1);
    await received.first('utterance-finished');
    expect(heard(received, 'a')).toBe('Heard.');
    expect(voice.emulator.requests).toHaveLength(2);
    stream.close();
    await voice.gone();
  });

  it.each(['cancelled', 'failed'])('drops what the vendor still says of an utterance that has %s', async (how) => {
    await voice.start({ speed: 10 });
    const call = voice.open();
    const { received, stream } = call;
    let ended = 0;
    voice.emulator.watch(({ direction, message }) => {
      if (direction === 'sent' && isDeepStrictEqual(message, { isFinal: true, contextId: 'u1' })) ended++;
    });
    stream.speak('a', 'This is a rather long sentence that nobody wants to hear to its end.');
    await received.first('audio-chunk');
    // More utterances than a stream may have at a time, without words.
    const others = Array.from({ length: 65 }, (_, n) => `other-${n}`);
    for (const id of others) stream.speak(id, ' ');
    if (how === 'cancelled') stream.cancel('a');
    else stream.speak('a', 'And this is too much.');
    stream.finish('a');
    if (how === 'failed') await received.failedWith('utterance-failed', 'provider.overloaded');
    for (const id of others) stream.cancel(id);
    const heardSoFar = received.of('audio-chunk').length;
    voice.emulator.settings.speed = 1_000;
    await until('its end', () => ended === 1);
    expect(await say(call, 'b', 'Sorry.')).toBe('Sorry.');
    expect(received.of('audio-chunk').filter((part) => part.utteranceId === 'a')).toHaveLength(heardSoFar);
    const ofContext = messages().filter((message) =>
      isDeepStrictEqual(message, { ...Object(message), context_id: 'u1' }),
    );
    expect(ofContext.slice(2)).toEqual([{ context_id: 'u1', close_context: true }]);
    stream.close();
    await voice.gone();
  });

  it('keeps an idle socket and a waiting context alive', async () => {
    await voice.start();
    const clock = new VirtualClock();
    const { received, stream } = voice.open({ clock, request: { options: { inactivity_timeout: 30 } } });
    const kept = (message: object) => messages().filter((each) => isDeepStrictEqual(each, message)).length;
    stream.speak('a', 'One.');
    await until('the first clause', () => heard(received, 'a') === 'One.');
    // A third of what the address allows.
    clock.advance(9_999);
    stream.speak('a', 'Two.');
    await until('the second clause', () => heard(received, 'a') === 'One. Two.');
    expect(kept({ text: '', context_id: 'u1' })).toBe(0);
    clock.advance(1);
    await until('a word for the context', () => kept({ text: '', context_id: 'u1' }) === 1);
    stream.finish('a');
    await received.first('utterance-finished');
    expect(kept({ text: '' })).toBe(0);
    clock.advance(10_000);
    await until('a word for the socket', () => kept({ text: '' }) === 1);
    clock.advance(10_000);
    await until('another', () => kept({ text: '' }) === 2);
    expect(new Set(voice.emulator.received.map(({ connection }) => connection)).size).toBe(1);
    stream.close();
    await voice.gone();
  });

  it('opens another socket for the next utterance when the vendor says that it was idle', async () => {
    await voice.start();
    const call = voice.open();
    await say(call, 'a', 'One.');
    voice.emulator.disconnect(1008, 'input_timeout_exceeded');
    await idleCloseSeen(call);
    expect(await say(call, 'b', 'Two.')).toBe('Two.');
    call.stream.close();
    await voice.gone();
  });

  it('takes the vendor’s word that it was idle, unless something is being said', async () => {
    await voice.start();
    // Its time stands still: it keeps nothing alive.
    const given = { clock: new VirtualClock(), request: { options: { inactivity_timeout: 0.5 } } };
    const idle = voice.open(given);
    expect(await say(idle, 'a', 'One.')).toBe('One.');
    await voice.gone();
    expect(await say(idle, 'b', 'Two.')).toBe('Two.');
    idle.stream.close();
    voice.emulator.settings.speed = 1;
    const heardOut = voice.open(given);
    heardOut.stream.speak('a', 'Hi. This takes its time.');
    await heardOut.received.failedWith('stream-failed', 'provider.closed');
    await voice.gone();
  });

  it('fails when the vendor takes it for idle in mid-utterance', async () => {
    await voice.start({ speed: 1 });
    const { received, stream } = voice.open();
    stream.speak('a', 'Hi. This takes its time.');
    await received.first('audio-chunk');
    voice.emulator.disconnect(1008, 'input_timeout_exceeded');
    await received.failedWith('stream-failed', 'provider.closed');
    await voice.gone();
  });

  ttsContract(voice, {
    wire: 'socket',
    joint: ' ',
    messagesToAudio: 2,
    knowsWrongAudio: ['wav', 'mp3', 'pcm-16khz', 'empty'],
    setSpeed: (speed) => (voice.emulator.settings.speed = speed),
    faults: [
      {
        what: '429 for a busy system',
        faults: { refuse: { status: 429, retryAfterSeconds: 2, body: { detail: { status: 'system_busy' } } } },
        code: 'provider.rate-limited',
        retryAfterMs: 2_000,
      },
    ],
  });
});
