import { describe, expect, it } from 'vitest';
import { seededRandom } from '../turn-taking/stats.ts';
import { arrivalTimes, pick } from './arrivals.ts';

describe('arrival times', () => {
  const times = arrivalTimes(300, 60_000, seededRandom(1));

  it('are as many as the rate says, in order, within the time', () => {
    expect(times.length).toBeGreaterThan(17_500);
    expect(times.length).toBeLessThan(18_500);
    expect(times.every((atMs, index) => atMs >= (times[index - 1] ?? 0) && atMs < 60_000)).toBe(true);
  });

  it('are of clients that know nothing of each other: gaps spread as widely as they are long', () => {
    const gaps = times.map((atMs, index) => atMs - (times[index - 1] ?? 0));
    const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
    const deviation = Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length);
    expect(deviation / mean).toBeGreaterThan(0.95);
    expect(deviation / mean).toBeLessThan(1.05);
  });

  it('are the same again for the same seed', () => {
    expect(arrivalTimes(300, 60_000, seededRandom(1))).toEqual(times);
    expect(arrivalTimes(300, 60_000, seededRandom(2))).not.toEqual(times);
  });
});

describe('a pick', () => {
  it('takes each choice in proportion to its weight', () => {
    const choices = [
      { name: 'a', weight: 1 },
      { name: 'b', weight: 3 },
    ];
    const names = [0, 0.24, 0.25, 0.9999].map((share) => pick(choices, share).name);
    expect(names).toEqual(['a', 'a', 'b', 'b']);
  });
});
