import { expect, it } from 'vitest';
import {
  compareFromWithin,
  compareWithKnown,
  partAtTime,
  restAfterLast,
  restAfterSecondThought,
  standingBeside,
  toldSince,
  toldWithin,
} from './known-words.ts';

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
  ['Long street.', 'I live at twelve, long street', 'I live at twelve,', ''],
  ['at twelve', 'I live at twelve, long street', 'I live', 'long street'],
  ['At twenty long', 'I live at twelve, long street', 'I live', ''],
  ['I live', 'I live at twelve', '', 'at twelve'],
  ['elve long', 'I live at twelve long street', 'I live at', 'street'],
  ['the blue one', 'the red one or the blue', 'the red one or', ''],
  ['the', 'the red one or the blue', '', 'red one or the blue'],
  ['never mind', 'I live at twelve', '', ''],
  ['We leave at twelve', 'I live at twelve', '', ''],
  ['live', '', '', ''],
])('%j beside the guess %j leaves %j before and %j after it', (text, guess, before, leftover) => {
  expect(standingBeside(text, guess)).toMatchObject({ before, leftover });
});

it.each([
  ['book a table', 'look a table', ''],
  ['book a table for two', 'look a table', 'for two'],
  ['fork handles', 'four candles', undefined],
  ['Sundays', 'when do you open', undefined],
  ['please um', 'um', undefined],
])('%j as second thoughts on %j goes beyond them with %j', (text, known, rest) => {
  expect(restAfterSecondThought(text, known)).toBe(rest);
});

it.each([
  ['Please stop now.', 'when do you open please', 'stop now.'],
  ['you open please wait', 'when do you open please', 'wait'],
  ['Something else.', 'when do you open please', undefined],
  ['open', 'when do you open please', undefined],
])('%j goes beyond the last words of %j with %j', (text, known, rest) => {
  expect(restAfterLast(text, known)).toBe(rest);
});

it.each([
  ['I live at', 'I live', [1, 2], [1, 2, 9]],
  ['I lived at', 'I live', [1, 2], [1, 2, 9]],
  ['Long street', 'at twelve long street', [1, 2, 3, 4], [3, 4]],
  ['at twenty long street', 'at twelve long street', [1, 2, 3, 4], [1, 9, 3, 4]],
  ['no no no', 'no no', [1, 2], [1, 2, 9]],
  ['', 'no', [1], []],
  ['no', '', [], [9]],
])('the words of %j after %j, known since %j, are known since %j', (text, before, toldAtMs, expected) => {
  expect(toldSince(text, { text: before, toldAtMs }, 9)).toEqual(expected);
});

it.each([
  ['Long street', [3, 4]],
  ['twelve', [2]],
  ['Long street in', undefined],
  ['street at', undefined],
  ['', undefined],
])('the words of %j within "at twelve long street" are known since %j', (text, expected) => {
  expect(toldWithin(text, { text: 'at twelve long street', toldAtMs: [1, 2, 3, 4] })).toEqual(expected);
});

it.each([
  [0, '', 'At twelve, Long street'],
  [2, 'At twelve,', 'Long street'],
  [4, 'At twelve, Long street', ''],
])('at %i ms what was told is %j', (atMs, told, rest) => {
  const parted = partAtTime({ text: 'At twelve, Long street', toldAtMs: [1, 2, 3, 4] }, atMs);
  expect(parted).toMatchObject({ told, rest: { text: rest } });
});
