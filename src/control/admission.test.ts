import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../core/clock.ts';
import type { Clock } from '../core/clock.ts';
import { memoryLog, silentLog } from '../core/log.ts';
import { Admission } from './admission.ts';

describe('admission', () => {
  it('lets a call wait for lateness to pass, but not for long, and for nothing else', async () => {
    const virtual = new VirtualClock();
    let stalledMs = 0;
    const clock: Clock = {
      nowMs: () => virtual.nowMs() + stalledMs,
      after: (delayMs, callback) => virtual.after(delayMs, callback),
    };
    let active = 0;
    const admission = new Admission({ clock, log: silentLog, maxCalls: 1, activeCalls: () => active });
    admission.watch();
    const outcomeOf = (check: Promise<void>): (() => string) => {
      let outcome = 'waits';
      check.then(
        () => (outcome = 'taken'),
        (error: Error) => (outcome = error.message),
      );
      return () => outcome;
    };
    const pass = async (forMs: number, stallMs = 0): Promise<void> => {
      for (let passedMs = 0; passedMs < forMs; passedMs += 50) {
        stalledMs += stallMs;
        virtual.advance(50);
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    await pass(50, 600);
    const patient = outcomeOf(admission.untilOnTime().then(() => admission.check('a')));
    await pass(900);
    expect(patient()).toBe('waits');
    await pass(150);
    expect(patient()).toBe('taken');

    await pass(50, 600);
    const late = outcomeOf(admission.untilOnTime().then(() => admission.check('a')));
    await pass(500, 600);
    expect(late()).toContain('cannot keep up');

    await pass(2_000);
    active = 1;
    await admission.untilOnTime();
    expect(() => admission.check('a')).toThrow('MAX_CALLS');
    admission.close();
  });

  it('lets a drain wait for the calls that were told to come, and no longer than it may for those that do not', async () => {
    const clock = new VirtualClock();
    const admission = new Admission({ clock, log: silentLog, maxCalls: 9, activeCalls: () => 0 });
    const arrived = [
      admission.expect({ channel: 'phone', orgId: 'a' }),
      admission.expect({ channel: 'phone', orgId: 'a' }),
    ];
    let drained = false;
    admission.drain();
    const draining = admission.untilNoneExpected(3_000).then(() => (drained = true));
    expect(() => admission.check('a')).toThrow('shutting down');
    clock.advance(1_000);
    arrived[0]?.();
    await Promise.resolve();
    expect(drained).toBe(false);
    arrived[1]?.();
    await draining;
    admission.close();

    const other = new Admission({ clock, log: silentLog, maxCalls: 9, activeCalls: () => 0 });
    other.expect({ channel: 'phone', orgId: 'a' });
    const waiting = other.untilNoneExpected(3_000);
    clock.advance(3_000);
    await waiting;
    other.close();
    expect(clock.pendingTimers).toBe(0);
  });

  it('keeps a place for a call that is rung until it is answered, will not be, or nobody says so', () => {
    const clock = new VirtualClock();
    const admission = new Admission({ clock, log: silentLog, maxCalls: 2, activeCalls: () => 0 });
    admission.ring({ id: 'one', orgId: 'a' }, 90_000);
    admission.ring({ id: 'two', orgId: 'a' }, 90_000);
    expect(() => admission.ring({ id: 'three', orgId: 'a' }, 90_000)).toThrow('MAX_CALLS');
    expect(() => admission.check('a')).toThrow('MAX_CALLS');
    admission.endRinging('one');
    admission.endRinging('one');
    admission.check('a');
    admission.ring({ id: 'three', orgId: 'a' }, 30_000);
    clock.advance(30_000);
    admission.check('a');
    clock.advance(60_000);
    admission.ring({ id: 'four', orgId: 'a' }, 1);
    admission.ring({ id: 'five', orgId: 'a' }, 1);
    admission.close();
    expect(clock.pendingTimers).toBe(0);
  });

  it('lets an organization have so many places, whichever way its calls come, and leaves the others to the next', () => {
    const clock = new VirtualClock();
    let active = 0;
    const perOrganization = { maxCalls: 3, activeCalls: (orgId: string) => (orgId === 'a' ? active : 0) };
    const options = { clock, log: silentLog, maxCalls: 5, activeCalls: () => active, perOrganization };
    const admission = new Admission(options);
    const of = (orgId: string) => ({ id: 'one', orgId });
    active = 1;
    admission.check('a');
    const arrived = admission.expect({ channel: 'web', orgId: 'a' });
    admission.ring(of('a'), 10_000);
    expect(() => admission.check('a')).toThrow('MAX_CALLS_PER_ORGANIZATION');
    expect(() => admission.ring({ id: 'two', orgId: 'a' }, 10_000)).toThrow('3 calls of this organization');
    admission.check('b');
    admission.endRinging('one');
    admission.check('a');
    active++;
    arrived();
    admission.check('a');
    active++;
    expect(() => admission.check('a')).toThrow('MAX_CALLS_PER_ORGANIZATION');
    admission.ring(of('b'), 10_000);
    admission.expect({ channel: 'phone', orgId: 'b' });
    // There are no more of all, whoever asks.
    expect(() => admission.check('c')).toThrow('(MAX_CALLS)');
    admission.close();
  });

  it('keeps the place of a call that still rings, and gives none to one that has none', () => {
    const clock = new VirtualClock();
    const admission = new Admission({ clock, log: silentLog, maxCalls: 1, activeCalls: () => 0 });
    admission.ring({ id: 'one', orgId: 'a' }, 10_000);
    clock.advance(9_000);
    admission.keepRinging('one', 10_000);
    clock.advance(9_999);
    expect(() => admission.check('a')).toThrow('MAX_CALLS');
    clock.advance(1);
    admission.keepRinging('one', 10_000);
    admission.check('a');
    admission.close();
    expect(clock.pendingTimers).toBe(0);
  });

  it('tells of every stall of the event loop, in a line a second, and takes no call for a second after a long one', () => {
    const virtual = new VirtualClock();
    let stalledMs = 0;
    const clock: Clock = {
      nowMs: () => virtual.nowMs() + stalledMs,
      after: (delayMs, callback) => virtual.after(delayMs, callback),
    };
    const log = memoryLog();
    let read = 0;
    const lines = (): unknown[] => {
      const fresh = log.lines.slice(read).map(({ level, fields }) => ({ level, ...fields }));
      read = log.lines.length;
      return fresh;
    };
    const admission = new Admission({ clock, log, maxCalls: 9, activeCalls: () => 3 });
    admission.watch();
    const stall = (forMs: number): void => {
      stalledMs += forMs;
      virtual.advance(50);
    };
    stall(90);
    expect(lines()).toEqual([]);
    stall(150);
    expect(admission.closedBecause).toBeUndefined();
    expect(lines()).toEqual([{ level: 'warn', stalls: 1, worstMs: 150, activeCalls: 3 }]);
    stall(110);
    stall(120);
    expect(lines()).toEqual([]);
    virtual.advance(1_000);
    expect(lines()).toEqual([{ level: 'warn', stalls: 2, worstMs: 120, activeCalls: 3 }]);

    virtual.advance(1_000);
    stall(600);
    expect(admission.closedBecause).toBe('The server cannot keep up.');
    expect(lines()).toEqual([
      { level: 'warn', stalls: 1, worstMs: 600, activeCalls: 3 },
      { level: 'error', latenessMs: 600, activeCalls: 3 },
    ]);
    virtual.advance(900);
    expect(admission.closedBecause).toBe('The server cannot keep up.');
    virtual.advance(100);
    expect(admission.closedBecause).toBeUndefined();
    expect(lines()).toMatchObject([{ level: 'info' }]);

    for (let i = 0; i < 10; i++) stall(101);
    expect(admission.closedBecause).toBeUndefined();
    stall(101);
    expect(admission.closedBecause).toBe('The server cannot keep up.');
    virtual.advance(1_000);
    expect(admission.closedBecause).toBeUndefined();
    admission.close();
    expect(virtual.pendingTimers).toBe(0);
  });

  it('keeps a place as long as a token is good, and lets browsers that may never come have a quarter of all', () => {
    const clock = new VirtualClock();
    let active = 0;
    const admission = new Admission({ clock, log: silentLog, maxCalls: 8, activeCalls: () => active });
    const arrived = [
      admission.expect({ channel: 'web', orgId: 'a' }),
      admission.expect({ channel: 'web', orgId: 'a' }),
    ];
    expect(() => admission.expect({ channel: 'web', orgId: 'a' })).toThrow('2 browsers have a token');
    for (let i = 0; i < 6; i++) admission.expect({ channel: 'phone', orgId: 'a' });
    clock.advance(60_000);
    // Each of them may still come.
    expect(admission.closedBecause).toContain('MAX_CALLS');
    active++;
    arrived[0]?.();
    expect(admission.closedBecause).toContain('MAX_CALLS');
    clock.advance(1_000);
    expect(admission.closedBecause).toBeUndefined();
    admission.expect({ channel: 'web', orgId: 'a' });
    admission.close();
    expect(clock.pendingTimers).toBe(0);
  });
});
