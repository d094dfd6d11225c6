/** Does the caller take leave? */
import { countWords, matchesPhrase } from '../../text/normalise.ts';

/** "Okay, thank you very much, goodbye" is a leave-taking; a longer sentence that happens to hold the word is not. */
const WORDS_AROUND = 5;

/** Whether the utterance is, but for a few words around it, one of the agent's end-call phrases. */
export function takesLeave(utterance: string, endCallPhrases: readonly string[]): boolean {
  const phrase = matchesPhrase(utterance, endCallPhrases, 'contains');
  return phrase !== undefined && countWords(utterance) <= countWords(phrase) + WORDS_AROUND;
}
