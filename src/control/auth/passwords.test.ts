import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../core/clock.ts';
import { Passwords } from './passwords.ts';

describe('passwords', () => {
  it('match their own hash only, and no hash is never a match', async () => {
    const passwords = new Passwords({ clock: new VirtualClock() });
    const hash = await passwords.hash('correct');
    expect(await passwords.verify(hash, 'correct')).toBe(true);
    expect(await passwords.verify(hash, 'wrong')).toBe(false);
    expect(await passwords.verify(undefined, 'nobody has this password')).toBe(false);
    expect(await passwords.hash('correct')).not.toBe(hash);
  });

  it('are hashed two at a time; whoever would be one too many is told so', async () => {
    const passwords = new Passwords({ clock: new VirtualClock(), maxWaiting: 2 });
    const started = [1, 2, 3, 4].map((n) => passwords.hash(`password ${n}`));
    await expect(passwords.hash('one too many')).rejects.toMatchObject({ code: 'capacity' });
    expect(await Promise.all(started)).toHaveLength(4);
    expect(await passwords.hash('later')).toMatch(/^\$argon2id\$/u);
  });

  it('are given up when they have waited too long, and the place goes to the next', async () => {
    const clock = new VirtualClock();
    const passwords = new Passwords({ clock, waitDeadlineMs: 1_000 });
    const running = [passwords.hash('a'), passwords.hash('b')];
    const waiting = passwords.hash('c');
    clock.advance(1_000);
    await expect(waiting).rejects.toMatchObject({ code: 'capacity', retryAfterMs: 2_000 });
    await Promise.all(running);
    expect(await passwords.hash('d')).toMatch(/^\$argon2id\$/u);
    expect(clock.pendingTimers).toBe(0);
  });
});
