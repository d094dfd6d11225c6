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
 * How long the sound has been much quieter than the voice before it. Silero goes on hearing a voice for two windows after its
 * end; by energy the end shows at once, but so do the gaps between words and within some: a hint, not a verdict.
 */
export class FadeMeter {
  #voiceDb = QUIETEST_VOICE_DB;
  #fadedMs = 0;

  /** Takes the next window of μ-law; returns for how long, up to its end, the voice has faded; 0: it has not. */
  push(window: Uint8Array): number {
    for (let at = 0; at < window.length; at += BLOCK_BYTES) {
      const block = levelDb(meanPower(window.subarray(at, at + BLOCK_BYTES)));
      this.#voiceDb = Math.max(block, QUIETEST_VOICE_DB, this.#voiceDb - FORGOTTEN_DB_PER_BLOCK);
      this.#fadedMs = block <= this.#voiceDb - FADED_DB ? this.#fadedMs + BLOCK_MS : 0;
    }
    return this.#fadedMs;
  }
}
