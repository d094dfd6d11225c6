/**
 * Streaming sample-rate conversion between 8, 16, 24 and 48 kHz: one band-limited polyphase FIR (Kaiser window,
 * linear phase), 16-bit in and out, 32-bit float coefficients and history.
 *
 * The band is set by the slower side: flat to 85 % of its Nyquist frequency (3400 Hz for 8 kHz), stopped from that
 * Nyquist frequency on, so that nothing folds back and no image passes, whichever side is slower.
 * README.md has the measured ripple, rejection and delay.
 */
import { BvraiError } from '../../core/errors.ts';

/** The sample rates that can be converted into each other. */
export type SampleRateHz = 8000 | 16000 | 24000 | 48000;

/** End of the pass band as a share of the slower side's Nyquist frequency. */
export const PASS_BAND_SHARE = 0.85;
/** What the Kaiser formula is asked for; above the promised 60 dB, for the formula is an estimate. */
const DESIGN_REJECTION_DB = 66;
/** Input is taken in blocks of at most this many samples; the bound of the history buffer, invisible outside. */
const BLOCK_SAMPLES = 480;
/** The inner loop is unrolled this often. */
const UNROLL = 4;

/**
 * A filter for one ratio. Rates are joined on a grid of `up` ticks a sample in and `down` ticks a sample out.
 * `bank` holds `up` phases of `tapsPerPhase` coefficients, each ordered oldest input sample first.
 */
interface PolyphaseFilter {
  readonly up: number;
  readonly down: number;
  readonly tapsPerPhase: number;
  readonly delayTicks: number;
  readonly bank: Float32Array;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/** Modified Bessel function of the first kind, order zero, by its power series. */
function besselI0(x: number): number {
  let sum = 1;
  let term = 1;
  for (let k = 1; term > sum * 1e-12; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

/**
 * Low-pass prototype of `2 × delayTicks + 1` taps on the tick grid.
 * Source of the two formulas (length, beta): J. F. Kaiser, "Nonrecursive digital filter design using the I0-sinh
 * window function", 1974; also Oppenheim and Schafer, "Discrete-Time Signal Processing", section on Kaiser windows.
 */
function designPrototype(lowerRateHz: number, tickRateHz: number): { taps: Float64Array; delayTicks: number } {
  const stopHz = lowerRateHz / 2;
  const passHz = stopHz * PASS_BAND_SHARE;
  const transition = (2 * Math.PI * (stopHz - passHz)) / tickRateHz;
  const delayTicks = Math.ceil((DESIGN_REJECTION_DB - 7.95) / (2.285 * transition) / 2);
  const beta = 0.1102 * (DESIGN_REJECTION_DB - 8.7);
  const cutoff = (Math.PI * (stopHz + passHz)) / tickRateHz;
  const taps = new Float64Array(2 * delayTicks + 1);
  for (let index = 0; index < taps.length; index++) {
    const offset = index - delayTicks;
    const sinc = offset === 0 ? cutoff / Math.PI : Math.sin(cutoff * offset) / (Math.PI * offset);
    taps[index] = sinc * besselI0(beta * Math.sqrt(1 - (offset / delayTicks) ** 2));
  }
  return { taps, delayTicks };
}

function designFilter(fromHz: SampleRateHz, toHz: SampleRateHz): PolyphaseFilter {
  if (fromHz === toHz) {
    const bank = Float32Array.from({ length: UNROLL }, (_, index) => (index === UNROLL - 1 ? 1 : 0));
    return { up: 1, down: 1, tapsPerPhase: UNROLL, delayTicks: 0, bank };
  }
  const divisor = greatestCommonDivisor(fromHz, toHz);
  const up = toHz / divisor;
  const down = fromHz / divisor;
  const { taps, delayTicks } = designPrototype(Math.min(fromHz, toHz), fromHz * up);
  const tapsPerPhase = UNROLL * Math.ceil(taps.length / up / UNROLL);
  const bank = new Float32Array(up * tapsPerPhase);
  for (let phase = 0; phase < up; phase++) {
    // Each phase sums to exactly 1: a constant input stays constant, without a ripple at the input rate.
    let sum = 0;
    for (let tap = phase; tap < taps.length; tap += up) sum += taps[tap] as number;
    for (let tap = phase, age = 0; tap < taps.length; tap += up, age++) {
      bank[(phase + 1) * tapsPerPhase - 1 - age] = (taps[tap] as number) / sum;
    }
  }
  return { up, down, tapsPerPhase, delayTicks, bank };
}

const filters = new Map<string, PolyphaseFilter>();

function filterFor(fromHz: SampleRateHz, toHz: SampleRateHz): PolyphaseFilter {
  const key = `${fromHz}:${toHz}`;
  const known = filters.get(key);
  if (known) return known;
  const filter = designFilter(fromHz, toHz);
  filters.set(key, filter);
  return filter;
}

/**
 * Converts one mono stream. How the input is cut into chunks never changes the output.
 * Equal rates are allowed and pass samples through unchanged.
 */
export class Resampler {
  readonly fromHz: SampleRateHz;
  readonly toHz: SampleRateHz;
  /**
   * How much later a sound is in the output than in the input: exact, the same for each frequency. An impulse in input
   * sample i peaks in the output at i / fromHz + delayMs.
   */
  readonly delayMs: number;
  readonly #filter: PolyphaseFilter;
  /** The last inputs that the filter still needs, then the block being converted. */
  readonly #window: Float32Array;
  /** Ticks from the first sample of the next block to the next output; less than `down`. */
  #nextTick = 0;
  #started = false;

  constructor(fromHz: SampleRateHz, toHz: SampleRateHz) {
    this.fromHz = fromHz;
    this.toHz = toHz;
    this.#filter = filterFor(fromHz, toHz);
    this.delayMs = (1000 * this.#filter.delayTicks) / (fromHz * this.#filter.up);
    this.#window = new Float32Array(this.#filter.tapsPerPhase - 1 + BLOCK_SAMPLES);
  }

  /** Exactly how many samples `process` would write for `inputSamples` more samples. */
  outputLength(inputSamples: number): number {
    return this.#outputsBefore(inputSamples * this.#filter.up);
  }

  /** Exactly how many samples `flush` would write. */
  flushLength(): number {
    return this.#started ? this.#outputsBefore(this.#filter.delayTicks) : 0;
  }

  /**
   * Converts all of `input` (16-bit, `fromHz`) to the start of `out` (16-bit, `toHz`, saturated) and returns the number
   * of samples written: `outputLength(input.length)`. An `out` with less room is `internal`, and nothing is consumed.
   */
  process(input: Int16Array, out: Int16Array): number {
    this.#requireRoom(this.outputLength(input.length), out);
    const history = this.#filter.tapsPerPhase - 1;
    let written = 0;
    for (let start = 0; start < input.length; start += BLOCK_SAMPLES) {
      const length = Math.min(BLOCK_SAMPLES, input.length - start);
      for (let index = 0; index < length; index++) {
        this.#window[history + index] = input[start + index] as number;
      }
      written = this.#convert(length * this.#filter.up, out, written);
      this.#window.copyWithin(0, length, length + history);
      this.#started = true;
    }
    return written;
  }

  /**
   * Ends the stream: writes the samples that the delay still holds back, up to the end of the last input sample, and
   * returns their number: `flushLength()`. The resampler is then as new. Errors as for `process`.
   */
  flush(out: Int16Array): number {
    const length = this.flushLength();
    this.#requireRoom(length, out);
    if (length > 0) {
      this.#window.fill(0, this.#filter.tapsPerPhase - 1);
      this.#convert(this.#filter.delayTicks, out, 0);
    }
    this.reset();
    return length;
  }

  /** Forgets the stream so far, e.g. after a barge-in. */
  reset(): void {
    this.#window.fill(0);
    this.#nextTick = 0;
    this.#started = false;
  }

  #outputsBefore(endTick: number): number {
    return Math.max(0, Math.ceil((endTick - this.#nextTick) / this.#filter.down));
  }

  #requireRoom(needed: number, out: Int16Array): void {
    if (out.length < needed) {
      throw new BvraiError('internal', `Resampler: the output has room for ${out.length} samples, ${needed} are due.`);
    }
  }

  /** Writes the outputs due before `endTick` ticks of the current block, from `out[written]` on; returns the new end. */
  #convert(endTick: number, out: Int16Array, written: number): number {
    const { up, down, tapsPerPhase, bank } = this.#filter;
    const window = this.#window;
    let tick = this.#nextTick;
    for (; tick < endTick; tick += down) {
      const first = Math.floor(tick / up);
      const phase = (tick - first * up) * tapsPerPhase;
      let a = 0;
      let b = 0;
      let c = 0;
      let d = 0;
      // Four sums, so that one addition need not wait for the one before.
      for (let tap = 0; tap < tapsPerPhase; tap += UNROLL) {
        a += (bank[phase + tap] as number) * (window[first + tap] as number);
        b += (bank[phase + tap + 1] as number) * (window[first + tap + 1] as number);
        c += (bank[phase + tap + 2] as number) * (window[first + tap + 2] as number);
        d += (bank[phase + tap + 3] as number) * (window[first + tap + 3] as number);
      }
      const sample = Math.round(a + b + (c + d));
      out[written++] = sample > 32767 ? 32767 : sample < -32768 ? -32768 : sample;
    }
    this.#nextTick = tick - endTick;
    return written;
  }
}
