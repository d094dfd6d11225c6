/** Where speech begins and ends in μ-law audio, by its energy: enough for recorded or generated callers on a clean line. */
import { decodeMulaw } from './mulaw.ts';

const FRAME_BYTES = 160;
export const FRAME_MS = 20;
/** Voiced time, less unvoiced, that makes an onset: a click is shorter. */
const ONSET_MS = 60;

/** What one 20 ms frame of audio brought. All times are milliseconds of audio since the start of the stream. */
export interface DetectorFrame {
  readonly audioMs: number;
  readonly voiced: boolean;
  /** Present in the frame in which speech was found to have begun. */
  readonly onsetMs?: number;
}

export class SpeechDetector {
  readonly #threshold: number;
  readonly #frame = new Uint8Array(FRAME_BYTES);
  #filled = 0;
  #audioMs = 0;
  #evidenceMs = 0;

  /** `threshold`: root mean square of 16-bit samples above which a frame is voiced. */
  constructor(threshold: number) {
    this.#threshold = threshold;
  }

  /** Takes audio of any length and tells of each frame that it completes. `inSpeech`: no onset is looked for. */
  *push(audio: Uint8Array, inSpeech: () => boolean): Generator<DetectorFrame> {
    for (let at = 0; at < audio.length;) {
      const taken = Math.min(audio.length - at, FRAME_BYTES - this.#filled);
      this.#frame.set(audio.subarray(at, at + taken), this.#filled);
      this.#filled += taken;
      at += taken;
      if (this.#filled === FRAME_BYTES) yield this.#completeFrame(inSpeech());
    }
  }

  #completeFrame(inSpeech: boolean): DetectorFrame {
    this.#filled = 0;
    this.#audioMs += FRAME_MS;
    const voiced = rootMeanSquare(decodeMulaw(this.#frame)) > this.#threshold;
    if (inSpeech) {
      this.#evidenceMs = 0;
      return { audioMs: this.#audioMs, voiced };
    }
    this.#evidenceMs = Math.max(0, this.#evidenceMs + (voiced ? FRAME_MS : -FRAME_MS));
    if (this.#evidenceMs < ONSET_MS) return { audioMs: this.#audioMs, voiced };
    return { audioMs: this.#audioMs, voiced, onsetMs: this.#audioMs - ONSET_MS };
  }
}

function rootMeanSquare(pcm: Int16Array): number {
  let energy = 0;
  for (const sample of pcm) energy += sample * sample;
  return Math.sqrt(energy / pcm.length);
}
