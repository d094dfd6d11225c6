import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { countWords, matchesPhrase, normaliseTranscript } from './normalise.ts';

describe('normaliseTranscript', () => {
  it.each([
    ['Hello, World!', 'hello world'],
    ['  I  don’t\nknow… ', "i don't know"],
    ["That's it; 'quoted' words.", "that's it quoted words"],
    ['It is 3.14, or 1,000. At 10:30.', 'it is 3.14 or 1,000 at 10:30'],
    ['uh-huh', 'uh huh'],
    ['ÜBER Straße', 'über straße'],
    ['cafe\u0301', 'café'],
    ['¿Qué tal?', 'qué tal'],
    ['你好，世界。', '你好 世界'],
    ['ＯＫ', 'ok'],
    ['𝘼 ㎒', 'a mhz'],
    ['İstanbul', 'i\u0307stanbul'],
    ['…', ''],
    ['', ''],
  ])('%j → %j', (text, expected) => {
    expect(normaliseTranscript(text)).toBe(expected);
  });

  it('is idempotent and never throws', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const once = normaliseTranscript(text);
        expect(normaliseTranscript(once)).toBe(once);
        expect(countWords(once)).toBe(countWords(text));
      }),
    );
  });

  it('takes time in proportion to the text', () => {
    for (const piece of ["'", "a'", '1.', 'a\u0301', ' .', "1'a"]) {
      expect(normaliseTranscript(piece.repeat(100_000))).toBeTypeOf('string');
    }
  });
});

it.each([
  ['One two  three.', 3],
  ["don't stop", 2],
  ['- …', 0],
])('%j has %i words', (text, count) => {
  expect(countWords(text)).toBe(count);
});

describe('matchesPhrase', () => {
  it('whole: the utterance and nothing else', () => {
    expect(matchesPhrase('Good bye!', ['hang up', 'good bye'], 'whole')).toBe('good bye');
    expect(matchesPhrase('Well, good bye!', ['good bye'], 'whole')).toBeUndefined();
  });

  it('contains: at word boundaries', () => {
    expect(matchesPhrase('Well, Good-bye then', ['Good bye!'], 'contains')).toBe('Good bye!');
    expect(matchesPhrase('take a note', ['no'], 'contains')).toBeUndefined();
    expect(matchesPhrase('no', ['no'], 'contains')).toBe('no');
  });

  it('a phrase without words matches nothing', () => {
    expect(matchesPhrase('', ['', '…'], 'whole')).toBeUndefined();
    expect(matchesPhrase('hello', [''], 'contains')).toBeUndefined();
  });
});
