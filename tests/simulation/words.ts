/**
 * Words that occur once in a call, so that whoever finds one in a history knows who said it and when. They are built of syllables
 * that no abbreviation, unit or number has: what is written is what is spoken. The two speakers share no syllable.
 */

const VOWELS = 'aeiou';
const CALLER_CONSONANTS = 'bdgk';
const AGENT_CONSONANTS = 'lmnrstv';
/** So that words differ in length, and with it in duration. */
const ENDINGS = ['', 'n', 'sel', 'toran'] as const;
const SYLLABLES = 3;

const CALLER_WORD = /^(?:[bdgk][aeiou]){3}$/u;
const AGENT_WORD = /^(?:[lmnrstv][aeiou]){3}(?:n|sel|toran)?$/u;

export function callerWord(index: number): string {
  return syllables(index, CALLER_CONSONANTS);
}

export function agentWord(index: number): string {
  return syllables(index, AGENT_CONSONANTS) + (ENDINGS[index % ENDINGS.length] ?? '');
}

export const isCallerWord = (word: string): boolean => CALLER_WORD.test(word);
export const isAgentWord = (word: string): boolean => AGENT_WORD.test(word);

/** Lower case, no punctuation. */
export function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[a-z0-9']+/gu) ?? [];
}

function syllables(index: number, consonants: string): string {
  let word = '';
  // A stride coprime with the number of words: neighbours do not look alike.
  let left = index * 7_919 + 101;
  for (let count = 0; count < SYLLABLES; count++) {
    const syllable = left % (consonants.length * VOWELS.length);
    left = Math.floor(left / (consonants.length * VOWELS.length));
    word += consonants.charAt(Math.floor(syllable / VOWELS.length)) + VOWELS.charAt(syllable % VOWELS.length);
  }
  return word;
}
