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

/** What of a guess a transcript leaves standing: the words before those that it says, and those that it does not reach. */
export interface Standing {
  readonly before: string;
  readonly leftover: string;
  /** How many words of the guess it says. */
  readonly common: number;
}

/**
 * What a transcript that may begin at any of the guessed words leaves of them; its own first word may be half a word. Of a guess
 * that it says nothing of it leaves nothing: it begins before that, or has heard it otherwise.
 */
export function standingBeside(text: string, guess: string): Standing {
  const said = wordsOf(text);
  const guessed = wordsOf(guess);
  const whole = longestRun(said, guessed);
  const isWhole = whole.length > 0;
  const { length, from } = isWhole ? whole : longestRun(said.slice(1), guessed.slice(1));
  if (length === 0) return { before: '', leftover: '', common: 0 };
  const before = from === 0 ? '' : splitAfterWords(guess, from)[0];
  // What says something else from some word on has heard the rest otherwise.
  const isWithin = length === said.length - (isWhole ? 0 : 1);
  return { before, leftover: isWithin ? afterWords(guess, from + said.length) : '', common: length };
}

/** Words, and since when each of them is known. */
export interface TimedWords {
  readonly text: string;
  readonly toldAtMs: readonly number[];
}

export const NOTHING_TOLD: TimedWords = { text: '', toldAtMs: [] };

/** Since when each word of a transcript is known: those that the one before began or ended with are so for as long as there. */
export function toldSince(text: string, before: TimedWords, nowMs: number): readonly number[] {
  const words = wordsOf(text);
  const known = wordsOf(before.text);
  const common = Math.min(words.length, known.length);
  let first = 0;
  while (first < common && isAlike(words[first] ?? '', known[first] ?? '')) first++;
  let last = 0;
  while (last < common - first && isAlike(words.at(-1 - last) ?? '', known.at(-1 - last) ?? '')) last++;
  const fresh = words.slice(first, words.length - last).map(() => nowMs);
  return [...before.toldAtMs.slice(0, first), ...fresh, ...before.toldAtMs.slice(known.length - last, known.length)];
}

/** Since when the words of a transcript are known that stands somewhere in others as it is; undefined: it does not. */
export function toldWithin(text: string, { text: others, toldAtMs }: TimedWords): readonly number[] | undefined {
  const words = wordsOf(text);
  const { length, from } = longestRun(words, wordsOf(others));
  return length > 0 && length === words.length ? toldAtMs.slice(from, from + length) : undefined;
}

/** Parts a guess into what was told before a moment, from its beginning on, and the rest. */
export function partAtTime(
  { text, toldAtMs }: TimedWords,
  atMs: number,
): { readonly told: string; readonly rest: TimedWords } {
  const later = toldAtMs.findIndex((toldMs) => toldMs > atMs);
  const count = later === -1 ? toldAtMs.length : later;
  if (count === 0) return { told: '', rest: { text, toldAtMs } };
  const [told, rest] = splitAfterWords(text, count);
  return { told, rest: { text: rest, toldAtMs: toldAtMs.slice(count) } };
}

/** Where in the expected words most of the first words said follow each other, and how many. */
function longestRun(said: readonly string[], expected: readonly string[]): { length: number; from: number } {
  let longest = { length: 0, from: 0 };
  for (let from = 0; from < expected.length; from++) {
    let length = 0;
    while (length < said.length && isAlike(said[length] ?? '', expected[from + length] ?? '')) length++;
    if (length > longest.length) longest = { length, from };
  }
  return longest;
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
export function isAlike(word: string, other: string): boolean {
  if (word === other) return true;
  let same = 0;
  while (same < word.length && word[same] === other[same]) same++;
  return same >= MIN_SAME_BEGINNING && same >= SAME_SHARE * Math.max(word.length, other.length);
}

/**
 * What a transcript says beyond other words for the known ones: at least half of those are the same, and none is put in.
 * Undefined: it says something else.
 */
export function restAfterSecondThought(text: string, known: string): string | undefined {
  const said = wordsOf(text);
  const expected = wordsOf(known);
  const last = said.findLastIndex((word) => isAlike(word, expected.at(-1) ?? ''));
  const replacing = last === -1 ? said : said.slice(0, last + 1);
  const fresh = replacing.filter((word) => !expected.some((other) => isAlike(word, other))).length;
  const gone = expected.filter((word) => !replacing.some((other) => isAlike(word, other))).length;
  if (fresh * 2 > replacing.length || fresh > gone) return undefined;
  return afterWords(text, replacing.length);
}

function wordsOf(text: string): string[] {
  const normalised = normaliseTranscript(text);
  return normalised === '' ? [] : normalised.split(' ');
}

/** The text without its first `count` words. */
function afterWords(text: string, count: number): string {
  return splitAfterWords(text, count)[1];
}

/** The text's first `count` words, and what follows them. */
function splitAfterWords(text: string, count: number): [first: string, rest: string] {
  const tokens = text.trim().split(/\s+/u);
  let at = 0;
  for (let words = 0; at < tokens.length && words < count; at++) words += wordsOf(tokens[at] ?? '').length;
  // A token without words (a dash) belongs to what came before it.
  while (at < tokens.length && wordsOf(tokens[at] ?? '').length === 0) at++;
  return [tokens.slice(0, at).join(' '), tokens.slice(at).join(' ')];
}
