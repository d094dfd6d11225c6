/**
 * Words that occur once in a call, so that whoever finds one in a history knows who said it and when. They are built of syllables
 * that no abbreviation, unit or number has: what is written is what is spoken. The two speakers share no syllable, and no two words of
 * a caller are so alike that one could be the other misheard.
 */

const VOWELS = 'aeiou';
const CALLER_CONSONANTS = 'bdfghjkpwz';
const AGENT_CONSONANTS = 'lmnrstv';
/** So that words differ in length, and with it in duration. */
const ENDINGS = ['', 'n', 'sel', 'toran'] as const;
const SYLLABLES = 3;
/** More than anybody says in a call. */
const MAX_CALLER_WORDS = 1_000;
const spokenIndexes = new Map<string, number>();

/** The last vowel is a `y` where a recogniser has misheard the word. */
const CALLER_WORD = /^(?:[bdfghjkpwz][aeiou]){2}[bdfghjkpwz][aeiouy]$/u;
const AGENT_WORD = /^(?:[lmnrstv][aeiou]){3}(?:n|sel|toran)?$/u;

export function callerWord(index: number): string {
  return syllables(index, CALLER_CONSONANTS);
}

/** Which word of the caller's this is, counted from the beginning of the call; as `callerWordsIn` gives it. */
export function callerWordIndex(word: string): number {
  for (let index = spokenIndexes.size; index < MAX_CALLER_WORDS && !spokenIndexes.has(word); index++)
    spokenIndexes.set(callerWord(index).slice(0, -1), index);
  return spokenIndexes.get(word) ?? -1;
}

export function agentWord(index: number): string {
  return syllables(index, AGENT_CONSONANTS) + (ENDINGS[index % ENDINGS.length] ?? '');
}

/** A word of the caller's as a recogniser mishears it. */
export const misheard = (word: string): string => (CALLER_WORD.test(word) ? `${word.slice(0, -1)}y` : word);

/** The caller's own words in a text, without their last vowel: words that are misheard are the same words. */
export function callerWordsIn(text: string): string[] {
  return wordsOf(text).flatMap((word) => (CALLER_WORD.test(word) ? [word.slice(0, -1)] : []));
}

export const isAgentWord = (word: string): boolean => AGENT_WORD.test(word);

/** Lower case, no punctuation. */
export function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[a-z0-9']+/gu) ?? [];
}

function syllables(index: number, consonants: string): string {
  let word = '';
  // A stride coprime with the number of words: words that are said together do not look alike.
  let left = index * 7_919 + 101;
  for (let count = 0; count < SYLLABLES; count++) {
    const syllable = left % (consonants.length * VOWELS.length);
    left = Math.floor(left / (consonants.length * VOWELS.length));
    word += consonants.charAt(Math.floor(syllable / VOWELS.length)) + VOWELS.charAt(syllable % VOWELS.length);
  }
  return word;
}
