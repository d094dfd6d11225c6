/** Recognisers say words again until they are final: what of a transcript is new? */
import { normaliseTranscript } from '../text/normalise.ts';

/** Two words are alike when they begin with this many same letters, and with this share of the longer one. */
const MIN_SAME_BEGINNING = 3;
const SAME_SHARE = 0.6;

export interface Compared {
  /** What the transcript says beyond the known words, as it says it. */
  readonly rest: string;
  /** Known words that the transcript does not reach. */
  readonly leftover: string;
}

/** Compares a transcript with words that are known to come first in it; undefined: it says something else. */
export function compareWithKnown(text: string, known: string): Compared | undefined {
  const said = wordsOf(text);
  const expected = wordsOf(known);
  const common = Math.min(said.length, expected.length);
  for (let index = 0; index < common; index++) {
    if (!isAlike(said[index] ?? '', expected[index] ?? '')) return undefined;
  }
  return { rest: afterWords(text, common), leftover: afterWords(known, common) };
}

/** The same for a transcript that may begin at any of the known words: the recogniser has not heard those before. */
export function compareFromWithin(text: string, known: string): Compared | undefined {
  const words = wordsOf(known).length;
  for (let from = 0; from < words; from++) {
    const compared = compareWithKnown(text, afterWords(known, from));
    if (compared) return compared;
  }
  return undefined;
}

/**
 * What a transcript says beyond the last of the known words, when it begins with those: the finals of the others never came.
 * Undefined: it does not begin with any.
 */
export function restAfterLast(text: string, known: string): string | undefined {
  const said = wordsOf(text);
  const expected = wordsOf(known);
  for (let from = 1; from < expected.length; from++) {
    const tail = expected.slice(from);
    if (tail.length > said.length || !tail.every((word, index) => isAlike(said[index] ?? '', word))) continue;
    return afterWords(text, tail.length);
  }
  return undefined;
}

/** The same word, or a recogniser's other spelling or inflection of it: their beginnings agree for the most part. */
function isAlike(word: string, other: string): boolean {
  if (word === other) return true;
  let same = 0;
  while (same < word.length && word[same] === other[same]) same++;
  return same >= MIN_SAME_BEGINNING && same >= SAME_SHARE * Math.max(word.length, other.length);
}

/** Whether at least half of the words of one are words of the other. */
export function sharesHalf(text: string, other: string): boolean {
  const said = wordsOf(text);
  const known = wordsOf(other);
  return said.filter((word) => known.some((one) => isAlike(word, one))).length * 2 >= said.length;
}

function wordsOf(text: string): string[] {
  const normalised = normaliseTranscript(text);
  return normalised === '' ? [] : normalised.split(' ');
}

/** The text without its first `count` words. */
function afterWords(text: string, count: number): string {
  const tokens = text.trim().split(/\s+/u);
  let skipped = 0;
  while (tokens.length > 0 && skipped < count) skipped += wordsOf(tokens.shift() ?? '').length;
  // A token without words (a dash) belongs to what came before it.
  while (tokens.length > 0 && wordsOf(tokens[0] ?? '').length === 0) tokens.shift();
  return tokens.join(' ');
}
