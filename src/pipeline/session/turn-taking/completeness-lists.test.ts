import { describe, expect, it } from 'vitest';
import type { Completeness } from './completeness.ts';
import { assessCompleteness } from './completeness.ts';

const CASES: readonly (readonly [language: string, expected: Completeness, texts: readonly string[]])[] = [
  ['es', 'complete', ['sí', 'Sí, por favor', 'no', 'muchas gracias', 'Quiero una mesa para dos.', '¿Qué hora es?']],
  ['es', 'incomplete', ['Quiero una mesa para', 'mi número es', 'me llamo', 'mañana y', 'Me gustaría, eh.', 'con mi']],
  ['es', 'open', ['una mesa para dos', 'a las ocho']],
  ['fr', 'complete', ['oui', "d'accord", 'Non merci', 'peut-être', 'Annulez-le.', 'Une table pour deux.']],
  [
    'fr',
    'incomplete',
    ['je voudrais', "je m'appelle", 'une table pour', 'demain et', 'Je cherche un, euh.', 'avec mon'],
  ],
  ['fr', 'open', ['une table pour deux personnes', 'à huit heures']],
  ['it', 'complete', ['sì', 'va bene', 'No grazie', 'È mio.', 'Vorrei prenotare un tavolo.']],
  ['it', 'incomplete', ['vorrei', 'mi chiamo', 'un tavolo per', 'domani e', 'il mio']],
  ['pt-BR', 'complete', ['sim', 'muito obrigada', 'está bem', 'Quero uma mesa.']],
  ['pt', 'incomplete', ['quero', 'o meu número é', 'uma mesa para', 'amanhã e']],
  ['nl', 'complete', ['ja graag', 'nee', 'dat klopt', 'Ik wil een tafel.']],
  ['nl', 'incomplete', ['ik heet', 'een tafel voor', 'morgen en', 'mijn nummer is']],
  // A language without lists.
  ['sv', 'complete', ['Ja.']],
  ['sv', 'open', ['och']],
];

describe.each(CASES)('%s: %s', (language, expected, texts) => {
  it.each(texts)('%s', (text) => {
    expect(assessCompleteness(text, language)).toBe(expected);
  });
});
