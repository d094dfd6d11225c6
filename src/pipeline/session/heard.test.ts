import { describe, expect, it } from 'vitest';
import type { HeardRun } from '../../media/playout.ts';
import { heardCharacters } from './heard.ts';

const clauses = ['Hello there,', 'how are you?'].map((text) => ({ original: text, spoken: text }));
const said = (text: string | undefined, durationMs: number, heardMs = durationMs): HeardRun => ({
  text,
  durationMs,
  heardMs,
});
const characters = (runs: readonly HeardRun[], finished = true): number => {
  const sum = (key: 'durationMs' | 'heardMs'): number => runs.reduce((total, run) => total + run[key], 0);
  const heardMs = sum('heardMs');
  const speech = {
    generation: 1,
    heardMs,
    sentMs: heardMs,
    pushedMs: sum('durationMs'),
    finished,
    complete: false,
    runs,
  };
  return heardCharacters(speech, clauses);
};

describe('characters heard', () => {
  it('are exact where every word is aligned', () => {
    expect(characters([said('Hello ', 300), said('there,', 400, 200), said('how are you?', 500, 0)])).toBe(8);
  });

  it('do not grow in the pauses between words', () => {
    expect(characters([said('Hello ', 300), said('there,', 400), said(undefined, 250)], false)).toBe(11);
  });

  it('include words that came without alignment between two that had it', () => {
    expect(characters([said('Hello', 300), said(undefined, 400), said('how', 200, 100)])).toBe(12);
    expect(characters([said('Hello', 300), said(undefined, 400, 200), said('how', 200, 0)])).toBe(8);
  });

  it('count a word once that another voice says again, whether it broke off or was nearly whole', () => {
    const joint = said('', 0.125);
    expect(characters([said('Hello', 300), said('the', 150), joint, said('there,', 400), said('how', 200, 0)])).toBe(
      11,
    );
    expect(characters([said('Hello', 300), said('there,', 380), joint, said('there,', 400), said('how', 200, 0)])).toBe(
      11,
    );
  });

  it('are in proportion to the audio where nothing is aligned', () => {
    expect(characters([said(undefined, 2_000, 1_000)])).toBe(10);
    // Not finished: more audio is to come for the rest of the text.
    expect(characters([said(undefined, 600, 600)], false)).toBe(8);
  });

  it('are none when nothing was made', () => {
    expect(heardCharacters(undefined, clauses)).toBe(0);
  });
});
