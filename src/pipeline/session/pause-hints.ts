/** Tells the recogniser when the caller speaks and pauses: of a pause later than the machine is told, since most are between words. */
import type { Clock, Timer } from '../../core/clock.ts';
import type { SttStream } from '../providers/spec.ts';

/**
 * The recogniser is asked for its final after this much silence: a round trip to the vendor before the shortest wait for the end
 * of a turn (200 ms) is over, so that the final does not come after it; later than most gaps between words.
 */
const FINALIZE_AFTER_MS = 150;

export class PauseHints {
  readonly #stt: SttStream;
  readonly #clock: Clock;
  #timer: Timer | undefined;
  /** The recogniser knows that the caller speaks, and has not been told of a pause. */
  #speaking = false;

  constructor(stt: SttStream, clock: Clock) {
    this.#stt = stt;
    this.#clock = clock;
  }

  /** The caller began to speak with audio that came `agoMs` before the newest. */
  started(agoMs: number): void {
    this.close();
    if (this.#speaking) return;
    this.#speaking = true;
    this.#stt.hint('speech-started', agoMs);
  }

  /** The caller has been silent since `endedAtMs`. */
  endedAt(endedAtMs: number): void {
    this.close();
    this.#timer = this.#clock.after(endedAtMs + FINALIZE_AFTER_MS - this.#clock.nowMs(), () => {
      this.#speaking = false;
      this.#stt.hint('speech-ended');
    });
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
