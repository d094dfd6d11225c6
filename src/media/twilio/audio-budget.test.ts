import { describe, expect, it } from 'vitest';
import { AudioBudget } from './audio-budget.ts';
import { DEFAULT_STREAM_LIMITS } from './limits.ts';

const CHARS = 380;

/** Spends 20 ms frames, one every `everyMs`, until the budget is gone or `frames` have passed; returns how many passed. */
function send(
  budget: AudioBudget,
  fromMs: number,
  frames: number,
  everyMs: number,
  audioMs = 20,
  chars = CHARS,
): number {
  for (let i = 0; i < frames; i++) {
    if (!budget.spend(audioMs, chars, fromMs + i * everyMs)) return i;
  }
  return frames;
}

describe('AudioBudget', () => {
  it('lets a call go on for hours at real time, with a clock that is 1 % fast', () => {
    const frames = (2 * 3600 * 1000) / 20;
    expect(send(new AudioBudget(DEFAULT_STREAM_LIMITS, 0), 0, frames, 19.8)).toBe(frames);
  });

  it('lets a burst of 5 s pass, and stops one that is longer', () => {
    expect(send(new AudioBudget(DEFAULT_STREAM_LIMITS, 0), 0, 250, 0)).toBe(250);
    expect(send(new AudioBudget(DEFAULT_STREAM_LIMITS, 0), 0, 1000, 0)).toBe(250);
  });

  it('lets the backlog of a stall pass, as long as silent peers are kept', () => {
    for (const stallMs of [1000, 5000, 8000, 14_000]) {
      const budget = new AudioBudget(DEFAULT_STREAM_LIMITS, 0);
      send(budget, 0, 500, 20);
      const backlog = stallMs / 20;
      expect(send(budget, 10_000 + stallMs, backlog, 0)).toBe(backlog);
      expect(send(budget, 10_000 + stallMs, 5000, 20)).toBe(5000);
    }
  });

  it('does not let a pause of an hour save up for an hour of audio', () => {
    const passed = send(new AudioBudget(DEFAULT_STREAM_LIMITS, 0), 3_600_000, 100_000, 0);
    expect(passed * 20).toBeLessThanOrEqual(20_000);
  });

  it('stops ten times real time soon', () => {
    const passed = send(new AudioBudget(DEFAULT_STREAM_LIMITS, 0), 0, 10_000, 2);
    expect(passed * 2).toBeLessThan(1000);
  });

  it('stops floods of messages that are small, or without audio, or huge', () => {
    expect(send(new AudioBudget(DEFAULT_STREAM_LIMITS, 0), 0, 100_000, 0.1, 0, 30)).toBeLessThan(6000);
    expect(send(new AudioBudget(DEFAULT_STREAM_LIMITS, 0), 0, 100_000, 0.1, 1 / 8, 200)).toBeLessThan(3000);
    expect(send(new AudioBudget(DEFAULT_STREAM_LIMITS, 0), 0, 1000, 1, 0, 64 * 1024)).toBeLessThan(10);
  });
});
