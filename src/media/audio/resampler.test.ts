import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PASS_BAND_SHARE, Resampler } from './resampler.ts';
import type { SampleRateHz } from './resampler.ts';

const RATES: readonly SampleRateHz[] = [8000, 16000, 24000, 48000];
const ALL_PAIRS = RATES.flatMap((from) => RATES.map((to) => [from, to] as const));
const PAIRS = ALL_PAIRS.filter(([from, to]) => from !== to);
const AMPLITUDE = 20_000;
const DURATION_S = 0.25;
/** Skipped at the start of a measurement: the filter's onset lasts twice its delay, under 7 ms. */
const SETTLE_S = 0.02;

function sweep(fromHz: number, toHz: number, steps: number): number[] {
  return Array.from({ length: steps }, (_, index) => fromHz + ((toHz - fromHz) * index) / (steps - 1));
}

function tone(frequencyHz: number, rateHz: number): Int16Array {
  return Int16Array.from({ length: DURATION_S * rateHz }, (_, index) =>
    Math.round(AMPLITUDE * Math.sin((2 * Math.PI * frequencyHz * index) / rateHz)),
  );
}

function convert(from: SampleRateHz, to: SampleRateHz, input: Int16Array): Int16Array {
  const resampler = new Resampler(from, to);
  const out = new Int16Array(resampler.outputLength(input.length));
  expect(resampler.process(input, out)).toBe(out.length);
  return out.subarray(SETTLE_S * to);
}

const decibels = (powerRatio: number): number => 10 * Math.log10(powerRatio);
const meanSquare = (samples: ArrayLike<number>): number =>
  Array.from(samples).reduce((sum, sample) => sum + sample * sample, 0) / samples.length;

/** Least-squares fit of one sine: gain against the input tone, phase in radians, and the power of all that is not it. */
function fitTone(samples: Int16Array, frequencyHz: number, rateHz: number) {
  let [ss, sc, cc, xs, xc] = [0, 0, 0, 0, 0];
  const angle = (index: number): number => (2 * Math.PI * frequencyHz * (index + SETTLE_S * rateHz)) / rateHz;
  samples.forEach((sample, index) => {
    const [sine, cosine] = [Math.sin(angle(index)), Math.cos(angle(index))];
    ss += sine * sine;
    sc += sine * cosine;
    cc += cosine * cosine;
    xs += sample * sine;
    xc += sample * cosine;
  });
  const determinant = ss * cc - sc * sc;
  const a = (xs * cc - xc * sc) / determinant;
  const b = (xc * ss - xs * sc) / determinant;
  const residual = Array.from(samples, (x, index) => x - a * Math.sin(angle(index)) - b * Math.cos(angle(index)));
  return { gain: Math.hypot(a, b) / AMPLITUDE, phase: Math.atan2(b, a), residualPower: meanSquare(residual) };
}

const TONE_POWER = AMPLITUDE ** 2 / 2;

/** Printed with MEASURE=1, for README.md. */
function report(line: string): void {
  if (process.env['MEASURE']) process.stdout.write(`${line}\n`);
}

describe.each(PAIRS)('resampling %i Hz to %i Hz', (from, to) => {
  const nyquistHz = Math.min(from, to) / 2;
  const passHz = nyquistHz * PASS_BAND_SHARE;

  it('is flat within 0.5 dB up to the edge of the pass band and lets no image through', () => {
    const fits = sweep(passHz / 97, passHz, 18).map((hz) => fitTone(convert(from, to, tone(hz, from)), hz, to));
    const gainsDb = fits.map((fit) => decibels(fit.gain ** 2));
    const rippleDb = Math.max(...gainsDb) - Math.min(...gainsDb);
    const rejectionDb = -decibels(Math.max(...fits.map((fit) => fit.residualPower)) / TONE_POWER);
    report(`${from}→${to} ripple ${rippleDb.toFixed(4)} dB, all but the tone ${rejectionDb.toFixed(1)} dB down`);
    expect(rippleDb).toBeLessThan(0.5);
    expect(Math.max(...gainsDb.map(Math.abs))).toBeLessThan(0.5);
    expect(rejectionDb).toBeGreaterThan(60);
  });

  it('rejects by more than 60 dB all that would fold back, and the images of what is above the pass band', () => {
    // Above the slower Nyquist frequency nothing at all may come out. Between the pass band and it, the tone itself
    // may come out weakened, but nothing else.
    const nearEdge = sweep(nyquistHz + 7, nyquistHz * 1.2, 12);
    const above = from > to ? [...nearEdge, ...sweep(nyquistHz * 1.21, from / 2 - 1, 25)] : [];
    const leaks = above.map((hz) => meanSquare(convert(from, to, tone(hz, from))));
    const between = sweep(passHz, nyquistHz - 37, 8);
    const images = between.map((hz) => fitTone(convert(from, to, tone(hz, from)), hz, to).residualPower);
    const rejectionDb = -decibels(Math.max(...leaks, ...images) / TONE_POWER);
    report(`${from}→${to} alias and image rejection ${rejectionDb.toFixed(1)} dB`);
    expect(rejectionDb).toBeGreaterThan(60);
  });

  it('delays each frequency by what delayMs says, at most 5 ms', () => {
    const { delayMs } = new Resampler(from, to);
    expect(delayMs).toBeLessThanOrEqual(5);
    // Below 100 Hz the period is longer than twice the delay, so the phase is not ambiguous.
    for (const hz of [61, 97]) {
      const { phase } = fitTone(convert(from, to, tone(hz, from)), hz, to);
      expect((-phase / (2 * Math.PI * hz)) * 1000).toBeCloseTo(delayMs, 3);
    }
    const high = fitTone(convert(from, to, tone(passHz, from)), passHz, to);
    const turns = high.phase / (2 * Math.PI) + (passHz * delayMs) / 1000;
    expect(Math.abs(turns - Math.round(turns))).toBeLessThan(0.001);
  });
});

describe('a resampler', () => {
  it('gives the same output however the input is cut, and counts it beforehand', () => {
    const samples = fc.int16Array({ minLength: 1, maxLength: 3000 });
    const cuts = fc.array(fc.integer({ min: 0, max: 900 }), { maxLength: 40 });
    fc.assert(
      fc.property(fc.constantFrom(...ALL_PAIRS), samples, cuts, ([from, to], input, lengths) => {
        const whole = new Resampler(from, to);
        const expected = new Int16Array(whole.outputLength(input.length));
        whole.process(input, expected);
        const tail = new Int16Array(whole.flushLength());
        whole.flush(tail);

        const pieces = new Resampler(from, to);
        const actual: number[] = [];
        for (let start = 0, turn = 0; start < input.length; turn++) {
          const piece = input.subarray(start, start + (lengths[turn] ?? input.length));
          const out = new Int16Array(pieces.outputLength(piece.length));
          expect(pieces.process(piece, out)).toBe(out.length);
          actual.push(...out);
          start += piece.length;
        }
        const actualTail = new Int16Array(pieces.flushLength());
        expect(pieces.flush(actualTail)).toBe(actualTail.length);
        expect(actual).toEqual([...expected]);
        expect([...actualTail]).toEqual([...tail]);
      }),
      { numRuns: 150 },
    );
  });

  it.each(ALL_PAIRS)(
    'from %i to %i Hz holds back exactly its delay until it is flushed, then starts anew',
    (from, to) => {
      const resampler = new Resampler(from, to);
      const input = tone(440, from).subarray(0, from / 50 + 1);
      const run = (): number[] => {
        const out = new Int16Array(resampler.outputLength(input.length));
        resampler.process(input, out);
        const tail = new Int16Array(resampler.flushLength());
        resampler.flush(tail);
        return [...out, ...tail];
      };
      const first = run();
      expect(first.length).toBe(Math.ceil(Number(((input.length / from + resampler.delayMs / 1000) * to).toFixed(6))));
      expect(run()).toEqual(first);
      expect(resampler.flushLength()).toBe(0);
    },
  );

  it('passes samples through unchanged when the rates are equal', () => {
    const input = tone(997, 16000);
    const out = new Int16Array(input.length);
    const resampler = new Resampler(16000, 16000);
    expect(resampler.process(input, out)).toBe(input.length);
    expect(out).toEqual(input);
    expect(resampler.delayMs).toBe(0);
  });

  it('saturates where the filter overshoots full scale', () => {
    const square = Int16Array.from({ length: 1600 }, (_, index) => (index % 80 < 40 ? 32_767 : -32_768));
    const out = convert(8000, 24000, square);
    expect(Math.max(...out)).toBe(32_767);
    expect(Math.min(...out)).toBe(-32_768);
    // Without saturation an overshoot would wrap around and change its sign.
    const wrapped = out.filter((sample, index) => Math.abs(sample - (out[index - 1] ?? sample)) > 40_000);
    expect(wrapped.length).toBe(0);
  });

  it('keeps a constant constant', () => {
    const out = convert(8000, 48000, new Int16Array(2000).fill(12_345));
    expect(new Set(out)).toEqual(new Set([12_345]));
  });

  it('refuses an output that is too short, and loses nothing by it', () => {
    const input = tone(440, 8000);
    const resampler = new Resampler(8000, 16000);
    expect(() => resampler.process(input, new Int16Array(10))).toThrow(expect.objectContaining({ code: 'internal' }));
    const out = new Int16Array(resampler.outputLength(input.length));
    resampler.process(input, out);
    expect(out.subarray(SETTLE_S * 16000)).toEqual(convert(8000, 16000, input));
    expect(() => resampler.flush(new Int16Array(0))).toThrow(expect.objectContaining({ code: 'internal' }));
  });
});
