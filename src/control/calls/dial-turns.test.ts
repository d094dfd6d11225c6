import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../core/clock.ts';
import { DialTurns, LONGEST_TURN_MS } from './dial-turns.ts';

const taker = (turns: DialTurns) => (orgId: string) => turns.take(orgId).waitMs;

describe('turns to ring', () => {
  it('come one after the other at the carrier’s rate, and at once after a pause', async () => {
    const clock = new VirtualClock();
    const turns = new DialTurns({ clock, callsPerSecond: 2 });
    const take = taker(turns);
    expect([take('a'), take('b'), take('a')]).toEqual([0, 500, 1_000]);
    clock.advance(250);
    const fourth = turns.take('b');
    expect(fourth.waitMs).toBe(1_250);
    let hasCome = false;
    const coming = fourth.come().then(() => (hasCome = true));
    clock.advance(1_249);
    await Promise.resolve();
    expect(hasCome).toBe(false);
    clock.advance(1);
    await coming;
    clock.advance(10_000);
    expect(take('a')).toBe(0);
    expect(clock.pendingTimers).toBe(0);
  });

  it('are refused to an organization that has half of those to come, and to all when there is none in time', () => {
    const clock = new VirtualClock();
    const turns = new DialTurns({ clock, callsPerSecond: 1 });
    const take = taker(turns);
    expect(take('a')).toBe(0);
    for (let waiting = 1; waiting <= 8; waiting++) expect(take('a')).toBe(waiting * 1_000);
    expect(() => take('a')).toThrow(expect.objectContaining({ code: 'capacity', retryAfterMs: 1_000 }));
    for (let waiting = 9; waiting <= 15; waiting++) expect(take('b')).toBe(waiting * 1_000);
    expect(() => take('c')).toThrow(expect.objectContaining({ code: 'capacity', retryAfterMs: 1_000 }));
    clock.advance(1_000);
    expect(take('c')).toBe(LONGEST_TURN_MS);
    clock.advance(3_000);
    expect(take('a')).toBe(13_000);
  });

  it('are given one at a time though the rate is less than one in that time', () => {
    const turns = new DialTurns({ clock: new VirtualClock(), callsPerSecond: 0.1 });
    const take = taker(turns);
    expect([take('a'), take('a')]).toEqual([0, 10_000]);
    expect(() => take('b')).toThrow('TWILIO_CALLS_PER_SECOND');
  });

  it('end with the server: whoever waits hears so', async () => {
    const clock = new VirtualClock();
    const turns = new DialTurns({ clock, callsPerSecond: 1 });
    turns.take('a');
    const waiting = turns.take('a').come();
    turns.close();
    await expect(waiting).rejects.toMatchObject({ code: 'capacity' });
    expect(() => turns.take('a')).toThrow('shutting down');
    expect(clock.pendingTimers).toBe(0);
  });
});
