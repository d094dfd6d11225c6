/** From how much of the speech was heard to which of the words as written were heard. */

/** A clause as the model wrote it and as it was spoken. */
export interface SpokenClause {
  readonly original: string;
  readonly spoken: string;
}

export interface HeardText {
  /** A beginning of the originals joined, cut after a word; without white space at its end unless everything was heard. */
  readonly heardText: string;
  /** The clause in which the hearing ended: the first one that was not heard in full; the number of clauses if all were. */
  readonly clauseIndex: number;
  /** Everything was heard. */
  readonly complete: boolean;
}

/**
 * Maps `heardCharacters`, non-white-space characters (UTF-16 code units) of the spoken texts in order, back to the originals.
 *
 * A clause heard in full gives its original in full. In the clause where hearing ended a word counts once half of it was heard. If
 * the clause was spoken as written (white space apart) that is exact; otherwise the share of the spoken characters that belong to heard
 * words is applied to the original's, again by whole words: "$5 please" half heard never gives "$". A clause with nothing to speak
 * (an emoji) counts as heard with the one after it, or at the end with the one before it.
 *
 * Growing `heardCharacters` never shortens the result. Zero gives '' and, unless nothing was to be spoken, `complete` is false.
 */
export function heardText(clauses: readonly SpokenClause[], heardCharacters: number): HeardText {
  let left = Math.max(0, heardCharacters);
  let text = '';
  let silent = '';
  let silentFrom: number | undefined;
  for (const [index, clause] of clauses.entries()) {
    const length = visibleLength(clause.spoken);
    if (length === 0) {
      silent += clause.original;
      silentFrom ??= index;
      continue;
    }
    if (left < length) {
      const part = heardPart(clause, left);
      const heard = part === '' ? text : text + silent + part;
      return { heardText: heard.trimEnd(), clauseIndex: part === '' ? (silentFrom ?? index) : index, complete: false };
    }
    text += silent + clause.original;
    silent = '';
    silentFrom = undefined;
    left -= length;
  }
  const nothingHeard = text === '' && heardCharacters <= 0;
  return { heardText: nothingHeard ? '' : text + silent, clauseIndex: clauses.length, complete: true };
}

/** What was heard of one clause, as written. */
function heardPart({ original, spoken }: SpokenClause, heard: number): string {
  const spokenWords = wordEnds(spoken);
  const heardInWords = heardWordsLength(spokenWords, heard);
  if (heardInWords === 0) return '';
  const originalWords = wordEnds(original);
  if (withoutSpace(original) === withoutSpace(spoken)) return upTo(original, originalWords, heardInWords);
  const share = heardInWords / visibleLength(spoken);
  return upTo(original, originalWords, heardWordsLength(originalWords, share * visibleLength(original)));
}

interface WordEnd {
  /** Index in the text just after the word. */
  readonly end: number;
  /** Non-white-space characters up to and with the word. */
  readonly visible: number;
  readonly length: number;
}

function wordEnds(text: string): WordEnd[] {
  const ends: WordEnd[] = [];
  let visible = 0;
  for (const match of text.matchAll(/\S+/g)) {
    visible += match[0].length;
    ends.push({ end: match.index + match[0].length, visible, length: match[0].length });
  }
  return ends;
}

/** Non-white-space characters in the words of which at least half was heard. */
function heardWordsLength(words: readonly WordEnd[], heard: number): number {
  let length = 0;
  for (const word of words) {
    if (heard < word.visible - word.length / 2) break;
    length = word.visible;
  }
  return length;
}

/** The text up to the last word that ends within `visible` non-white-space characters. */
function upTo(text: string, words: readonly WordEnd[], visible: number): string {
  let end = 0;
  for (const word of words) if (word.visible <= visible) end = word.end;
  return text.slice(0, end);
}

function visibleLength(text: string): number {
  return withoutSpace(text).length;
}

function withoutSpace(text: string): string {
  return text.replace(/\s+/g, '');
}
