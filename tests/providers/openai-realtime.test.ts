import { describe, expect, it } from 'vitest';
import { startOpenAiEmulator } from '../../bench/emulators/openai.ts';
import type { OpenAiEmulatorSettings } from '../../bench/emulators/openai.ts';
import { createOpenAiStt } from '../../src/pipeline/providers/openai/realtime-stt.ts';
import { silence, speech } from './harness.ts';
import { EmulatedStt, audioBytes, say, sttContract } from './stt-contract.ts';
import { startBabbler } from '../fuzz/vendor.ts';

const COMMIT = '{"type":"input_audio_buffer.commit"}';

const stt = new EmulatedStt<OpenAiEmulatorSettings>(
  (settings) => startOpenAiEmulator({ transcriptDelayMs: 5, liveDelayMs: 0, ...settings }),
  createOpenAiStt,
  { language: 'en', phrases: ['Zimmer frame'] },
);

describe('openai realtime transcription', () => {
  it('sends speech only, with what came just before it, and each byte once', async () => {
    await stt.start({ transcripts: ['Yes.'] });
    const { received, stream } = stt.open();
    stream.write(silence(5_000));
    say(stream, 1_000);
    // A pause shorter than the pre-roll: what is left of it belongs to the next commit.
    stream.write(silence(300));
    say(stream, 1_000);
    await received.first('transcript-final', 2);
    expect(audioBytes(stt.texts, 'audio')).toBe((400 + 1_200 + 300 + 1_200) * 8);
    expect(received.usage.total().stt).toEqual([
      { provider: 'openai', model: 'gpt-live-transcribe', audio_ms: 400 + 1_200 + 300 + 1_200 },
    ]);
    expect(stt.texts[0]).toContain('"session.update"');
    expect(stt.texts.filter((text) => text === COMMIT)).toHaveLength(2);
    stream.close();
    await stt.gone();
  });

  it('hears speech from its beginning, however late it is told of it', async () => {
    await stt.start({ transcripts: ['Yes.'] });
    const { received, stream } = stt.open();
    stream.write(silence(4_000));
    stream.write(speech(1_000));
    stream.write(silence(1_200));
    stream.hint('speech-started', 2_200);
    stream.hint('speech-ended');
    expect(await received.first('transcript-final')).toMatchObject({ text: 'Yes.' });
    expect(audioBytes(stt.texts, 'audio')).toBe((300 + 1_000 + 1_200) * 8);
    stream.close();
    await stt.gone();
  });

  it('says how sure an older model is, which begins at the commit', async () => {
    await stt.start({ transcripts: ['Yes.'] });
    const { received, stream } = stt.open({ request: { model: 'gpt-4o-mini-transcribe' } });
    say(stream, 400);
    const final = await received.first('transcript-final');
    expect(final.text).toBe('Yes.');
    expect(final.confidence).toBeCloseTo(0.99, 5);
    stream.close();
  });

  it('commits nothing that the vendor would refuse for being too short', async () => {
    await stt.start({ transcripts: ['Yes.'] });
    const { received, stream } = stt.open();
    await received.first('stream-opened');
    stream.hint('speech-ended');
    stream.write(speech(60));
    stream.hint('speech-started');
    stream.hint('speech-ended');
    say(stream, 400);
    expect(await received.first('transcript-final')).toMatchObject({ text: 'Yes.' });
    expect(stt.texts.filter((text) => text === COMMIT)).toHaveLength(1);
    stream.close();
  });

  it('leaves turns to the vendor when the route says so', async () => {
    await stt.start({ transcripts: ['Hello there.'] });
    const options = { turn_detection: { type: 'server_vad', silence_duration_ms: 200 } };
    const { received, stream } = stt.open({ request: { model: 'gpt-4o-mini-transcribe', options } });
    stream.write(silence(500));
    say(stream, 800);
    await received.first('speech-started');
    expect(await received.first('transcript-final')).toMatchObject({
      text: 'Hello there.',
      speechFinal: true,
      fromFinalize: false,
    });
    expect(stt.texts).not.toContain(COMMIT);
    expect(audioBytes(stt.texts, 'audio')).toBe(1_500 * 8);
    stream.close();
  });

  sttContract(stt, {
    final: 'transcript-final',
    messagesUnderWay: 2,
    announcesSession: true,
    startWithoutAnswers: () => stt.start({ transcriptDelayMs: 1_000_000 }),
    faults: [
      { what: 'a model that is none', request: { model: 'none' }, code: 'provider.bad-request' },
      {
        what: 'a model that detects no turns',
        request: { options: { turn_detection: { type: 'server_vad' } } },
        code: 'provider.bad-request',
      },
    ],
  });

  it('gives up on a vendor that opens items without end', async () => {
    await stt.start();
    const delta = (n: number): string =>
      `{"type":"conversation.item.input_audio_transcription.delta","item_id":"i${n}","delta":"x"}`;
    const messages = Array.from({ length: 5_000 }, (_, n) => delta(n));
    const next = () => ({ messages, closeCode: 1000, status: 200, cutOff: false });
    const vendor = await startBabbler({ next, speaksFirst: false, events: false });
    const { received } = stt.open({ access: { baseUrl: `${vendor.url}/v1` } });
    await received.failedWith('stream-failed', 'provider.protocol');
    await vendor.close();
  });
});
