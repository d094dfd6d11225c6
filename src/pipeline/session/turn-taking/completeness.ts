/**
 * Does what the caller has said so far sound finished? Rules, not a model: they answer in microseconds, say the same every time,
 * and a short "yes" cannot flip them.
 */
import { englishEnding } from './completeness-en.ts';
import { germanEnding } from './completeness-de.ts';
import { listedEnding } from './completeness-lists.ts';
import { judgeDictation } from './dictation.ts';

/**
 * - `complete`: a whole sentence or answer.
 * - `incomplete`: more must come: it ends in "and", "my number is", a comma.
 * - `dictating`: the caller is in the middle of a number, an address or a spelled name.
 * - `open`: cannot tell.
 */
export type Completeness = 'complete' | 'open' | 'incomplete' | 'dictating';

/** The last sentence of an utterance, as a language's rules see it. */
export interface LastSentence {
  /** Lower case, without punctuation; contractions are one word. */
  readonly words: readonly string[];
  /** A full stop ends it, or nothing does. Question and exclamation marks have been judged already. */
  readonly stop: boolean;
  /** An earlier sentence of the utterance has punctuation: the recogniser writes it, and has not written it here. */
  readonly stopMissing: boolean;
}

/** What a language's rules need at the most; longer utterances are judged by their end. */
const TAIL_CHARACTERS = 400;
const WORD = /[\p{L}\p{N}](?:[\p{L}\p{M}\p{N}]|[’'.,:@](?=[\p{L}\p{N}]))*/gu;
/** The marks at the end, without closing quotes and brackets. */
const FINAL_MARKS = /([.,!?;:…–—。，、？！-]*)[\s"'”’)\]]*$/u;

/** Judges all that was recognised of a turn. `language` is a BCP 47 tag; languages that nothing is known of go by punctuation. */
export function assessCompleteness(text: string, language: string): Completeness {
  const tail = text.trim().slice(-TAIL_CHARACTERS).normalize('NFKC').replace(/[’‘ʼ]/gu, "'").toLowerCase();
  if (!/[\p{L}\p{N}]/u.test(tail)) return 'open';
  const marks = FINAL_MARKS.exec(tail.replace(/\.{2,}/gu, '…'))?.[1] ?? '';
  if (/[?!？！]/u.test(marks)) return 'complete';
  const tag = (language.split('-', 1)[0] ?? '').toLowerCase();

  const { bare, held } = withoutHolding(tail, tag);
  const dictation = judgeDictation(bare, tag);
  if (dictation === 'dictating') return 'dictating';
  if (/[,;:…–—，、-]$/u.test(marks)) return 'incomplete';
  if (dictation !== 'none' && held) return 'incomplete';
  if (dictation !== 'none') return dictation === 'complete' ? 'complete' : 'open';

  const stop = /[.。]$/u.test(marks);
  const sentence = lastSentence(tail, stop);
  if (tag === 'en') return englishEnding(sentence);
  if (tag === 'de') return germanEnding(sentence);
  return listedEnding(sentence, tag);
}

/** What may be a dictation: without marks, and without the sounds and the "and" that hold the floor. `held`: there were some. */
function withoutHolding(tail: string, tag: string): { readonly bare: string; readonly held: boolean } {
  const holding =
    tag === 'de' ? /[\s,]+(?:äh|ähm|hm+|und|dann)$/u : /[\s,]+(?:u[hm]+|er|erm|hmm+|and|then|dash|hyphen)$/u;
  const unmarked = (text: string): string => text.replace(/[\s.,!?;:…–—"')\]-]+$/u, '');
  let bare = unmarked(tail);
  const whole = bare;
  for (let previous = ''; previous !== bare;) {
    previous = bare;
    bare = unmarked(bare.replace(holding, ''));
  }
  // A comma or a full stop between words is the recogniser's; within a number or an address it belongs to it.
  return { bare: bare.replace(/[.,;:!?]+(?=\s)/gu, '').replace(/\s+/gu, ' '), held: bare !== whole };
}

function lastSentence(tail: string, stop: boolean): LastSentence {
  const body = tail.replace(/[\s.。…"'”’)\]]+$/u, '');
  const sentences = body.split(/[.!?。？！]\s+/u);
  const words = (sentences.at(-1) ?? '').match(WORD) ?? [];
  return { words, stop, stopMissing: !stop && sentences.length > 1 };
}
