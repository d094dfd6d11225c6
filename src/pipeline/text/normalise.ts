/** Transcripts made comparable: for phrases, backchannels and guesses about what the caller is about to say. */

/** An apostrophe between letters belongs to the word ("don't"); so do combining marks and digits' separators ("3.14"). */
const WORD = /[\p{L}\p{N}](?:[\p{L}\p{M}\p{N}]|['.,:](?=\p{N})(?<=\p{N}['.,:])|'(?=\p{L}))*/gu;

const LATIN_ACCENTS = /(\p{Script=Latin})\p{M}+/gu;
/** Letters of scripts that are written without spaces between words, each with its vowel signs. */
const WITHOUT_SPACES = /[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Thai}\p{scx=Lao}\p{scx=Khmr}\p{scx=Mymr}]\p{M}*/u;
const EACH_WITHOUT_SPACES = new RegExp(WITHOUT_SPACES, 'gu');
const segmenter = new Intl.Segmenter(undefined, { granularity: 'word' });

/**
 * Lower case, no punctuation, words apart by single spaces; contractions stay ("don’t" → "don't"), numbers keep their inner marks
 * ("3.14"). Two transcripts of the same words are equal after it. '' if there is no word. Idempotent.
 */
export function normaliseTranscript(text: string): string {
  return words(text).join(' ');
}

/** Words in a transcript. Scripts without spaces are taken apart by a dictionary: "再见" is one, "谢谢你再见" three. */
export function countWords(text: string): number {
  return words(text).reduce((count, word) => count + (WITHOUT_SPACES.test(word) ? countUnspaced(word) : 1), 0);
}

function countUnspaced(text: string): number {
  let count = 0;
  for (const { isWordLike } of segmenter.segment(text)) if (isWordLike) count++;
  return Math.max(1, count);
}

/**
 * A transcript or a phrase to be looked for in one: normalised, with a space before and behind, so that a phrase with all its words is in it
 * if `includes` says so. What recognisers and those who type phrases write now this way, now that is the same: "Adiós" and "adios",
 * "Tschüß" and "tschüss", "that's" and "thats". Each character of a script without spaces is a word. '' if there is no word.
 */
export function toMatchable(text: string): string {
  const plain = normaliseTranscript(text).normalize('NFD').replace(LATIN_ACCENTS, '$1').normalize('NFC');
  const spaced = plain
    .replaceAll('ß', 'ss')
    .replaceAll("'", '')
    .replace(EACH_WITHOUT_SPACES, ' $& ')
    .replace(/ +/gu, ' ')
    .trim();
  return spaced === '' ? '' : ` ${spaced} `;
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
