import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../core/clock.ts';
import { RevocableCache } from './revocable-cache.ts';

function cacheOf(maxEntries = 10) {
  const clock = new VirtualClock();
  return { clock, cache: new RevocableCache<number>({ clock, maxAgeMs: 30_000, maxEntries }) };
}

describe('a revocable cache', () => {
  it('asks once for all who ask meanwhile, and again after its time', async () => {
    const { clock, cache } = cacheOf();
    let asked = 0;
    const load = () => Promise.resolve(++asked);
    expect(await Promise.all([cache.get('a', load), cache.get('a', load)])).toEqual([1, 1]);
    clock.advance(29_999);
    expect(await cache.get('a', load)).toBe(1);
    clock.advance(1);
    expect(await cache.get('a', load)).toBe(2);
  });

  it('does not believe an answer that was under way when its key was forgotten', async () => {
    const { cache } = cacheOf();
    let answer: (value: number) => void = () => {};
    const slow = cache.get('a', () => new Promise((resolve) => (answer = resolve)));
    cache.forget((key) => key === 'a');
    answer(1);
    expect(await slow).toBe(1);
    expect(await cache.get('a', () => Promise.resolve(2))).toBe(2);
  });

  it('keeps no failure', async () => {
    const { cache } = cacheOf();
    await expect(cache.get('a', () => Promise.reject(new Error('down')))).rejects.toThrow('down');
    expect(await cache.get('a', () => Promise.resolve(1))).toBe(1);
  });

  it('keeps no more than it may: the oldest goes', async () => {
    const { cache } = cacheOf(2);
    for (const key of ['a', 'b', 'c']) await cache.get(key, () => Promise.resolve(1));
    expect(await cache.get('c', () => Promise.resolve(2))).toBe(1);
    expect(await cache.get('a', () => Promise.resolve(2))).toBe(2);
  });
});
