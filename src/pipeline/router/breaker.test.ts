import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BvraiError } from '../../core/errors.ts';
import type { ErrorCode } from '../../core/errors.ts';
import { Breaker } from './breaker.ts';
import type { BreakerState, BreakerTransition } from './breaker.ts';

const error = (code: ErrorCode, retryAfterMs?: number): BvraiError =>
  new BvraiError(code, 'scripted', retryAfterMs === undefined ? {} : { retryAfterMs });
const overloaded = error('provider.overloaded');

/** Without jitter, unless told otherwise. */
function opened({ random = () => 0, nowMs = 0 } = {}): Breaker {
  const breaker = new Breaker(random);
  for (let failure = 0; failure < 3; failure++) breaker.onFailure(overloaded, nowMs);
  return breaker;
}

/** When the probe is due; fails unless the breaker is open. */
function dueAtMs({ state }: Breaker): number {
  if (state.type !== 'open') throw new Error(`the breaker is ${state.type}`);
  return state.untilMs;
}

describe('a breaker', () => {
  it('opens at the third failure in a row, and says why', () => {
    const breaker = new Breaker(() => 0);
    expect(breaker.onFailure(overloaded, 0)).toBeUndefined();
    expect(breaker.onFailure(overloaded, 1)).toBeUndefined();
    expect(breaker.allows(2)).toBe(true);
    expect(breaker.onFailure(error('provider.timeout-first'), 2)).toEqual({
      from: 'closed',
      to: 'open',
      reason: 'provider.timeout-first',
    });
    expect(breaker.allows(3)).toBe(false);
  });

  it('forgets failures in a row at a success, but not at a slow one', () => {
    const breaker = new Breaker(() => 0);
    for (const slow of [false, true]) {
      breaker.onFailure(overloaded, 0);
      breaker.onFailure(overloaded, 0);
      breaker.onSuccess(slow, 0);
    }
    expect(breaker.state.type).toBe('closed');
    expect(breaker.onFailure(overloaded, 0)?.to).toBe('open');
  });

  it.each([
    ['half of ten failed', [0, 1, 0, 1, 0, 1, 0, 1, 0, 1], 1_000, 'open'],
    ['less than half of ten failed', [1, 1, 0, 1, 0, 1, 0, 1, 0, 1], 1_000, 'closed'],
    ['half of nine failed', [0, 1, 0, 1, 0, 1, 0, 1, 0], 1_000, 'closed'],
    ['half failed, but not within half a minute', [0, 1, 0, 1, 0, 1, 0, 1, 0, 1], 4_000, 'closed'],
  ] as const)('where %s is %4$s', (_what, answers, everyMs, state) => {
    const breaker = new Breaker(() => 0);
    for (const [index, ok] of [...answers].toReversed().entries()) {
      if (ok) breaker.onSuccess(false, index * everyMs);
      else breaker.onFailure(overloaded, index * everyMs);
    }
    expect(breaker.state.type).toBe(state);
  });

  it('counts a slow first byte as a failure among many', () => {
    const breaker = new Breaker(() => 0);
    const transitions = Array.from({ length: 10 }, (_, index) => breaker.onSuccess(index % 2 === 0, index));
    expect(transitions.at(-1)).toEqual({ from: 'closed', to: 'open', reason: 'failure-rate' });
  });

  it('is open for 5 s, twice as long after every probe that failed, and for a minute at most', () => {
    const breaker = opened();
    const spans: number[] = [];
    for (let probe = 0, nowMs = 0; probe < 6; probe++) {
      spans.push(dueAtMs(breaker) - nowMs);
      nowMs = dueAtMs(breaker);
      expect(breaker.beginProbe(nowMs - 1)).toBeUndefined();
      expect(breaker.beginProbe(nowMs)).toEqual({ from: 'open', to: 'probing', reason: 'probe' });
      expect(breaker.allows(nowMs)).toBe(false);
      breaker.endProbe(overloaded, nowMs);
    }
    expect(spans).toEqual([5_000, 10_000, 20_000, 40_000, 60_000, 60_000]);
  });

  it('closes after a probe that went well, and starts over', () => {
    const breaker = opened();
    breaker.beginProbe(5_000);
    expect(breaker.endProbe(undefined, 5_100)).toEqual({ from: 'probing', to: 'closed', reason: 'probe' });
    expect(breaker.allows(5_100)).toBe(true);
    for (let failure = 0; failure < 3; failure++) breaker.onFailure(overloaded, 5_200);
    expect(dueAtMs(breaker)).toBe(10_200);
  });

  it.each([
    ['a request', (breaker: Breaker) => breaker.onFailure(error('provider.auth'), 0)],
    [
      'a request that was under way when it opened',
      (breaker: Breaker) => {
        for (let failure = 0; failure < 3; failure++) breaker.onFailure(overloaded, 0);
        breaker.onFailure(error('provider.auth'), 0);
      },
    ],
    [
      'a probe',
      (breaker: Breaker) => {
        for (let failure = 0; failure < 3; failure++) breaker.onFailure(overloaded, 0);
        breaker.beginProbe(5_000);
        breaker.endProbe(error('provider.auth'), 5_000);
      },
    ],
  ])('is locked by a refused key of %s, until the configuration changes', (_what, refuse) => {
    const breaker = new Breaker(() => 0);
    refuse(breaker);
    expect(breaker.state).toEqual({ type: 'locked' });
    expect(breaker.probeDueAtMs).toBeUndefined();
    expect(breaker.allows(1e9)).toBe(false);
    expect(breaker.reconfigured()).toEqual({ from: 'locked', to: 'closed', reason: 'reconfigured' });
    expect(breaker.allows(5_000)).toBe(true);
  });

  it('leaves a busy provider alone for as long as it asks, and does not call it ill', () => {
    const breaker = new Breaker(() => 0);
    for (let request = 0; request < 20; request++) breaker.onFailure(error('provider.rate-limited', 3_000), request);
    expect(breaker.state.type).toBe('closed');
    expect(breaker.allows(3_018)).toBe(false);
    expect(breaker.allows(3_019)).toBe(true);
  });

  it('takes a probe that meets a busy provider for health, and waits as it is asked to', () => {
    const breaker = opened();
    breaker.beginProbe(5_000);
    expect(breaker.endProbe(error('provider.rate-limited', 2_000), 5_000)?.to).toBe('closed');
    expect(breaker.allows(6_999)).toBe(false);
    expect(breaker.allows(7_000)).toBe(true);
  });
});

it.each(['provider.bad-request', 'config.invalid'] as const)(
  'a breaker takes a probe that ends as %s for health',
  (code) => {
    const breaker = opened();
    breaker.beginProbe(5_000);
    expect(breaker.endProbe(error(code), 5_000)).toEqual({ from: 'probing', to: 'closed', reason: 'probe' });
  },
);

it('a breaker learns nothing from a probe that was aborted', () => {
  const breaker = opened();
  breaker.beginProbe(5_000);
  expect(breaker.endProbe(error('aborted'), 5_000)?.to).toBe('open');
  expect(dueAtMs(breaker)).toBe(10_000);
});

/** Jitter that a failing run can be repeated with. */
function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** What can happen to a breaker, at which time. */
type Step = { readonly afterMs: number } & (
  | { readonly type: 'success'; readonly slow: boolean }
  | { readonly type: 'failure'; readonly code: ErrorCode; readonly retryAfterMs: number | undefined }
  | { readonly type: 'probe-due' }
  | { readonly type: 'probe-over'; readonly code: ErrorCode | undefined }
  | { readonly type: 'reconfigured' }
);

const HARMLESS = ['provider.bad-request', 'aborted', 'config.invalid'] as const;
const ILLNESS = [
  'provider.overloaded',
  'provider.timeout-connect',
  'provider.timeout-first',
  'provider.timeout-gap',
  'provider.protocol',
  'provider.closed',
] as const;
/** Of what became of a probe, what shows that the provider is there. */
const isAnswer = (outcome: ErrorCode | undefined): boolean =>
  outcome === undefined || ['provider.rate-limited', 'provider.bad-request', 'config.invalid'].includes(outcome);
const code = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom<ErrorCode>(...ILLNESS) },
  { weight: 2, arbitrary: fc.constantFrom<ErrorCode>(...HARMLESS) },
  { weight: 2, arbitrary: fc.constant<ErrorCode>('provider.rate-limited') },
  { weight: 1, arbitrary: fc.constant<ErrorCode>('provider.auth') },
);
const afterMs = fc.oneof(fc.integer({ min: 0, max: 800 }), fc.integer({ min: 0, max: 40_000 }));
const retryAfterMs = fc.option(fc.integer({ min: 0, max: 20_000 }), { nil: undefined });
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant('success'), slow: fc.boolean(), afterMs }) },
  { weight: 6, arbitrary: fc.record({ type: fc.constant('failure'), code, retryAfterMs, afterMs }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('probe-due'), afterMs }) },
  {
    weight: 4,
    arbitrary: fc.record({ type: fc.constant('probe-over'), code: fc.option(code, { nil: undefined }), afterMs }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('reconfigured'), afterMs }) },
);
const steps = fc.array(anyStep, { maxLength: 120 });

/** One step as it was seen from outside. */
interface Seen {
  readonly step: Step;
  readonly nowMs: number;
  readonly before: BreakerState;
  readonly after: BreakerState;
  readonly transition: BreakerTransition | undefined;
  readonly breaker: Breaker;
}

function apply(breaker: Breaker, step: Step, nowMs: number): BreakerTransition | undefined {
  switch (step.type) {
    case 'success':
      return breaker.onSuccess(step.slow, nowMs);
    case 'failure':
      return breaker.onFailure(error(step.code, step.retryAfterMs), nowMs);
    case 'probe-due':
      return breaker.beginProbe(nowMs);
    case 'probe-over':
      return breaker.endProbe(step.code === undefined ? undefined : error(step.code), nowMs);
    case 'reconfigured':
      return breaker.reconfigured();
  }
}

/** Runs random histories on a clock of their own, and shows every step of each to a fresh judge. */
function holds(makeJudge: () => (seen: Seen) => void): void {
  fc.assert(
    fc.property(steps, fc.integer(), (history, seed) => {
      const breaker = new Breaker(seededRandom(seed));
      const judge = makeJudge();
      let nowMs = 0;
      for (const one of history) {
        nowMs += one.afterMs;
        const before = breaker.state;
        const transition = apply(breaker, one, nowMs);
        judge({ step: one, nowMs, before, after: breaker.state, transition, breaker });
      }
    }),
    { numRuns: 1_000 },
  );
}

describe('whatever happens to a breaker', () => {
  it('serves callers only while it is closed and nobody asked to be left alone', () => {
    holds(() => {
      let pausedUntilMs = 0;
      return ({ step: one, nowMs, before, after, breaker }) => {
        const isBusy =
          (one.type === 'failure' && one.code === 'provider.rate-limited') ||
          (one.type === 'probe-over' && one.code === 'provider.rate-limited' && before.type === 'probing');
        const askedMs = one.type === 'failure' ? one.retryAfterMs : undefined;
        if (isBusy) pausedUntilMs = Math.max(pausedUntilMs, nowMs + (askedMs ?? 1_000));
        if (one.type === 'reconfigured') pausedUntilMs = 0;
        expect(breaker.allows(nowMs)).toBe(after.type === 'closed' && nowMs >= pausedUntilMs);
      };
    });
  });

  it('opens exactly at three failures in a row, or at half of ten and more in half a minute', () => {
    holds(() => {
      let outcomes: { atMs: number; ok: boolean }[] = [];
      let inARow = 0;
      return ({ step: one, nowMs, before, after }) => {
        const isIllness = one.type === 'failure' && ILLNESS.some((known) => known === one.code);
        if (before.type === 'closed' && (one.type === 'success' || isIllness)) {
          const ok = one.type === 'success' && !one.slow;
          outcomes.push({ atMs: nowMs, ok });
          if (isIllness) inARow++;
          else if (ok) inARow = 0;
          const recent = outcomes.filter(({ atMs }) => nowMs - atMs <= 30_000);
          const failures = recent.filter((outcome) => !outcome.ok).length;
          const isIll = inARow >= 3 || (recent.length >= 10 && failures * 2 >= recent.length);
          expect(after.type).toBe(isIll ? 'open' : 'closed');
        } else if (before.type === 'closed') {
          expect(['closed', 'locked']).toContain(after.type);
        }
        if (after.type !== 'closed' || one.type === 'reconfigured') {
          outcomes = [];
          inARow = 0;
        }
      };
    });
  });

  it('is open for 5 s or twice the last time, a minute at most, and up to a fifth longer', () => {
    holds(() => ({ step: one, nowMs, before, after }) => {
      if (after.type !== 'open' || after === before) return;
      expect(['closed', 'probing']).toContain(before.type);
      const factor = one.type === 'probe-over' && one.code === 'aborted' ? 1 : 2;
      expect(after.openMs).toBe(before.type === 'probing' ? Math.min(60_000, before.openMs * factor) : 5_000);
      expect(after.untilMs - nowMs).toBeGreaterThanOrEqual(after.openMs);
      expect(after.untilMs - nowMs).toBeLessThanOrEqual(after.openMs * 1.2);
    });
  });

  it('leaves the open state only for a probe that is due, a refused key or another configuration', () => {
    holds(() => ({ step: one, nowMs, before, after }) => {
      if (before.type !== 'open') return;
      if (one.type === 'reconfigured') expect(after.type).toBe('closed');
      else if (one.type === 'failure' && one.code === 'provider.auth') expect(after.type).toBe('locked');
      else if (one.type === 'probe-due' && nowMs >= before.untilMs) expect(after.type).toBe('probing');
      else expect(after).toBe(before);
    });
  });

  it('lets only a probe end a probe: closed when it went well, open when it failed', () => {
    holds(() => ({ step: one, before, after }) => {
      if (before.type !== 'probing') return;
      if (one.type === 'reconfigured') expect(after.type).toBe('closed');
      else if ((one.type === 'failure' || one.type === 'probe-over') && one.code === 'provider.auth')
        expect(after.type).toBe('locked');
      else if (one.type !== 'probe-over') expect(after).toBe(before);
      else expect(after.type).toBe(isAnswer(one.code) ? 'closed' : 'open');
    });
  });

  it('stays locked until the configuration changes, and is locked by nothing but a refused key', () => {
    holds(() => ({ step: one, before, after }) => {
      const isRefusal = (one.type === 'failure' || one.type === 'probe-over') && one.code === 'provider.auth';
      if (before.type === 'locked') expect(after.type).toBe(one.type === 'reconfigured' ? 'closed' : 'locked');
      else if (after.type === 'locked') expect(isRefusal).toBe(true);
    });
  });

  it('holds neither our own faults nor a busy provider against it', () => {
    holds(() => ({ step: one, before, after }) => {
      if (one.type !== 'failure') return;
      if (one.code === 'provider.rate-limited' || HARMLESS.some((known) => known === one.code))
        expect(after).toBe(before);
    });
  });

  it('reports every change of its state, and nothing else', () => {
    holds(() => ({ before, after, transition }) => {
      const changed = before.type !== after.type;
      expect(transition && { from: transition.from, to: transition.to }).toEqual(
        changed ? { from: before.type, to: after.type } : undefined,
      );
    });
  });
});
