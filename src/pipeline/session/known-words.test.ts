import { expect, it } from 'vitest';
import { compareFromWithin, compareWithKnown, restAfterLast, sharesHalf } from './known-words.ts';

it.each([
  ['When do you open?', 'when do you open', { rest: '', leftover: '' }],
  ['When do you open on Sundays?', 'When do you open?', { rest: 'on Sundays?', leftover: '' }],
  ['Yes.', 'Yes, please do.', { rest: '', leftover: 'please do.' }],
  ['So — when?', 'so', { rest: 'when?', leftover: '' }],
  ['', 'known', { rest: '', leftover: 'known' }],
  ['Something else.', 'known', undefined],
  ['Opening times?', 'Openings', { rest: 'times?', leftover: '' }],
  ['to', 'two', undefined],
])('%j against %j', (text, known, compared) => {
  expect(compareWithKnown(text, known)).toEqual(compared);
});

it.each([
  ['you', 'When do you open?', { rest: '', leftover: 'open?' }],
  ['You open on Sundays?', 'When do you open?', { rest: 'on Sundays?', leftover: '' }],
  ['when do', 'When do you open?', { rest: '', leftover: 'you open?' }],
  ['do open', 'When do you open?', undefined],
  ['Sundays', 'When do you open?', undefined],
  ['Sundays', '', undefined],
])('%j within %j', (text, known, compared) => {
  expect(compareFromWithin(text, known)).toEqual(compared);
});

it.each([
  ['book a table', 'look a table', true],
  ['fork handles', 'four candles', false],
  ['Sundays', 'when do you open', false],
])('%j shares half of its words with %j: %s', (text, other, expected) => {
  expect(sharesHalf(text, other)).toBe(expected);
});

it.each([
  ['Please stop now.', 'when do you open please', 'stop now.'],
  ['you open please wait', 'when do you open please', 'wait'],
  ['Something else.', 'when do you open please', undefined],
  ['open', 'when do you open please', undefined],
])('%j goes beyond the last words of %j with %j', (text, known, rest) => {
  expect(restAfterLast(text, known)).toBe(rest);
});
