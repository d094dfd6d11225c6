import { describe, expect, it } from 'vitest';
import { fixedPhrases } from './fixed-phrases.ts';
import { isBackchannel } from './session/turn-taking/backchannel.ts';
import { takesLeave } from './session/turn-taking/end-call.ts';
import { createChunker, endText, pushText } from './text/chunker.ts';
import { toMatchable } from './text/normalise.ts';
import { makeSpeakable } from './text/speakable.ts';

const LANGUAGES = ['en', 'de', 'es', 'fr', 'it', 'pt', 'nl'];

describe.each(LANGUAGES)('%s', (language) => {
  const { endCallPhrases, ...sentences } = fixedPhrases(language);

  it('can be spoken as it is written', () => {
    for (const sentence of Object.values(sentences)) {
      const pushed = pushText(createChunker({ language }), sentence);
      const clauses = [...pushed.clauses, ...endText(pushed.state).clauses];
      expect(clauses.map((clause) => makeSpeakable(clause, { language }).trim()).join(' ')).toBe(sentence);
      expect(sentence).toMatch(/[.?]$/u);
    }
  });

  it('knows a goodbye, its own above all, from somebody who goes on listening', () => {
    expect(endCallPhrases.length).toBeGreaterThanOrEqual(10);
    expect(new Set(endCallPhrases.map(toMatchable)).size).toBe(endCallPhrases.length);
    expect(takesLeave(sentences.goodbye, endCallPhrases)).toBe(true);
    for (const phrase of endCallPhrases) {
      expect(isBackchannel(phrase, language)).toBe(false);
      expect(takesLeave(phrase, endCallPhrases)).toBe(true);
    }
    for (const { pardon, reminder, filler } of LANGUAGES.map(fixedPhrases)) {
      for (const sentence of [pardon, reminder, filler]) expect(takesLeave(sentence, endCallPhrases)).toBe(false);
    }
  });
});

it.each(LANGUAGES.slice(1))('%s has every phrase in its own words', (language) => {
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
