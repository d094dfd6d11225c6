import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isBackchannel, meaningfulWords } from './backchannel.ts';

describe('a backchannel', () => {
  it.each<[string, string]>([
    ['en', 'uh-huh'],
    ['en', 'Uh-huh, yeah. Okay!'],
    ['en', 'mm-hmm'],
    ['en', 'Mhmm.'],
    ['en', 'mmm hmmm'],
    ['en', 'yeah yeah yeah'],
    ['en', 'yeahhh'],
    ['en', 'Ohh, I see.'],
    ['en', 'I see, all right, got it'],
    ['en', 'that’s right'],
    ['en-GB', 'Right. Sure.'],
    ['EN', 'okay'],
    ['de', 'Mhm, ja genau.'],
    ['de', 'ach so, alles klar'],
    ['de-AT', 'Jaja'],
    ['es', 'Ajá, sí, claro que sí'],
    ['es-MX', 'ya veo'],
    ['fr', "D'accord, je vois"],
    ['fr', 'oui oui, très bien'],
    ['it', 'mhm'],
    ['it', 'Sì, ho capito'],
    ['pt-BR', 'Tá bom, entendi'],
    ['nl', 'Ja, precies. Oké.'],
    ['pl', 'okay'],
  ])('%s: %s', (language, text) => {
    expect(isBackchannel(text, language)).toBe(true);
    expect(meaningfulWords(text, language)).toBe(0);
  });
});

describe('what takes the floor', () => {
  it.each<[string, string, number]>([
    ['en', 'no', 1],
    ['en', 'Nooo!', 1],
    ['en', 'No, no.', 2],
    ['en', 'stop', 1],
    ['en', 'wait', 1],
    ['en', 'hold on', 2],
    ['en', 'okay stop', 1],
    ['en', 'yeah, no', 1],
    ['en', 'yes please', 1],
    ['en', 'hello', 1],
    ['en', 'yeah, but how much', 3],
    ['en', 'Okay, what about parking, right?', 3],
    ['en', 'can I see it', 4],
    ['en', 'is that right now', 4],
    ['en', 'the yearly rate', 3],
    ['de', 'nein', 1],
    ['de', 'Moment', 1],
    ['de', 'Ja, aber was kostet das?', 4],
    ['es', 'no', 1],
    ['es', 'Sí, pero espere', 2],
    ['fr', 'non', 1],
    ['fr', 'Attendez', 1],
    ['it', 'aspetti', 1],
    ['it', 'Sì, ma quanto costa?', 3],
    ['pt', 'não', 1],
    ['nl', 'nee', 1],
    ['nl', 'Ja, wacht', 1],
  ])('%s: %s', (language, text, words) => {
    expect(isBackchannel(text, language)).toBe(false);
    expect(meaningfulWords(text, language)).toBe(words);
  });

  it('is not silence', () => {
    for (const text of ['', '  ', '…', '?!']) {
      expect(isBackchannel(text, 'en')).toBe(false);
      expect(meaningfulWords(text, 'en')).toBe(0);
    }
  });
});

describe("an agent's own list", () => {
  it('replaces the one of the language', () => {
    expect(isBackchannel('roger', 'en', ['roger', 'ten four'])).toBe(true);
    expect(isBackchannel('Roger, ten-four!', 'en', ['roger', 'ten four'])).toBe(true);
    expect(isBackchannel('yeah', 'en', ['roger'])).toBe(false);
    expect(isBackchannel('yeah', 'en', [])).toBe(false);
    expect(meaningfulWords('roger what', 'en', ['roger'])).toBe(1);
  });

  it('finds the phrases that fit together, not just the longest first', () => {
    expect(isBackchannel('a b c', 'en', ['a b', 'a', 'b c'])).toBe(true);
  });

  it('cannot make the agent deaf to "no" and "stop"', () => {
    const own = ['no', 'stop', 'hold on', 'wait wait', 'fine'];
    for (const text of ['no', 'stop', 'hold on', 'wait wait', 'wait']) {
      expect(isBackchannel(text, 'en', own)).toBe(false);
      expect(meaningfulWords(text, 'en', own)).toBeGreaterThan(0);
    }
    expect(isBackchannel('fine', 'en', own)).toBe(true);
  });
});

it('agrees with itself on any text', () => {
  const word = fc.constantFrom(
    'yeah',
    'uh-huh',
    'okay',
    'no',
    'stop',
    'see',
    'I',
    'that',
    'right',
    'parking',
    'mm',
    '…',
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 12 }), fc.constantFrom('en', 'de', 'es', 'fr', 'ja'), (words, language) => {
      const text = words.join(' ');
      const hasWords = words.some((each) => each !== '…');
      expect(isBackchannel(text, language)).toBe(hasWords && meaningfulWords(text, language) === 0);
      if (words.includes('no') || words.includes('stop')) expect(meaningfulWords(text, language)).toBeGreaterThan(0);
    }),
  );
});
