import { describe, expect, it } from 'vitest';
import { startElevenLabsEmulator } from '../../bench/emulators/elevenlabs.ts';
import type { ElevenLabsEmulatorSettings } from '../../bench/emulators/elevenlabs.ts';
import { createElevenLabsStt } from '../../src/pipeline/providers/elevenlabs/stt.ts';
import { silence, speech, until } from './harness.ts';
import { EmulatedStt, audioBytes, say, sttContract } from './stt-contract.ts';

const isCommit = (text: string): boolean => text.includes('"commit":true');

const stt = new EmulatedStt<ElevenLabsEmulatorSettings>(
  (settings) => startElevenLabsEmulator({ commitDelayMs: 5, partialDelayMs: 0, ...settings }),
  createElevenLabsStt,
  { language: 'en', phrases: ['Zimmer frame'] },
);

describe('elevenlabs scribe', () => {
  it('loses nothing of what was said before the session began, and sends silence too', async () => {
    await stt.start({ transcripts: ['Yes.'] });
    const { received, stream } = stt.open();
    stream.write(silence(3_000));
    say(stream, 1_000);
    stream.write(silence(800));
    expect(await received.first('transcript-final')).toMatchObject({ text: 'Yes.', fromFinalize: true });
    await until('all audio', () => audioBytes(stt.texts, 'audio_base_64') === (3_000 + 1_200 + 800) * 8);
    const counted = { provider: 'elevenlabs', model: 'scribe_v2_realtime', audio_ms: 3_000 + 1_200 + 800 };
    expect(received.usage.total().stt).toEqual([counted]);
    expect(stt.texts.filter(isCommit)).toHaveLength(1);
    stream.close();
    await stt.gone();
  });

  it('waits with a commit that the vendor would refuse until there is enough', async () => {
    await stt.start({ transcripts: ['Yes.'] });
    const { received, stream } = stt.open();
    await received.first('stream-opened');
    stream.write(speech(200));
    stream.hint('speech-ended');
    stream.write(silence(80));
    await until('the audio', () => stt.texts.length === 2);
    expect(stt.texts.some(isCommit)).toBe(false);
    stream.write(silence(20));
    expect(await received.first('transcript-final')).toMatchObject({ text: 'Yes.' });
    stream.close();
  });

  it('tells word times when the route asks for them, and the final once', async () => {
    await stt.start({ transcripts: ['Hello there.'] });
    const { received, stream } = stt.open({ request: { options: { include_timestamps: true } } });
    stream.write(silence(500));
    say(stream, 1_000);
    const final = await received.first('transcript-final');
    expect(final.words.map(({ text }) => text)).toEqual(['Hello', 'there.']);
    expect(final.words[0]?.startMs).toBeCloseTo(500, -2);
    expect(final.words[1]?.endMs).toBeCloseTo(1_500, -2);
    expect(final.confidence).toBeCloseTo(0.99, 5);
    say(stream, 1_000);
    await received.first('transcript-final', 2);
    expect(received.of('transcript-final')).toHaveLength(2);
    stream.close();
  });

  it('leaves commits to the vendor when the route says so', async () => {
    await stt.start({ transcripts: ['Hello there.'] });
    const options = { commit_strategy: 'vad', vad_silence_threshold_secs: 0.3 };
    const { received, stream } = stt.open({ request: { options } });
    say(stream, 800);
    stream.write(silence(200));
    expect(await received.first('transcript-final')).toMatchObject({
      text: 'Hello there.',
      speechFinal: true,
      fromFinalize: false,
    });
    expect(stt.texts.some(isCommit)).toBe(false);
    stream.close();
  });

  sttContract(stt, {
    final: 'transcript-final',
    messagesUnderWay: 2,
    announcesSession: true,
    startWithoutAnswers: () => stt.start({ commitDelayMs: 1_000_000 }),
    faults: [{ what: 'a model that is none', request: { model: 'none' }, code: 'provider.bad-request' }],
  });
});
