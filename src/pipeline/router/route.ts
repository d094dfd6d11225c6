/** What the three stages' routes have in common: an ordered list of providers, each with the agent's options for it. */
import type { Clock } from '../../core/clock.ts';
import { BvraiError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import type { RouteEntry } from '../ports.ts';
import type { Prewarm } from '../providers/spec.ts';
import type { Probe, ProviderHealth, ProvidersHealth } from './health.ts';
import type { Stage } from './times.ts';

/** A provider that can serve, with what the agent's route says about it. */
export interface Candidate<Provider> {
  readonly provider: Provider;
  readonly entry: RouteEntry;
  readonly health: ProviderHealth;
}

/**
 * Resolves an agent's route against the providers that this process has. What is not configured is left out with a warning;
 * `last` (the embedded engine) always stands at the end, so that a call is never without a provider. `probe`: how a provider of
 * this stage is tried out while callers are kept away from it, with what all its routes have in common.
 */
export function resolveRoute<Provider extends { readonly name: string }>(
  route: {
    readonly stage: Stage;
    readonly entries: readonly RouteEntry[];
    readonly configured: ReadonlyMap<string, Provider>;
    readonly last: Provider;
    readonly probe?: ((provider: Provider, entry: RouteEntry) => Probe) | undefined;
  },
  health: ProvidersHealth,
  log: Log,
): Candidate<Provider>[] {
  const { stage, entries, configured, last, probe } = route;
  const candidates: Candidate<Provider>[] = [];
  const add = (provider: Provider, entry: RouteEntry): void => {
    candidates.push({ provider, entry, health: health.of(stage, entry, probe?.(provider, sharedOf(entry))) });
  };
  for (const entry of entries) {
    const provider = configured.get(entry.provider);
    if (provider) add(provider, entry);
    else
      log.warn({ stage, provider: entry.provider }, 'provider is not configured (no API key): left out of the route');
  }
  if (!candidates.some(({ provider }) => provider === last)) add(last, { provider: last.name });
  return candidates;
}

/** What all routes have in common that share a provider's health: a probe is no one agent's, so neither are its voice and options. */
function sharedOf({ provider, model, options }: RouteEntry): RouteEntry {
  const region = options?.['region'];
  return { provider, model, ...(typeof region === 'string' && { options: { region } }) };
}

/**
 * The candidates as one request is to try them: those that are available, in the route's order; where entries carry weights,
 * the first is drawn by them. The last of a route is never ejected: it stands at the end whatever its breaker says.
 */
export function inOrder<Provider>(
  candidates: readonly Candidate<Provider>[],
  random: () => number,
): Candidate<Provider>[] {
  const last = candidates.at(-1);
  const available = candidates.filter((candidate) => candidate.health.available || candidate === last);
  const first = drawByWeight(available, random);
  return first ? [first, ...available.filter((candidate) => candidate !== first)] : available;
}

/**
 * Has those prewarmed that the next request may ask first: the first that is available, or every one that a draw by weights may
 * give. `requestOf`: what the route's entry makes of the request.
 */
export function prewarmFirst<Request>(
  candidates: readonly Candidate<{ readonly prewarm?: Prewarm<Request> | undefined }>[],
  requestOf: (entry: RouteEntry) => Request,
  wanted: () => boolean,
): void {
  const available = candidates.filter(({ health }) => health.available);
  const weighted = available.filter(({ entry }) => (entry.weight ?? 0) > 0);
  for (const { provider, entry, health } of weighted.length > 0 ? weighted : available.slice(0, 1)) {
    provider.prewarm?.(requestOf(entry), () => health.available && wanted(), health.connecting);
  }
}

/** Entries without a weight take no part in the draw; undefined: none has one. */
function drawByWeight<Provider>(
  candidates: readonly Candidate<Provider>[],
  random: () => number,
): Candidate<Provider> | undefined {
  const total = candidates.reduce((sum, { entry }) => sum + (entry.weight ?? 0), 0);
  let rest = random() * total;
  return candidates.find(({ entry }) => {
    rest -= entry.weight ?? 0;
    return (entry.weight ?? 0) > 0 && rest < 0;
  });
}

/** The error for a provider that kept a caller waiting too long. */
export function deadlineError(kind: 'first' | 'gap', provider: string, limitMs: number): BvraiError {
  const what = kind === 'first' ? 'gave nothing' : 'stopped midway and gave nothing more';
  return new BvraiError(`provider.timeout-${kind}`, `${provider} ${what} within ${Math.round(limitMs)} ms`, {
    details: { provider, limitMs },
  });
}

/** A restartable timer that is either set or not. */
export class Watchdog {
  readonly #clock: Clock;
  #cancel: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get running(): boolean {
    return this.#cancel !== undefined;
  }

  /** Starts over: `expired` runs after `limitMs` unless restarted or stopped. */
  restart(limitMs: number, expired: () => void): void {
    this.stop();
    const timer = this.#clock.after(limitMs, () => {
      this.#cancel = undefined;
      expired();
    });
    this.#cancel = () => timer.cancel();
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
