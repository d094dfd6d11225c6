/**
 * How far to believe what the grammar heard; pure.
 *
 * A grammar finds one of its phrases in anything. Two observations tell real ones from others (README.md has the figures):
 * - A second decoder follows the same audio with a loop over single sounds, free of any vocabulary. If the phrase was really
 *   said, the grammar explains the audio better than the loop; if not, worse.
 * - A long sentence from outside is often squeezed: a few words take one phrase, the rest is taken for silence, but scores
 *   badly as such.
 */

/** One stretch of a decoder's result. `quality`: mean likelihood per frame, relative to the best sound; 0 to 1. */
export interface Segment {
  readonly text: string;
  readonly startMs: number;
  readonly durationMs: number;
  readonly quality: number;
}

/** Silence scores at least this when it is silence. */
const TRUE_SILENCE_QUALITY = 0.9;
/** From there to this, silence becomes speech. */
const SPEECH_AS_SILENCE_QUALITY = 0.7;
/** Score lost for a second of speech that was taken for silence. */
const HIDDEN_SPEECH_PENALTY = 20;
/** A silence this short proves nothing. */
const MIN_SILENCE_MS = 100;

/** Score at which words from the grammar and words from outside are equally likely. */
const EVEN_SCORE = 1;
/** Score that changes the odds by a factor of e. */
const SCORE_SCALE = 2.5;

/** Below this confidence a transcript is not believed: it becomes empty. */
export const MIN_CONFIDENCE = 0.5;

/** Silence, noise and the end of the grammar are no words: `<sil>`, `[NOISE]`, `(NULL)`. */
export function isWord(segment: Segment): boolean {
  return !/^[<[(]/.test(segment.text);
}

/**
 * About +8 to +23 for phrases of the grammar said by people, −5 to −25 for other sentences; 0 is about even.
 * `margin`: log-likelihood of the grammar's path minus that of the free loop, per 10 ms frame.
 */
export function scoreUtterance(margin: number, segments: readonly Segment[]): number {
  let hiddenSpeechMs = 0;
  for (const segment of segments) {
    if (isWord(segment) || segment.durationMs < MIN_SILENCE_MS) continue;
    const doubt = (TRUE_SILENCE_QUALITY - segment.quality) / (TRUE_SILENCE_QUALITY - SPEECH_AS_SILENCE_QUALITY);
    hiddenSpeechMs += segment.durationMs * Math.max(0, doubt);
  }
  return margin - (HIDDEN_SPEECH_PENALTY * hiddenSpeechMs) / 1000;
}

/** 0 to 1. A rough calibration: 0.5 lies between the scores measured inside and outside the grammar, a step of 2.5 changes the odds by e. */
export function confidenceOf(score: number): number {
  return 1 / (1 + Math.exp(-(score - EVEN_SCORE) / SCORE_SCALE));
}
