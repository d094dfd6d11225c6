import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WINDOW_SAMPLES } from './vad.ts';
import { WindowQueue } from './windows.ts';

/** Bytes of which each window can be told from every other. */
function numbered(windows: number): Uint8Array {
  return Uint8Array.from({ length: windows * WINDOW_SAMPLES }, (_, i) => Math.floor(i / WINDOW_SAMPLES));
}

describe('WindowQueue', () => {
  it('gives the same windows however the audio is cut', () => {
    const audio = Uint8Array.from({ length: 10 * WINDOW_SAMPLES + 100 }, (_, i) => (i * 7) & 0xff);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 700 }), { minLength: 1 }), (cuts) => {
        const queue = new WindowQueue();
        const taken: number[] = [];
        let from = 0;
        for (let i = 0; from < audio.length; i++) {
          const length = (cuts[i % cuts.length] ?? 0) + (i % cuts.length === 0 ? 1 : 0);
          queue.write(audio.subarray(from, from + length));
          from += length;
          for (let window = queue.take(); window; window = queue.take()) taken.push(...window);
        }
        expect(taken).toEqual([...audio.subarray(0, 10 * WINDOW_SAMPLES)]);
      }),
      { numRuns: 50 },
    );
  });

  it('keeps the last 64 windows and says how many others there were and where they are missing', () => {
    const queue = new WindowQueue();
    queue.write(numbered(70));
    expect(queue.pending).toBe(64);
    expect(queue.takeLost()).toBe(6);
    expect(queue.takeLost()).toBe(0);
    expect(queue.take()?.[0]).toBe(6);
    for (let expected = 7; expected < 70; expected++) expect(queue.take()?.[255]).toBe(expected);
    expect(queue.take()).toBeUndefined();
  });
});
