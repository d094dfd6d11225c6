import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makeSpeakable } from './speakable.ts';

const languages = ['en', 'en-US', 'en-GB', 'de', 'ja'];

const seeds = fc.constantFrom(
  '**',
  '*',
  '_',
  '`',
  '```js\n',
  '~~',
  '#',
  '# ',
  '- ',
  '1. ',
  '> ',
  '|',
  '|---|\n',
  '[',
  '](',
  ')',
  '(',
  '](http://a.com)',
  '<',
  '>',
  '<b>',
  '</',
  '<break/>',
  '&lt;',
  '&amp;',
  '&',
  'amp;',
  'lt;',
  '\n',
  ' ',
  '  ',
  '$',
  '€',
  '£',
  '%',
  '+',
  '=',
  '@',
  '/',
  '°',
  '§',
  '©',
  '-',
  '–',
  '—',
  '...',
  '.',
  ',',
  ';',
  ':',
  '!',
  '?',
  '"',
  "'",
  '’',
  '1',
  '22',
  '1999',
  '2026',
  '1,234',
  '.56',
  '007',
  '1st',
  'nd',
  'k',
  'km',
  'GB',
  'a.m.',
  'pm',
  'Nov',
  'Nov.',
  'May',
  '22.11.2026',
  '2026-11-22',
  '11/22',
  '10:30',
  '+1 555 010 0199',
  '(555) 010-0199',
  'jane@example.com',
  'https://example.com/x_y',
  'www.',
  '.com',
  'Dr.',
  'St.',
  'Mr.',
  'e.g.',
  'No.',
  'vs',
  'etc.',
  'AB-1234',
  'A',
  'x',
  'word',
  'Word',
  'é',
  '漢字',
  '。',
  '😀',
  '👍🏽',
  '\u200D',
  '\uFE0F',
  '½',
  '²',
  '→',
  '×',
  '\\',
  '^',
  '{',
  '}',
  '\u0000',
  '\u202E',
  '\uD800',
  ':)',
);
const texts = fc.oneof(
  fc.array(seeds, { maxLength: 16 }).map((parts) => parts.join('')),
  fc
    .array(fc.oneof(seeds, fc.string({ unit: 'binary', maxLength: 4 })), { maxLength: 12 })
    .map((parts) => parts.join(' ')),
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.string({ maxLength: 60 }),
);

describe('properties', () => {
  it.each(languages)('idempotent, on one line, without control characters, tags or throwing (%s)', (language) => {
    fc.assert(
      fc.property(texts, (text) => {
        const spoken = makeSpeakable(text, { language });
        expect(makeSpeakable(spoken, { language })).toBe(spoken);
        expect(spoken).not.toMatch(/[\p{Cc}\p{Cs}<>]|^\s|\s$|\s\s/u);
        expect(language.startsWith('en') && /[0-9*_`#|~[\]{}\\/@&%+=^$]/.test(spoken)).toBe(false);
      }),
      { numRuns: 600 },
    );
  });
});

it('takes time in proportion to the text', () => {
  const pieces = [
    '1',
    '1,',
    '1.',
    '1-',
    '1 ',
    '$1',
    '+1',
    '(555) ',
    'a@',
    'a.',
    '@a.',
    'http://',
    'www.',
    '[',
    '[a](',
    '![',
    '<',
    '<a',
    '&',
    '*',
    '_',
    '_a',
    '`',
    '```',
    '|',
    '-',
    '- ',
    '# ',
    '> ',
    '\n',
    ' ',
    '\t ',
    '.',
    '. ',
    ',',
    ':',
    '"',
    '(',
    ')',
    '😀',
    'é',
    'Nov ',
    '1 Nov ',
    'Dr. ',
    '1/',
    '1:',
    '°',
    '—',
    '\\',
    '\u200D',
    '\u0301',
    'A1-',
    '<!--',
    '1st',
    'x1',
    '1x',
    "'",
    'a',
    'A',
    'E.',
    '&#',
    '~',
    '=',
  ];
  const slow: string[] = [];
  for (const piece of pieces) {
    if (growsTooFast(piece, 20_000, 100)) slow.push(piece);
  }
  expect(slow).toEqual([]);
});

it.each(['1', '[a](', '<', '|', '-', 'a@', '. ', '$1'])('takes 100 kB of %j', (piece) => {
  expect(growsTooFast(piece, 100_000, 500)).toBe(false);
});

/**
 * Compared with itself at a quarter of the length, so that a busy machine does not matter: quadratic would be 16. A garbage
 * collection may hit one measurement, not three.
 */
function growsTooFast(piece: string, characters: number, negligibleMs: number): boolean {
  return [1, 2, 3].every(() => {
    const usedMs = cpuMs(piece, characters);
    return usedMs > negligibleMs && usedMs > 9 * cpuMs(piece, characters / 4);
  });
}

function cpuMs(piece: string, characters: number): number {
  const text = `${piece.repeat(Math.ceil(characters / piece.length))}!x`;
  const start = process.cpuUsage();
  makeSpeakable(text, { language: 'en' });
  const used = process.cpuUsage(start);
  return (used.user + used.system) / 1000;
}
