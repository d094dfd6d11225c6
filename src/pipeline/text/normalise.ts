/** Transcripts made comparable: for phrases, backchannels and guesses about what the caller is about to say. */

/** An apostrophe between letters belongs to the word ("don't"); so do combining marks and digits' separators ("3.14"). */
const WORD = /[\p{L}\p{N}](?:[\p{L}\p{M}\p{N}]|['.,:](?=\p{N})(?<=\p{N}['.,:])|'(?=\p{L}))*/gu;

/**
 * Lower case, no punctuation, words apart by single spaces; contractions stay ("don’t" → "don't"), numbers keep their inner marks
 * ("3.14"). Two transcripts of the same words are equal after it. '' if there is no word. Idempotent.
 */
export function normaliseTranscript(text: string): string {
  return words(text).join(' ');
}

/** Words in a transcript; in scripts without spaces each run of letters counts as one. */
export function countWords(text: string): number {
  return words(text).length;
}

/**
 * How a phrase is looked for. `whole`: the utterance is the phrase and nothing else. `contains`: the phrase's words occur in it, in
 * order and next to each other; never a part of a word ("no" is not in "note").
 */
export type PhraseMatch = 'whole' | 'contains';

/** The first of `phrases` (as given) that matches the transcript; both sides are normalised. A phrase without words matches nothing. */
export function matchesPhrase(transcript: string, phrases: readonly string[], match: PhraseMatch): string | undefined {
  const heard = ` ${normaliseTranscript(transcript)} `;
  return phrases.find((phrase) => {
    const wanted = normaliseTranscript(phrase);
    if (wanted === '') return false;
    return match === 'whole' ? heard === ` ${wanted} ` : heard.includes(` ${wanted} `);
  });
}

function words(text: string): string[] {
  return (
    text
      // First: of mathematical letters and the like it makes capitals.
      .normalize('NFKC')
      .toLowerCase()
      // Some small letters come apart or together: "İ" has a dot of its own then.
      .normalize('NFKC')
      .replace(/[’‘ʼ＇]/g, "'")
      .match(WORD) ?? []
  );
}
