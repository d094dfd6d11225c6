import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { countWords, normaliseTranscript, toMatchable } from './normalise.ts';

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
  ['再见', 1],
  ['谢谢你，再见。', 3],
  ['さようなら、Ada', 2],
  ['สวัสดี', 1],
  ['안녕히 계세요', 2],
])('%j has %i words', (text, count) => {
  expect(countWords(text)).toBe(count);
});

describe('a matchable text', () => {
  it.each([
    ['Good-bye!', ' good bye '],
    ['¡Adiós!', ' adios '],
    ['Tschüß', ' tschuss '],
    ['À bientôt', ' a bientot '],
    ['That’s all', ' thats all '],
    // Marks are letters elsewhere.
    ['नमस्ते', ' नमस्ते '],
    ['йод', ' йод '],
    ['失礼します', ' 失 礼 し ま す '],
    ['がー', ' が ー '],
    ['สวัสดี', ' ส วั ส ดี '],
    ['OK再见', ' ok 再 见 '],
    ['… 👍', ''],
  ])('of %j is %j', (text, matchable) => {
    expect(toMatchable(text)).toBe(matchable);
  });

  it('is the same for the same words, whatever they are', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const matchable = toMatchable(text);
        expect(toMatchable(normaliseTranscript(text))).toBe(matchable);
        expect(matchable === '').toBe(countWords(text) === 0);
      }),
    );
  });
});
