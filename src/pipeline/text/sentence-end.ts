/** Whether a full stop ends a sentence, or belongs to an abbreviation, a number, a name or a list. */

/** A token that ends in a terminator (`.`, `!`, `?`, `…`), followed by white space. */
export interface Ending {
  readonly text: string;
  /** Where the token begins. */
  readonly tokenStart: number;
  /** Just after the terminator; closing quotes and brackets may follow. */
  readonly coreEnd: number;
  /** The first character of the next word; the text's length if there is none. */
  readonly next: number;
  /** A closing quote follows the terminator. */
  readonly quoted: boolean;
  readonly ended: boolean;
  readonly language: string;
}

/** Never the last word of a sentence: something must follow. */
const LEADING = new Set(
  (
    'dr mr mrs ms mx prof rev hon gen col sgt capt lt cmdr sen rep gov pres messrs mme mlle hr fr sra dra vs e.g i.e cf approx ca viz ' +
    'bzw mt ft z.b d.h u.a'
  ).split(' '),
);
/** Abbreviations of a number's kind: only before a digit ("No. 5", but "No. I do not."). */
const NUMBERED = new Set('no nos nr fig figs vol p pp art sec ch ext tel n°'.split(' '));
/** May end a sentence or not: they do when the next word is one that usually begins a sentence. */
const EITHER = new Set(
  (
    'st ave rd blvd ln sq apt dept etc inc ltd co corp jr sr bros est min max jan feb mar apr jun jul aug sep sept oct nov dec mon tue ' +
    'tues wed thu thur thurs fri sat sun usw'
  ).split(' '),
);
const STARTERS = new Set(
  (
    'the a an this that these those i we you he she it they my your his her our their there here what when where who why how which is ' +
    'are was do does did can could would will should have has may please thanks thank if in on at for and but or so then now also ' +
    'after before once let anything would’ it’s i’m i’ll we’ll you’ll that’s'
  ).split(' '),
);
const MONTHS = (
  'january february march april may june july august september october november december januar februar märz mai juni juli oktober ' +
  'dezember janvier février mars avril juin juillet août septembre octobre novembre décembre enero febrero marzo abril mayo junio ' +
  'julio agosto septiembre octubre noviembre diciembre jan feb mar apr jun jul aug sept sep oct okt nov dec dez'
).split(' ');

/** The verdict on an ending; `undecided` if the next word has not come far enough. */
export function endsSentence(ending: Ending): 'strong' | 'weak' | 'none' | 'undecided' {
  const { text, tokenStart, coreEnd, next } = ending;
  const first = text.charAt(next);
  const startsLower = /\p{Ll}/u.test(first);
  const core = text.slice(tokenStart, coreEnd);
  if (!core.endsWith('.')) return startsLower && (ending.quoted || core.endsWith('…')) ? 'weak' : 'strong';
  if (core.endsWith('..')) return startsLower ? 'weak' : 'strong';

  const word = core.slice(0, -1).replace(/^[^\p{L}\p{N}]+/u, '');
  const lower = word.toLowerCase();
  if (isListMarker(ending, word) || LEADING.has(lower)) return 'none';
  if (NUMBERED.has(lower) && /\d/.test(first)) return 'none';
  if (/^\d{1,2}$/.test(word)) {
    if (!/^en\b/i.test(ending.language)) return 'none';
    const month = beginsMonth(ending);
    if (month !== 'none') return month === 'undecided' ? 'undecided' : 'none';
  } else if (EITHER.has(lower) || /^\p{L}$/u.test(word) || /^\p{L}(?:\.\p{L}){1,5}$/u.test(word)) {
    return startsLower || next >= text.length ? orEnd(ending, 'none') : afterAbbreviation(ending);
  }
  return startsLower ? 'weak' : 'strong';
}

/** The end of the text ends every sentence. */
function orEnd(ending: Ending, verdict: 'none'): 'strong' | 'none' {
  return ending.next >= ending.text.length ? 'strong' : verdict;
}

/** "1." or "b." at the start of a line or clause. */
function isListMarker({ text, tokenStart }: Ending, word: string): boolean {
  if (!/^(?:\d{1,3}|[a-z])$/i.test(word)) return false;
  return /(?:^|\n)\s*$/.test(text.slice(Math.max(0, tokenStart - 8), tokenStart));
}

/** "at 10 a.m. The …" against "the U.S. President". */
function afterAbbreviation(ending: Ending): 'strong' | 'none' | 'undecided' {
  const word = nextWord(ending);
  if (word === undefined) return 'undecided';
  return STARTERS.has(word) ? 'strong' : 'none';
}

/** "1. January", "22. Nov": an ordinal, whatever the language. */
function beginsMonth(ending: Ending): 'month' | 'none' | 'undecided' {
  const start = /^\p{L}{0,10}/u.exec(ending.text.slice(ending.next, ending.next + 11))?.[0].toLowerCase() ?? '';
  if (start === '') return 'none';
  const word = nextWord(ending);
  if (word !== undefined) return MONTHS.includes(word) ? 'month' : 'none';
  return MONTHS.some((month) => month.startsWith(start)) ? 'undecided' : 'none';
}

/** The next word in lower case; empty if none begins there, undefined if it may go on beyond the text so far. */
function nextWord({ text, next, ended }: Ending): string | undefined {
  const word = /^[\p{L}\p{M}'’]{0,12}/u.exec(text.slice(next, next + 13))?.[0] ?? '';
  if (!ended && word.length < 12 && next + word.length >= text.length) return undefined;
  return word.toLowerCase().replace(/'/g, '’');
}
