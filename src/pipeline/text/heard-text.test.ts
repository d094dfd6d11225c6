import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createChunker, endText, pushText } from './chunker.ts';
import { heardText, type SpokenClause } from './heard-text.ts';
import { makeSpeakable } from './speakable.ts';

const same = (original: string): SpokenClause => ({ original, spoken: original.trim() });

describe('heardText', () => {
  it.each([
    [0, '', 0],
    [2, '', 0],
    [3, 'Hello', 0],
    [6, 'Hello', 0],
    [8, 'Hello there.', 0],
    [11, 'Hello there.', 1],
    [13, 'Hello there. How', 1],
  ])('of "Hello there. How are you?" with %i characters heard: %j', (heard, text, clauseIndex) => {
    const result = heardText([same('Hello there. '), same('How are you?')], heard);
    expect(result.heardText).toBe(text);
    expect(result.complete).toBe(false);
    expect(result.clauseIndex).toBe(clauseIndex);
  });

  it('all of it', () => {
    expect(heardText([same('Hello there. '), same('How are you? ')], 21)).toEqual({
      heardText: 'Hello there. How are you? ',
      clauseIndex: 2,
      complete: true,
    });
  });

  it('maps changed clauses in proportion, by whole words as written', () => {
    const clause = { original: 'It costs $1,234.56 with **everything** included.', spoken: '' };
    const changed = { ...clause, spoken: makeSpeakable(clause.original, { language: 'en' }) };
    const seen = new Set<string>();
    for (let heard = 0; heard <= changed.spoken.length; heard++) seen.add(heardText([changed], heard).heardText);
    expect([...seen]).toEqual([
      '',
      'It',
      'It costs',
      'It costs $1,234.56',
      'It costs $1,234.56 with',
      'It costs $1,234.56 with **everything**',
      'It costs $1,234.56 with **everything** included.',
    ]);
  });

  it('takes what is not spoken along', () => {
    const clauses = [same('Hi. '), { original: '😀 ', spoken: '' }, same('Bye.'), { original: '\n', spoken: '' }];
    expect(heardText(clauses, 3)).toEqual({ heardText: 'Hi.', clauseIndex: 1, complete: false });
    expect(heardText(clauses, 7)).toEqual({ heardText: 'Hi. 😀 Bye.\n', clauseIndex: 4, complete: true });
    expect(heardText([], 0)).toEqual({ heardText: '', clauseIndex: 0, complete: true });
  });

  it('grows with what was heard, from nothing to the full text, always a beginning of it', () => {
    const part = fc.oneof(
      fc.constantFrom('$5 ', '10:30 ', 'Hello, ', 'you. ', '😀 ', '**bold** ', '\n', 'https://example.com/a ', 'word '),
      fc.string({ maxLength: 10 }),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 30 }), (parts) => {
        const text = parts.join('');
        const { state, clauses } = pushText(createChunker({ firstMaxWords: 3, longMinWords: 4 }), text);
        const spoken = [...clauses, ...endText(state).clauses].map((original) => ({
          original,
          spoken: makeSpeakable(original, { language: 'en' }),
        }));
        const total = spoken.map((clause) => clause.spoken.replace(/\s+/g, '').length).reduce((a, b) => a + b, 0);
        let previous = '';
        for (let heard = 0; heard <= total; heard++) {
          const result = heardText(spoken, heard);
          expect(heard === 0 && result.heardText !== '').toBe(false);
          expect(text.startsWith(result.heardText)).toBe(true);
          expect(result.heardText.length).toBeGreaterThanOrEqual(previous.length);
          expect(result.complete).toBe(heard === total);
          previous = result.heardText;
        }
        expect(previous).toBe(total > 0 ? text : '');
      }),
    );
  });
});
