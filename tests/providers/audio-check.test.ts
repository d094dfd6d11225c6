/** Wrong audio is told from speech: nothing wrong passes, and nothing that a telephone carries is taken for wrong. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeToneSpeech } from '../../bench/emulators/tone-speech.ts';
import { AudioOpening, SixteenBitDetector, longestMs, shortestMs } from '../../src/pipeline/providers/audio-check.ts';
import { checkedSpeech } from '../../src/pipeline/providers/checked-speech.ts';
import type { Sink, TtsPart, TtsProvider } from '../../src/pipeline/providers/spec.ts';
import { fixtureAudio, noiseFixtures, speechFixtures } from '../support/speech-fixtures.ts';
import { encodeMulaw } from '../support/wav.ts';
import { Received } from './harness.ts';

/** 300 bytes that begin with the given ones. */
function opening(...parts: readonly (string | readonly number[])[]): Buffer {
  const head = Buffer.concat(
    parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : Buffer.from(part))),
  );
  return Buffer.concat([head, Buffer.alloc(Math.max(0, 300 - head.length), 0x55)]);
}

/** Frames of silence: MPEG 1 layer III, 128 kbit/s, 44.1 kHz (417 bytes each), or ADTS of 200 bytes. */
function mp3(frames: number): Buffer {
  return Buffer.concat(
    Array.from({ length: frames }, () => Buffer.concat([Buffer.from([0xff, 0xfb, 0x90, 0]), Buffer.alloc(413)])),
  );
}

function adts(frames: number): Buffer {
  const header = [0xff, 0xf1, 0x50, 0x80 | (200 >> 11), (200 >> 3) & 0xff, (200 & 7) << 5, 0xfc];
  return Buffer.concat(Array.from({ length: frames }, () => Buffer.concat([Buffer.from(header), Buffer.alloc(193)])));
}

function pcmBytes(pcm: Int16Array): Buffer {
  return Buffer.from(pcm.buffer, pcm.byteOffset, pcm.byteLength);
}

const fixtures = [...speechFixtures, ...noiseFixtures].map(({ file }) => file);

describe('the opening of audio', () => {
  it.each([
    ['a WAV file', opening('RIFF', [36, 0, 0, 0], 'WAVEfmt ')],
    ['an Ogg file', opening('OggS', [0, 2])],
    ['an MP3 file', opening('ID3', [4, 0, 0])],
    ['a FLAC file', opening('fLaC', [0])],
    ['MPEG audio', mp3(3)],
    ['MPEG audio', adts(3)],
    ['JSON', opening('{"detail":{"status":"quota_exceeded"}}')],
    ['JSON', opening('[ {"error": "x"} ]')],
    ['a page of HTML', opening('<!DOCTYPE html>')],
  ])('knows %s, however it is cut', (format, bytes) => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), (size) => {
        const read = new AudioOpening();
        let verdict = read.add(new Uint8Array());
        for (let at = 0; at < bytes.length && verdict.type === 'undecided'; at += size) {
          verdict = read.add(bytes.subarray(at, at + size));
        }
        expect(verdict).toEqual({ type: 'wrong', format });
      }),
      { numRuns: 30 },
    );
  });

  it('takes every place of real recordings for audio, at once', () => {
    for (const file of fixtures) {
      const audio = fixtureAudio(file).mulaw();
      for (let at = 0; at + 160 <= audio.length; at += 7) {
        expect(new AudioOpening().add(audio.subarray(at, at + 160)).type, `${file} from ${at}`).not.toBe('wrong');
      }
    }
  });

  it('never takes random bytes, or samples about zero, for a file', () => {
    const quiet = fc.constantFrom(0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x7f, 0x7e, 0x7d, 0x7b);
    const bytes = fc.oneof(
      fc.uint8Array({ minLength: 4_096, maxLength: 5_000 }),
      fc.array(quiet, { minLength: 4_096 }),
    );
    fc.assert(
      fc.property(bytes, (samples) => {
        expect(new AudioOpening().add(Uint8Array.from(samples))).toEqual({ type: 'audio' });
      }),
      { numRuns: 300 },
    );
  });
});

describe('16-bit samples', () => {
  it('are found in a second of any voice', () => {
    for (const { file, speechStartMs } of speechFixtures) {
      const wav = fixtureAudio(file);
      const from = Math.floor((speechStartMs * wav.sampleRateHz) / 1000);
      const detector = new SixteenBitDetector();
      expect(detector.add(pcmBytes(wav.pcm().slice(from, from + wav.sampleRateHz))), file).toBe(true);
    }
    expect(new SixteenBitDetector().add(pcmBytes(encodeToneSpeech('Hello there.')))).toBe(true);
  });

  it('are not found in μ-law of voices, noises and clipping', () => {
    for (const file of fixtures) {
      const pcm = fixtureAudio(file).pcm();
      for (const gain of [0.05, 1, 8, 40]) {
        const loud = Int16Array.from(pcm, (sample) => Math.max(-32_768, Math.min(32_767, sample * gain)));
        const detector = new SixteenBitDetector();
        const mulaw = encodeMulaw(loud);
        for (let at = 0; at < mulaw.length; at += 160) {
          expect(detector.add(mulaw.subarray(at, at + 160)), `${file} × ${gain} at ${at}`).toBe(false);
        }
      }
    }
  });
});

describe('the length of audio', () => {
  it('has room for slow spelling and fast voices', () => {
    expect(longestMs('A, B, C, 1, 2, 3.')).toBeGreaterThan(15_000);
    expect(shortestMs('Twenty-five letters at the very least, spoken fast.')).toBeLessThan(500);
    expect(shortestMs('… — !')).toBe(0);
    expect(shortestMs('Hi.')).toBe(1);
  });
});

describe('checked speech', () => {
  /** A provider whose one stream says what the test makes it say. */
  function scripted(): {
    received: Received<TtsPart>;
    say: Sink<TtsPart>;
    cancelled: string[];
    speak: (text: string) => void;
  } {
    const cancelled: string[] = [];
    let say: Sink<TtsPart> = () => {};
    const provider: TtsProvider = {
      name: 'scripted',
      open(_request, sink) {
        say = sink;
        return { speak: () => {}, finish: () => {}, cancel: (id) => cancelled.push(id), close: () => {} };
      },
    };
    const received = new Received<TtsPart>();
    const stream = checkedSpeech(provider).open({ language: 'en' }, received.sink, received.context);
    return { received, cancelled, say: (part) => say(part), speak: (text) => stream.speak('a', text) };
  }

  const finished = { type: 'utterance-finished', utteranceId: 'a' } as const;
  const chunk = (audio: Uint8Array): TtsPart => ({ type: 'audio-chunk', utteranceId: 'a', audio });

  it('passes good audio on untouched, with its spans', () => {
    const { received, say, speak } = scripted();
    speak('Hello there.');
    const audio = encodeMulaw(encodeToneSpeech('Hello there.'));
    const spans = [{ text: 'Hello there.', startMs: 0, durationMs: 720 }];
    const parts = [{ type: 'audio-chunk', utteranceId: 'a', audio, spans } as const, finished];
    for (const part of parts) say(part);
    expect(received.parts).toEqual(parts);
  });

  it.each([
    ['a file', 'Hello there.', [mp3(1), mp3(3)]],
    ['16-bit samples', 'Hello there.', [pcmBytes(encodeToneSpeech('Hello there.'))]],
    [
      'speech that does not end',
      'Hi.',
      Array.from({ length: 12 }, () => encodeMulaw(encodeToneSpeech('Again and again.'))),
    ],
    ['nothing', 'Hi.', []],
    ['a word of many', 'Thirty letters at least, or so it seems to me.', [encodeMulaw(encodeToneSpeech('T'))]],
  ])('fails the utterance for %s, once', (_what, text, audio) => {
    const { received, say, speak, cancelled } = scripted();
    speak(text);
    for (const bytes of audio) if (cancelled.length === 0) say(chunk(bytes));
    if (cancelled.length === 0) say(finished);
    expect(received.parts.at(-1)?.type).toBe('utterance-failed');
    expect(received.failure().code).toBe('provider.protocol');
    expect(received.of('utterance-finished')).toEqual([]);
  });

  it('lets an utterance without words be silent, and tells the samples of a short opening at its end', () => {
    const { received, say, speak } = scripted();
    speak(' … ');
    say(chunk(Uint8Array.of(0xff, 0xff)));
    expect(received.parts).toEqual([]);
    say(finished);
    expect(received.parts.map(({ type }) => type)).toEqual(['audio-chunk', 'utterance-finished']);
  });
});
