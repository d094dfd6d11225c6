import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../core/clock.ts';
import { silentLog } from '../core/log.ts';
import { Admission } from './admission.ts';

describe('admission', () => {
  it('counts calls that are about to come, until they have come or are too late', () => {
    const clock = new VirtualClock();
    const state = { active: 0 };
    const admission = new Admission({ clock, log: silentLog, maxCalls: 2, activeCalls: () => state.active });
    const arrived = admission.expect();
    admission.expect();
    expect(admission.closedBecause).toBe('2 calls are in progress (MAX_CALLS).');
    expect(() => admission.check()).toThrow('MAX_CALLS');

    arrived();
    state.active = 1;
    expect(() => admission.check()).toThrow('MAX_CALLS');
    arrived();
    expect(() => admission.check()).toThrow('MAX_CALLS');
    // The other one never came.
    clock.advance(10_000);
    expect(admission.closedBecause).toBeUndefined();
    state.active = 2;
    expect(() => admission.check()).toThrow('MAX_CALLS');
    admission.close();
    expect(clock.pendingTimers).toBe(0);
  });
});
