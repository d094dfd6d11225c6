/** Going on with a reply that another model broke off: what to ask, and how to join what comes to what was said. */
import type { LlmMessage } from '../providers/spec.ts';

/** Repeating a few words shows the joint: whether the last word was whole, and that no word is lost. */
const INSTRUCTION =
  '(The line was cut while you were saying your last message, and the caller heard it exactly as far as it goes; its last word may ' +
  'be cut in the middle. Go on from there: repeat its last three words, then say only the rest. No greeting, no apology.)';

/** More words than this are not compared; a reply on the phone is shorter. */
const MAX_WORDS = 400;

/** The request that has another model finish what `said` began. */
export function continuationMessages(messages: readonly LlmMessage[], said: string): LlmMessage[] {
  return [...messages, { role: 'assistant', content: said }, { role: 'user', content: INSTRUCTION }];
}

interface Word {
  readonly text: string;
  /** As it is compared. */
  readonly key: string;
  readonly end: number;
}

/**
 * Takes the text of a continuation and passes on only what is new: words at its beginning that repeat the end of what was
 * said, or all of it from its start, are dropped. Text waits only while it may still turn out to be such a repetition.
 */
export class ContinuationJoint {
  readonly #said: string;
  readonly #saidWords: readonly Word[];
  #waiting = '';
  #joined = false;

  constructor(said: string) {
    this.#said = said;
    this.#saidWords = wordsOf(said).slice(-MAX_WORDS);
  }

  /** More of the continuation; returns what of it can be said. */
  push(text: string): string {
    if (this.#joined) return text;
    this.#waiting += text;
    const words = wordsOf(this.#waiting);
    // The last word may go on.
    const whole = words.filter(({ end }) => end < this.#waiting.length);
    if (whole.length === 0 || this.#mayGoOn(whole)) return '';
    return this.#join(whole);
  }

  /** The continuation is over; returns what was still waiting and is new. */
  end(): string {
    return this.#joined ? '' : this.#join(wordsOf(this.#waiting));
  }

  /** Whether these words could be the beginning of a longer repetition. */
  #mayGoOn(words: readonly Word[]): boolean {
    return this.#saidWords.some(
      (_, from) => from + words.length < this.#saidWords.length && this.#matches(words, from, words.length),
    );
  }

  #join(words: readonly Word[]): string {
    this.#joined = true;
    const waiting = this.#waiting;
    this.#waiting = '';
    for (let from = 0; from < this.#saidWords.length; from++) {
      const length = this.#saidWords.length - from;
      if (length <= words.length && this.#matches(words, from, length)) return this.#after(waiting, words, length);
    }
    return withSpace(this.#said, waiting);
  }

  /** What follows the repeated words: the rest of the last one, if that was cut, and all after it. */
  #after(waiting: string, words: readonly Word[], count: number): string {
    const repeated = words[count - 1];
    const cut = this.#saidWords.at(-1);
    if (!repeated || !cut) return withSpace(this.#said, waiting);
    const rest = repeated.key.slice(cut.key.length);
    const tail = rest === '' ? trailingMarks(repeated.text, cut.text) : rest + trailingMarks(repeated.text, '');
    const after = waiting.slice(repeated.end);
    return tail === '' ? withSpace(this.#said, after) : tail + after;
  }

  /** The last word that was said may be only the beginning of the one it is compared with. */
  #matches(words: readonly Word[], from: number, count: number): boolean {
    for (let index = 0; index < count; index++) {
      const said = this.#saidWords[from + index]?.key;
      const word = words[index]?.key;
      if (said === undefined || word === undefined) return false;
      const mayBeCut = from + index === this.#saidWords.length - 1 && isCutOff(this.#said);
      if (mayBeCut ? !word.startsWith(said) : word !== said) return false;
    }
    return true;
  }
}

/** Words with something to compare in them; marks alone belong to what is before them. */
function wordsOf(text: string): Word[] {
  return Array.from(text.matchAll(/\S+/gu), ({ 0: word, index }) => ({
    text: word,
    key: word.toLowerCase().replace(/[^\p{L}\p{N}]/gu, ''),
    end: index + word.length,
  })).filter(({ key }) => key !== '');
}

/** Whether the text may end within a word. */
function isCutOff(text: string): boolean {
  return /[\p{L}\p{N}]$/u.test(text);
}

/** Punctuation at the end of a repeated word that had not been said. */
function trailingMarks(word: string, said: string): string {
  const marks = /[^\p{L}\p{N}]*$/u;
  return marks.exec(said)?.[0] === '' || said === '' ? (marks.exec(word)?.[0] ?? '') : '';
}

/** The text with one space between it and what was said, unless it begins with punctuation or nothing is to come. */
function withSpace(said: string, text: string): string {
  if (text === '') return '';
  if (/\s$/u.test(said)) return text.trimStart();
  return said === '' || /^[\s,.;:!?)\]]/u.test(text) ? text : ` ${text}`;
}
