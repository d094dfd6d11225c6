/**
 * How late the server's frames are, from when they reach the phone. The server keeps the phone's buffer filled to a fixed lead, so
 * after the burst that fills it a frame follows each 20 ms: of a stretch of speech the most punctual frames show that beat, and the
 * others are as late as they lie behind it.
 */
import { FRAME_MS } from '../phone/audio.ts';

/** Shorter stretches do not show their beat. */
const MIN_FRAMES = 50;

interface Stretch {
  readonly arrivalsMs: number[];
  /** When the phone's buffer runs empty if no more comes: then a stretch is over. */
  bufferEndsAtMs: number;
}

/** Of one call. Times are on any clock, but all on the same. */
export class FrameLateness {
  readonly #onStretch: (arrivalsMs: readonly number[], latenessMs: readonly number[]) => void;
  #stretch: Stretch | undefined;

  /** `onStretch` is told the paced frames of each stretch once it is over: when they came, and how late each was. */
  constructor(onStretch: (arrivalsMs: readonly number[], latenessMs: readonly number[]) => void) {
    this.#onStretch = onStretch;
  }

  /** A frame of 20 ms arrived. */
  onFrame(atMs: number): void {
    if (this.#stretch && atMs > this.#stretch.bufferEndsAtMs) this.end();
    this.#stretch ??= { arrivalsMs: [], bufferEndsAtMs: atMs };
    this.#stretch.arrivalsMs.push(atMs);
    this.#stretch.bufferEndsAtMs += FRAME_MS;
  }

  /** Nothing more comes of this stretch: the buffer was cleared, or the call is over. */
  end(): void {
    const arrivalsMs = this.#stretch?.arrivalsMs ?? [];
    this.#stretch = undefined;
    if (arrivalsMs.length < MIN_FRAMES) return;
    const beats = arrivalsMs.map((atMs, frame) => atMs - frame * FRAME_MS);
    const beatMs = Math.min(...beats);
    const firstMs = arrivalsMs[0] ?? 0;
    // Those that belong before the first arrival fill the buffer, as fast as there is audio.
    const burst = Math.ceil((firstMs - beatMs) / FRAME_MS);
    const paced = arrivalsMs.slice(burst + 1);
    this.#onStretch(
      paced,
      beats.slice(burst + 1).map((ms) => ms - beatMs),
    );
  }
}
