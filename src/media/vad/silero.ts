import type { Clock, Timer } from '../../core/clock.ts';
import { BvraiError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { EnergyScorer } from './energy.ts';
import { FadeMeter } from './fade.ts';
import { SpeechGate } from './gate.ts';
import type { ModelLag } from './gate.ts';
import { floatOf, levelDb, meanPower } from './level.ts';
import { CONTEXT_SAMPLES, INPUT_SAMPLES, LAYER_SIZE, MAX_BATCH, STATE_LAYERS } from './silero-model.ts';
import type { SileroModel } from './silero-model.ts';
import { WINDOW_MS, WINDOW_SAMPLES } from './vad.ts';
import type { VadDetector, VadEngine, VadSettings, VadSink } from './vad.ts';
import { WindowQueue } from './windows.ts';

/**
 * How long a window waits for those of other calls. It costs that much onset delay, and lets a busy server judge
 * several windows in one inference.
 */
const GATHER_MS = 1;
/**
 * Below this level a window is silence without inference: a muted line or a filled gap, since the smallest step of
 * μ-law is -72 dBFS. Silero heats up in digital silence and then takes the first hiss for speech; a gate any higher
 * delays quiet callers (README.md).
 */
const SILENCE_DB = -90;

const SILERO_LAG: ModelLag = { onsetMs: 32, offsetMs: 64, breathMs: 60 };

/** One call's recurrent state and its queue of windows. */
class SileroDetector implements VadDetector {
  readonly #windows = new WindowQueue();
  readonly #gate: SpeechGate;
  readonly #engine: SileroVadEngine;
  readonly #context = new Float32Array(CONTEXT_SAMPLES);
  readonly #state = new Float32Array(STATE_LAYERS * LAYER_SIZE);
  #lostBefore = 0;
  #lastProbability = 0;
  readonly #fade = new FadeMeter();
  readonly #fallback = new EnergyScorer();
  #closed = false;

  constructor(gate: SpeechGate, engine: SileroVadEngine) {
    this.#gate = gate;
    this.#engine = engine;
  }

  get positionMs(): number {
    return this.#gate.positionMs;
  }

  get waiting(): boolean {
    return !this.#closed && this.#windows.pending > 0;
  }

  write(mulaw: Uint8Array): void {
    if (this.#closed) return;
    this.#windows.write(mulaw);
    if (this.waiting) this.#engine.enqueue(this);
    this.#fade.write(mulaw);
    this.#gate.measure(this.#fade.positionMs, this.#fade.loudUntilMs);
  }

  close(): void {
    this.#closed = true;
    this.#engine.forget(this);
  }

  /**
   * Puts the next window that needs inference at `row` of a batch; silent ones before it are judged at once.
   * False: none is left (or the call was closed by the receiver of an event).
   */
  fill(model: SileroModel, row: number): boolean {
    for (let window = this.#next(); window; window = this.#next()) {
      if (levelDb(meanPower(window)) < SILENCE_DB) {
        this.#keepContext(window);
        this.accept(0);
        continue;
      }
      model.input.set(this.#context, row * INPUT_SAMPLES);
      const from = row * INPUT_SAMPLES + CONTEXT_SAMPLES;
      for (let i = 0; i < WINDOW_SAMPLES; i++) model.input[from + i] = floatOf(window[i]);
      this.#keepContext(window);
      return true;
    }
    return false;
  }

  loadState(model: SileroModel, row: number, size: number): void {
    for (let layer = 0; layer < STATE_LAYERS; layer++) {
      const own = this.#state.subarray(layer * LAYER_SIZE, (layer + 1) * LAYER_SIZE);
      model.state.set(own, (layer * size + row) * LAYER_SIZE);
    }
  }

  storeState(model: SileroModel, row: number, size: number): void {
    for (let layer = 0; layer < STATE_LAYERS; layer++) {
      const from = (layer * size + row) * LAYER_SIZE;
      this.#state.set(model.nextState.subarray(from, from + LAYER_SIZE), layer * LAYER_SIZE);
    }
  }

  /** The verdict on the window that was taken last; windows dropped before it count as their predecessor did. */
  accept(probability: number): void {
    for (; this.#lostBefore > 0 && !this.#closed; this.#lostBefore--) this.#push(this.#lastProbability);
    if (this.#closed) return;
    this.#lastProbability = probability;
    this.#push(probability);
  }

  /** The window that was taken last got no verdict: it counts as if it had been dropped. */
  missWindow(): void {
    this.#lostBefore++;
  }

  /** Judges everything that waits by its energy, for when the model has failed. */
  drain(): void {
    for (let window = this.#next(); window; window = this.#next()) this.accept(this.#fallback.score(window));
  }

  #push(probability: number): void {
    this.#gate.push(probability, this.#fade.loudUntilAt(this.#gate.positionMs + WINDOW_MS));
  }

  #next(): Uint8Array | undefined {
    if (this.#closed) return undefined;
    const lost = this.#windows.takeLost();
    if (lost > 0) this.#engine.reportDropped(lost);
    this.#lostBefore += lost;
    return this.#windows.take();
  }

  #keepContext(window: Uint8Array): void {
    const from = WINDOW_SAMPLES - CONTEXT_SAMPLES;
    for (let i = 0; i < CONTEXT_SAMPLES; i++) this.#context[i] = floatOf(window[from + i]);
  }
}

/**
 * Silero for all calls of the process. Windows of different calls that arrive within a millisecond, or while an
 * inference runs, share the next one; a call has one window in a batch at most, since each needs the state that the
 * previous one left. When an inference fails, the error is logged and every call goes on with the energy detector.
 */
export class SileroVadEngine implements VadEngine {
  readonly #model: SileroModel;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #detectors = new Set<SileroDetector>();
  /** Detectors with windows waiting, in the order in which they asked. */
  readonly #line = new Set<SileroDetector>();
  /** The calls of the running inference, by row. */
  readonly #batch: SileroDetector[] = [];
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #failed = false;
  #droppedWindows = 0;

  constructor(model: SileroModel, clock: Clock, log: Log) {
    this.#model = model;
    this.#clock = clock;
    this.#log = log;
  }

  get name(): 'silero' | 'energy' {
    return this.#failed ? 'energy' : 'silero';
  }

  get droppedWindows(): number {
    return this.#droppedWindows;
  }

  createDetector(sink: VadSink, settings?: Partial<VadSettings>): VadDetector {
    const detector = new SileroDetector(new SpeechGate(sink, SILERO_LAG, settings), this);
    if (this.#closing) detector.close();
    else this.#detectors.add(detector);
    return detector;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#timer?.cancel();
    for (const detector of this.#detectors) detector.close();
    await this.#running;
    await this.#model.release();
  }

  enqueue(detector: SileroDetector): void {
    if (this.#failed) {
      this.#drain(detector);
      return;
    }
    this.#line.add(detector);
    if (!this.#running) this.#schedule();
  }

  #schedule(): void {
    this.#timer ??= this.#clock.after(GATHER_MS, () => {
      this.#timer = undefined;
      this.#running = this.#judgeAll().then(() => {
        this.#running = undefined;
        // Somebody may have come between the last look at the line and now.
        if (this.#line.size > 0) this.#schedule();
      });
    });
  }

  forget(detector: SileroDetector): void {
    this.#line.delete(detector);
    this.#detectors.delete(detector);
  }

  /** Falling behind is a fault of the machine, not of a call: counted for all calls, and said once. */
  reportDropped(windows: number): void {
    const isNews = this.#droppedWindows === 0;
    this.#droppedWindows += windows;
    if (!isNews) return;
    this.#log.warn({ windows }, 'Voice activity falls behind and drops the oldest audio; this is said once.');
  }

  /** Runs until nobody waits. Never rejects. */
  async #judgeAll(): Promise<void> {
    while (this.#line.size > 0) {
      const size = this.#gather();
      // Yields to the event loop before each inference: a backlog does not block it for longer than one batch.
      if (size > 0 && (await this.#infer(size))) this.#deliver(size);
      this.#batch.length = 0;
    }
  }

  /** Makes a batch of those who wait longest. */
  #gather(): number {
    for (const detector of this.#line) {
      if (this.#batch.length === MAX_BATCH) break;
      this.#line.delete(detector);
      try {
        if (detector.fill(this.#model, this.#batch.length)) this.#batch.push(detector);
      } catch (thrown) {
        this.#reportReceiver(detector, thrown);
      }
    }
    const size = this.#batch.length;
    for (let row = 0; row < size; row++) this.#batch[row]?.loadState(this.#model, row, size);
    return size;
  }

  async #infer(size: number): Promise<boolean> {
    try {
      await this.#model.run(size);
      return true;
    } catch (thrown) {
      this.#fail(BvraiError.from(thrown, 'engine.failed', 'Silero inference failed'));
      return false;
    }
  }

  #deliver(size: number): void {
    for (let row = 0; row < size; row++) {
      const detector = this.#batch[row];
      if (!detector) continue;
      detector.storeState(this.#model, row, size);
      try {
        detector.accept(this.#model.probabilities[row] ?? 0);
      } catch (thrown) {
        this.#reportReceiver(detector, thrown);
      }
      if (detector.waiting) this.#line.add(detector);
    }
  }

  #fail(error: BvraiError): void {
    this.#failed = true;
    this.#log.error({ err: error, code: error.code }, 'Voice activity goes on with the energy detector.');
    for (const detector of this.#batch) detector.missWindow();
    for (const detector of new Set([...this.#batch, ...this.#line])) this.#drain(detector);
    this.#line.clear();
  }

  #drain(detector: SileroDetector): void {
    try {
      detector.drain();
    } catch (thrown) {
      this.#reportReceiver(detector, thrown);
    }
  }

  /** One call's receiver that throws must not take the others' events with it. */
  #reportReceiver(detector: SileroDetector, thrown: unknown): void {
    this.#log.error(
      { err: BvraiError.from(thrown), positionMs: detector.positionMs },
      'A receiver of voice activity events threw; its call goes on.',
    );
  }
}
