/** Does the caller take leave, or take it back? */
import { countWords, normaliseTranscript, toMatchable } from '../../text/normalise.ts';
import { WAIT_WORDS } from './backchannel.ts';

/** "Okay, thank you very much, goodbye" is a leave-taking; a longer sentence that happens to hold the word is not. */
const WORDS_AROUND = 5;
/** A question of fewer words is a courtesy ("okay?"). */
const QUESTION_WORDS = 3;

/** Whether the utterance is, but for a few words around it, one of the agent's end-call phrases; case, accents and punctuation do not matter. */
export function takesLeave(utterance: string, endCallPhrases: readonly string[]): boolean {
  const heard = toMatchable(utterance);
  const said = preparedOf(endCallPhrases).filter(({ text }) => heard.includes(text));
  if (said.length === 0) return false;
  const least = countWords(utterance) - WORDS_AROUND;
  return said.some(({ words }) => words >= least);
}

interface PreparedPhrase {
  readonly text: string;
  readonly words: number;
}

/** Lists do not change during a call: each is prepared once. */
const prepared = new WeakMap<readonly string[], readonly PreparedPhrase[]>();

function preparedOf(phrases: readonly string[]): readonly PreparedPhrase[] {
  const known = prepared.get(phrases);
  if (known) return known;
  const made = phrases
    .map((phrase) => ({ text: toMatchable(phrase), words: countWords(phrase) }))
    .filter(({ text }) => text !== '');
  prepared.set(phrases, made);
  return made;
}

/** Whether a caller who says this during a goodbye wants the call to go on: they ask to wait, or ask anything else. */
export function asksToStay(utterance: string): boolean {
  if (/[?？]["'”’)]*\s*$/u.test(utterance)) return countWords(utterance) >= QUESTION_WORDS;
  return normaliseTranscript(utterance)
    .split(' ')
    .some((word) => WAIT_WORDS.has(word));
}
