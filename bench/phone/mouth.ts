/** What the caller is about to say, cut into frames on the stream's time line. */
import { FRAME_SAMPLES, MULAW_SILENCE, mulawEncode } from './audio.ts';
import { isWav, parseWav, readWavFile } from './wav.ts';

/** What the caller says: the path of a WAV file, the bytes of one, or raw μ-law. */
export type Speech = string | Uint8Array;

/** Any {@link Speech} as μ-law, 8 kHz. Throws {@link WavError}. */
export async function loadSpeech(speech: Speech): Promise<Uint8Array> {
  if (typeof speech === 'string') return mulawEncode(await readWavFile(speech));
  return isWav(speech) ? mulawEncode(parseWav(speech)) : speech;
}

const MAX_QUEUED_SPEECHES = 64;

interface SpeechJob {
  readonly mulaw: Uint8Array;
  readonly fromSample: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** A queue of speeches; each begins on a frame's edge, no earlier than the one before has ended. */
export class Mouth {
  readonly #jobs: SpeechJob[] = [];

  /**
   * Queues audio to be said from `nextFrame` on, or after what is queued already. Returns where it begins, and a
   * promise that resolves when its last frame has been taken.
   */
  queue(mulaw: Uint8Array, nextFrame: number): { readonly fromSample: number; readonly done: Promise<void> } {
    if (this.#jobs.length >= MAX_QUEUED_SPEECHES)
      throw new Error(`more than ${MAX_QUEUED_SPEECHES} speeches are waiting`);
    const previous = this.#jobs.at(-1);
    const frame = previous ? Math.ceil((previous.fromSample + previous.mulaw.length) / FRAME_SAMPLES) : nextFrame;
    const fromSample = frame * FRAME_SAMPLES;
    const done = new Promise<void>((resolve, reject) => this.#jobs.push({ mulaw, fromSample, resolve, reject }));
    return { fromSample, done };
  }

  /** The 20 ms that begin at `atSample`, padded with silence; undefined when nothing is being said then. */
  takeFrame(atSample: number): Uint8Array | undefined {
    const job = this.#jobs[0];
    if (!job || job.fromSample > atSample) return undefined;
    const offset = atSample - job.fromSample;
    const frame = new Uint8Array(FRAME_SAMPLES).fill(MULAW_SILENCE);
    frame.set(job.mulaw.subarray(offset, offset + FRAME_SAMPLES));
    if (offset + FRAME_SAMPLES >= job.mulaw.length) {
      this.#jobs.shift();
      job.resolve();
    }
    return frame;
  }

  /** Drops everything that was not said yet. */
  abort(error: Error): void {
    for (const job of this.#jobs.splice(0)) job.reject(error);
  }
}
