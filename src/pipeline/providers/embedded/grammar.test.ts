import { describe, expect, it } from 'vitest';
import { buildGrammar, MAX_PHRASES, spokenWords } from './grammar.ts';

const sayable = (word: string) => (word === 'xyzzy' ? [] : [word.toUpperCase()]);

describe('spokenWords', () => {
  it('writes phrases as they are spoken', () => {
    expect(spokenWords('What are your opening hours?').join(' ')).toBe('what are your opening hours');
    expect(spokenWords('Is room 101 free?').join(' ')).toBe('is room one hundred one free');
    expect(spokenWords('  I don’t know – a café, please! ').join(' ')).toBe("i don't know a cafe please");
    expect(spokenWords('Check-in').join(' ')).toBe('check in');
  });

  it('finds no words in punctuation', () => {
    expect(spokenWords('?! …')).toEqual([]);
    expect(spokenWords('')).toEqual([]);
  });
});

describe('buildGrammar', () => {
  it('lets phrases share their beginnings', () => {
    const { jsgf, phrases } = buildGrammar(
      ['Yes', 'Yes please', 'What are your hours', 'What are your rates'],
      sayable,
    );
    expect(phrases).toHaveLength(4);
    expect(jsgf).toContain('<phrase> = yes [ please ] | what ( are ( your ( hours | rates ) ) );');
  });

  it('takes the same words once', () => {
    expect(buildGrammar(['Hello!', 'hello', 'HELLO?'], sayable).phrases).toEqual(['hello']);
  });

  it('skips what cannot be said, and keeps the rest', () => {
    const grammar = buildGrammar(['say xyzzy', 'say hello', '…', 'no '.repeat(40)], sayable);
    expect(grammar.phrases).toEqual(['say hello']);
    expect(grammar.skipped.map(({ reason }) => reason)).toEqual(['unpronounceable', 'no-words', 'too-long']);
    expect(grammar.pronunciations.get('hello')).toEqual(['HELLO']);
  });

  it('is bounded', () => {
    const many = Array.from({ length: MAX_PHRASES + 10 }, (_, i) => `number ${i}`);
    const grammar = buildGrammar(many, sayable);
    expect(grammar.phrases).toHaveLength(MAX_PHRASES);
    expect(grammar.skipped).toHaveLength(10);
  });

  it('has no grammar without phrases', () => {
    expect(buildGrammar([], sayable).jsgf).toBeUndefined();
  });
});
