import type { Clock } from '../../core/clock.ts';
import { BvraiError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { EnergyVadEngine } from './energy.ts';
import { bundledModelPath, SileroModel } from './silero-model.ts';
import type { ImportRuntime } from './silero-model.ts';
import { SileroVadEngine } from './silero.ts';
import type { VadEngine } from './vad.ts';

export interface LoadVadOptions {
  readonly clock: Clock;
  /** `energy` asks for the simple detector and loads nothing; the default is Silero, if it can be loaded. */
  readonly engine?: 'silero' | 'energy';
  /** Other Silero weights than the bundled ones. */
  readonly modelPath?: string;
  /** Other ways to get the inference runtime than the npm package `onnxruntime-node`. */
  readonly importRuntime?: ImportRuntime;
}

/**
 * Loads voice activity detection for the process, about 150 ms and 44 MB. Never rejects: what keeps Silero from
 * loading is logged with its reason, and the energy detector serves instead.
 */
export async function loadVad(log: Log, options: LoadVadOptions): Promise<VadEngine> {
  if (options.engine === 'energy') return new EnergyVadEngine();
  try {
    const importRuntime = options.importRuntime ?? (() => import('onnxruntime-node'));
    const model = await SileroModel.load(options.modelPath ?? bundledModelPath(), importRuntime);
    return new SileroVadEngine(model, options.clock, log);
  } catch (thrown) {
    const error = BvraiError.from(thrown, 'engine.unavailable');
    log.warn(
      { code: error.code, reason: error.message },
      'Voice activity uses the energy detector, which takes any sound for a voice. Installing the optional dependency onnxruntime-node brings Silero.',
    );
    return new EnergyVadEngine();
  }
}
