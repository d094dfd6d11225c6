import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InboundAudio } from './inbound-audio.ts';
import type { FrameOutcome } from './inbound-audio.ts';
import { DEFAULT_STREAM_LIMITS } from './limits.ts';

const SILENCE = 0xff;

/** Drives an InboundAudio through time in steps of 10 ms, and keeps what it delivers as runs: [value, ms]. */
class Rig {
  nowMs = 0;
  readonly heard: number[] = [];
  readonly audio: InboundAudio;

  constructor(startMs = 0) {
    this.nowMs = startMs;
    this.audio = new InboundAudio(DEFAULT_STREAM_LIMITS, startMs, (payload) => {
      for (const value of payload) this.heard.push(value);
    });
  }

  /** Lets time pass, ticking whenever the audio asks for it. */
  pass(durationMs: number): void {
    const endMs = this.nowMs + durationMs;
    for (;;) {
      const dueMs = this.audio.nextDueMs(this.nowMs);
      if (dueMs > endMs) break;
      this.nowMs = Math.max(dueMs, this.nowMs + 0.01);
      this.audio.tick(this.nowMs);
    }
    this.nowMs = endMs;
  }

  frame(chunk: number, timestampMs: number, value = chunk % 250, byteLength = 160): FrameOutcome {
    return this.audio.push({ chunk, timestampMs, payload: new Uint8Array(byteLength).fill(value) }, this.nowMs);
  }

  /** Frames of 20 ms in real time, numbered and timed on from the given ones. */
  speak(frames: number, firstChunk: number, firstTimestampMs: number): void {
    for (let i = 0; i < frames; i++) {
      this.frame(firstChunk + i, firstTimestampMs + i * 20, 1);
      this.pass(20);
    }
  }

  /** The audio so far as runs of equal bytes: [value, ms]. */
  get runs(): [number, number][] {
    const runs: [number, number][] = [];
    for (const value of this.heard) {
      const last = runs.at(-1);
      if (last && last[0] === value) last[1] += 1 / 8;
      else runs.push([value, 1 / 8]);
    }
    return runs;
  }

  silenceMs(): number {
    return this.heard.filter((value) => value === SILENCE).length / 8;
  }
}

describe('frames in order', () => {
  it('are delivered as they come, of any length', () => {
    const rig = new Rig();
    for (const [chunk, timestampMs, byteLength] of [
      [1, 0, 160],
      [2, 20, 80],
      [3, 30, 8000],
      [4, 1030, 1],
      [5, 1030, 100],
    ] as const) {
      expect(rig.frame(chunk, timestampMs, chunk, byteLength)).toBe('played');
    }
    expect(rig.runs).toEqual([
      [1, 20],
      [2, 10],
      [3, 1000],
      [4, 1 / 8],
      [5, 12.5],
    ]);
    expect(rig.audio.stats).toMatchObject({ paddedMs: 0, filledMs: 0, oldFrames: 0 });
  });

  it('may begin at any timestamp and number', () => {
    const rig = new Rig();
    rig.frame(77, 123_456);
    rig.frame(78, 123_476);
    expect(rig.silenceMs()).toBe(0);
    expect(rig.audio.stats.deliveredMs).toBe(40);
  });

  it('need no timestamps and no numbers', () => {
    const rig = new Rig();
    for (let i = 0; i < 10; i++) expect(rig.frame(-1, -1, 5)).toBe('played');
    expect(rig.runs).toEqual([[5, 200]]);
  });

  it('may carry timestamps that stand still, run slow or start again', () => {
    for (const timestampOf of [() => 0, (i: number) => i * 19, (i: number) => (i % 10) * 20]) {
      const rig = new Rig();
      for (let i = 0; i < 50; i++) rig.frame(i + 1, timestampOf(i), 5);
      expect(rig.runs).toEqual([[5, 1000]]);
    }
  });

  it('may carry numbers that stand still or skip, while the timestamps are right', () => {
    for (const chunkOf of [() => 1, (i: number) => 2 * i + 1]) {
      const rig = new Rig();
      for (let i = 0; i < 50; i++) expect(rig.frame(chunkOf(i), i * 20, 5)).toBe('played');
      expect(rig.runs).toEqual([[5, 1000]]);
    }
  });
});

describe('duplicates and disorder', () => {
  it('drops duplicates, played or waiting', () => {
    const rig = new Rig();
    expect(rig.frame(1, 0)).toBe('played');
    expect(rig.frame(1, 0)).toBe('old');
    expect(rig.frame(3, 40)).toBe('held');
    expect(rig.frame(3, 40)).toBe('old');
    expect(rig.frame(2, 20)).toBe('played');
    expect(rig.runs.map(([value]) => value)).toEqual([1, 2, 3]);
    expect(rig.audio.stats).toMatchObject({ oldFrames: 2, reorderedFrames: 1 });
  });

  it('puts in order what comes within 60 ms', () => {
    const rig = new Rig();
    rig.frame(1, 0);
    rig.frame(4, 60);
    rig.frame(3, 40);
    rig.pass(55);
    rig.frame(2, 20);
    expect(rig.runs.map(([value]) => value)).toEqual([1, 2, 3, 4]);
    expect(rig.silenceMs()).toBe(0);
  });

  it('fills with silence what does not, and drops it when it comes after all', () => {
    const rig = new Rig();
    rig.frame(1, 0);
    rig.frame(4, 60);
    rig.pass(59);
    expect(rig.runs).toEqual([[1, 20]]);
    rig.pass(2);
    expect(rig.runs).toEqual([
      [1, 20],
      [SILENCE, 40],
      [4, 20],
    ]);
    expect(rig.frame(2, 20)).toBe('old');
    expect(rig.audio.stats.lostGaps).toBe(1);
  });

  it('holds a bounded number of frames', () => {
    const rig = new Rig();
    rig.frame(1, 0);
    for (let i = 0; i < 100; i++) rig.frame(10 + 2 * i, 200 + i * 40);
    expect(rig.audio.stats.deliveredMs).toBeGreaterThanOrEqual(20 * (1 + 100 - 16));
    rig.audio.flush();
    expect(rig.audio.stats.deliveredMs).toBe(20 * 101);
  });

  it('delivers what waits when the stream ends', () => {
    const rig = new Rig();
    rig.frame(1, 0);
    rig.frame(3, 40);
    rig.audio.flush();
    expect(rig.runs.map(([value]) => value)).toEqual([1, SILENCE, 3]);
  });

  it('keeps a copy of a frame that waits', () => {
    const rig = new Rig();
    rig.frame(1, 0);
    const shared = Buffer.alloc(160, 3);
    rig.audio.push({ chunk: 3, timestampMs: 40, payload: shared }, rig.nowMs);
    shared.fill(99);
    rig.frame(2, 20);
    expect(rig.runs.map(([value]) => value)).toEqual([1, 2, 3]);
  });

  it('loses and repeats nothing, however frames are shuffled within the window', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(2), { minLength: 1, maxLength: 60 }),
        fc.array(fc.boolean(), { maxLength: 60 }),
        (delays, repeats) => {
          const rig = new Rig();
          rig.frame(1, 0, 1);
          // Each frame may come up to two places late; some come twice.
          const order = delays
            .map((delay, i) => ({ chunk: i + 2, place: i + delay + 0.5 }))
            .sort((a, b) => a.place - b.place || a.chunk - b.chunk);
          for (const [i, { chunk }] of order.entries()) {
            rig.frame(chunk, (chunk - 1) * 20);
            if (repeats[i]) rig.frame(chunk, (chunk - 1) * 20);
            rig.pass(15);
          }
          rig.audio.flush();
          expect(rig.runs.map(([value]) => value)).toEqual(Array.from({ length: delays.length + 1 }, (_, i) => i + 1));
        },
      ),
    );
  });
});

describe('gaps of the timestamp', () => {
  it('are filled with silence, to the sample', () => {
    const rig = new Rig();
    rig.frame(1, 0);
    rig.frame(2, 133);
    expect(rig.runs).toEqual([
      [1, 20],
      [SILENCE, 113],
      [2, 20],
    ]);
  });

  it('are filled up to 2 s', () => {
    const rig = new Rig();
    rig.frame(1, 0);
    rig.frame(2, 3_600_000);
    rig.frame(3, 3_600_020);
    expect(rig.runs).toEqual([
      [1, 20],
      [SILENCE, 2000],
      [2, 20],
      [3, 20],
    ]);
  });

  it('that are within rounding are not, but do not add up either', () => {
    const rig = new Rig();
    for (let i = 0; i < 100; i++) rig.frame(i + 1, i * 21, 5);
    expect(rig.silenceMs()).toBeGreaterThanOrEqual(100 - 1 - 10);
    expect(rig.silenceMs()).toBeLessThanOrEqual(100);
  });
});

describe('when nothing arrives', () => {
  it('waits 200 ms, then delivers silence that catches up with real time', () => {
    const rig = new Rig();
    rig.speak(10, 1, 0);
    rig.pass(195);
    expect(rig.silenceMs()).toBe(0);
    rig.pass(205);
    expect(rig.silenceMs()).toBeGreaterThan(350);
    rig.pass(600);
    expect(rig.silenceMs()).toBeGreaterThan(960);
    expect(rig.silenceMs()).toBeLessThanOrEqual(1000);
  });

  it('does so before the first frame too, and for as long as it lasts', () => {
    const rig = new Rig(5000);
    rig.pass(60_000);
    expect(rig.silenceMs()).toBeGreaterThan(59_900);
    expect(rig.silenceMs()).toBeLessThanOrEqual(60_000);
    rig.frame(1, 60_000, 1);
    expect(rig.runs.at(-1)).toEqual([1, 20]);
  });

  it('does not fill the same silence again when the timestamp shows it', () => {
    const rig = new Rig();
    rig.speak(10, 1, 0);
    rig.pass(3000);
    rig.speak(10, 11, 3200);
    expect(rig.runs).toEqual([
      [1, 200],
      [SILENCE, 3000],
      [1, 200],
    ]);
    expect(rig.audio.stats.filledMs + rig.audio.stats.paddedMs).toBe(3000);
  });

  it('delivers every byte that a stall of the network had held back', () => {
    const rig = new Rig();
    rig.speak(10, 1, 0);
    rig.pass(3000);
    // What was said meanwhile comes at once.
    for (let i = 0; i < 150; i++) expect(rig.frame(11 + i, 200 + i * 20, 2)).toBe('played');
    const spoken = rig.runs.filter(([value]) => value !== SILENCE);
    expect(spoken).toEqual([
      [1, 200],
      [2, 3000],
    ]);
  });

  it('shortens later gaps by what it delivered too much, but keeps words apart', () => {
    const rig = new Rig();
    rig.speak(10, 1, 0);
    rig.pass(1000);
    for (let i = 0; i < 50; i++) rig.frame(11 + i, 200 + i * 20, 2);
    rig.frame(61, 1200 + 600, 3);
    expect(rig.runs.at(-2)).toEqual([SILENCE, 200]);
    rig.frame(62, 1820 + 1500, 4);
    const [value, durationMs] = rig.runs.at(-2) ?? [0, 0];
    expect(value).toBe(SILENCE);
    // About 1 s too much was delivered; 400 ms of it went into the first gap, the rest into this one.
    expect(durationMs).toBeGreaterThan(850);
    expect(durationMs).toBeLessThan(1000);
    rig.frame(63, 3340 + 500, 5);
    expect(rig.runs.at(-2)).toEqual([SILENCE, 500]);
  });

  it('does not mistake a long frame for a pause', () => {
    const rig = new Rig();
    for (let i = 0; i < 5; i++) {
      rig.frame(i + 1, i * 1000, 1, 8000);
      rig.pass(1000);
    }
    expect(rig.silenceMs()).toBe(0);
  });

  it('keeps the listener at real time whatever the sender leaves out', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ frames: fc.integer({ min: 1, max: 40 }), pauseMs: fc.nat(1500) }), {
          minLength: 1,
          maxLength: 8,
        }),
        (parts) => {
          const rig = new Rig();
          let chunk = 1;
          for (const { frames, pauseMs } of parts) {
            rig.speak(frames, chunk, rig.nowMs);
            chunk += frames;
            rig.pass(pauseMs);
          }
          rig.frame(chunk, rig.nowMs, 1);
          const heardMs = rig.heard.length / 8;
          expect(Math.abs(heardMs - 20 - rig.nowMs)).toBeLessThanOrEqual(20);
        },
      ),
    );
  });
});
