import { BvraiError, unreachable } from '../../core/errors.ts';
import { DEFAULT_VAD_SETTINGS, WINDOW_MS } from './vad.ts';
import type { VadSettings, VadSink } from './vad.ts';

/** By how much a model's probabilities trail the voice itself; measured, see README.md. */
export interface ModelLag {
  readonly onsetMs: number;
  readonly offsetMs: number;
  /** For how much longer than that a breath at the end may be taken for voice. */
  readonly breathMs: number;
}

/**
 * Where the gate stands. `onset`: windows sound like speech, but not yet for `minSpeechMs` since `windowsFromMs`.
 * `pause`: speech has been reported, its windows went quiet, but not yet for `minSilenceMs`.
 * `speechMs` counts from `startedAtMs`: the voice that the model was too slow to hear is voice too.
 */
type GateState =
  | { readonly kind: 'silence' }
  | { readonly kind: 'onset'; readonly startedAtMs: number; readonly windowsFromMs: number }
  | { readonly kind: 'speech'; readonly startedAtMs: number; readonly speechMs: number }
  | { readonly kind: 'pause'; readonly startedAtMs: number; readonly speechMs: number; readonly silentFromMs: number };

/** A fade so long may be the end of speech; most gaps within words are shorter. */
const FADED_MS = 40;

/** A last syllable may be so weak that it has faded; it is no longer than this. A model that hears a voice beyond hears a breath. */
const WEAK_END_MS = 60;

const SILENCE: GateState = { kind: 'silence' };

/** Turns one probability a window into speech that starts and ends, with hysteresis. Pure: time is counted in windows. */
export class SpeechGate {
  readonly #settings: VadSettings;
  readonly #lag: ModelLag;
  readonly #sink: VadSink;
  #state: GateState = SILENCE;
  #positionMs = 0;
  /** Speech cannot begin before the previous one ended. */
  #endedAtMs = 0;
  /** By the sound's energy: for how long the voice has faded, up to the newest sound, which is ahead of the windows. */
  #fadedMs = 0;
  /** Where it was last heard, as of the window; unknown without a measure. */
  #loudUntilMs = Infinity;

  /** Throws `config.invalid` when the settings contradict each other. */
  constructor(sink: VadSink, lag: ModelLag, settings: Partial<VadSettings> = {}) {
    this.#sink = sink;
    this.#lag = lag;
    this.#settings = checked({ ...DEFAULT_VAD_SETTINGS, ...settings });
  }

  /** The end of the last window pushed. */
  get positionMs(): number {
    return this.#positionMs;
  }

  /** Takes the probability of speech (0 to 1) of the next window, and where by its energy the voice was last heard, as of its end. */
  push(probability: number, loudUntilMs = Infinity): void {
    const windowStartMs = this.#positionMs;
    this.#loudUntilMs = loudUntilMs;
    this.#positionMs += WINDOW_MS;
    this.#judge(probability, windowStartMs);
  }

  /** Takes what the energy of the newest sound says, as soon as there is some: measured up to there, voice last heard there. */
  measure(measuredMs: number, loudUntilMs: number): void {
    const wasFaded = this.#isFaded;
    this.#fadedMs = measuredMs - loudUntilMs;
    const { kind } = this.#state;
    if (!this.#isFaded || wasFaded || (kind !== 'speech' && kind !== 'pause')) return;
    const { startedAtMs } = this.#state;
    const atMs = Math.max(startedAtMs, loudUntilMs);
    this.#sink.onEvent({ type: 'speech-faded', startedAtMs, atMs, detectedAtMs: measuredMs });
  }

  get #isFaded(): boolean {
    return this.#fadedMs >= FADED_MS;
  }

  #judge(probability: number, windowStartMs: number): void {
    const state = this.#state;
    switch (state.kind) {
      case 'silence':
        if (probability >= this.#settings.onThreshold) this.#begin(windowStartMs);
        return;
      case 'onset':
        if (probability < this.#settings.offThreshold) this.#state = SILENCE;
        else this.#onset(state.startedAtMs, state.windowsFromMs);
        return;
      case 'speech':
        if (probability < this.#settings.offThreshold) this.#pause(state.startedAtMs, state.speechMs, windowStartMs);
        else this.#continue(state.startedAtMs, state.speechMs + WINDOW_MS);
        return;
      case 'pause':
        if (probability >= this.#settings.onThreshold) this.#continue(state.startedAtMs, state.speechMs + WINDOW_MS);
        else this.#pause(state.startedAtMs, state.speechMs, state.silentFromMs);
        return;
      default:
        unreachable(state);
    }
  }

  #begin(windowStartMs: number): void {
    this.#onset(Math.max(this.#endedAtMs, windowStartMs - this.#lag.onsetMs), windowStartMs);
  }

  #onset(startedAtMs: number, windowsFromMs: number): void {
    if (this.#positionMs - windowsFromMs < this.#settings.minSpeechMs) {
      this.#state = { kind: 'onset', startedAtMs, windowsFromMs };
      return;
    }
    this.#state = { kind: 'speech', startedAtMs, speechMs: this.#positionMs - startedAtMs };
    this.#sink.onEvent({ type: 'speech-started', atMs: startedAtMs, detectedAtMs: this.#positionMs });
  }

  #continue(startedAtMs: number, speechMs: number): void {
    this.#state = { kind: 'speech', startedAtMs, speechMs };
    const detectedAtMs = this.#positionMs;
    this.#sink.onEvent({ type: 'speech-continued', startedAtMs, speechMs, faded: this.#isFaded, detectedAtMs });
  }

  #pause(startedAtMs: number, speechMs: number, silentFromMs: number): void {
    const modelMs = silentFromMs - this.#lag.offsetMs;
    const fadeMs = Math.max(this.#loudUntilMs + WEAK_END_MS, modelMs - this.#lag.breathMs);
    const atMs = Math.max(startedAtMs, Math.min(modelMs, fadeMs));
    if (this.#positionMs - atMs < this.#settings.minSilenceMs) {
      this.#state = { kind: 'pause', startedAtMs, speechMs, silentFromMs };
      return;
    }
    this.#state = SILENCE;
    this.#endedAtMs = atMs;
    this.#sink.onEvent({ type: 'speech-ended', startedAtMs, speechMs, atMs, detectedAtMs: this.#positionMs });
  }
}

function checked(settings: VadSettings): VadSettings {
  const { onThreshold, offThreshold, minSpeechMs, minSilenceMs } = settings;
  if (!(offThreshold > 0 && offThreshold <= onThreshold && onThreshold <= 1)) {
    throw new BvraiError(
      'config.invalid',
      `Voice activity needs 0 < off <= on <= 1, not ${offThreshold} and ${onThreshold}.`,
    );
  }
  if (!(minSpeechMs >= 0 && minSilenceMs >= 0)) {
    throw new BvraiError('config.invalid', 'Voice activity: minSpeechMs and minSilenceMs must not be negative.');
  }
  return settings;
}
