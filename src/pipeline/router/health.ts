/**
 * What this process knows of its providers' health: one entry for each stage, provider, model and region, shared by all calls, so
 * that no call has to find an outage anew.
 */
import type { Clock, Timer } from '../../core/clock.ts';
import { BvraiError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import type { RouteEntry } from '../ports.ts';
import { Breaker } from './breaker.ts';
import type { BreakerState, BreakerTransition } from './breaker.ts';
import type { Connecting } from '../providers/spec.ts';
import { HedgeBudget } from './hedge-budget.ts';
import { LatencyWindow } from './latency-window.ts';
import { learnedConnecting } from './learned-wait.ts';
import { STAGE_TIMES, deadlineMs, hedgeDelayMs } from './times.ts';
import type { Stage } from './times.ts';

/** Whom a health entry is about. */
export interface ProviderKey {
  readonly stage: Stage;
  readonly provider: string;
  /** Empty: the provider's default. */
  readonly model: string;
  readonly region: string;
}

/** `hedge-lost`: another provider was faster; `abandoned`: nobody waited for the answer any more. */
export type RequestOutcome = 'ok' | 'slow' | 'hedge-lost' | 'abandoned' | BvraiError['code'];

export type HealthEvent =
  | { readonly type: 'request-finished'; readonly key: ProviderKey; readonly outcome: RequestOutcome }
  /** The first token or byte came. */
  | { readonly type: 'first-received'; readonly key: ProviderKey; readonly afterMs: number }
  | { readonly type: 'breaker-changed'; readonly key: ProviderKey; readonly transition: BreakerTransition }
  | { readonly type: 'hedge-started'; readonly key: ProviderKey }
  /** The provider that was asked second spoke first. */
  | { readonly type: 'hedge-won'; readonly key: ProviderKey }
  | { readonly type: 'probe-finished'; readonly key: ProviderKey; readonly outcome: 'ok' | BvraiError['code'] };

/**
 * Asks a provider something cheap and made up. Calls `done` once, with the error if it failed; stops when the signal aborts.
 * Never a caller's request. `connecting`: the provider's, for the stream's context.
 */
export type Probe = (done: (error?: BvraiError) => void, signal: AbortSignal, connecting: Connecting) => void;

export interface HealthSnapshot {
  readonly key: ProviderKey;
  readonly state: BreakerState['type'];
  readonly p50Ms: number | undefined;
  readonly p95Ms: number | undefined;
  readonly p99Ms: number | undefined;
  readonly connectDeadlineMs: number;
}

export interface HealthDependencies {
  readonly clock: Clock;
  readonly log: Log;
  /** Uniform in [0, 1); for jitter. */
  readonly random: () => number;
  /** Hedges per request, at most; without it the budget's own. */
  readonly hedgeShare?: number | undefined;
  readonly onEvent?: ((event: HealthEvent) => void) | undefined;
}

/** No probe may take longer. */
const PROBE_LIMIT_MS = 5_000;
/** A provider that has failed is tried out after this: callers who failed with the first are still being counted. */
const SUSPECT_AFTER_MS = 100;
/** A provider that was tried out and is well is not tried out again for so long. */
const TRUSTED_FOR_MS = 5_000;
/** Agents come and go; their models are few. Beyond this many, the one that no route was made with for longest is forgotten. */
const MAX_ENTRIES = 1_000;

/** Process-wide; whoever makes it closes it. */
export class ProvidersHealth {
  readonly #deps: HealthDependencies;
  /** Least recently asked for first. */
  readonly #entries = new Map<string, ProviderHealth>();
  readonly #budgets: Readonly<Record<Stage, HedgeBudget>>;
  readonly #probes: Probes = { pending: new Set(), closed: false };

  constructor(deps: HealthDependencies) {
    this.#deps = deps;
    const { hedgeShare } = deps;
    this.#budgets = {
      stt: new HedgeBudget(hedgeShare),
      llm: new HedgeBudget(hedgeShare),
      tts: new HedgeBudget(hedgeShare),
    };
  }

  /** The entry of a provider as a route names it; made when it is first asked for. `probe`: how to try it out. */
  of(stage: Stage, { provider, model, options }: RouteEntry, probe?: Probe): ProviderHealth {
    const region = options?.['region'];
    const key = { stage, provider, model: model ?? '', region: typeof region === 'string' ? region : '' };
    const id = JSON.stringify([stage, provider, key.model, key.region]);
    const entry =
      this.#entries.get(id) ?? new ProviderHealth(key, this.#deps, this.#budgets[stage], probe, this.#probes);
    this.#entries.delete(id);
    this.#entries.set(id, entry);
    // Routes that have the one that is forgotten go on with it.
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > MAX_ENTRIES && oldest !== undefined) this.#entries.delete(oldest);
    return entry;
  }

  snapshot(): HealthSnapshot[] {
    return Array.from(this.#entries.values(), (entry) => entry.snapshot());
  }

  /** Ends every probe that is out or due. */
  close(): void {
    this.#probes.closed = true;
    for (const entry of this.#probes.pending) entry.stopProbe();
  }
}

/** All of a process: also of providers that are no longer remembered. */
interface Probes {
  /** Whose probe is due or out. */
  readonly pending: Set<ProviderHealth>;
  closed: boolean;
}

/** One request of a caller, from its start to its one outcome. All but the first call that ends it are ignored. */
export interface Attempt {
  /** The first token or byte came. */
  first(): void;
  /** Another part came. */
  more(): void;
  succeed(): void;
  fail(error: BvraiError): void;
  /** Nobody waits any more: the caller talked on, or hung up. After a first byte that is a success. */
  abandon(): void;
  /** Another provider was faster: this one counts as slow. */
  loseHedge(): void;
}

/**
 * One provider: its breaker, its latencies, and its probes. A first failure is followed up by probes at once, which count as
 * callers' failures do when they fail and for nothing when they do not: so an outage costs one caller the deadline, not three.
 */
export class ProviderHealth {
  readonly key: ProviderKey;
  /** How long connections to it may take, and have taken. */
  readonly connecting: Connecting;
  readonly #deps: HealthDependencies;
  readonly #budget: HedgeBudget;
  readonly #probe: Probe | undefined;
  readonly #breaker: Breaker;
  readonly #first = new LatencyWindow();
  readonly #gaps = new LatencyWindow();
  #probeTimer: Timer | undefined;
  #probing: AbortController | undefined;
  #trustedUntilMs = 0;
  readonly #probes: Probes;

  constructor(
    key: ProviderKey,
    deps: HealthDependencies,
    budget: HedgeBudget,
    probe: Probe | undefined,
    probes: Probes,
  ) {
    this.#probes = probes;
    this.key = key;
    this.#deps = deps;
    this.#budget = budget;
    this.#probe = probe;
    this.#breaker = new Breaker(deps.random);
    this.connecting = learnedConnecting(deps.clock);
  }

  /** Whether callers may be sent there now. */
  get available(): boolean {
    return this.#breaker.allows(this.#nowMs);
  }

  /** How long a caller's request may wait for its first token or byte. */
  get firstDeadlineMs(): number {
    return deadlineMs(STAGE_TIMES[this.key.stage].first, this.#first, this.#nowMs);
  }

  /** The same where nobody as good is left to ask: longer than a late answer takes, shorter than a caller's patience. */
  get lastFirstDeadlineMs(): number {
    return STAGE_TIMES[this.key.stage].first.maxMs;
  }

  /** How long it may wait between two of them. */
  get gapDeadlineMs(): number {
    return deadlineMs(STAGE_TIMES[this.key.stage].gap, this.#gaps, this.#nowMs);
  }

  /** When another provider is to be asked as well; undefined: not enough is known of this one. */
  get hedgeDelayMs(): number | undefined {
    return hedgeDelayMs(this.#first, this.#nowMs);
  }

  /** Whether the process can afford another request in place of one that this provider is late with. */
  takeHedge(): boolean {
    if (!this.#budget.take()) return false;
    this.#emit({ type: 'hedge-started', key: this.key });
    return true;
  }

  /** This provider was asked second, and spoke first. */
  hedgeWon(): void {
    this.#emit({ type: 'hedge-won', key: this.key });
  }

  /** A caller's request begins. `hedge`: it doubles another one, and earns no hedge itself. */
  begin({ hedge = false } = {}): Attempt {
    if (!hedge) this.#budget.earn();
    return new RecordedAttempt(this.#deps.clock, {
      first: (afterMs) => {
        this.#first.add(afterMs, this.#nowMs);
        this.#breaker.onAnswer(this.#nowMs - afterMs);
        this.#emit({ type: 'first-received', key: this.key, afterMs });
      },
      waited: (atLeastMs) => this.#first.add(atLeastMs, this.#nowMs),
      finished: (outcome, beganAtMs, longestGapMs) => {
        if (longestGapMs !== undefined) this.#gaps.add(longestGapMs, this.#nowMs);
        this.#onOutcome(outcome, beganAtMs);
      },
      slowMs: STAGE_TIMES[this.key.stage].slowMs,
    });
  }

  snapshot(): HealthSnapshot {
    const at = (q: number): number | undefined => this.#first.quantile(q, this.#nowMs);
    const { limitMs: connectDeadlineMs } = this.connecting.connection;
    const quantiles = { p50Ms: at(0.5), p95Ms: at(0.95), p99Ms: at(0.99) };
    return { key: this.key, state: this.#breaker.state.type, ...quantiles, connectDeadlineMs };
  }

  /** Ends the probe that is out or due. */
  stopProbe(): void {
    this.#probeTimer?.cancel();
    this.#probeTimer = undefined;
    this.#probing?.abort();
    this.#probing = undefined;
    this.#noteProbe();
  }

  get #nowMs(): number {
    return this.#deps.clock.nowMs();
  }

  #onOutcome(outcome: Ended, beganAtMs: number): void {
    const nowMs = this.#nowMs;
    const code = outcome.type === 'failed' ? outcome.error.code : outcome.type;
    this.#emit({ type: 'request-finished', key: this.key, outcome: code });
    if (outcome.type === 'abandoned') return;
    if (outcome.type === 'failed') {
      this.#onTransition(this.#breaker.onFailure(outcome.error, nowMs, beganAtMs));
      this.#suspect();
    } else this.#onTransition(this.#breaker.onSuccess(outcome.type !== 'ok', nowMs));
  }

  #onTransition(transition: BreakerTransition | undefined): void {
    if (!transition || this.#probes.closed) return;
    const { stage, provider, model, region } = this.key;
    const facts = { stage, provider, model, region, ...transition };
    if (transition.to === 'closed') this.#deps.log.info(facts, 'provider serves again');
    else if (transition.to !== 'probing') this.#deps.log.warn(facts, 'provider is left alone');
    this.#emit({ type: 'breaker-changed', key: this.key, transition });
    // What was suspected is decided.
    if (transition.from === 'closed') this.stopProbe();
    this.#scheduleProbe();
  }

  #scheduleProbe(): void {
    this.#probeTimer?.cancel();
    this.#probeTimer = undefined;
    this.#noteProbe();
    const dueAtMs = this.#breaker.probeDueAtMs;
    if (dueAtMs === undefined) return;
    this.#probeAfter(dueAtMs - this.#nowMs, () => this.#sendProbe());
  }

  #sendProbe(): void {
    this.#onTransition(this.#breaker.beginProbe(this.#nowMs));
    if (this.#breaker.state.type !== 'probing') return this.#scheduleProbe();
    // Without a way to try it out there is only trying again.
    if (!this.#probe) return this.#onTransition(this.#breaker.endProbe(undefined, this.#nowMs));
    this.#tryOut(this.#probe, PROBE_LIMIT_MS, (error) => {
      this.#onTransition(this.#breaker.endProbe(error, this.#nowMs));
    });
  }

  /** Finds out whether a failure was the first of an outage, in place of the next callers. */
  #suspect(): void {
    const probe = this.#probe;
    const isIdle = this.#probeTimer === undefined && this.#probing === undefined;
    if (!probe || this.#probes.closed || !isIdle || !this.available || !this.#breaker.isSuspect) return;
    if (this.#nowMs < this.#trustedUntilMs) return;
    const { connection, session } = this.connecting;
    this.#probeAfter(SUSPECT_AFTER_MS, () => {
      if (!this.available || !this.#breaker.isSuspect) return;
      const limitMs = Math.max(this.firstDeadlineMs, connection.limitMs + session.limitMs);
      this.#tryOut(probe, limitMs, (error) => {
        if (!error?.retryable) this.#trustedUntilMs = this.#nowMs + TRUSTED_FOR_MS;
        if (!error) return;
        this.#onTransition(this.#breaker.onFailure(error, this.#nowMs));
        this.#suspect();
      });
    });
  }

  /** One probe at a time; `ended` runs once, unless it is stopped. */
  #tryOut(probe: Probe, limitMs: number, ended: (error?: BvraiError) => void): void {
    const probing = new AbortController();
    this.#probing = probing;
    this.#noteProbe();
    const finish = (error?: BvraiError): void => {
      if (this.#probing !== probing) return;
      this.#probing = undefined;
      this.#noteProbe();
      limit.cancel();
      probing.abort();
      if (this.#probes.closed) return;
      this.#emit({ type: 'probe-finished', key: this.key, outcome: error?.code ?? 'ok' });
      ended(error);
    };
    const limit = this.#deps.clock.after(limitMs, () => {
      const message = `${this.key.provider} did not answer a probe in ${Math.round(limitMs)} ms.`;
      finish(new BvraiError('provider.timeout-first', message));
    });
    probing.signal.addEventListener('abort', () => limit.cancel(), { once: true });
    probe(finish, probing.signal, this.connecting);
  }

  #noteProbe(): void {
    if (this.#probeTimer || this.#probing) this.#probes.pending.add(this);
    else this.#probes.pending.delete(this);
  }

  /** Has a probe due; there is one such timer. */
  #probeAfter(delayMs: number, run: () => void): void {
    this.#probeTimer = this.#deps.clock.after(delayMs, () => {
      this.#probeTimer = undefined;
      this.#noteProbe();
      run();
    });
    this.#noteProbe();
  }

  #emit(event: HealthEvent): void {
    this.#deps.onEvent?.(event);
  }
}

type Ended =
  | { readonly type: 'ok' | 'slow' | 'hedge-lost' | 'abandoned' }
  | { readonly type: 'failed'; readonly error: BvraiError };

interface AttemptSettings {
  readonly first: (afterMs: number) => void;
  /** It was given up before its first byte. */
  readonly waited: (atLeastMs: number) => void;
  readonly finished: (outcome: Ended, beganAtMs: number, longestGapMs: number | undefined) => void;
  readonly slowMs: number;
}

class RecordedAttempt implements Attempt {
  readonly #clock: Clock;
  readonly #settings: AttemptSettings;
  readonly #beganAtMs: number;
  #firstAfterMs: number | undefined;
  #lastAtMs = 0;
  #longestGapMs: number | undefined;
  #over = false;

  constructor(clock: Clock, settings: AttemptSettings) {
    this.#clock = clock;
    this.#settings = settings;
    this.#beganAtMs = clock.nowMs();
  }

  first(): void {
    if (this.#over || this.#firstAfterMs !== undefined) return;
    this.#lastAtMs = this.#clock.nowMs();
    this.#firstAfterMs = this.#lastAtMs - this.#beganAtMs;
    this.#settings.first(this.#firstAfterMs);
  }

  more(): void {
    if (this.#over) return;
    if (this.#firstAfterMs === undefined) return this.first();
    const nowMs = this.#clock.nowMs();
    this.#longestGapMs = Math.max(this.#longestGapMs ?? 0, nowMs - this.#lastAtMs);
    this.#lastAtMs = nowMs;
  }

  succeed(): void {
    this.#end({ type: (this.#firstAfterMs ?? 0) > this.#settings.slowMs ? 'slow' : 'ok' });
  }

  fail(error: BvraiError): void {
    // Were such waits left out, a deadline would never learn that the provider has become slower than it allows.
    if (error.code === 'provider.timeout-first') this.#countWait();
    this.#end({ type: 'failed', error });
  }

  abandon(): void {
    if (this.#firstAfterMs === undefined) this.#end({ type: 'abandoned' });
    else this.succeed();
  }

  loseHedge(): void {
    this.#countWait();
    this.#end({ type: 'hedge-lost' });
  }

  /** How long its first byte would have taken is not known; at least this long. */
  #countWait(): void {
    if (this.#over || this.#firstAfterMs !== undefined) return;
    this.#settings.waited(this.#clock.nowMs() - this.#beganAtMs);
  }

  #end(outcome: Ended): void {
    if (this.#over) return;
    this.#over = true;
    this.#settings.finished(outcome, this.#beganAtMs, this.#longestGapMs);
  }
}
