import { describe, expect, it } from 'vitest';
import { VirtualClock, systemClock } from './clock.ts';

describe('the virtual clock', () => {
  it('fires timers in order of their time, then of their making, each at its own time', () => {
    const clock = new VirtualClock(1_000);
    const fired: [string, number][] = [];
    const set = (name: string, delayMs: number) => clock.after(delayMs, () => fired.push([name, clock.nowMs()]));
    set('late', 30);
    set('first', 10);
    set('second', 10);
    set('at once', -5);
    clock.advance(20);
    expect(fired).toEqual([
      ['at once', 1_000],
      ['first', 1_010],
      ['second', 1_010],
    ]);
    expect([clock.nowMs(), clock.pendingTimers]).toEqual([1_020, 1]);
  });

  it('fires what a timer sets within the same span, and nothing that was cancelled', () => {
    const clock = new VirtualClock();
    const fired: number[] = [];
    const again = (): void => {
      fired.push(clock.nowMs());
      clock.after(10, again);
    };
    again();
    clock.after(25, () => fired.push(-1)).cancel();
    clock.advance(30);
    expect(fired).toEqual([0, 10, 20, 30]);
  });
});

describe('the system clock', () => {
  it('is monotonic, and its timers can be cancelled', async () => {
    const before = systemClock.nowMs();
    let cancelled = true;
    systemClock.after(1, () => (cancelled = false)).cancel();
    await new Promise<void>((resolve) => systemClock.after(20, resolve));
    expect(systemClock.nowMs()).toBeGreaterThan(before);
    expect(cancelled).toBe(true);
  });
});
