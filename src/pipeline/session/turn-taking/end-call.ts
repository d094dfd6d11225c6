/** Does the caller take leave, or take it back? */
import { countWords, matchesPhrase, normaliseTranscript } from '../../text/normalise.ts';
import { WAIT_WORDS } from './backchannel.ts';

/** "Okay, thank you very much, goodbye" is a leave-taking; a longer sentence that happens to hold the word is not. */
const WORDS_AROUND = 5;
/** A question of fewer words is a courtesy ("okay?"). */
const QUESTION_WORDS = 3;

/** Whether the utterance is, but for a few words around it, one of the agent's end-call phrases. */
export function takesLeave(utterance: string, endCallPhrases: readonly string[]): boolean {
  const phrase = matchesPhrase(utterance, endCallPhrases, 'contains');
  return phrase !== undefined && countWords(utterance) <= countWords(phrase) + WORDS_AROUND;
}

/** Whether a caller who says this during a goodbye wants the call to go on: they ask to wait, or ask anything else. */
export function asksToStay(utterance: string): boolean {
  if (/[?？]["'”’)]*\s*$/u.test(utterance)) return countWords(utterance) >= QUESTION_WORDS;
  return normaliseTranscript(utterance)
    .split(' ')
    .some((word) => WAIT_WORDS.has(word));
}
