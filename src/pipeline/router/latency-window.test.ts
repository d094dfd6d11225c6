import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LatencyWindow } from './latency-window.ts';

const MAX_AGE_MS = 600_000;

describe('the latest latencies', () => {
  it('have no percentiles while there are none', () => {
    expect(new LatencyWindow().quantile(0.5, 0)).toBeUndefined();
    expect(new LatencyWindow().count(0)).toBe(0);
  });

  it('have exact percentiles, by nearest rank', () => {
    const window = new LatencyWindow();
    for (let value = 100; value >= 1; value--) window.add(value, 0);
    expect([0.01, 0.5, 0.95, 0.99, 1].map((q) => window.quantile(q, 0))).toEqual([1, 50, 95, 99, 100]);
  });

  it('forget what is older than ten minutes, also when nothing new comes', () => {
    const window = new LatencyWindow();
    window.add(3_000, 0);
    window.add(300, 1);
    expect(window.quantile(1, MAX_AGE_MS)).toBe(3_000);
    expect(window.quantile(1, MAX_AGE_MS + 1)).toBe(300);
    expect(window.count(MAX_AGE_MS + 2)).toBe(0);
  });

  it('are the last 256 of the last ten minutes, whatever comes', () => {
    const samples = fc.array(fc.tuple(fc.integer({ min: 0, max: 9_000 }), fc.integer({ min: 0, max: 9_000 })), {
      maxLength: 400,
    });
    fc.assert(
      fc.property(samples, fc.double({ min: 0.01, max: 1, noNaN: true }), (steps, q) => {
        const window = new LatencyWindow();
        const all: { atMs: number; value: number }[] = [];
        let nowMs = 0;
        for (const [afterMs, value] of steps) {
          nowMs += afterMs;
          window.add(value, nowMs);
          all.push({ atMs: nowMs, value });
        }
        const kept = all.slice(-256).filter(({ atMs }) => nowMs - atMs <= MAX_AGE_MS);
        const sorted = kept.map(({ value }) => value).sort((a, b) => a - b);
        expect(window.count(nowMs)).toBe(sorted.length);
        // Nearest rank: the smallest value that at least the share q does not exceed.
        const share = (limit: number): number => sorted.filter((value) => value <= limit).length / sorted.length;
        expect(window.quantile(q, nowMs)).toBe(sorted.find((value) => share(value) >= q));
      }),
    );
  });
});
