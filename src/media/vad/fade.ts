import { levelDb, meanPower } from './level.ts';

/** Short enough to place the end of a voice, long enough to hold most of a pitch period. */
const BLOCK_MS = 8;
const BLOCK_BYTES = BLOCK_MS * 8;
/** A block so far below the voice is a breath, a weak last consonant, or nothing. */
const FADED_DB = 18;
/** The voice's level is that of its loudest block, which is forgotten at this pace. */
const FORGOTTEN_DB_PER_BLOCK = 0.05;
/** What is quieter is no voice, so that a hiss does not need to fade. */
const QUIETEST_VOICE_DB = -45;

/**
 * Since when the sound has been much quieter than the voice before it. Silero goes on hearing a voice for two windows after its
 * end; by energy the end shows at once, but so do the gaps between words and within some: a hint, not a verdict.
 * All times are positions in the audio written so far, in ms.
 */
export class FadeMeter {
  readonly #block = new Uint8Array(BLOCK_BYTES);
  #filled = 0;
  #voiceDb = QUIETEST_VOICE_DB;
  #positionMs = 0;
  #loudUntilMs = 0;

  /** How far has been measured: whole blocks of 8 ms. */
  get positionMs(): number {
    return this.#positionMs;
  }

  /** Where the voice was last heard; all from there to `positionMs` has faded. */
  get loudUntilMs(): number {
    return this.#loudUntilMs;
  }

  /** Takes the next μ-law, of any length. */
  write(mulaw: Uint8Array): void {
    for (let from = 0; from < mulaw.length;) {
      const length = Math.min(BLOCK_BYTES - this.#filled, mulaw.length - from);
      this.#block.set(mulaw.subarray(from, from + length), this.#filled);
      from += length;
      this.#filled += length;
      if (this.#filled === BLOCK_BYTES) this.#finishBlock();
    }
  }

  #finishBlock(): void {
    this.#filled = 0;
    this.#positionMs += BLOCK_MS;
    const block = levelDb(meanPower(this.#block));
    this.#voiceDb = Math.max(block, QUIETEST_VOICE_DB, this.#voiceDb - FORGOTTEN_DB_PER_BLOCK);
    if (block > this.#voiceDb - FADED_DB) this.#loudUntilMs = this.#positionMs;
  }
}
