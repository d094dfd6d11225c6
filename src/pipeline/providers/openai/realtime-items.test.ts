import { describe, expect, it } from 'vitest';
import { TranscriptItems } from './realtime-items.ts';

const done = (text: string) => ({ text, confidence: 0.5 });

describe('TranscriptItems', () => {
  it('tells transcripts in the order of what was said', () => {
    const items = new TranscriptItems();
    items.begin('a');
    items.begin('b');
    expect(items.append('a', 'One')).toBe('One');
    // Somebody waits for the first.
    expect(items.append('b', 'Two')).toBe('');
    expect(items.complete('b', done('Two.'))).toEqual([]);
    expect(items.append('a', ' and')).toBe('One and');
    expect(items.complete('a', done('One and.'))).toEqual([done('One and.'), done('Two.')]);
    expect(items.size).toBe(0);
  });

  it('takes a transcript that was never announced, and one whose deltas came before its commit', () => {
    const items = new TranscriptItems();
    expect(items.append('a', 'One')).toBe('One');
    items.begin('a');
    expect(items.complete('a', done('One.'))).toEqual([done('One.')]);
    expect(items.complete('b', done('Two.'))).toEqual([done('Two.')]);
  });

  it('does not let a late event open an item again', () => {
    const items = new TranscriptItems();
    expect(items.complete('a', done('One.'))).toHaveLength(1);
    items.begin('a');
    expect(items.append('a', 'x')).toBe('');
    expect(items.complete('a', done('x'))).toEqual([]);
    expect(items.size).toBe(0);
  });

  it('notices when it is filled without end', () => {
    const many = new TranscriptItems();
    for (let n = 0; n < 16; n++) many.begin(`i${n}`);
    expect(many.overflowed).toBe(false);
    many.begin('i16');
    expect(many.overflowed).toBe(true);
    const long = new TranscriptItems();
    long.append('a', 'x'.repeat(20_001));
    expect(long.overflowed).toBe(true);
  });
});
