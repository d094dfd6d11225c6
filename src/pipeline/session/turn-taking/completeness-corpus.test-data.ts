/** What the tests of completeness judge: utterances with the class that a person gave them. */
import { GERMAN } from './completeness-de.test-data.ts';
import { ENGLISH_FINISHED } from './completeness-en-finished.test-data.ts';
import { ENGLISH_UNFINISHED } from './completeness-en-unfinished.test-data.ts';
import type { Completeness } from './completeness.ts';

export const lines = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
export const CLASSES: readonly Completeness[] = ['complete', 'incomplete', 'dictating', 'open'];

const ENGLISH: Readonly<Record<Completeness, string>> = { complete: ENGLISH_FINISHED, ...ENGLISH_UNFINISHED };

/** By language and class. */
export const CORPUS = { en: linesOf(ENGLISH), de: linesOf(GERMAN) } as const;

function linesOf(texts: Readonly<Record<Completeness, string>>): Readonly<Record<Completeness, readonly string[]>> {
  const { complete, incomplete, dictating, open } = texts;
  return { complete: lines(complete), incomplete: lines(incomplete), dictating: lines(dictating), open: lines(open) };
}
