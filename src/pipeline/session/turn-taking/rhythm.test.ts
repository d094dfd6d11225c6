import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { adaptSilenceMs, NEW_RHYTHM, observePause } from './rhythm.ts';
import type { Rhythm } from './rhythm.ts';

const BOUNDS = { minMs: 200, maxMs: 1_200 };
const after = (...pausesMs: number[]): Rhythm => pausesMs.reduce(observePause, NEW_RHYTHM);
const repeated = (pauseMs: number, times: number): number[] => Array.from({ length: times }, () => pauseMs);

describe('the wait for this caller', () => {
  it.each<[string, number[], number]>([
    ['nobody known', [], 200],
    ['one long pause is chance', [500], 200],
    ['two are a habit', [500, 500], 600],
    ['always 500 ms', repeated(500, 20), 600],
    ['a crisp caller', repeated(120, 20), 200],
    ['exactly the base', repeated(200, 20), 200],
    ['crisp but for one slip', [...repeated(150, 6), 900, ...repeated(150, 2)], 200],
    ['slow at first, crisp since', [...repeated(700, 4), ...repeated(150, 12)], 200],
    ['crisp at first, slow since', [...repeated(150, 12), 700, 700, 700], 840],
    ['longer than the bounds allow', repeated(2_500, 8), 1_200],
    ['went to fetch something', [9_000, 20_000, 60_000], 200],
  ])('%s', (_, pausesMs, waitMs) => {
    expect(adaptSilenceMs(200, after(...pausesMs), BOUNDS)).toBeCloseTo(waitMs, 6);
  });

  it('passes over what is no pause', () => {
    for (const pauseMs of [0, -5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(observePause(NEW_RHYTHM, pauseMs)).toEqual(NEW_RHYTHM);
    }
  });

  it('does not change the rhythm that it is given', () => {
    const before = after(300, 400);
    observePause(before, 500);
    expect(before.pausesMs).toEqual([300, 400]);
  });
});

describe('whatever the pauses', () => {
  const pauses = fc.array(fc.integer({ min: 1, max: 3_000 }), { maxLength: 40 });

  it('stays within the bounds, and remembers a bounded number', () => {
    fc.assert(
      fc.property(pauses, fc.integer({ min: 200, max: 1_200 }), (pausesMs, baseMs) => {
        const rhythm = after(...pausesMs);
        const waitMs = adaptSilenceMs(baseMs, rhythm, BOUNDS);
        expect(waitMs).toBeGreaterThanOrEqual(baseMs);
        expect(waitMs).toBeLessThanOrEqual(BOUNDS.maxMs);
        expect(rhythm.pausesMs.length).toBeLessThanOrEqual(12);
      }),
    );
  });

  it('never waits less for a caller whose pauses were longer', () => {
    fc.assert(
      fc.property(pauses, fc.integer({ min: 1, max: 500 }), (pausesMs, moreMs) => {
        const slower = pausesMs.map((pauseMs) => Math.min(3_000, pauseMs + moreMs));
        expect(adaptSilenceMs(200, after(...slower), BOUNDS)).toBeGreaterThanOrEqual(
          adaptSilenceMs(200, after(...pausesMs), BOUNDS),
        );
      }),
    );
  });

  it('forgets a caller of old', () => {
    fc.assert(
      fc.property(pauses, (pausesMs) => {
        expect(adaptSilenceMs(200, after(...pausesMs, ...repeated(100, 12)), BOUNDS)).toBe(200);
      }),
    );
  });
});
