/**
 * The circuit breaker of one provider: decides whether callers are sent to it. Sans-IO: it is told the time and what happened,
 * and answers with the transition that this made, if any.
 */
import type { BvraiError } from '../../core/errors.ts';

/** Each state carries only its own data. */
export type BreakerState =
  /** Callers are served. Entered at the start, and after a probe that went well. */
  | { readonly type: 'closed'; readonly failuresInARow: number; readonly outcomes: readonly Outcome[] }
  /** Nobody is sent there until `untilMs`; then a probe is due. */
  | { readonly type: 'open'; readonly untilMs: number; readonly openMs: number }
  /** A synthetic probe is out; callers still go elsewhere. */
  | { readonly type: 'probing'; readonly openMs: number }
  /** The key is refused: only another configuration can help, so nothing is tried. */
  | { readonly type: 'locked' };

interface Outcome {
  readonly atMs: number;
  readonly ok: boolean;
}

export interface BreakerTransition {
  readonly from: BreakerState['type'];
  readonly to: BreakerState['type'];
  /** An error code, `failure-rate`, `probe` or `reconfigured`. */
  readonly reason: string;
}

const FAILURES_IN_A_ROW = 3;
const WINDOW_MS = 30_000;
const MIN_OUTCOMES = 10;
const FAILURE_SHARE = 0.5;
/** Outcomes kept of a busy half minute; the newest decide. */
const MAX_OUTCOMES = 200;
const FIRST_OPEN_MS = 5_000;
const LAST_OPEN_MS = 60_000;
/** An open time is up to this share longer, so that not every process probes at the same moment. */
const JITTER = 0.2;
/** How long a provider is left alone that is busy and does not say for how long. */
const DEFAULT_PAUSE_MS = 1_000;

const CLOSED: BreakerState = { type: 'closed', failuresInARow: 0, outcomes: [] };

export class Breaker {
  readonly #random: () => number;
  #state: BreakerState = CLOSED;
  /** Busy, not ill: the provider asked to be left alone until then. */
  #pausedUntilMs = Number.NEGATIVE_INFINITY;
  /** When the request began that is the latest begun of those that got an answer. */
  #answeredBeganAtMs = Number.NEGATIVE_INFINITY;

  /** `random`: uniform in [0, 1). */
  constructor(random: () => number) {
    this.#random = random;
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** Whether callers may be sent to the provider. */
  allows(nowMs: number): boolean {
    return this.#state.type === 'closed' && nowMs >= this.#pausedUntilMs;
  }

  /** A caller's request went well; `slow`: but its first byte came so late that it counts against the provider. */
  onSuccess(slow: boolean, nowMs: number): BreakerTransition | undefined {
    if (this.#state.type !== 'closed') return undefined;
    return this.#count(!slow, slow ? this.#state.failuresInARow : 0, 'slow', nowMs);
  }

  /** The provider has begun to answer a request that began then. */
  onAnswer(beganAtMs: number): void {
    this.#answeredBeganAtMs = Math.max(this.#answeredBeganAtMs, beganAtMs);
  }

  /** A request that began then has failed. */
  onFailure(error: BvraiError, nowMs: number, beganAtMs = nowMs): BreakerTransition | undefined {
    switch (error.code) {
      case 'provider.auth':
        return this.#enter({ type: 'locked' }, error.code);
      case 'provider.rate-limited':
        this.#pause(error, nowMs);
        return undefined;
      case 'provider.bad-request':
      case 'aborted':
      case 'config.invalid':
        // Our fault, or nobody's: says nothing about the provider.
        return undefined;
      default:
        if (this.#state.type !== 'closed') return undefined;
        return this.#count(false, this.#state.failuresInARow + this.#rowStep(error, beganAtMs), error.code, nowMs);
    }
  }

  /** It has failed, and not yet often enough. */
  get isSuspect(): boolean {
    return this.#state.type === 'closed' && this.#state.failuresInARow > 0;
  }

  /** When a probe is due; undefined: none is. */
  get probeDueAtMs(): number | undefined {
    return this.#state.type === 'open' ? this.#state.untilMs : undefined;
  }

  /** The probe is sent. */
  beginProbe(nowMs: number): BreakerTransition | undefined {
    if (this.#state.type !== 'open' || nowMs < this.#state.untilMs) return undefined;
    return this.#enter({ type: 'probing', openMs: this.#state.openMs }, 'probe');
  }

  /** What became of the probe; undefined: it went well. */
  endProbe(error: BvraiError | undefined, nowMs: number): BreakerTransition | undefined {
    if (this.#state.type !== 'probing') return undefined;
    if (!error) return this.#enter(CLOSED, 'probe');
    const { openMs } = this.#state;
    switch (error.code) {
      case 'provider.auth':
        return this.#enter({ type: 'locked' }, error.code);
      case 'provider.rate-limited':
        this.#pause(error, nowMs);
        return this.#enter(CLOSED, 'probe');
      case 'provider.bad-request':
      case 'config.invalid':
        // It answered, or was never asked: what was wrong with the question is not the next caller's.
        return this.#enter(CLOSED, 'probe');
      case 'aborted':
        return this.#open(openMs, error.code, nowMs);
      default:
        return this.#open(Math.min(LAST_OPEN_MS, openMs * 2), error.code, nowMs);
    }
  }

  /** The configuration has changed: what was learned of the old one does not count. */
  reconfigured(): BreakerTransition | undefined {
    this.#pausedUntilMs = Number.NEGATIVE_INFINITY;
    return this.#enter(CLOSED, 'reconfigured');
  }

  /**
   * "In a row" is meant in the order in which requests began. They time out together that were sent together, however many
   * others were answered meanwhile: one that is late while a later one has its answer lies in a tail, and is not one of a row.
   */
  #rowStep({ code }: BvraiError, beganAtMs: number): 0 | 1 {
    return code === 'provider.timeout-first' && beganAtMs < this.#answeredBeganAtMs ? 0 : 1;
  }

  #count(ok: boolean, failuresInARow: number, reason: string, nowMs: number): BreakerTransition | undefined {
    if (this.#state.type !== 'closed') return undefined;
    const recent = this.#state.outcomes.filter(({ atMs }) => nowMs - atMs <= WINDOW_MS);
    const outcomes = [...recent.slice(1 - MAX_OUTCOMES), { atMs: nowMs, ok }];
    this.#state = { type: 'closed', failuresInARow, outcomes };
    if (failuresInARow >= FAILURES_IN_A_ROW) return this.#open(FIRST_OPEN_MS, reason, nowMs);
    const failures = outcomes.filter((outcome) => !outcome.ok).length;
    const tooMany = outcomes.length >= MIN_OUTCOMES && failures >= outcomes.length * FAILURE_SHARE;
    return tooMany ? this.#open(FIRST_OPEN_MS, 'failure-rate', nowMs) : undefined;
  }

  #pause(error: BvraiError, nowMs: number): void {
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, nowMs + (error.retryAfterMs ?? DEFAULT_PAUSE_MS));
  }

  #open(openMs: number, reason: string, nowMs: number): BreakerTransition | undefined {
    const untilMs = nowMs + openMs * (1 + JITTER * this.#random());
    return this.#enter({ type: 'open', untilMs, openMs }, reason);
  }

  #enter(state: BreakerState, reason: string): BreakerTransition | undefined {
    const from = this.#state.type;
    this.#state = state;
    return from === state.type ? undefined : { from, to: state.type, reason };
  }
}
