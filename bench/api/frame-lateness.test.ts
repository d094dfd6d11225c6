import { describe, expect, it } from 'vitest';
import { FrameLateness } from './frame-lateness.ts';

function latenessOf(arrivalsMs: readonly number[]): number[][] {
  const stretches: number[][] = [];
  const meter = new FrameLateness((_, latenessMs) => stretches.push([...latenessMs]));
  for (const atMs of arrivalsMs) meter.onFrame(atMs);
  meter.end();
  return stretches;
}

/** A burst that fills the lead of 400 ms, then a frame each 20 ms; `lateMs` says how late each is. */
function paced(startMs: number, frames: number, lateMs: (frame: number) => number = () => 0): number[] {
  return Array.from({ length: frames }, (_, frame) => startMs + Math.max(0, frame - 19) * 20 + lateMs(frame));
}

describe('the lateness of frames', () => {
  it('is nothing for frames on the beat, and does not count those that fill the buffer', () => {
    const [lateness] = latenessOf(paced(1_000, 120));
    expect(lateness).toHaveLength(100);
    expect(Math.max(...(lateness ?? []))).toBe(0);
  });

  it('is what a frame lies behind the beat, also when many follow at once after a stall', () => {
    const [lateness = []] = latenessOf(paced(0, 120, (frame) => (frame >= 60 && frame < 63 ? (63 - frame) * 20 : 0)));
    expect(lateness.filter((ms) => ms > 0)).toEqual([60, 40, 20]);
  });

  it('is measured against the most punctual frame, even when the first ones were late', () => {
    const [lateness = []] = latenessOf(paced(500, 120, (frame) => (frame < 60 ? 7 : 0)));
    expect(lateness.filter((ms) => ms === 7)).toHaveLength(39);
    expect(lateness.filter((ms) => ms === 0)).toHaveLength(60);
  });

  it('begins anew where the buffer had run empty, and leaves out what is too short to show a beat', () => {
    expect(
      latenessOf([...paced(0, 100), ...paced(10_003, 20), ...paced(20_009, 100)]).map((one) => one.length),
    ).toEqual([80, 80]);
  });
});
