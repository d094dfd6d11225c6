import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createChunker, endText, pushText, type ChunkerSettings, type ChunkerState } from './chunker.ts';
import { LOOKAHEAD } from './clause-boundary.ts';

function chunk(deltas: readonly string[], settings: Partial<ChunkerSettings> = {}): string[] {
  let state: ChunkerState = createChunker(settings);
  const clauses: string[] = [];
  for (const delta of deltas) {
    const result = pushText(state, delta);
    state = result.state;
    clauses.push(...result.clauses);
  }
  return [...clauses, ...endText(state).clauses];
}

/** As for a later clause: nothing but ends of sentences, lines and the length limit cuts. */
const sentences = (text: string, language = 'en') =>
  chunk([text], { language, firstMinWords: 99, firstMaxWords: 999, longMinWords: 99 });

describe('the first clause', () => {
  it.each([
    ['Sure, I can certainly help you with that, one moment.', 'Sure, I can certainly help you with that, '],
    ['Thanks for calling, how can I help?', 'Thanks for calling, '],
    ['Hi! How are you?', 'Hi!'],
    ['Yes. We do.', 'Yes.'],
    ['Yes, of course. Anything else?', 'Yes, of course.'],
    ['No. 5 is taken. Sorry.', 'No. 5 is taken. '],
    ['Certainly, the table by the window is free.', 'Certainly, the table by the window is free.'],
    [
      'We deliver on weekdays between nine and five and on Saturdays too.',
      'We deliver on weekdays between nine and five ',
    ],
    ['The total for the two tickets you asked about comes to 40.', 'The total for the two tickets you asked about '],
    ['您好，我是您的助手，很高兴为您服务。', '您好，我是您的助手，'],
  ])('%j begins with %j', (text, first) => {
    expect(chunk([text])[0]).toBe(first);
  });

  it('goes out as soon as the text decides it', () => {
    const waiting = pushText(createChunker(), 'Thanks for calling, ');
    expect(waiting.clauses).toEqual([]);
    expect(pushText(waiting.state, 'h').clauses).toEqual(['Thanks for calling, ']);
  });

  it.each([
    ['Certainly.', 'en'],
    ['Yes, of course.', 'en-GB'],
    ["That's no problem!", 'en'],
    ['Ja, sehr gerne.', 'de'],
    ['  Thank you very much.', 'en'],
  ])('goes out with its last mark when it is an opener: %j', (text, language) => {
    let state = createChunker({ language });
    for (const character of text.slice(0, -1)) {
      const pushed = pushText(state, character);
      expect(pushed.clauses).toEqual([]);
      state = pushed.state;
    }
    expect(pushText(state, text.slice(-1)).clauses).toEqual([text]);
  });

  it.each([
    ['Visit us.', 'en'],
    ['Is it good?', 'en'],
    ['It is 3.', 'en'],
    ['No.', 'en'],
    ['Certainly.', 'fr'],
    ['You have to see Dr.', 'en'],
  ])('waits for the next word after %j', (text, language) => {
    expect(pushText(createChunker({ language }), text).clauses).toEqual([]);
  });

  it('does not wait for the end of a long sentence', () => {
    const text = 'I would be very happy to look into the matter of your most recent order for you today if you like';
    let state = createChunker();
    let heldWords = 0;
    for (const word of text.split(/(?= )/)) {
      const result = pushText(state, word);
      state = result.state;
      heldWords++;
      if (result.clauses.length > 0) break;
    }
    expect(heldWords).toBeLessThanOrEqual(11);
  });
});

describe('sentences', () => {
  it.each<[string, number]>([
    ['Pi is 3.14 or so. Next one.', 2],
    ['We have 1,000 of them. Good.', 2],
    ['Come at 10:30 today. Bye.', 2],
    ['It costs $4.50 now. Fine.', 2],
    ['On 12.05.2026 we met. Fine.', 2],
    ['It is on 1. January this year. Fine.', 2],
    ['Ask Dr. Smith or Mrs. Jones. Fine.', 2],
    ['Use a tool, e.g. Excel or i.e. Word. Fine.', 2],
    ['In the U.S. President Lincoln. Fine.', 2],
    ['He lives in the U.S. The rest do not.', 2],
    ['At 10 a.m. Monday we open. Fine.', 2],
    ['We open at 10 a.m. Do come by.', 2],
    ['It is on St. John Street. Fine.', 2],
    ['Take No. 5 please. Fine.', 2],
    ['No. I do not.', 2],
    ['J. R. R. Tolkien wrote it. Fine.', 2],
    ['See https://example.com/a.b?c=d. It is there.', 2],
    ['Write to jane.doe@example.com. Please do.', 2],
    ['Go to www.example.com! Please do.', 2],
    ['Call +1 (555) 010-0199. Please do.', 2],
    ['I paid 3. Then I left.', 2],
    ['Well... I think so. Fine.', 3],
    ['Well… maybe so. Fine.', 2],
    ['He said "Stop." Then he left.', 2],
    ['"Really?" she asked. Yes.', 2],
    ['(It was late.) We left.', 2],
    ['**Important.** Read this.', 2],
    ['What?! No way!!! Really.', 3],
    ['こんにちは。元気ですか？はい！', 3],
    ['「はい。」と言った。', 2],
    ['مرحبا؟ نعم', 2],
    ['नमस्ते। कैसे हैं आप।', 2],
    ['Great! 😊 See you.', 2],
    ['1. Open it\n2. Close it\n', 2],
    ['- one\n- two\n\n- three', 3],
    ['```js\nlet a = 1.5; foo. bar\n```\nDone.', 2],
    ['Read [our guide. It helps](https://example.com/guide) now. Fine.', 2],
    ['Version 2.0.1 is out. Fine.', 2],
    ['Use Node.js or example.com today. Fine.', 2],
  ])('%j has %i', (text, count) => {
    const clauses = sentences(text);
    expect(clauses).toHaveLength(count);
    expect(clauses.join('')).toBe(text);
  });

  it('takes "3. Platz" for an ordinal in other languages', () => {
    expect(sentences('Er kam auf den 3. Platz. Gut.', 'de')).toEqual(['Er kam auf den 3. Platz. ', 'Gut.']);
  });

  it('cuts long sentences at commas', () => {
    const text =
      'Hello. When you arrive at the main entrance on the north side of the building, press the red button, then wait.';
    expect(chunk([text])).toEqual([
      'Hello.',
      ' When you arrive at the main entrance on the north side of the building, ',
      'press the red button, then wait.',
    ]);
  });
});

describe('what must stay whole', () => {
  const whole = [
    '3.14',
    '1,000,000',
    '10:30',
    '$4.50',
    '12.05.2026',
    'Dr. Smith',
    'e.g. this',
    'U.S. Army',
    'No. 5',
    'J. R. R. Tolkien',
    'https://example.com/a,b;c:d',
    'jane.doe@example.com',
    'sub.example.co.uk',
    '+1 555 010 0199',
    '(555) 010-0199',
    '5 km',
    'November 22, 2026',
    '$1.2 million',
    'USD 20',
    '[the booking page](https://example.com/book)',
  ];
  it.each(whole)('%j is never cut, wherever the limits fall', (item) => {
    for (let before = 0; before < 14; before++) {
      const text = `${'word '.repeat(before)}${item} follows here and goes on for quite a while until the end.`;
      const clauses = chunk(text.split(''), { firstMaxWords: 6, longMinWords: 3, maxCharacters: 60 });
      expect(clauses.join('')).toBe(text);
      expect(clauses.some((clause) => clause.includes(item))).toBe(true);
    }
  });
});

it('waits while a number may go on, but not after the end', () => {
  const pushed = pushText(createChunker(), 'It is 3.');
  expect(pushed.clauses).toEqual([]);
  expect(pushText(pushed.state, '14 then. A').clauses).toEqual(['It is 3.14 then. ']);
  expect(endText(pushed.state).clauses).toEqual(['It is 3.']);
});

it('bounds text without any boundary', () => {
  let state = createChunker();
  let held = 0;
  for (let i = 0; i < 2_000; i++) {
    state = pushText(state, 'x').state;
    held = Math.max(held, state.pending.length);
  }
  expect(held).toBeLessThanOrEqual(240 + LOOKAHEAD);
  const clauses = chunk(['👩‍👩‍👧 '.trim().repeat(100)]);
  expect(clauses.length).toBeGreaterThan(1);
  for (const clause of clauses) expect(clause.length % '👩‍👩‍👧'.length).toBe(0);
});

const fragment = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc.constantFrom(
    ' ',
    '  ',
    '\n',
    '\r\n',
    '. ',
    ', ',
    '... ',
    '! ',
    '?" ',
    ') ',
    '。',
    '，',
    '—',
    ' - ',
    '3.',
    '14',
    '1,000',
    'Dr. ',
    'e.g. ',
    'U.S. ',
    '22. ',
    'Jan',
    'uary',
    'Janet',
    '[',
    '](http://a.b) ',
    '<b',
    '>',
    '```js\n',
    '```\n',
    '- ',
    '| a | b |\n',
    'word ',
    'and ',
    'the ',
    '漢字',
    '😀',
    'a.m. ',
    'The ',
    'I',
    ' '.repeat(12),
    'https://example.com/x. ',
    'supercalifragilistic',
    'Of course',
    'yes, ',
    'Ja ',
    'gerne',
    '.',
    '!',
  ),
);
const texts = fc.array(fragment, { maxLength: 60 }).map((parts) => parts.join(''));

describe('properties', () => {
  const settings = fc.record({
    firstMinWords: fc.integer({ min: 1, max: 4 }),
    firstMaxWords: fc.integer({ min: 2, max: 10 }),
    longMinWords: fc.integer({ min: 1, max: 14 }),
    maxCharacters: fc.integer({ min: 16, max: 80 }),
    language: fc.constantFrom('en', 'de'),
  });

  it('loses nothing and keeps the bound, however the text is cut into deltas, with the same clauses', () => {
    fc.assert(
      fc.property(texts, fc.array(fc.nat(), { maxLength: 40 }), settings, (text, cuts, chosen) => {
        const places = [...new Set(cuts.map((cut) => cut % (text.length + 1)))].sort((a, b) => a - b);
        const deltas = [0, ...places].map((start, index) => text.slice(start, places[index] ?? text.length));
        const whole = chunk([text], chosen);
        expect(whole.join('')).toBe(text);
        expect(chunk(deltas, chosen)).toEqual(whole);
        expect(chunk(text.split(''), chosen)).toEqual(whole);
        for (const clause of whole) expect(clause.length).toBeLessThanOrEqual(chosen.maxCharacters);
      }),
      { numRuns: 500 },
    );
  });

  it('gives no clause without words but the last, and over-long ones', () => {
    fc.assert(
      fc.property(texts, (text) => {
        for (const clause of chunk([text]).slice(0, -1)) {
          expect(/[\p{L}\p{N}]/u.test(clause) || clause.length > 200).toBe(true);
        }
      }),
    );
  });
});

it('is linear enough for 200 kB of hostile text, without losing any', () => {
  for (const text of [
    'a '.repeat(100_000),
    '('.repeat(200_000),
    '. '.repeat(100_000),
    '[a'.repeat(100_000),
    ' '.repeat(200_000),
  ]) {
    expect(chunk([text]).join('').length).toBe(text.length);
  }
});
