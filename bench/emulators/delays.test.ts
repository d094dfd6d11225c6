import { describe, expect, it } from 'vitest';
import { DelaySource } from './delays.ts';
import type { Delay } from './delays.ts';

function draw(delay: Delay, seed = 7, count = 20_000): number[] {
  const source = new DelaySource(seed);
  return Array.from({ length: count }, () => source.drawMs(delay)).toSorted((a, b) => a - b);
}

const at = (sorted: readonly number[], share: number) => sorted[Math.floor(sorted.length * share)] ?? NaN;

describe('delays', () => {
  it('are what they are when they are numbers', () => {
    expect(new Set(draw(350))).toEqual(new Set([350]));
  });

  it('have the percentiles they were given', () => {
    const drawn = draw({ p50: 350, p95: 750 });
    expect(Math.abs(at(drawn, 0.5) / 350 - 1)).toBeLessThan(0.03);
    expect(Math.abs(at(drawn, 0.95) / 750 - 1)).toBeLessThan(0.03);
    expect(drawn[0]).toBeGreaterThan(0);
  });

  it('have the tail they were given', () => {
    const drawn = draw({ base: { p50: 350, p95: 500 }, tail: { share: 0.05, ms: 3_000 } });
    const tail = drawn.filter((ms) => ms === 3_000).length / drawn.length;
    expect(Math.abs(tail - 0.05)).toBeLessThan(0.006);
  });

  it('repeat with their seed', () => {
    expect(draw({ p50: 1, p95: 2 }, 1, 50)).toEqual(draw({ p50: 1, p95: 2 }, 1, 50));
    expect(draw({ p50: 1, p95: 2 }, 1, 50)).not.toEqual(draw({ p50: 1, p95: 2 }, 2, 50));
  });
});
