import { FadeMeter } from './fade.ts';
import { SpeechGate } from './gate.ts';
import type { ModelLag } from './gate.ts';
import { levelDb, meanPower } from './level.ts';
import { WINDOW_MS, WINDOW_SAMPLES } from './vad.ts';
import type { VadDetector, VadEngine, VadSettings, VadSink } from './vad.ts';
import { WindowQueue } from './windows.ts';

/** How far above the noise a window must be to count as speech with probability one half. */
const SPEECH_OVER_NOISE_DB = 10;
/** How fast that probability grows with the level: the off threshold 0.35 is 6 dB over the noise. */
const SOFTNESS_DB = 6;
/** Noise is never taken to be quieter than this, so that the hiss of a clean line is not speech. */
const QUIETEST_NOISE_DB = -50;
/** Nor louder than this in the first window: a caller who is already speaking is no noise. */
const LOUDEST_FIRST_NOISE_DB = -30;
/** The estimate follows quieter windows quickly, and louder ones at 3 dB a second, or 1 during speech. */
const FALL_RATIO = 0.3;
const RISE_DB = 0.1;
const RISE_IN_SPEECH_DB = 0.03;

const ENERGY_LAG: ModelLag = { onsetMs: 0, offsetMs: 0, breathMs: 0 };

/** Judges windows by how much louder they are than the line's noise, which it learns as it goes. */
export class EnergyScorer {
  #noiseDb: number | undefined;

  /** The next window's probability of speech, from 0 to 1. */
  score(mulaw: Uint8Array): number {
    const level = levelDb(meanPower(mulaw));
    const noise = this.#noiseDb ?? Math.min(level, LOUDEST_FIRST_NOISE_DB);
    const over = level - Math.max(noise, QUIETEST_NOISE_DB);
    const probability = 1 / (1 + Math.exp((SPEECH_OVER_NOISE_DB - over) / SOFTNESS_DB));
    this.#noiseDb = level < noise ? noise + (level - noise) * FALL_RATIO : Math.min(level, noise + rise(probability));
    return probability;
  }
}

function rise(probability: number): number {
  return probability < 0.5 ? RISE_DB : RISE_IN_SPEECH_DB;
}

/** Judges each window within `write`: it never falls behind, and its events are synchronous. */
class EnergyDetector implements VadDetector {
  readonly #scorer = new EnergyScorer();
  readonly #fade = new FadeMeter();
  readonly #windows = new WindowQueue();
  readonly #gate: SpeechGate;
  readonly #onClose: (detector: EnergyDetector) => void;
  #closed = false;

  constructor(gate: SpeechGate, onClose: (detector: EnergyDetector) => void) {
    this.#gate = gate;
    this.#onClose = onClose;
  }

  get positionMs(): number {
    return this.#gate.positionMs;
  }

  write(mulaw: Uint8Array): void {
    for (let from = 0; from < mulaw.length; from += WINDOW_SAMPLES) {
      // An event's receiver may close this detector.
      if (this.#closed) return;
      const part = mulaw.subarray(from, from + WINDOW_SAMPLES);
      this.#windows.write(part);
      this.#fade.write(part);
      const window = this.#windows.take();
      if (window)
        this.#gate.push(this.#scorer.score(window), this.#fade.loudUntilAt(this.#gate.positionMs + WINDOW_MS));
      if (!this.#closed) this.#gate.measure(this.#fade.positionMs, this.#fade.loudUntilMs);
    }
  }

  close(): void {
    this.#closed = true;
    this.#onClose(this);
  }
}

/** The fallback without a native module: quick, but it takes any sound for a voice. */
export class EnergyVadEngine implements VadEngine {
  readonly name = 'energy';
  readonly droppedWindows = 0;
  readonly #detectors = new Set<EnergyDetector>();

  createDetector(sink: VadSink, settings?: Partial<VadSettings>): VadDetector {
    const gate = new SpeechGate(sink, ENERGY_LAG, settings);
    const detector = new EnergyDetector(gate, (closed) => this.#detectors.delete(closed));
    this.#detectors.add(detector);
    return detector;
  }

  close(): Promise<void> {
    for (const detector of this.#detectors) detector.close();
    return Promise.resolve();
  }
}
