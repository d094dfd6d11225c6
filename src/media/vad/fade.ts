import { levelDb, meanPower } from './level.ts';

/** Short enough to place the end of a voice, long enough to hold most of a pitch period. */
const BLOCK_MS = 8;
const BLOCK_BYTES = BLOCK_MS * 8;
/** What is so far below the voice is a breath, a weak last consonant, or nothing. */
const FADED_DB = 18;
/** The voice's level is the highest that lasted for two blocks, which is forgotten at this pace. */
const FORGOTTEN_DB_PER_BLOCK = 0.05;
/** What is quieter is no voice, so that a hiss does not need to fade. */
const QUIETEST_VOICE_DB = -45;

/** For how long it is known what was known then: more than the windows that may wait for the model (2 s). */
const HISTORY_BLOCKS = 512;

/**
 * Since when the sound has been much quieter than the voice before it. Silero goes on hearing a voice for two windows after its
 * end; by energy the end shows at once, but so do the gaps between words and within some: a hint, not a verdict.
 * All times are positions in the audio written so far, in ms.
 */
export class FadeMeter {
  readonly #block = new Uint8Array(BLOCK_BYTES);
  #filled = 0;
  #lastDb = -Infinity;
  #voiceDb = QUIETEST_VOICE_DB;
  #blocks = 0;
  #loudUntilMs = 0;
  /** `loudUntilMs` as of the end of each block, the newest in the place of the oldest. */
  readonly #history = new Float64Array(HISTORY_BLOCKS);

  /** How far has been measured: whole blocks of 8 ms. */
  get positionMs(): number {
    return this.#blocks * BLOCK_MS;
  }

  /** Where the voice was last heard; all from there to `positionMs` has faded. */
  get loudUntilMs(): number {
    return this.#loudUntilMs;
  }

  /** What `loudUntilMs` was at a position: the end of a block within the last 4 s. */
  loudUntilAt(positionMs: number): number {
    const block = Math.round(positionMs / BLOCK_MS);
    return block === 0 ? 0 : (this.#history[(block - 1) % HISTORY_BLOCKS] ?? 0);
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
    const db = levelDb(meanPower(this.#block));
    // Two blocks in a row: a lone one is a click, or a crackle in a breath.
    const lastingDb = Math.min(db, this.#lastDb);
    this.#lastDb = db;
    this.#voiceDb = Math.max(lastingDb, QUIETEST_VOICE_DB, this.#voiceDb - FORGOTTEN_DB_PER_BLOCK);
    const place = this.#blocks++ % HISTORY_BLOCKS;
    if (lastingDb > this.#voiceDb - FADED_DB) this.#loudUntilMs = this.positionMs;
    this.#history[place] = this.#loudUntilMs;
  }
}
