/** How far a voice has come with an utterance, so that another one can go on where it stopped. */
import { BYTES_PER_MS } from '../../media/call-port.ts';
import type { SpeakOptions, SpokenSpan } from '../providers/spec.ts';

/** A piece of text as it was given to a voice. */
export interface Piece {
  readonly text: string;
  readonly options: SpeakOptions | undefined;
}

/** Where a text lies: among the visible characters of the utterance, and in its audio, of which it may be longer than what came. */
interface AlignedText {
  readonly fromCharacter: number;
  readonly toCharacter: number;
  readonly fromMs: number;
  readonly toMs: number;
  readonly isWord: boolean;
}

export interface SpokenChunk {
  readonly audio: Uint8Array;
  readonly spans?: readonly SpokenSpan[] | undefined;
}

/** A usual pace of synthetic speech, until the voice's own is known. */
const USUAL_MS_PER_CHARACTER = 70;
/** An aligned word is looked for this far ahead in the text: what lies before it had no alignment. */
const MAX_SKIPPED_CHARACTERS = 200;
/** A word counts as said when this share of it was passed on: nobody misses the last of its sound. */
const NEARLY_ALL = 0.9;
/** A word that a chunk cuts is held back for the next chunk while this much audio is ahead of the caller's ear. */
const MIN_AHEAD_MS = 150;

/** The pace of one voice, learned from the utterances that it finished without alignment. */
export class Pace {
  #characters = 0;
  #ms = 0;

  get msPerCharacter(): number {
    return this.#characters > 0 ? this.#ms / this.#characters : USUAL_MS_PER_CHARACTER;
  }

  learn(characters: number, durationMs: number): void {
    if (characters === 0 || durationMs === 0) return;
    // Old utterances count for less and less.
    this.#characters = this.#characters / 2 + characters;
    this.#ms = this.#ms / 2 + durationMs;
  }
}

/**
 * Follows one utterance of one voice. Audio goes through `take`, which holds back the audio of a word that is not all there, so
 * that a voice that dies leaves no half words; only as long as the caller's ear has something else to hear.
 */
export class SpeechProgress {
  readonly #pace: Pace;
  readonly #pieces: Piece[] = [];
  /** The last aligned text that was passed on; undefined: this voice gives no alignment. */
  #aligned: AlignedText | undefined;
  #passedMs = 0;
  #firstAtMs: number | undefined;
  #held: SpokenChunk | undefined;

  constructor(pace: Pace) {
    this.#pace = pace;
  }

  get pieces(): readonly Piece[] {
    return this.#pieces;
  }

  /** Some of it has been passed on. */
  get audible(): boolean {
    return this.#passedMs > 0;
  }

  add(piece: Piece): void {
    this.#pieces.push(piece);
  }

  /** The voice's next audio; returns what is to be passed on of it and of what was held back. */
  take(chunk: SpokenChunk, nowMs: number): SpokenChunk | undefined {
    this.#firstAtMs ??= nowMs;
    const whole = join(this.#held, chunk);
    this.#held = undefined;
    const { head, tail } = this.#splitAtCutWord(whole);
    const aheadMs = this.#passedMs + head.audio.length / BYTES_PER_MS - (nowMs - this.#firstAtMs);
    if (tail && aheadMs >= MIN_AHEAD_MS) this.#held = tail;
    const passed = this.#held ? head : whole;
    return passed.audio.length > 0 ? this.#pass(passed) : undefined;
  }

  /** The voice is done; returns what was held back. */
  finish(): SpokenChunk | undefined {
    const held = this.#held;
    this.#held = undefined;
    const passed = held && this.#pass(held);
    if (!this.#aligned) this.#pace.learn(visible(this.#text).length, this.#passedMs);
    return passed;
  }

  /**
   * What another voice has to say: from the first word that was not passed on in full. Where words are not aligned that is
   * estimated, from the pace of the clause or the voice, to the nearest word.
   */
  rest(): Piece[] {
    const exact = this.#aligned?.isWord === true;
    let position = this.#position;
    const rest: Piece[] = [];
    for (const piece of this.#pieces) {
      const text = afterWords(piece.text, position, exact);
      position = Math.max(0, position - visible(piece.text).length);
      if (visible(text) === '') continue;
      rest.push(text === piece.text ? piece : { text, options: undefined });
    }
    return rest;
  }

  get #text(): string {
    return this.#pieces.map(({ text }) => text).join(' ');
  }

  /** Visible characters passed on. */
  get #position(): number {
    if (!this.#aligned) return this.#passedMs / this.#pace.msPerCharacter;
    const { fromCharacter, toCharacter, fromMs, toMs } = this.#aligned;
    if (this.#passedMs >= toMs) return toCharacter;
    return fromCharacter + (toCharacter - fromCharacter) * ((this.#passedMs - fromMs) / (toMs - fromMs));
  }

  #pass(chunk: SpokenChunk): SpokenChunk {
    for (const span of chunk.spans ?? []) this.#aligned = this.#align(span, this.#aligned);
    this.#passedMs += chunk.audio.length / BYTES_PER_MS;
    return chunk;
  }

  /** Finds the text that a span of the next audio speaks, behind the one before it. */
  #align({ text, startMs, durationMs }: SpokenSpan, before: AlignedText | undefined): AlignedText {
    const at = before?.toCharacter ?? 0;
    const said = visible(text);
    const found = visible(this.#text).indexOf(said, at);
    const fromCharacter = found >= 0 && found - at <= MAX_SKIPPED_CHARACTERS ? found : at;
    const fromMs = this.#passedMs + startMs;
    const isWord = !/\S\s+\S/u.test(text);
    return { fromCharacter, toCharacter: fromCharacter + said.length, fromMs, toMs: fromMs + durationMs, isWord };
  }

  /** The last word of a chunk is whole if the text has none of it left. */
  #splitAtCutWord(chunk: SpokenChunk): { head: SpokenChunk; tail: SpokenChunk | undefined } {
    const { audio, spans = [] } = chunk;
    const last = spans.at(-1);
    if (!last || /\s$/u.test(last.text)) return { head: chunk, tail: undefined };
    let aligned = this.#aligned;
    for (const span of spans) aligned = this.#align(span, aligned);
    if (!aligned?.isWord || isWordEnd(this.#text, aligned.toCharacter)) return { head: chunk, tail: undefined };
    const startByte = Math.min(audio.length, Math.max(0, Math.round(last.startMs * BYTES_PER_MS)));
    return {
      head: { audio: audio.subarray(0, startByte), spans: spans.slice(0, -1) },
      tail: { audio: audio.subarray(startByte), spans: [{ ...last, startMs: 0 }] },
    };
  }
}

function join(held: SpokenChunk | undefined, chunk: SpokenChunk): SpokenChunk {
  if (!held) return chunk;
  const audio = new Uint8Array(held.audio.length + chunk.audio.length);
  audio.set(held.audio);
  audio.set(chunk.audio, held.audio.length);
  const shiftMs = held.audio.length / BYTES_PER_MS;
  const shifted = (chunk.spans ?? []).map((span) => ({ ...span, startMs: span.startMs + shiftMs }));
  return { audio, spans: [...(held.spans ?? []), ...shifted] };
}

function visible(text: string): string {
  return text.replace(/\s+/gu, '');
}

/** Whether a word ends after that many visible characters. */
function isWordEnd(text: string, characters: number): boolean {
  let count = 0;
  for (const [word] of text.matchAll(/\S+/gu)) {
    count += word.length;
    if (count >= characters) return count === characters;
  }
  return true;
}

/**
 * The text without the words that lie before `position`, in visible characters. `exact`: a word that was begun is said again
 * from its start; otherwise, since the position is an estimate, only if less than half of it was said.
 */
function afterWords(text: string, position: number, exact: boolean): string {
  if (position <= 0) return text;
  let count = 0;
  for (const { 0: word, index } of text.matchAll(/\S+/gu)) {
    if (position < count + word.length * (exact ? NEARLY_ALL : 0.5)) return text.slice(index);
    count += word.length;
  }
  return '';
}
