/** Where spoken text may be cut: the rules of language behind the clause chunker. */
import { endsSentence, type Ending } from './sentence-end.ts';

/** Characters after a position that its verdict may need. */
export const LOOKAHEAD = 32;

/**
 * What the text is worth as a place to cut, before the character at an index (or after it, if that is white space).
 * `strong`: a sentence or line ends. `weak`: a comma or the like. `word`: a word ends, and cutting tears nothing apart.
 */
export type Boundary = 'strong' | 'weak' | 'word' | 'none' | 'undecided';

/** Closing quotes, brackets and markdown marks stay with the sentence they close. */
const CLOSERS = new Set('"\'”’»›)]}*_~`」』）】》〉］｝');
/** Ends of sentences in scripts that put no space after them, and in those whose marks mean nothing else. */
const WIDE_TERMINATORS = new Set('。！？｡．؟۔।॥');
const WIDE_COMMAS = new Set('，、；：،؛—');
/** White space after a sentence that we wait behind to see how the next one starts. */
const MAX_GAP = 8;
/** A link or tag longer than this is not waited for. */
const MAX_BRACKET = 120;

const CJK = /[\u3040-\u30FF\u3400-\u4DBF\u4E00-\u9FFF\uF900-\uFAFF\uAC00-\uD7AF]/;

/** Chinese, Japanese and Korean characters: scripts (almost) without spaces, one character being about half a word. */
export function isCjk(character: string): boolean {
  return CJK.test(character);
}

/** Whether there is anything to say; the line that opens a code block does not count. */
export function hasWords(text: string): boolean {
  return /[\p{L}\p{N}]/u.test(text.replace(/^[ \t]*(?:```|~~~).*$/gm, ''));
}

/**
 * Judges one position. The verdict on a text holds for every longer text that begins with it, which is what makes the
 * chunker independent of deltas; `undecided` if that takes more text, never when `ended`.
 */
export function boundaryAt(text: string, index: number, ended: boolean, language: string): Boundary {
  const character = text.charAt(index);
  if (character === '\n') return 'strong';
  const before = text.charAt(index - 1);
  if (before === '' || isSpace(before)) return 'none';
  if (isSpace(character)) return spaceBoundary(text, index, ended, language);
  return wideBoundary(text, index);
}

/** A cut at white space: after a sentence, after a comma, or just between words. */
function spaceBoundary(text: string, index: number, ended: boolean, language: string): Boundary {
  let next = index + 1;
  while (isSpace(text.charAt(next)) && text.charAt(next) !== '\n' && next - index < MAX_GAP) next++;
  if (next >= text.length && !ended) return 'undecided';
  if (insideBracket(text, index)) return 'none';

  const tokenStart = lastSpace(text, index) + 1;
  let coreEnd = index;
  while (coreEnd > tokenStart && CLOSERS.has(text.charAt(coreEnd - 1))) coreEnd--;
  const mark = text.charAt(coreEnd - 1);
  if (coreEnd > tokenStart && isTerminator(mark)) {
    const ending: Ending = {
      text,
      tokenStart,
      coreEnd,
      next,
      quoted: /["'”’»]/.test(text.slice(coreEnd, index)),
      ended,
      language,
    };
    return endsSentence(ending);
  }
  const digitsAround = isDigit(text.charAt(coreEnd - 2)) && isDigit(text.charAt(next));
  if (',;:'.includes(mark) && coreEnd > tokenStart) return digitsAround ? 'none' : 'weak';
  if (WIDE_COMMAS.has(mark) && coreEnd > tokenStart) return 'weak';
  const token = text.slice(tokenStart, index);
  if (token === '-' || token === '–') {
    return isDigit(text.charAt(tokenStart - 2)) && isDigit(text.charAt(next)) ? 'none' : 'weak';
  }
  return tearsNumber(text, tokenStart, index, next) ? 'none' : 'word';
}

/** A cut without white space: after 。 and its like, between CJK characters, after a dash. */
function wideBoundary(text: string, index: number): Boundary {
  const character = text.charAt(index);
  if (CLOSERS.has(character) || isTerminator(character) || WIDE_COMMAS.has(character)) return 'none';
  let end = index;
  while (end > 0 && CLOSERS.has(text.charAt(end - 1))) end--;
  const mark = text.charAt(end - 1);
  if (insideBracket(text, index)) return 'none';
  if (WIDE_TERMINATORS.has(mark)) return mark === '．' && isDigit(character) ? 'none' : 'strong';
  if (WIDE_COMMAS.has(mark)) return isDigit(text.charAt(end - 2)) && isDigit(character) ? 'none' : 'weak';
  return end === index && isCjk(mark) && isCjk(character) ? 'word' : 'none';
}

/** Words that lean on what follows: a clause that ends in one sounds broken off. */
const LEANING = new Set(
  (
    'a an the of to in on at by for from with and or but nor so as is are was were be been am do does did have has had will would ' +
    'can could may might must shall should not no my your his her its our their this that these those if than very too'
  ).split(' '),
);
/** Words that begin a new thought: a good place to breathe before. */
const OPENING = new Set(
  (
    'and or but so because since while when where which who that if although though unless until before after with without to for ' +
    'from as than then'
  ).split(' '),
);

/**
 * The best place between words to end a clause of `min` to `max` characters: after a comma, else before a word that opens a new
 * thought, else after one that does not lean on the next; the last one of the best. Returns the clause's length, undefined if
 * there is no place that tears nothing apart.
 */
export function bestBreak(text: string, min: number, max: number): number | undefined {
  let best: number | undefined;
  let bestRank = 0;
  for (let index = Math.max(1, min); index < max; index++) {
    const boundary = boundaryAt(text, index, true, 'en');
    if (boundary === 'none' || boundary === 'undecided') continue;
    const length = isSpace(text.charAt(index)) ? index + 1 : index;
    const rank = length > max ? 0 : breakRank(text, index, boundary);
    if (rank >= bestRank && rank > 0) {
      best = length;
      bestRank = rank;
    }
  }
  return best;
}

function breakRank(text: string, index: number, boundary: Boundary): number {
  if (boundary === 'strong' || boundary === 'weak') return 4;
  const previous = text.slice(lastSpace(text, index) + 1, index).toLowerCase();
  const following = /^\s+(\p{L}+)\s/u.exec(text.slice(index, index + LOOKAHEAD))?.[1]?.toLowerCase();
  if (LEANING.has(previous)) return 1;
  return following !== undefined && OPENING.has(following) ? 3 : 2;
}

/** The clause's length if it ends at the last white space that fits, whatever that parts. */
export function lastWordBreak(text: string, max: number): number | undefined {
  for (let index = max - 1; index > 0; index--) {
    if (isSpace(text.charAt(index)) && !isSpace(text.charAt(index - 1))) return index + 1;
  }
  return undefined;
}

/** "5 km", "Nov 22", "555 010 0199", "Dr. Who": what belongs together although there is a space. */
function tearsNumber(text: string, tokenStart: number, index: number, next: number): boolean {
  if (/[\d.$€£¥#+§№]/.test(text.slice(Math.max(tokenStart, index - 2), index))) return true;
  return /[\d$€£¥+(°%]/.test(text.charAt(next));
}

/** Inside a markdown link's text, or an HTML tag: cut there, and neither half can be recognised. */
function insideBracket(text: string, index: number): boolean {
  const from = Math.max(0, index - MAX_BRACKET);
  for (let at = index - 1; at >= from; at--) {
    const character = text.charAt(at);
    if (character === ']' || character === '>') return false;
    if (character === '[') return true;
    if (character === '<') return /[a-z/!]/i.test(text.charAt(at + 1));
  }
  return false;
}

function isTerminator(character: string): boolean {
  return '.!?…'.includes(character) ? character !== '' : WIDE_TERMINATORS.has(character);
}

function isSpace(character: string): boolean {
  return /\s/.test(character);
}

function isDigit(character: string): boolean {
  return /\d/.test(character);
}

/** Index of the last white space before `index`, -1 if there is none. */
function lastSpace(text: string, index: number): number {
  let at = index - 1;
  while (at >= 0 && !isSpace(text.charAt(at))) at--;
  return at;
}
