import { expect, it } from 'vitest';
import { fixedPhrases } from './fixed-phrases.ts';

it.each(['de', 'es', 'fr', 'it', 'pt', 'nl'])('%s has every phrase in its own words', (language) => {
  const english = fixedPhrases('en');
  const own = fixedPhrases(language);
  expect(Object.keys(own).sort()).toEqual(Object.keys(english).sort());
  for (const [name, phrase] of Object.entries(english)) expect(own).not.toHaveProperty(name, phrase);
  expect(new Set(Object.values(own)).size).toBe(Object.keys(english).length);
});

it('goes by the language of a tag, and is English where there is none', () => {
  expect(fixedPhrases('pt-BR')).toBe(fixedPhrases('pt'));
  expect(fixedPhrases('DE-at')).toBe(fixedPhrases('de'));
  expect(fixedPhrases('den')).toBe(fixedPhrases('en'));
});
