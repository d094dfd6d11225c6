import { describe, expect, it } from 'vitest';
import { startDeepgramEmulator } from '../../bench/emulators/deepgram.ts';
import type { DeepgramEmulatorSettings } from '../../bench/emulators/deepgram.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { createDeepgramStt } from '../../src/pipeline/providers/deepgram/stt.ts';
import { silence, speech, until } from './harness.ts';
import { EmulatedStt, sttContract } from './stt-contract.ts';

const stt = new EmulatedStt<DeepgramEmulatorSettings>(
  (settings) => startDeepgramEmulator({ finalDelayMs: 5, interimDelayMs: 0, ...settings }),
  createDeepgramStt,
  { language: 'en', phrases: ['Zimmer frame', 'bvrai'] },
);

describe('deepgram', () => {
  it('turns speech into interims, a final with word times, and the end of the utterance', async () => {
    await stt.start({ transcripts: ['Hello there, friend.', 'Bye.'] });
    const { received, stream } = stt.open();
    // Before it is open: queued, in order.
    stream.write(silence(500));
    stream.write(speech(1000));
    stream.write(silence(1200));
    await received.first('utterance-ended');
    const types = received.parts.map((part) => part.type);
    expect(types[0]).toBe('stream-opened');
    expect(types[1]).toBe('speech-started');
    expect(received.of('transcript-interim').map(({ text }) => text)).toContain('Hello there,');
    const [final] = received.of('transcript-final');
    expect(final).toMatchObject({ text: 'Hello there, friend.', speechFinal: true, fromFinalize: false });
    expect(final?.words.map(({ text }) => text)).toEqual(['Hello', 'there,', 'friend.']);
    expect(final?.words[0]?.startMs).toBeCloseTo(500, -2);
    expect(final?.words[2]?.endMs).toBeCloseTo(1500, -2);
    stream.write(speech(500));
    stream.write(silence(400));
    expect(await received.first('transcript-final', 2)).toMatchObject({ text: 'Bye.' });
    const audioMs = 500 + 1000 + 1200 + 500 + 400;
    expect(received.usage.total().stt).toEqual([{ provider: 'deepgram', model: 'nova-3', audio_ms: audioMs }]);
    received.expectNoMore();
    stream.close();
    await stt.gone();
    expect(stt.texts).toEqual(['{"type":"CloseStream"}']);
  });

  it('counts no audio that never left', async () => {
    await stt.start({ faults: { refuse: { status: 503 } } });
    const { received, stream } = stt.open();
    stream.write(speech(1000));
    await received.first('stream-failed');
    expect(received.usage.total().stt).toEqual([]);
  });

  it('asks for the final when the local detector heard the end', async () => {
    await stt.start({ transcripts: ['Yes.'] });
    const { received, stream } = stt.open();
    stream.write(speech(400));
    stream.hint('speech-started');
    stream.hint('speech-ended');
    expect(await received.first('transcript-final')).toMatchObject({ text: 'Yes.', fromFinalize: true });
    stream.hint('speech-ended');
    expect(await received.first('transcript-final', 2)).toMatchObject({ text: '', fromFinalize: true });
    stream.close();
    await stt.gone();
  });

  it('keeps the stream alive while no audio comes', async () => {
    await stt.start({ keepAliveTimeoutMs: 1_000_000 });
    const clock = new VirtualClock();
    const { received, stream } = stt.open({ clock });
    await received.first('stream-opened');
    clock.advance(3_000);
    stream.write(silence(20));
    clock.advance(3_900);
    await until('audio', () => stt.emulator.audioBytes === 160);
    expect(stt.texts).toEqual([]);
    clock.advance(200);
    await until('KeepAlive', () => stt.texts.length === 1);
    clock.advance(8_000);
    await until('KeepAlives', () => stt.texts.length === 3);
    expect(new Set(stt.texts)).toEqual(new Set(['{"type":"KeepAlive"}']));
    stream.close();
    await stt.gone();
    // The linger timer goes with the socket.
    await until('no timers', () => clock.pendingTimers === 0);
  });

  it('is told when the vendor gives up for want of audio', async () => {
    await stt.start({ keepAliveTimeoutMs: 50 });
    const { received } = stt.open();
    const error = await received.failedWith('stream-failed', 'provider.overloaded');
    expect(error.details).toMatchObject({ provider: 'deepgram', closeCode: 1011 });
    await stt.gone();
  });

  it('takes words as they are spoken when the route turns formatting off', async () => {
    await stt.start({ transcripts: ['Hello there, friend.'] });
    const { received, stream } = stt.open({ request: { options: { smart_format: null } } });
    stream.write(speech(1000));
    stream.write(silence(400));
    const final = await received.first('transcript-final');
    expect(final.text).toBe('hello there friend');
    expect(final.words.map(({ text }) => text)).toEqual(['hello', 'there', 'friend']);
    stream.close();
    await stt.gone();
  });

  sttContract(stt, {
    final: 'transcript-final',
    messagesUnderWay: 3,
    announcesSession: false,
    faults: [
      {
        what: 'undecodable audio',
        faults: { closeAfter: { messages: 0, code: 1008, reason: 'DATA-0000' } },
        code: 'provider.bad-request',
      },
      {
        what: 'a refusal that says why',
        faults: { refuse: { status: 400, body: { err_code: 'X', err_msg: 'why' } } },
        code: 'provider.bad-request',
      },
    ],
  });
});
