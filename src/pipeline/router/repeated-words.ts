/** Words that a recogniser tells again because its audio overlaps with what another one has told. */
import { normaliseTranscript } from '../text/normalise.ts';

/** The overlap of the audio is a fraction of a second: more words than this are a caller who repeats himself. */
const MAX_REPEATED = 3;

/** The text without those of its first words that are the last words of `told`. */
export function withoutRepeated(text: string, told: string): string {
  const tokens = text.trim().split(/\s+/u);
  const said = told.trim().split(/\s+/u).map(normaliseTranscript);
  const words = tokens.map(normaliseTranscript);
  for (let count = Math.min(MAX_REPEATED, words.length, said.length); count > 0; count--) {
    const tail = said.slice(-count);
    if (tail.every((word, index) => word === words[index])) return tokens.slice(count).join(' ');
  }
  return text;
}
