import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ContinuationJoint, continuationMessages } from './continuation.ts';

/** What the caller hears of both. */
function heard(said: string, pieces: readonly string[]): string {
  const joint = new ContinuationJoint(said);
  return said + pieces.map((piece) => joint.push(piece)).join('') + joint.end();
}

/** As a model streams it: a word with the space before it at a time. */
const tokens = (text: string): string[] => text.match(/\s*\S+/gu) ?? [];

describe('a reply that another model goes on with', () => {
  it.each([
    ['repeats the last words, as asked', 'We are open from', 'are open from nine to five.'],
    ['begins again from the start', 'We are open from', 'We are open from nine to five.'],
    ['goes on at once', 'We are open from', 'nine to five.'],
    ['goes on with a space', 'We are open from', ' nine to five.'],
    ['spells the repetition otherwise', 'We are open from', 'Are open, from nine to five.'],
    ['finishes a word that was cut', 'We are open fro', 'are open from nine to five.'],
    ['finishes a cut word at once', 'We are open fro', 'from nine to five.'],
    ['follows a space', 'We are open from ', 'from nine to five.'],
  ])('%s', (_how, said, rest) => {
    const whole = 'We are open from nine to five.';
    expect(heard(said, tokens(rest))).toBe(whole);
    expect(heard(said, [rest])).toBe(whole);
    expect(heard(said, rest.split(''))).toBe(whole);
  });

  it('keeps the marks that had not been said', () => {
    expect(heard('Yes, we are', tokens('Yes, we are, every day.'))).toBe('Yes, we are, every day.');
    expect(heard('We are open.', tokens('are open. See you soon.'))).toBe('We are open. See you soon.');
  });

  it('lets a continuation pass that has nothing in common with what was said', () => {
    expect(heard('The pool', tokens('is heated in winter.'))).toBe('The pool is heated in winter.');
  });

  it('does not keep text waiting once it cannot be a repetition', () => {
    const joint = new ContinuationJoint('We are open from');
    expect(joint.push('nine ')).toBe(' nine ');
    expect(joint.push('to')).toBe('to');
  });

  it('says every word once, wherever a reply was cut, when the model repeats the last words', () => {
    const word = fc.stringMatching(/^[a-z]{2,8}$/u);
    fc.assert(
      fc.property(fc.uniqueArray(word, { minLength: 4, maxLength: 30 }), fc.nat(), fc.nat(), (words, at, back) => {
        const text = words.join(' ');
        const cut = words.slice(0, 1 + (at % (words.length - 1)));
        const rest = words.slice(Math.max(0, cut.length - 1 - (back % 4)));
        expect(heard(cut.join(' '), tokens(rest.join(' ')))).toBe(text);
      }),
    );
  });

  it('asks with what was said as the last answer', () => {
    const messages = continuationMessages([{ role: 'user', content: 'When?' }], 'We are');
    expect(messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'user']);
    expect(messages[1]).toMatchObject({ content: 'We are' });
  });
});
