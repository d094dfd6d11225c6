/** What the emulated recogniser "hears": the script's words, laid over the stretches of sound in a stream. */

/**
 * What a stretch of speech says; the empty string: nothing that a recogniser would know, as in noise.
 * With `speechMs`, the time from its first to its last sound, words come out as they are said: a pause finds only those
 * before it, and speech that goes on after a pause goes on where it stopped. Without, any stretch says all of it.
 */
export type Said = string | { readonly text: string; readonly speechMs: number };

/** The n-th stretch of speech of a stream says the n-th entry, the last one repeats; or whatever the function decides. */
export type Script = readonly Said[] | ((stretch: { readonly url: string; readonly index: number }) => Said);

export const USUAL_TRANSCRIPTS: Script = [
  'Hello there.',
  'What are your opening hours?',
  'Can I book a table for two tomorrow evening?',
  'Where are you located?',
  'Great, thank you. Goodbye.',
];

export interface Word {
  readonly word: string;
  readonly start: number;
  readonly end: number;
  readonly confidence: number;
  readonly punctuated_word: string;
}

/** Pace at which words come out when nothing is known of the real one. */
const WORD_MS = 300;
/** The weak end of the last word may be too quiet to be told from silence. */
const LAST_WORD_TOLERANCE_MS = 150;

interface Utterance {
  readonly words: readonly string[];
  /** Undefined: a stretch says it all, however long. */
  readonly speechMs: number | undefined;
  readonly originMs: number;
}

/** Reads the script of one stream. */
export class ScriptReader {
  readonly #script: () => Script;
  readonly #url: string;
  #index = 0;
  #broken: { readonly utterance: Utterance; readonly from: number } | undefined;

  constructor(script: () => Script, url: string) {
    this.#script = script;
    this.#url = url;
  }

  /** Speech begins; times are in milliseconds of audio. */
  begin(onsetMs: number): Stretch {
    const broken = this.#broken;
    this.#broken = undefined;
    if (broken?.utterance.speechMs !== undefined) {
      const endsAtMs = broken.utterance.originMs + broken.utterance.speechMs;
      if (onsetMs < endsAtMs) return new Stretch(broken.utterance, broken.from, onsetMs);
    }
    const script = this.#script();
    const index = this.#index++;
    const said =
      typeof script === 'function'
        ? script({ url: this.#url, index })
        : (script[Math.min(index, script.length - 1)] ?? '');
    const { text, speechMs } = typeof said === 'string' ? { text: said, speechMs: undefined } : said;
    const words = text.split(/\s+/u).filter((word) => word !== '');
    return new Stretch({ words, speechMs, originMs: onsetMs }, 0, onsetMs);
  }

  /** A final has been made of the stretch: what it did not cover is for the next one. */
  end(stretch: Stretch): void {
    const from = stretch.from + stretch.finalWords().length;
    if (from < stretch.utterance.words.length) this.#broken = { utterance: stretch.utterance, from };
  }
}

/** A stretch of sound between two silences, or up to a Finalize. */
export class Stretch {
  readonly utterance: Utterance;
  /** Index of its first word in the utterance. */
  readonly from: number;
  readonly startMs: number;
  /** Moved on by the owner. */
  lastVoicedMs: number;

  constructor(utterance: Utterance, from: number, startMs: number) {
    this.utterance = utterance;
    this.from = from;
    this.startMs = startMs;
    this.lastVoicedMs = startMs;
  }

  /** The last sound of the utterance, as the script has it; undefined: nobody knows better than a detector. */
  get lastSoundMs(): number | undefined {
    const { originMs, speechMs } = this.utterance;
    return speechMs === undefined ? undefined : originMs + speechMs;
  }

  /**
   * Where the sound ends that the words so far were said in: delays count from there. A breath after the last word, or a word
   * that dies away, leaves a detector to its opinion; a script that knows its last sound does not.
   */
  get soundEndMs(): number {
    const lastSoundMs = this.lastSoundMs;
    if (lastSoundMs === undefined || this.from + this.finalWords().length < this.utterance.words.length)
      return this.lastVoicedMs;
    return lastSoundMs;
  }

  /** What an interim may show at `audioMs`; `paused`: the recogniser holds that all sound so far has been heard. */
  interimWords(audioMs: number, paused: boolean): Word[] {
    if (paused || this.utterance.speechMs !== undefined) return this.finalWords();
    return this.#timed().slice(0, Math.floor((audioMs - this.startMs) / WORD_MS));
  }

  /** Everything said up to the last sound. */
  finalWords(): Word[] {
    const { words, speechMs, originMs } = this.utterance;
    if (speechMs === undefined) return this.#timed();
    const saidMs = this.lastVoicedMs - originMs;
    if (saidMs >= speechMs - LAST_WORD_TOLERANCE_MS) return this.#timed();
    const ends = spread(words, 0, speechMs).map(({ end }) => end * 1_000);
    const count = ends.filter((endMs) => endMs <= saidMs).length;
    return this.#timed().slice(0, Math.max(0, count - this.from));
  }

  #timed(): Word[] {
    const { words, speechMs, originMs } = this.utterance;
    if (speechMs === undefined) return spread(words, this.startMs, this.lastVoicedMs);
    return spread(words, originMs, originMs + speechMs).slice(this.from);
  }
}

/** Words spread over the time in which they were said, each by its length. */
function spread(words: readonly string[], startMs: number, endMs: number): Word[] {
  const letters = words.reduce((sum, word) => sum + word.length, 0);
  let atMs = startMs;
  return words.map((word) => {
    const start = atMs / 1000;
    atMs += ((endMs - startMs) * word.length) / letters;
    const plain = word.toLowerCase().replaceAll(/[^\p{L}\p{N}'-]/gu, '');
    return { word: plain, start, end: atMs / 1000, confidence: 0.99, punctuated_word: word };
  });
}
