import type { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../core/clock.ts';
import type { Clock } from '../../../core/clock.ts';
import { memoryLog, silentLog } from '../../../core/log.ts';
import { createRecogniser } from './recogniser.ts';
import type { SttPart } from '../spec.ts';
import type { Recogniser } from './recogniser.ts';
import { createSynthesiser } from './synthesiser.ts';
import type { Synthesiser } from './synthesiser.ts';
import {
  isFinal,
  isSttFailure,
  listen,
  loadRecordings,
  openSpeaker,
  recognise,
  say,
  speak,
  testContext,
  LONG_WORK,
} from './testing.ts';
import type { Final, Recording } from './testing.ts';

const PHRASES = [
  'What are your opening hours?',
  'Where are you located?',
  'How much does a room cost?',
  'Do you have parking?',
  'Can I bring my dog?',
  'Is room 101 free?',
  'Do you know Zzyzxville?',
];

/** Four seconds of a noise are enough. */
const MAX_OUTSIDE_BYTES = 32_000;

let stt: Recogniser;
let tts: Synthesiser;
let recordings: Recording[];
beforeAll(async () => {
  stt = createRecogniser({ log: silentLog, clock: systemClock, workers: 1 });
  tts = createSynthesiser({ log: silentLog, clock: systemClock, workers: 1 });
  [recordings] = await Promise.all([loadRecordings(), stt.warm(), tts.warm()]);
});
afterAll(async () => {
  await Promise.all([stt.close(), tts.close()]);
});

async function synthesise(voice: string, text: string): Promise<Uint8Array> {
  const speaking = openSpeaker(tts, voice, testContext());
  const audio = await speak(speaking, 'u', text);
  speaking.stream.close();
  return audio;
}

const people = () => recordings.filter(({ kind }) => kind === 'speech');

describe('the embedded recogniser', () => {
  it('understands people who say what is in the grammar', LONG_WORK, async () => {
    const listening = listen(stt, [...PHRASES, ...people().map(({ transcript }) => transcript)], testContext());
    let wrong = 0;
    let words = 0;
    for (const { transcript, audio } of people()) {
      const final = await recognise(listening, audio);
      words += transcript.split(' ').length;
      if (final.text !== transcript) wrong += transcript.split(' ').length;
      expect(final.fromFinalize).toBe(true);
    }
    console.log(`recogniser: ${people().length} people, words in wrong or rejected sentences: ${wrong} of ${words}`);
    expect(wrong / words).toBeLessThan(0.1);
    listening.stream.close();
  });

  it('does not believe people who say something else, nor noise', LONG_WORK, async () => {
    const listening = listen(stt, PHRASES, testContext());
    const accepted: string[] = [];
    for (const { file, audio } of recordings) {
      const final = await recognise(listening, audio.subarray(0, MAX_OUTSIDE_BYTES));
      if (final.text !== '') accepted.push(`${file}: ${final.text}`);
      else expect(final.confidence).toBeLessThan(0.5);
    }
    console.log(
      `recogniser: ${accepted.length} of ${recordings.length} recordings from outside accepted: ${accepted.join('; ')}`,
    );
    expect(accepted.length).toBeLessThanOrEqual(recordings.length / 5);
    listening.stream.close();
  });

  it('hears what the synthesiser says, in the words of the phrase', LONG_WORK, async () => {
    const listening = listen(stt, PHRASES, testContext());
    const expected = [
      'what are your opening hours',
      'where are you located',
      'how much does a room cost',
      'do you have parking',
      'can i bring my dog',
      'is room one hundred one free',
    ];
    let exact = 0;
    for (const voice of ['slt', 'rms']) {
      for (const [i, phrase] of PHRASES.slice(0, 6).entries()) {
        const final = await recognise(listening, await synthesise(voice, phrase));
        if (final.text === expected[i] && final.confidence > 0.5) exact++;
      }
    }
    const unknownWord = await recognise(listening, await synthesise('rms', 'Do you know Zzyzxville?'));
    console.log(`recogniser: ${exact} of 12 synthesised phrases exact; unknown word: "${unknownWord.text}"`);
    expect(exact).toBeGreaterThanOrEqual(11);
    expect(unknownWord.text).toBe('do you know zzyzxville');
    listening.stream.close();
  });

  it('understands small talk that no agent listed', async () => {
    const listening = listen(stt, [], testContext());
    expect((await recognise(listening, await synthesise('rms', 'Yes please.'))).text).toBe('yes please');
    expect((await recognise(listening, await synthesise('rms', 'Can you say that again?'))).text).toBe(
      'can you say that again',
    );
    listening.stream.close();
  });

  it('says where the words lie in the stream', async () => {
    const listening = listen(stt, PHRASES, testContext());
    await recognise(listening, await synthesise('rms', 'Do you have parking?'));
    const final = await recognise(listening, await synthesise('rms', 'How much does a room cost?'));
    expect(final.words.map(({ text }) => text).join(' ')).toBe('how much does a room cost');
    // The first utterance took about 2.1 s with its silence, then come 0.7 s of silence.
    expect(final.words[0]?.startMs).toBeGreaterThan(2500);
    expect(final.words[0]?.startMs).toBeLessThan(3500);
    listening.stream.close();
  });

  it('hears speech from its beginning, however late it is told of it', async () => {
    const listening = listen(stt, PHRASES, testContext());
    const audio = await synthesise('rms', 'Do you have parking?');
    const quiet = new Uint8Array(1_200 * 8).fill(0xff);
    for (const bytes of [quiet, audio, quiet]) listening.stream.write(bytes);
    listening.stream.hint('speech-started', audio.length / 8 + 1_200);
    listening.stream.hint('speech-ended');
    expect((await listening.heard.until(isFinal)).text).toBe('do you have parking');
    listening.stream.close();
  });

  it('keeps the calls apart that it hears at the same time', LONG_WORK, async () => {
    const [hours, parking] = [
      await synthesise('rms', 'What are your opening hours?'),
      await synthesise('slt', 'Do you have parking?'),
    ];
    const calls = Array.from({ length: 12 }, (_, i) => ({
      even: i % 2 === 0,
      listening: listen(stt, PHRASES, testContext()),
    }));
    const finals = await Promise.all(calls.map(({ even, listening }) => recognise(listening, even ? hours : parking)));
    for (const [i, { even }] of calls.entries()) {
      expect(finals[i]?.text).toBe(even ? 'what are your opening hours' : 'do you have parking');
    }
    for (const { listening } of calls) listening.stream.close();
  });

  it('guesses while it listens in real time, and answers within moments of the end', async () => {
    const listening = listen(stt, PHRASES, testContext());
    const audio = await synthesise('rms', 'What are your opening hours?');
    listening.stream.write(new Uint8Array(6400).fill(0xff));
    listening.stream.hint('speech-started');
    for (let at = 0; at < audio.length; at += 800) {
      listening.stream.write(audio.subarray(at, at + 800));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await listening.heard.until((part): part is SttPart => part.type === 'transcript-interim');
    const endMs = systemClock.nowMs();
    listening.stream.hint('speech-ended');
    const final = await listening.heard.until(isFinal);
    console.log(`recogniser: final transcript ${(systemClock.nowMs() - endMs).toFixed(1)} ms after the end of speech`);
    expect(final.text).toBe('what are your opening hours');
    listening.stream.close();
  });

  it('cuts speech that never ends, and still answers the hint', LONG_WORK, async () => {
    const listening = listen(stt, PHRASES, testContext());
    listening.stream.hint('speech-started');
    const [music] = recordings.filter(({ file }) => file === 'noise-music.wav');
    for (let i = 0; i < 5; i++) listening.stream.write(music?.audio ?? new Uint8Array(0));
    const cut = await listening.heard.until(isFinal);
    expect(cut.fromFinalize).toBe(false);
    listening.stream.hint('speech-ended');
    const last = await listening.heard.until((part): part is Final => isFinal(part) && part.fromFinalize);
    expect(last.type).toBe('transcript-final');
    listening.stream.close();
  });

  it('answers a speech-ended hint without speech', async () => {
    const listening = listen(stt, PHRASES, testContext());
    listening.stream.hint('speech-ended');
    expect(await listening.heard.until(isFinal)).toMatchObject({ text: '', fromFinalize: true, words: [] });
    listening.stream.close();
  });

  it('says nothing after close or abort', async () => {
    const context = testContext();
    const [closed, aborted, later] = [
      listen(stt, PHRASES, context),
      listen(stt, PHRASES, context),
      listen(stt, PHRASES, testContext()),
    ];
    const audio = await synthesise('rms', 'Do you have parking?');
    await Promise.all([closed, aborted].map(({ heard }) => heard.until((part) => part.type === 'stream-opened')));
    for (const listening of [closed, aborted]) say(listening, audio);
    closed.stream.close();
    context.abort();
    closed.stream.write(audio);
    closed.stream.hint('speech-ended');
    expect((await recognise(later, audio)).text).toBe('do you have parking');
    for (const { heard } of [closed, aborted]) expect(heard.parts.map(({ type }) => type)).toEqual(['stream-opened']);
    later.stream.close();
  });

  it('fails the calls of a worker that dies, once each, and serves the next call', LONG_WORK, async () => {
    const log = memoryLog();
    const started: Worker[] = [];
    const onWorker = (worker: Worker) => started.push(worker);
    process.on('worker', onWorker);
    const fragile = createRecogniser({ log, clock: systemClock, workers: 1 });
    await fragile.warm();
    process.off('worker', onWorker);
    const context = testContext();
    const calls = [listen(fragile, PHRASES, context), listen(fragile, PHRASES, context)];
    const audio = await synthesise('rms', 'Do you have parking?');
    for (const call of calls) say(call, audio);
    await Promise.all(started.map((worker) => worker.terminate()));
    for (const { heard, stream } of calls) {
      expect(await heard.until(isSttFailure)).toMatchObject({ error: { code: 'engine.failed', retryable: true } });
      stream.write(audio);
      stream.hint('speech-ended');
    }
    const next = listen(fragile, PHRASES, testContext());
    expect((await recognise(next, audio)).text).toBe('do you have parking');
    for (const { heard } of calls) expect(heard.parts.filter(({ type }) => type === 'stream-failed')).toHaveLength(1);
    expect(log.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
    await fragile.close();
    expect(await next.heard.until(isSttFailure)).toMatchObject({ error: { code: 'engine.unavailable' } });
  });

  it('gives up a worker that hangs, but not one that was stopped with the whole process', async () => {
    const recogniser = createRecogniser({ log: silentLog, clock: systemClock, workers: 1 });
    await recogniser.warm();
    const audio = await synthesise('rms', 'Do you have parking?');
    const pending = new Set<() => void>();
    // Time passes at once, and no reply is read meanwhile.
    const beat = (): void => {
      const due = [...pending];
      pending.clear();
      for (const callback of due) callback();
    };
    const clock: Clock = {
      nowMs: () => 0,
      after(_delayMs, callback) {
        pending.add(callback);
        return { cancel: () => pending.delete(callback) };
      },
    };
    const listening = listen(recogniser, PHRASES, { ...testContext(), clock });
    say(listening, audio);
    for (let beats = 1; beats <= 7; beats++) beat();
    expect(await listening.heard.until(isFinal)).toMatchObject({ text: 'do you have parking' });
    expect(pending.size).toBe(0);

    say(listening, audio);
    for (let beats = 1; beats <= 8; beats++) beat();
    expect(await listening.heard.until(isSttFailure)).toMatchObject({ error: { code: 'engine.failed' } });
    await recogniser.close();
  });
});
