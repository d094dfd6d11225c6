import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../core/clock.ts';
import { StreamTokens } from './tokens.ts';

const claims = { callSid: 'CA1', agentId: 'front-desk' };

describe('StreamTokens', () => {
  it('gives the claims back once', () => {
    const tokens = new StreamTokens({ clock: new VirtualClock() });
    const token = tokens.mint(claims);
    expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(tokens.redeem(token, 'CA1')).toEqual({ ok: true, claims });
    expect(tokens.redeem(token, 'CA1')).toEqual({ ok: false, reason: 'replayed' });
    expect(tokens.redeem(token, 'CA2')).toEqual({ ok: false, reason: 'replayed' });
  });

  it('is bound to its call, and a wrong guess does not burn it', () => {
    const tokens = new StreamTokens({ clock: new VirtualClock() });
    const token = tokens.mint(claims);
    expect(tokens.redeem(token, 'CA2')).toEqual({ ok: false, reason: 'wrong-call' });
    expect(tokens.redeem(token, 'CA1')).toEqual({ ok: true, claims });
  });

  it('lives for 60 s', () => {
    const clock = new VirtualClock();
    const tokens = new StreamTokens({ clock });
    const [early, late] = [tokens.mint(claims), tokens.mint(claims)];
    clock.advance(59_999);
    expect(tokens.redeem(early, 'CA1').ok).toBe(true);
    clock.advance(1);
    expect(tokens.redeem(late, 'CA1')).toEqual({ ok: false, reason: 'expired' });
    expect(tokens.redeem(early, 'CA1')).toEqual({ ok: false, reason: 'replayed' });
  });

  it('knows nothing of other tokens, and forgets in the end', () => {
    const clock = new VirtualClock();
    const tokens = new StreamTokens({ clock, ttlMs: 1000 });
    expect(tokens.redeem('', 'CA1')).toEqual({ ok: false, reason: 'unknown' });
    const token = tokens.mint(claims);
    expect(tokens.redeem(`${token}x`, 'CA1')).toEqual({ ok: false, reason: 'unknown' });
    clock.advance(5000);
    tokens.mint(claims);
    expect(tokens.redeem(token, 'CA1')).toEqual({ ok: false, reason: 'unknown' });
  });

  it('holds a bounded number, and makes room from those that are used or expired', () => {
    const clock = new VirtualClock();
    const tokens = new StreamTokens({ clock, capacity: 3, ttlMs: 1000 });
    const minted = [tokens.mint(claims), tokens.mint(claims), tokens.mint(claims)];
    expect(() => tokens.mint(claims)).toThrow(expect.objectContaining({ code: 'capacity' }));
    expect(tokens.redeem(minted[1] ?? '', 'CA1').ok).toBe(true);
    const fourth = tokens.mint(claims);
    expect(() => tokens.mint(claims)).toThrow(expect.objectContaining({ code: 'capacity' }));
    clock.advance(1000);
    tokens.mint(claims);
    expect(tokens.redeem(fourth, 'CA1').ok).toBe(false);
  });

  it('never gives the same token twice', () => {
    const tokens = new StreamTokens({ clock: new VirtualClock() });
    expect(new Set(Array.from({ length: 1000 }, () => tokens.mint(claims))).size).toBe(1000);
  });
});
