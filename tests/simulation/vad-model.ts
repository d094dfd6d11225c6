/** The real gate of the voice detector over modelled probabilities; as with Silero, events may come later than the audio. */
import type { VirtualClock } from '../../src/core/clock.ts';
import { BYTES_PER_MS } from '../../src/media/call-port.ts';
import { SpeechGate } from '../../src/media/vad/gate.ts';
import type { VadDetector, VadEngine, VadEvent, VadSettings, VadSink } from '../../src/media/vad/vad.ts';
import { WINDOW_MS } from '../../src/media/vad/vad.ts';
import type { CallerVoice } from './caller-voice.ts';
import type { Random } from './random.ts';

/** No longer fade matters to the gate, and no finer step. */
const LONGEST_FADE_MS = 240;
const FADE_STEP_MS = 8;

export interface VadModelOptions {
  readonly clock: VirtualClock;
  readonly voice: CallerVoice;
  readonly random: Random;
  readonly lateMs: number;
  readonly onEvent: (event: VadEvent) => void;
}

export class VadModel implements VadEngine {
  readonly name = 'silero';
  readonly droppedWindows = 0;
  readonly #options: VadModelOptions;
  openDetectors = 0;

  constructor(options: VadModelOptions) {
    this.#options = options;
  }

  createDetector(sink: VadSink, settings: Partial<VadSettings> = {}): VadDetector {
    const { clock, voice, random, lateMs, onEvent } = this.#options;
    this.openDetectors++;
    let open = true;
    const deliver = (event: VadEvent) => {
      if (!open) return;
      onEvent(event);
      sink.onEvent(event);
    };
    const gate = new SpeechGate(
      { onEvent: (event) => (lateMs === 0 ? deliver(event) : void clock.after(lateMs, () => deliver(event))) },
      { onsetMs: 0, offsetMs: 0, breathMs: 60 },
      settings,
    );
    let writtenMs = 0;
    return {
      get positionMs() {
        return gate.positionMs;
      },
      write: (mulaw) => {
        if (!open) return;
        writtenMs += mulaw.length / BYTES_PER_MS;
        const measuredMs = Math.floor(writtenMs / FADE_STEP_MS) * FADE_STEP_MS;
        gate.measure(measuredMs, measuredMs - fadedMs(voice, measuredMs));
        while (gate.positionMs + WINDOW_MS <= writtenMs) {
          const fromMs = gate.positionMs;
          const untilMs = fromMs + WINDOW_MS;
          gate.push(probability(voice, random, fromMs), untilMs - fadedMs(voice, untilMs));
        }
      },
      close: () => {
        if (open) this.openDetectors--;
        open = false;
      },
    };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** For how long, up to a moment, there has been no sound. */
function fadedMs(voice: CallerVoice, atMs: number): number {
  let faded = 0;
  while (faded < LONGEST_FADE_MS && !voice.isVoicedAt(atMs - faded - FADE_STEP_MS)) faded += FADE_STEP_MS;
  return faded;
}

/** What a model would say of the window at `fromMs`. */
function probability(voice: CallerVoice, random: Random, fromMs: number): number {
  const { share, kind } = voice.at(fromMs, fromMs + WINDOW_MS);
  if (share < 0.4) return random.between(0, 0.2);
  if (kind === 'word') return random.between(0.7, 1);
  return kind === 'cough' ? random.between(0.3, 0.9) : random.between(0, 0.75);
}
