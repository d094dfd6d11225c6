/**
 * The caller's telephone as a loudspeaker in a room: what it plays comes back some time later as a sound on the caller's line, and the
 * recogniser hears the words of it. The audio says which letter of the agent's text it is (`writeLetters`).
 */
import type { VadEvent } from '../../src/media/vad/vad.ts';

/** A voice, its pauses and its words, as the detector and a recogniser tell of them. */
export interface EchoEars {
  voice(event: VadEvent): void;
  interim(text: string): void;
  final(text: string): void;
}

const ONSET_MS = 64;
const OFFSET_MS = 96;
const CONTINUED_EVERY_MS = 32;
const FINAL_AFTER_MS = 250;

/** Every other letter is marked, so that the same one twice is two. */
const MARK = 0x80;

/** ASCII as audio, so many bytes a letter; at its very end there is a space, since it is followed by another word if by anything. */
export function writeLetters(text: string, bytesPerLetter: number, bytesPerMs: number): Uint8Array {
  const audio = new Uint8Array(text.length * bytesPerLetter);
  for (let index = 0; index < text.length; index++) {
    const mark = index % 2 === 0 ? 0 : MARK;
    audio.fill(text.charCodeAt(index) | mark, index * bytesPerLetter, (index + 1) * bytesPerLetter);
  }
  return audio.fill(' '.charCodeAt(0), Math.max(0, audio.length - bytesPerMs));
}

export class Loudspeaker {
  readonly #ears: EchoEars;
  readonly #delayMs: number;
  /** What each millisecond of the far end's buffer says, and when. */
  readonly #played: { readonly atMs: number; readonly letter: number }[] = [];
  #endsAtMs = 0;
  #heardUpToMs = 0;
  #startedAtMs: number | undefined;
  #isTold = false;
  #lastSoundMs = 0;
  #toldAtMs = 0;
  #letters = '';
  #letter = 0;

  constructor(ears: EchoEars, delayMs: number) {
    this.#ears = ears;
    this.#delayMs = delayMs;
  }

  play(payload: Uint8Array, nowMs: number, bytesPerMs: number): void {
    let atMs = Math.max(this.#endsAtMs, nowMs);
    for (let at = 0; at < payload.length; at += bytesPerMs) {
      this.#played.push({ atMs, letter: payload[at] ?? 0 });
      atMs++;
    }
    this.#endsAtMs = atMs;
  }

  clear(nowMs: number): void {
    while ((this.#played.at(-1)?.atMs ?? 0) >= nowMs) this.#played.pop();
    this.#endsAtMs = Math.min(this.#endsAtMs, nowMs);
  }

  /** Time has passed: what was played up to a delay ago comes back. `positionMs`: of the caller's audio, whose newest part is now. */
  advance(nowMs: number, positionMs: number): void {
    const upToMs = nowMs - this.#delayMs;
    for (let ms = this.#heardUpToMs; ms < upToMs; ms++) {
      const back = this.#played[0] && this.#played[0].atMs <= ms ? this.#played.shift() : undefined;
      this.#hear(back?.letter, positionMs - (upToMs - ms));
    }
    this.#heardUpToMs = Math.max(this.#heardUpToMs, upToMs);
  }

  #hear(letter: number | undefined, atMs: number): void {
    if (letter !== undefined) {
      this.#startedAtMs ??= atMs;
      this.#lastSoundMs = atMs;
      this.#listen(letter);
    }
    if (this.#startedAtMs !== undefined) this.#tell(this.#startedAtMs, atMs, letter !== undefined);
    if (atMs - this.#lastSoundMs === FINAL_AFTER_MS) this.#endWords();
  }

  #tell(startedAtMs: number, atMs: number, sounds: boolean): void {
    if (!this.#isTold && atMs - startedAtMs >= ONSET_MS) {
      this.#isTold = true;
      this.#toldAtMs = atMs;
      this.#ears.voice({ type: 'speech-started', atMs: startedAtMs, detectedAtMs: atMs });
    } else if (this.#isTold && sounds && atMs - this.#toldAtMs >= CONTINUED_EVERY_MS) {
      this.#toldAtMs = atMs;
      const speechMs = atMs - startedAtMs;
      this.#ears.voice({ type: 'speech-continued', startedAtMs, speechMs, faded: false, detectedAtMs: atMs });
    } else if (atMs - this.#lastSoundMs >= OFFSET_MS) {
      this.#startedAtMs = undefined;
      if (!this.#isTold) return;
      this.#isTold = false;
      const speechMs = this.#lastSoundMs - startedAtMs;
      this.#ears.voice({ type: 'speech-ended', startedAtMs, speechMs, atMs: this.#lastSoundMs, detectedAtMs: atMs });
    }
  }

  /** Words are told as they end. */
  #listen(letter: number): void {
    if (letter === this.#letter) return;
    this.#letter = letter;
    this.#letters += String.fromCharCode(letter & ~MARK);
    if (this.#letters.endsWith(' ')) this.#ears.interim(this.#letters.trim());
  }

  /** The beginning of a word is heard as one after a whole one, and as nothing alone. */
  #endWords(): void {
    this.#ears.final(this.#letters.includes(' ') ? this.#letters.trim() : '');
    this.#letters = '';
    this.#letter = 0;
  }
}
