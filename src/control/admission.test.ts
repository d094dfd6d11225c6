import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../core/clock.ts';
import { silentLog } from '../core/log.ts';
import { Admission } from './admission.ts';

describe('admission', () => {
  it('lets a drain wait for the calls that were told to come, and no longer than it may for those that do not', async () => {
    const clock = new VirtualClock();
    const admission = new Admission({ clock, log: silentLog, maxCalls: 9, activeCalls: () => 0 });
    const arrived = [admission.expect(), admission.expect()];
    let drained = false;
    admission.drain();
    const draining = admission.untilNoneExpected(3_000).then(() => (drained = true));
    expect(() => admission.check()).toThrow('shutting down');
    clock.advance(1_000);
    arrived[0]?.();
    await Promise.resolve();
    expect(drained).toBe(false);
    arrived[1]?.();
    await draining;
    admission.close();

    const other = new Admission({ clock, log: silentLog, maxCalls: 9, activeCalls: () => 0 });
    other.expect();
    const waiting = other.untilNoneExpected(3_000);
    clock.advance(3_000);
    await waiting;
    other.close();
    expect(clock.pendingTimers).toBe(0);
  });
});
