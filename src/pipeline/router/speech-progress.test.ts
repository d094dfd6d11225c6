import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BYTES_PER_MS } from '../../media/call-port.ts';
import type { SpokenSpan } from '../providers/spec.ts';
import { Pace, SpeechProgress } from './speech-progress.ts';
import type { SpokenChunk } from './speech-progress.ts';

const MS_PER_CHARACTER = 50;
/** A moment at which the caller's ear has much to hear yet. */
const EARLY_MS = 0;

const visible = (text: string): string => text.replace(/\s+/gu, '');
const textOf = (chunks: readonly (SpokenChunk | undefined)[]): string =>
  chunks
    .flatMap((chunk) => chunk?.spans ?? [])
    .map(({ text }) => text)
    .join('');
const restOf = (progress: SpeechProgress): string =>
  progress
    .rest()
    .map(({ text }) => text)
    .join(' ');

/**
 * As a voice with aligned words speaks a text: every visible character takes 50 ms; a chunk ends wherever it is told to, and a
 * word that it ends in the middle of has a span in each of the two chunks. Some audio before the first word.
 */
function speakAligned(text: string, chunkCharacters: readonly number[]): SpokenChunk[] {
  const chunks: SpokenChunk[] = [];
  for (let at = 0, index = 0; at < text.length; index++) {
    const size = chunkCharacters[index % chunkCharacters.length] ?? 1;
    const piece = text.slice(at, at + size);
    const spans: SpokenSpan[] = [];
    let startMs = 0;
    for (const [word] of piece.matchAll(/\s*\S+\s*/gu)) {
      const durationMs = visible(word).length * MS_PER_CHARACTER;
      spans.push({ text: word, startMs, durationMs });
      startMs += durationMs;
    }
    chunks.push({ audio: new Uint8Array(startMs * BYTES_PER_MS), spans });
    at += size;
  }
  return chunks;
}

const word = fc.stringMatching(/^[a-zäß]{1,9}[,.!?’]?$/u);
const pieces = fc.array(fc.array(word, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 4 });
const chunkCharacters = fc.array(fc.integer({ min: 1, max: 25 }), { minLength: 1, maxLength: 6 });

/** Words that lie wholly, or as good as, in the first `characters` visible characters. */
function wordsWithin(words: readonly string[], characters: number): number {
  let end = 0;
  const unsaid = words.findIndex((one) => {
    end += one.length;
    return characters < end - one.length * 0.1;
  });
  return unsaid < 0 ? words.length : unsaid;
}

interface Heard {
  readonly progress: SpeechProgress;
  readonly passed: readonly (SpokenChunk | undefined)[];
  readonly words: readonly string[];
}

/** A voice that dies after some of its chunks; each came at the time that `nowMs` gives. */
function dieAfter(
  clauses: readonly (readonly string[])[],
  sizes: readonly number[],
  share: number,
  nowMs: (index: number) => number,
): Heard {
  const progress = new SpeechProgress(new Pace());
  for (const clause of clauses) progress.add({ text: clause.join(' '), options: undefined });
  const words = clauses.flat();
  const chunks = speakAligned(words.join(' '), sizes);
  const came = chunks.slice(0, Math.floor(chunks.length * share));
  return { progress, words, passed: came.map((chunk, index) => progress.take(chunk, nowMs(index))) };
}

const share = fc.double({ min: 0, max: 1, noNaN: true });

describe('an utterance whose words are aligned', () => {
  it('is said exactly once, by the voice that died and the next one together', () => {
    fc.assert(
      fc.property(pieces, chunkCharacters, share, (clauses, sizes, part) => {
        const { progress, passed, words } = dieAfter(clauses, sizes, part, () => EARLY_MS);
        const said = visible(textOf(passed));
        expect(words.join('').startsWith(said)).toBe(true);
        // From the first word that was not passed on in full: none is lost, and none is said twice.
        expect(restOf(progress).split(/\s+/u).filter(Boolean)).toEqual(words.slice(wordsWithin(words, said.length)));
      }),
      { numRuns: 500 },
    );
  });

  it('leaves no half word once the caller’s ear has something else to hear', () => {
    fc.assert(
      fc.property(pieces, chunkCharacters, share, (clauses, sizes, part) => {
        const { passed, words } = dieAfter(clauses, sizes, part, () => EARLY_MS);
        const ends = words.map((_, index) => words.slice(0, index + 1).join('').length);
        let said = 0;
        for (const chunk of passed) {
          const before = said;
          said += visible(textOf([chunk])).length;
          // What had been passed on before this chunk is what the ear has to hear while the rest of a word is awaited.
          if (before * MS_PER_CHARACTER >= 150) expect([before, ...ends]).toContain(said);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('loses no word and repeats at most the one that was cut, however late its audio comes', () => {
    const times = fc.array(fc.integer({ min: 0, max: 3_000 }), { minLength: 1, maxLength: 10 });
    fc.assert(
      fc.property(pieces, chunkCharacters, share, times, (clauses, sizes, part, waits) => {
        let atMs = 0;
        const { progress, passed, words } = dieAfter(
          clauses,
          sizes,
          part,
          (index) => (atMs += waits[index % waits.length] ?? 0),
        );
        const said = visible(textOf(passed));
        const rest = restOf(progress).split(/\s+/u).filter(Boolean);
        expect(words.join('').startsWith(said)).toBe(true);
        expect(rest).toEqual(words.slice(wordsWithin(words, said.length)));
        const twice = said.length + rest.join('').length - words.join('').length;
        expect(twice).toBeLessThan(Math.max(...words.map((one) => one.length)));
      }),
      { numRuns: 500 },
    );
  });

  it('passes every byte of its audio on exactly once, in order, when the voice does not die', () => {
    const audio = fc.array(fc.integer({ min: 0, max: 2_000 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(pieces, chunkCharacters, audio, (clauses, sizes, waits) => {
        const progress = new SpeechProgress(new Pace());
        for (const clause of clauses) progress.add({ text: clause.join(' '), options: undefined });
        let count = 0;
        let atMs = 0;
        const chunks = speakAligned(clauses.flat().join(' '), sizes).map((chunk) => ({
          ...chunk,
          audio: chunk.audio.map(() => count++ % 251),
        }));
        const passed = chunks.map((chunk, index) => progress.take(chunk, (atMs += waits[index % waits.length] ?? 0)));
        passed.push(progress.finish());
        const heard = passed.flatMap((chunk) => (chunk ? [...chunk.audio] : []));
        expect(heard).toHaveLength(count);
        expect(heard.every((byte, index) => byte === index % 251)).toBe(true);
        expect(visible(textOf(passed))).toBe(clauses.flat().join(''));
        expect(progress.rest()).toEqual([]);
      }),
    );
  });
});

describe('an utterance without alignment', () => {
  it('goes on at a word’s start, about where the pace says that the voice was', () => {
    fc.assert(
      fc.property(pieces, share, (clauses, part) => {
        const pace = new Pace();
        pace.learn(1_000, 1_000 * MS_PER_CHARACTER);
        const progress = new SpeechProgress(pace);
        for (const clause of clauses) progress.add({ text: clause.join(' '), options: undefined });
        const words = clauses.flat();
        const saidMs = Math.floor(words.join('').length * part * MS_PER_CHARACTER);
        progress.take({ audio: new Uint8Array(saidMs * BYTES_PER_MS) }, EARLY_MS);
        const rest = restOf(progress).split(/\s+/u).filter(Boolean);
        expect(rest).toEqual(words.slice(words.length - rest.length));
        const from = words.slice(0, words.length - rest.length).join('').length;
        // Half a word off at most: it is said again if less than half of it was heard.
        const longest = Math.max(...words.map((one) => one.length));
        expect(Math.abs(from - saidMs / MS_PER_CHARACTER)).toBeLessThanOrEqual(longest / 2 + 1e-9);
      }),
      { numRuns: 500 },
    );
  });

  it('is all there when nothing was passed on, and keeps the options of pieces that were not begun', () => {
    const progress = new SpeechProgress(new Pace());
    const said = [
      { text: 'One two.', options: { fixed: true } },
      { text: 'Three four.', options: { fixed: true } },
    ];
    for (const piece of said) progress.add(piece);
    expect(progress.audible).toBe(false);
    expect(progress.rest()).toEqual(said);
    progress.take({ audio: new Uint8Array(3 * 70 * BYTES_PER_MS) }, EARLY_MS);
    expect(progress.audible).toBe(true);
    expect(progress.rest()).toEqual([{ text: 'two.', options: undefined }, said[1]]);
  });
});

describe('the pace of a voice', () => {
  it('is learned from what it finished, the latest counting most', () => {
    const pace = new Pace();
    expect(pace.msPerCharacter).toBe(70);
    pace.learn(100, 5_000);
    expect(pace.msPerCharacter).toBe(50);
    for (let utterance = 0; utterance < 10; utterance++) pace.learn(100, 9_000);
    expect(pace.msPerCharacter).toBeCloseTo(90, 0);
    pace.learn(0, 1_000);
    pace.learn(100, 0);
    expect(pace.msPerCharacter).toBeCloseTo(90, 0);
  });
});
