import { describe, expect, it } from 'vitest';
import { startDeepgramEmulator } from '../../bench/emulators/deepgram.ts';
import type { DeepgramEmulatorSettings } from '../../bench/emulators/deepgram.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { createDeepgramStt } from '../../src/pipeline/providers/deepgram/stt.ts';
import { silence, sleep, speech, until } from './harness.ts';
import { EmulatedStt, hear, sttContract } from './stt-contract.ts';

const stt = new EmulatedStt<DeepgramEmulatorSettings>(startDeepgramEmulator, createDeepgramStt, {
  model: 'flux-general-en',
  language: 'en',
  phrases: ['bvrai'],
});

describe('deepgram flux', () => {
  it('tells turns: begun, growing, likely over, over', async () => {
    await stt.start({ transcripts: ['Hello there, my friend.', 'Bye.'] });
    const { received, stream } = stt.open();
    hear(stream, silence(400), speech(1_200), silence(1_000));
    const ended = await received.first('turn-ended');
    expect(ended).toMatchObject({ text: 'Hello there, my friend.' });
    expect(ended.confidence).toBeGreaterThan(0.9);
    expect(received.parts[0]).toEqual({ type: 'stream-opened' });
    const types = received.parts.map(({ type }) => type).filter((type) => type !== 'transcript-interim');
    expect(types).toEqual(['stream-opened', 'speech-started', 'turn-end-likely', 'turn-ended']);
    expect(received.of('transcript-interim').map(({ text }) => text)).toContain('Hello there, my');
    expect(received.of('turn-end-likely')).toEqual([{ type: 'turn-end-likely', text: 'Hello there, my friend.' }]);
    hear(stream, speech(400), silence(1_000));
    expect(await received.first('turn-ended', 2)).toMatchObject({ text: 'Bye.' });
    received.expectNoMore();
    stream.close();
    await stt.gone();
    // Neither Finalize nor KeepAlive: this API knows none.
    expect(stt.texts).toEqual(['{"type":"CloseStream"}']);
  });

  it('takes a likely end back when the caller goes on', async () => {
    await stt.start({ transcripts: [{ text: 'Tell me a story about trains.', speechMs: 2_180 }] });
    const { received, stream } = stt.open();
    hear(stream, speech(1_000), silence(180), speech(1_000), silence(1_000));
    const ended = await received.first('turn-ended');
    expect(ended.text).toBe('Tell me a story about trains.');
    const types = received.parts.map(({ type }) => type).filter((type) => type.startsWith('turn'));
    expect(types).toEqual(['turn-end-likely', 'turn-resumed', 'turn-end-likely', 'turn-ended']);
    const [early] = received.of('turn-end-likely');
    expect(ended.text.startsWith(early?.text ?? '?')).toBe(true);
    expect(early?.text).not.toBe(ended.text);
    stream.close();
    await stt.gone();
  });

  it('has no turn in noise, and no likely end when the route turns it off', async () => {
    await stt.start({ transcripts: ['', 'Yes.'] });
    const { received, stream } = stt.open({ request: { options: { eager_eot_threshold: null } } });
    hear(stream, speech(400), silence(1_000), speech(400), silence(1_000));
    await received.first('turn-ended');
    expect(received.of('speech-started')).toHaveLength(1);
    expect(received.of('turn-end-likely')).toEqual([]);
    stream.close();
    await stt.gone();
  });

  it('sends chunks of 80 ms, and what is left at once when speech has ended', async () => {
    await stt.start();
    // Its time stands still: no gap in the audio.
    const { received, stream } = stt.open({ clock: new VirtualClock() });
    await received.first('stream-opened');
    hear(stream, silence(60));
    await sleep(30);
    expect(stt.emulator.audioBytes).toBe(0);
    hear(stream, silence(40));
    await until('a chunk', () => stt.emulator.audioBytes === 640);
    stream.hint('speech-ended');
    await until('the rest', () => stt.emulator.audioBytes === 800);
    // Nothing is left: no empty frame.
    stream.hint('speech-ended');
    stream.write(new Uint8Array(0));
    hear(stream, silence(80));
    await until('another chunk', () => stt.emulator.audioBytes === 1_440);
    stream.close();
    await stt.gone();
  });

  it('fills gaps with silence, so that a turn ends although audio has stopped', async () => {
    await stt.start({ transcripts: ['Yes.'] });
    const clock = new VirtualClock();
    const { received, stream } = stt.open({ clock });
    await received.first('stream-opened');
    stream.write(speech(420));
    clock.advance(190);
    await until('the whole chunks', () => stt.emulator.audioBytes === 400 * 8);
    expect(received.of('turn-ended')).toEqual([]);
    clock.advance(10);
    await until('the rest and silence', () => stt.emulator.audioBytes === 500 * 8);
    // In real time: 80 ms every 80 ms.
    clock.advance(800);
    await until('silence', () => stt.emulator.audioBytes === 1_300 * 8);
    expect(await received.first('turn-ended')).toMatchObject({ text: 'Yes.' });
    stream.write(silence(80));
    clock.advance(199);
    await until('audio again', () => stt.emulator.audioBytes === 1_380 * 8);
    clock.advance(1);
    await until('silence again', () => stt.emulator.audioBytes === 1_460 * 8);
    stream.close();
    await stt.gone();
    await until('no timers', () => clock.pendingTimers === 0);
  });

  sttContract(stt, {
    final: 'turn-ended',
    messagesUnderWay: 2,
    announcesSession: false,
    faults: [
      {
        what: 'a threshold that is none',
        request: { options: { eot_threshold: 7 } },
        code: 'provider.bad-request',
      },
    ],
  });
});
