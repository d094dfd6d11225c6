import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../core/clock.ts';
import { silentLog } from '../../../core/log.ts';
import { createSynthesiser } from './synthesiser.ts';
import type { Synthesiser } from './synthesiser.ts';
import { isAudio, isFinished, openSpeaker, speak, testContext, LONG_WORK } from './testing.ts';

let tts: Synthesiser;
beforeAll(async () => {
  tts = createSynthesiser({ log: silentLog, clock: systemClock, workers: 1 });
  await tts.warm();
});
afterAll(() => tts.close());

describe('the embedded synthesiser', () => {
  it('speaks clauses in order, with the text on the audio that speaks it', async () => {
    const speaking = openSpeaker(tts, 'slt', testContext());
    const clauses = ['We are open from nine to five, ', 'Monday through Friday. ', 'Anything else?'];
    const audio = await speak(speaking, 'u1', ...clauses);
    const chunks = speaking.spoken.parts.filter(isAudio);
    expect(
      chunks
        .flatMap(({ spans }) => spans ?? [])
        .map(({ text }) => text)
        .join(''),
    ).toBe(clauses.join(''));
    for (const chunk of chunks) {
      const endMs = Math.max(...(chunk.spans ?? []).map(({ startMs, durationMs }) => startMs + durationMs));
      expect(endMs).toBeLessThanOrEqual(chunk.audio.length / 8 + 1);
    }
    const seconds = audio.length / 8000;
    expect(seconds).toBeGreaterThan(3);
    expect(seconds).toBeLessThan(7);
    expect(speaking.spoken.parts.at(-1)?.type).toBe('utterance-finished');
    speaking.stream.close();
  });

  it('is audible at once: no padding before the first sound', async () => {
    const speaking = openSpeaker(tts, 'slt', testContext());
    const audio = await speak(speaking, 'u1', 'Hello.');
    const firstLoud = audio.findIndex((code) => (~code & 0x70) > 0x20);
    expect(firstLoud / 8).toBeLessThan(80);
    speaking.stream.close();
  });

  it('has two good voices, and one for names that it does not know', async () => {
    const context = testContext();
    const [slt, rms, other] = await Promise.all(
      ['slt', 'rms', 'no-such-voice'].map((voice) => speak(openSpeaker(tts, voice, context), voice, 'Good morning.')),
    );
    expect(slt?.length).toBeGreaterThan(4000);
    expect(Buffer.compare(slt ?? Buffer.of(), rms ?? Buffer.of())).not.toBe(0);
    expect(Buffer.compare(slt ?? Buffer.of(), other ?? Buffer.of())).toBe(0);
    expect(context.log.lines.some(({ level }) => level === 'warn')).toBe(true);
    context.abort();
  });

  it('speaks any text, and nothing for what is not speech', async () => {
    const speaking = openSpeaker(tts, 'slt', testContext());
    for (const [i, text] of ['Ünïcödé “quotes” — 50 €…', '-h', 'a.wav', '<b>tag</b> & $5 @ 100%', "'"].entries()) {
      await speak(speaking, `u${i}`, text);
    }
    expect(await speak(speaking, 'emoji', '😀', ' … ')).toHaveLength(0);
    expect(speaking.spoken.parts.some(({ type }) => type === 'utterance-failed')).toBe(false);
    speaking.stream.close();
  });

  it('refuses what it cannot pronounce, unless it has begun with what it can', async () => {
    const speaking = openSpeaker(tts, 'slt', testContext());
    speaking.stream.speak('ru', 'Здравствуйте! ');
    speaking.stream.speak('ru', 'How can I help?');
    const failed = await speaking.spoken.until((part) => part.type === 'utterance-failed');
    expect(failed).toMatchObject({ utteranceId: 'ru', error: { code: 'provider.bad-request' } });
    speaking.stream.finish('ru');
    expect((await speak(speaking, 'mixed', 'Thank you. ', 'ありがとう。 ')).length).toBeGreaterThan(1000);
    expect(speaking.spoken.parts.at(-1)).toMatchObject({ type: 'utterance-finished', utteranceId: 'mixed' });
    speaking.stream.close();
  });

  it('delivers nothing of an utterance after its cancel, and all of the next', async () => {
    const speaking = openSpeaker(tts, 'slt', testContext());
    for (let i = 0; i < 10; i++) speaking.stream.speak('gone', `This is sentence number ${i} of a long story. `);
    await speaking.spoken.until(isAudio);
    speaking.stream.cancel('gone');
    const before = speaking.spoken.parts.length;
    expect((await speak(speaking, 'next', 'Yes?')).length).toBeGreaterThan(1000);
    expect(
      speaking.spoken.parts.slice(before).every((part) => 'utteranceId' in part && part.utteranceId === 'next'),
    ).toBe(true);
    speaking.stream.close();
  });

  it('finishes an utterance without text, and keeps utterances apart', async () => {
    const speaking = openSpeaker(tts, 'slt', testContext());
    const [first, second] = await Promise.all([speak(speaking, 'a', 'One.'), speak(speaking, 'b', 'Two.')]);
    expect(first.length).toBeGreaterThan(1000);
    expect(second.length).toBeGreaterThan(1000);
    expect(speaking.spoken.parts.filter(isFinished).map(({ utteranceId }) => utteranceId)).toEqual(['a', 'b']);
    speaking.stream.close();
  });

  it('finishes an utterance of no text at all, once; one that was cancelled never', async () => {
    const speaking = openSpeaker(tts, 'slt', testContext());
    speaking.stream.cancel('cancelled');
    for (const id of ['cancelled', 'empty', 'empty']) speaking.stream.finish(id);
    await speak(speaking, 'next', 'Yes?');
    for (const id of ['empty', 'next']) speaking.stream.finish(id);
    await speak(speaking, 'last', 'Yes?');
    expect(speaking.spoken.parts.filter(isFinished).map(({ utteranceId }) => utteranceId)).toEqual([
      'empty',
      'next',
      'last',
    ]);
    speaking.stream.close();
  });

  it('says nothing after close or abort', async () => {
    const context = testContext();
    const closed = openSpeaker(tts, 'slt', context);
    const aborted = openSpeaker(tts, 'slt', context);
    for (const { stream } of [closed, aborted]) stream.speak('u', 'This will never be heard by anybody.');
    closed.stream.close();
    context.abort();
    const later = openSpeaker(tts, 'slt', testContext());
    await speak(later, 'u', 'But this will.');
    expect([...closed.spoken.parts, ...aborted.spoken.parts]).toEqual([]);
    later.stream.close();
  });

  it('fails an utterance, not the stream, when it gets too much text', async () => {
    const speaking = openSpeaker(tts, 'slt', testContext());
    speaking.stream.speak('long', 'blah '.repeat(400));
    const failed = await speaking.spoken.until((part) => part.type === 'utterance-failed');
    expect(failed).toMatchObject({ utteranceId: 'long', error: { code: 'capacity' } });
    expect((await speak(speaking, 'short', 'Fine.')).length).toBeGreaterThan(1000);
    speaking.stream.close();
  });

  it('speaks two hundred clauses without failing or growing', LONG_WORK, async () => {
    const speaking = openSpeaker(tts, 'slt', testContext());
    const startMs = systemClock.nowMs();
    let rssBefore = 0;
    for (let i = 0; i < 200; i++) {
      const audio = await speak(speaking, `u${i}`, `This is sentence ${i}, please hold.`);
      expect(audio.length).toBeGreaterThan(8000);
      if (i === 60) rssBefore = process.memoryUsage.rss();
    }
    const grownMb = (process.memoryUsage.rss() - rssBefore) / 1e6;
    const eachMs = (systemClock.nowMs() - startMs) / 200;
    console.log(`flite: 200 clauses, ${eachMs.toFixed(0)} ms each, ${grownMb.toFixed(0)} MB grown over the last 139`);
    expect(grownMb).toBeLessThan(100);
    speaking.stream.close();
  });
});
