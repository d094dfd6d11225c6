import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../core/clock.ts';
import { BvraiError } from '../../core/errors.ts';
import { silentLog } from '../../core/log.ts';
import { ProvidersHealth } from './health.ts';
import type { Attempt, HealthEvent, Probe, ProviderHealth } from './health.ts';
import { HedgeBudget } from './hedge-budget.ts';
import { STAGE_TIMES } from './times.ts';

const overloaded = new BvraiError('provider.overloaded', 'scripted');
const refused = new BvraiError('provider.auth', 'scripted');
const { first: FIRST, gap: GAP, slowMs: SLOW_MS } = STAGE_TIMES.llm;

interface SentProbe {
  readonly done: (error?: BvraiError) => void;
  readonly signal: AbortSignal;
  readonly atMs: number;
}

function setUp({ withProbe = true } = {}) {
  const clock = new VirtualClock();
  const events: HealthEvent[] = [];
  const all = new ProvidersHealth({ clock, log: silentLog, random: () => 0, onEvent: (event) => events.push(event) });
  const probes: SentProbe[] = [];
  const probe: Probe = (done, signal) => void probes.push({ done, signal, atMs: clock.nowMs() });
  const health = all.of('llm', { provider: 'first', model: 'm' }, withProbe ? probe : undefined);
  const outcomes = () => events.flatMap((event) => (event.type === 'request-finished' ? [event.outcome] : []));
  return { clock, events, all, probes, health, outcomes };
}

function open(health: ProviderHealth): void {
  for (let failure = 0; failure < 3; failure++) health.begin().fail(overloaded);
}

/** Requests that the provider answers after `firstMs`, with a part every `gapMs` after that. */
function serve(
  { clock, health }: ReturnType<typeof setUp>,
  count: number,
  firstMs: number | ((index: number) => number),
  gapMs?: number,
): void {
  for (let index = 0; index < count; index++) {
    const attempt = health.begin();
    clock.advance(typeof firstMs === 'number' ? firstMs : firstMs(index));
    attempt.first();
    if (gapMs !== undefined) {
      clock.advance(gapMs);
      attempt.more();
    }
    attempt.succeed();
  }
}

describe('the probes of a provider that is left alone', () => {
  it('are sent when the breaker says so, one at a time, and open the way again', () => {
    const { clock, health, probes, events } = setUp();
    open(health);
    clock.advance(4_999);
    expect(probes).toHaveLength(0);
    clock.advance(1);
    expect(probes).toHaveLength(1);
    clock.advance(3_000);
    expect(probes).toHaveLength(1);
    expect(health.available).toBe(false);
    probes[0]?.done();
    expect(health.available).toBe(true);
    expect(probes[0]?.signal.aborted).toBe(true);
    expect(clock.pendingTimers).toBe(0);
    expect(events.slice(-3)).toMatchObject([
      { type: 'breaker-changed', transition: { from: 'open', to: 'probing' } },
      { type: 'probe-finished', outcome: 'ok' },
      { type: 'breaker-changed', transition: { from: 'probing', to: 'closed' } },
    ]);
  });

  it('come after 5, 10, 20, 40, 60 and 60 s while the provider stays ill', () => {
    const { clock, health, probes } = setUp();
    open(health);
    let lastMs = 0;
    const waits: number[] = [];
    while (probes.length < 6) {
      clock.advance(1_000);
      const probe = probes.at(-1);
      if (!probe || probe.signal.aborted) continue;
      waits.push(probe.atMs - lastMs);
      lastMs = clock.nowMs();
      probe.done(overloaded);
    }
    expect(waits).toEqual([5_000, 10_000, 20_000, 40_000, 60_000, 60_000]);
  });

  it('have failed when nothing came for 5 s, and are told to stop', () => {
    const { clock, health, probes, events } = setUp();
    open(health);
    clock.advance(5_000 + 5_000);
    expect(probes[0]?.signal.aborted).toBe(true);
    expect(events).toContainEqual(
      expect.objectContaining({ type: 'probe-finished', outcome: 'provider.timeout-first' }),
    );
    clock.advance(9_999);
    expect(probes).toHaveLength(1);
    clock.advance(1);
    expect(probes).toHaveLength(2);
  });

  it('have one outcome, whatever they say afterwards', () => {
    const { clock, health, probes, events } = setUp();
    open(health);
    clock.advance(5_000);
    probes[0]?.done(overloaded);
    probes[0]?.done();
    expect(health.available).toBe(false);
    expect(events.filter(({ type }) => type === 'probe-finished')).toHaveLength(1);
    clock.advance(10_000);
    probes[0]?.done();
    expect(health.available).toBe(false);
    probes[1]?.done();
    expect(health.available).toBe(true);
  });

  it('try a refused key every five minutes: it may be set right at the vendor', () => {
    const { clock, health, probes } = setUp();
    health.begin().fail(refused);
    clock.advance(299_999);
    expect(probes).toHaveLength(0);
    clock.advance(1);
    probes[0]?.done(refused);
    expect(health.available).toBe(false);
    clock.advance(300_000);
    probes[1]?.done();
    expect(health.available).toBe(true);
    expect(clock.pendingTimers).toBe(0);
  });

  it.each([
    ['before the first', 1_000],
    ['while one is out', 6_000],
  ])('end with the process, %s', (_when, afterMs) => {
    const { clock, all, health, probes } = setUp();
    open(health);
    clock.advance(afterMs);
    all.close();
    expect(clock.pendingTimers).toBe(0);
    for (const { done } of probes) done(overloaded);
    open(health);
    clock.advance(600_000);
    expect(probes.length).toBe(afterMs > 5_000 ? 1 : 0);
    expect(probes.every(({ signal }) => signal.aborted)).toBe(true);
    expect(clock.pendingTimers).toBe(0);
  });

  it('are replaced by callers where there is no way to try the provider out', () => {
    const { clock, health } = setUp({ withProbe: false });
    open(health);
    clock.advance(4_999);
    expect(health.available).toBe(false);
    clock.advance(1);
    expect(health.available).toBe(true);
  });
});

describe('providers beyond the thousandth', () => {
  it('are remembered in place of those that nobody has asked for longest, whose routes and probes go on', () => {
    const { clock, all, health, probes } = setUp();
    for (let n = 0; n < 1_000; n++) all.of('llm', { provider: 'other', model: String(n) });
    expect(all.snapshot()).toHaveLength(1_000);
    expect(all.of('llm', { provider: 'first', model: 'm' })).not.toBe(health);
    expect(all.of('llm', { provider: 'other', model: '999' })).toBe(all.of('llm', { provider: 'other', model: '999' }));
    open(health);
    clock.advance(5_000);
    expect(probes).toHaveLength(1);
    probes[0]?.done();
    expect(health.available).toBe(true);
    open(health);
    all.close();
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('a first failure', () => {
  const late = new BvraiError('provider.timeout-first', 'scripted');

  it('has probes find out, in place of the next callers, whether it was the first of an outage', () => {
    const { clock, health, probes, events } = setUp();
    health.begin().fail(overloaded);
    clock.advance(99);
    expect(probes).toHaveLength(0);
    clock.advance(1);
    expect(probes).toHaveLength(1);
    probes[0]?.done(overloaded);
    expect(health.available).toBe(true);
    clock.advance(100);
    probes[1]?.done(overloaded);
    expect(health.available).toBe(false);
    expect(events.filter(({ type }) => type === 'request-finished')).toHaveLength(1);
    // From here on as ever.
    clock.advance(5_000);
    expect(probes).toHaveLength(3);
    probes[2]?.done();
    expect(health.available).toBe(true);
    expect(clock.pendingTimers).toBe(0);
  });

  it('is an outage when the probes are not answered either', () => {
    const { clock, health, probes } = setUp();
    health.begin().fail(late);
    clock.advance(2 * (100 + FIRST.initialMs) - 1);
    expect(health.available).toBe(true);
    clock.advance(1);
    expect(health.available).toBe(false);
    expect(probes.map(({ signal }) => signal.aborted)).toEqual([true, true]);
  });

  it('stays one of three when the probe goes well, and is not followed up again for five seconds', () => {
    const { clock, health, probes } = setUp();
    health.begin().fail(overloaded);
    clock.advance(100);
    probes[0]?.done();
    clock.advance(1_000);
    health.begin().fail(overloaded);
    clock.advance(3_999);
    expect(probes).toHaveLength(1);
    expect(clock.pendingTimers).toBe(0);
    health.begin().fail(overloaded);
    expect(health.available).toBe(false);
  });

  it('is followed up no more when callers have decided it meanwhile', () => {
    const { clock, health, probes } = setUp();
    health.begin().fail(overloaded);
    clock.advance(100);
    health.begin().fail(overloaded);
    health.begin().fail(overloaded);
    expect(probes[0]?.signal.aborted).toBe(true);
    probes[0]?.done();
    expect(health.available).toBe(false);
    expect(clock.pendingTimers).toBe(1);
  });

  it.each(['provider.bad-request', 'provider.rate-limited', 'provider.auth'] as const)(
    'of code %s says all there is to know',
    (code) => {
      const { clock, health, probes } = setUp();
      health.begin().fail(new BvraiError(code, 'scripted'));
      clock.advance(60_000);
      expect(probes).toHaveLength(0);
    },
  );

  it('is not followed up after the process has closed', () => {
    const { clock, all, health, probes } = setUp();
    health.begin().fail(overloaded);
    all.close();
    clock.advance(60_000);
    health.begin().fail(overloaded);
    clock.advance(60_000);
    expect(probes).toHaveLength(0);
    expect(clock.pendingTimers).toBe(0);
  });

  it('that lies in a tail is not one of a row, however many were sent with it', () => {
    const { clock, health } = setUp({ withProbe: false });
    const tail = Array.from({ length: 3 }, () => health.begin());
    clock.advance(1);
    const other = health.begin();
    clock.advance(300);
    other.first();
    clock.advance(FIRST.initialMs);
    for (const attempt of tail) attempt.fail(late);
    expect(health.available).toBe(true);
    // Those of an outage are.
    const all = Array.from({ length: 3 }, () => health.begin());
    clock.advance(FIRST.initialMs);
    for (const attempt of all) attempt.fail(late);
    expect(health.available).toBe(false);
  });
});

describe('an attempt', () => {
  type End = (attempt: Attempt) => void;
  const ends: Readonly<Record<string, End>> = {
    succeed: (attempt) => attempt.succeed(),
    fail: (attempt) => attempt.fail(overloaded),
    abandon: (attempt) => attempt.abandon(),
    loseHedge: (attempt) => attempt.loseHedge(),
  };

  it('has exactly one outcome, the first, and at most one first byte', () => {
    const call = fc.constantFrom('first', 'more', ...Object.keys(ends));
    fc.assert(
      fc.property(fc.array(fc.tuple(call, fc.integer({ min: 0, max: 900 })), { maxLength: 12 }), (calls) => {
        const { clock, health, events, outcomes } = setUp();
        const attempt = health.begin();
        for (const [name, afterMs] of calls) {
          clock.advance(afterMs);
          if (name === 'first') attempt.first();
          else if (name === 'more') attempt.more();
          else ends[name]?.(attempt);
        }
        const names = calls.map(([name]) => name);
        const end = names.findIndex((name) => name in ends);
        expect(outcomes()).toHaveLength(end < 0 ? 0 : 1);
        const spoke = names.slice(0, end < 0 ? undefined : end).some((name) => name === 'first' || name === 'more');
        expect(events.filter(({ type }) => type === 'first-received')).toHaveLength(spoke ? 1 : 0);
      }),
    );
  });

  it('is slow when its first byte was, and ten of them keep callers away', () => {
    const all = setUp();
    serve(all, 10, SLOW_MS + 1);
    expect(all.outcomes()).toEqual(Array.from({ length: 10 }, () => 'slow'));
    expect(all.health.available).toBe(false);
  });

  it('that was abandoned says nothing of a provider that had not spoken, and good of one that had', () => {
    const { health, outcomes } = setUp();
    health.begin().abandon();
    const spoken = health.begin();
    spoken.first();
    spoken.abandon();
    expect(outcomes()).toEqual(['abandoned', 'ok']);
  });
});

describe('live deadlines', () => {
  it('are the stage’s own until twenty requests have shown how the provider is', () => {
    const all = setUp();
    serve(all, 19, 100, 10);
    expect([all.health.firstDeadlineMs, all.health.gapDeadlineMs]).toEqual([FIRST.initialMs, GAP.initialMs]);
    expect(all.health.hedgeDelayMs).toBeUndefined();
    serve(all, 1, 100, 10);
    expect([all.health.firstDeadlineMs, all.health.gapDeadlineMs]).toEqual([FIRST.minMs, GAP.minMs]);
    expect(all.health.hedgeDelayMs).toBeDefined();
  });

  it('are three times what nineteen of twenty take', () => {
    const all = setUp();
    serve(all, 100, (index) => 401 + index, 600);
    // The p95 of 401 … 500 is 495.
    expect(all.health.firstDeadlineMs).toBe(3 * 495);
    expect(all.health.gapDeadlineMs).toBe(3 * 600);
  });

  it('stay within the stage’s bounds, whatever the provider does', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 60 }), (latencies) => {
        const all = setUp();
        for (const latency of latencies) serve(all, 1, latency, latency);
        const { firstDeadlineMs, gapDeadlineMs } = all.health;
        expect(firstDeadlineMs).toBeGreaterThanOrEqual(FIRST.minMs);
        expect(firstDeadlineMs).toBeLessThanOrEqual(FIRST.maxMs);
        expect(gapDeadlineMs).toBeGreaterThanOrEqual(GAP.minMs);
        expect(gapDeadlineMs).toBeLessThanOrEqual(GAP.maxMs);
      }),
    );
  });

  it('follow a provider that has become slower than they allow', () => {
    const all = setUp();
    serve(all, 40, 300);
    expect(all.health.firstDeadlineMs).toBe(FIRST.minMs);
    // Every request now would take 1.2 s: the first ones are cut off, or the deadline would never learn that.
    for (let request = 0; request < 60; request++) {
      const attempt = all.health.begin();
      const limitMs = all.health.firstDeadlineMs;
      all.clock.advance(Math.min(limitMs, 1_200));
      if (limitMs >= 1_200) attempt.first();
      if (limitMs >= 1_200) attempt.succeed();
      else attempt.fail(new BvraiError('provider.timeout-first', 'scripted'));
    }
    expect(all.health.firstDeadlineMs).toBeGreaterThan(1_200);
  });

  it('do not take a tail for the usual, even one that makes up the p95', () => {
    const all = setUp();
    serve(all, 100, (index) => (index % 16 === 0 ? 3_000 : 350));
    expect(all.health.firstDeadlineMs).toBeLessThan(1_600);
    expect(all.health.hedgeDelayMs).toBeLessThan(530);
  });
});

describe('the time after which another provider is asked as well', () => {
  it('is the live p95', () => {
    const all = setUp();
    serve(all, 100, (index) => 301 + 2 * index);
    expect(all.health.hedgeDelayMs).toBe(301 + 2 * 94);
  });

  it('is a little more than the usual time of a provider that is always equally fast', () => {
    const all = setUp();
    serve(all, 100, 400);
    expect(all.health.hedgeDelayMs).toBeCloseTo(460);
  });

  it('learns from rivals that were faster how late the provider would at least have been', () => {
    const all = setUp();
    serve(all, 30, 300);
    for (let hedge = 0; hedge < 30; hedge++) {
      const attempt = all.health.begin();
      all.clock.advance(700);
      attempt.loseHedge();
    }
    expect(all.health.hedgeDelayMs).toBe(700);
  });
});

describe('the budget of hedges', () => {
  it('is never more than a twentieth of the requests, in whatever order they come', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 3_000 }), (steps) => {
        const budget = new HedgeBudget();
        let [earned, taken] = [0, 0];
        for (const wantsHedge of steps) {
          if (!wantsHedge) {
            budget.earn();
            earned++;
          } else if (budget.take()) taken++;
          expect(taken).toBeLessThanOrEqual(earned * 0.05 + 1e-6);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('saves up ten hedges and no more', () => {
    const budget = new HedgeBudget();
    for (let request = 0; request < 10_000; request++) budget.earn();
    const taken = Array.from({ length: 20 }, () => budget.take());
    expect(taken.filter(Boolean)).toHaveLength(10);
  });

  it('is one for all providers of a stage, and another for each stage', () => {
    const { all, health } = setUp();
    const other = all.of('llm', { provider: 'second' });
    const voice = all.of('tts', { provider: 'third' });
    for (let request = 0; request < 20; request++) health.begin().succeed();
    expect(voice.takeHedge()).toBe(false);
    expect(other.takeHedge()).toBe(true);
    expect(health.takeHedge()).toBe(false);
  });

  it('earns nothing by hedges themselves', () => {
    const { health } = setUp();
    for (let request = 0; request < 100; request++) health.begin({ hedge: true }).succeed();
    expect(health.takeHedge()).toBe(false);
  });
});
