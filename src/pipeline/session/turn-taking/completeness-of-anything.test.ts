import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CLASSES, CORPUS } from './completeness-corpus.test-data.ts';
import { assessCompleteness } from './completeness.ts';

describe('whatever is said', () => {
  const english = fc.constantFrom(...CLASSES.flatMap((label) => CORPUS.en[label]));

  it('is open when there are no words', () => {
    for (const text of ['', ' ', '…', '?', ', -']) expect(assessCompleteness(text, 'en')).toBe('open');
  });

  it('is never finished after a word that binds', () => {
    fc.assert(
      fc.property(
        english,
        fc.constantFrom('and', 'because', 'um', 'but the', 'with my', 'and I', 'so, uh'),
        (text, word) => {
          const bare = text.replace(/[.,!?…\s-]+$/u, '');
          expect(['incomplete', 'dictating']).toContain(assessCompleteness(`${bare} ${word}`, 'en'));
        },
      ),
    );
  });

  it('is finished by a question mark', () => {
    fc.assert(
      fc.property(english, (text) => {
        const bare = text.replace(/[.,!?…\s-]+$/u, '');
        expect(assessCompleteness(`${bare}?`, 'en')).toBe('complete');
      }),
    );
  });

  it('gets an answer, quickly, for any text and language', () => {
    const language = fc.constantFrom('en', 'de', 'fr', 'x-klingon', '');
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'grapheme', maxLength: 600 }),
          fc.array(english).map((all) => all.join(' ')),
        ),
        language,
        (text, tag) => {
          expect(CLASSES).toContain(assessCompleteness(text, tag));
        },
      ),
    );
    for (const part of ['a', '1', ' ', ', ', '- ', 'a-', '5 ', 'dot ', 'my email is ', '.', '1.', 'five ', '@']) {
      for (const tag of ['en', 'de']) expect(CLASSES).toContain(assessCompleteness(part.repeat(20_000), tag));
    }
  });
});
