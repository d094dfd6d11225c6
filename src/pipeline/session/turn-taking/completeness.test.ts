import { describe, expect, it } from 'vitest';
import { lines } from './completeness-corpus.test-data.ts';
import { assessCompleteness } from './completeness.ts';
import type { Completeness } from './completeness.ts';

describe('short words', () => {
  const words = lines(`
    yes
    no
    yeah
    yeah, sure
    yep
    nope
    okay
    sure
    thanks
    thank you
    hello
    no thanks
    yes please
    right
    correct
    uh-huh
    yes, yes
    no, no, no
    okay, thanks
    yeah, no
    yes, that's right`);

  it.each(words)('%s', (word) => {
    const capital = word.charAt(0).toUpperCase() + word.slice(1);
    const forms = [
      word,
      `${word}.`,
      capital,
      `${capital}.`,
      `${capital}!`,
      `${capital}?`,
      ` ${word} `,
      word.toUpperCase(),
      `“${capital}.”`,
    ];
    for (const form of forms) expect(assessCompleteness(form, 'en'), form).toBe('complete');
    // A recogniser that writes no commas.
    expect(assessCompleteness(word.replaceAll(',', ''), 'en-US')).toBe('complete');
    // The same after something else.
    expect(assessCompleteness(`I was there. ${capital}.`, 'en')).toBe('complete');
    expect(assessCompleteness(`um ${word}`, 'en')).toBe('complete');
  });
});

describe('other languages', () => {
  it.each<[string, string, Completeness]>([
    ['fr', 'Je voudrais réserver une table.', 'complete'],
    ['fr', 'je voudrais réserver une', 'incomplete'],
    ['fr', 'Alors,', 'incomplete'],
    ['fr', '06 12 34', 'dictating'],
    ['fr', 'mon numéro est le zéro six', 'dictating'],
    ['fr', 'zéro six douze trente-quatre quatre-vingt-dix-huit', 'dictating'],
    ['fr', 'zéro six douze trente-quatre cinquante-six quatre-vingt-dix-huit', 'complete'],
    ['fr', 'trente-quatre', 'open'],
    ['es', 'mi número es seis uno dos', 'dictating'],
    ['es', 'seis uno dos tres cuatro cinco seis siete ocho', 'complete'],
    ['es', 'a las seis treinta', 'open'],
    ['it', 'il mio numero è tre due otto', 'dictating'],
    ['it', 'siamo in due', 'open'],
    ['pt', 'nove um dois três', 'dictating'],
    ['nl', 'nul zes één twee drie', 'dictating'],
    ['nl', 'met twee', 'open'],
    ['es', '¿Tienen aparcamiento?', 'complete'],
    ['es', 'sí', 'complete'],
    ['it', 'Vorrei…', 'incomplete'],
    ['ja', '予約をお願いします。', 'complete'],
    ['ja', '予約をお願いします', 'open'],
    ['zh', '我想，', 'incomplete'],
  ])('%s: %s', (language, text, label) => {
    expect(assessCompleteness(text, language)).toBe(label);
  });
});
