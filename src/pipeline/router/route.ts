/** What the three stages' routes have in common: an ordered list of providers, each with the agent's options for it. */
import type { Clock } from '../../core/clock.ts';
import { BvraiError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import type { RouteEntry } from '../ports.ts';

/** A provider that can serve, with what the agent's route says about it. */
export interface Candidate<Provider> {
  readonly provider: Provider;
  readonly entry: RouteEntry;
}

/** How long a stage may leave the caller waiting before the next provider is asked. */
export interface Deadlines {
  /** Until the first token or the first byte of audio. */
  readonly firstMs: number;
  /** Between two of them. */
  readonly gapMs: number;
}

/**
 * Resolves an agent's route against the providers that this process has. What is not configured is left out with a warning;
 * `last` (the embedded engine) always stands at the end, so that a call is never without a provider.
 */
export function resolveRoute<Provider extends { readonly name: string }>(
  stage: 'stt' | 'llm' | 'tts',
  entries: readonly RouteEntry[],
  configured: ReadonlyMap<string, Provider>,
  last: Provider,
  log: Log,
): Candidate<Provider>[] {
  const candidates: Candidate<Provider>[] = [];
  for (const entry of entries) {
    const provider = configured.get(entry.provider);
    if (provider) candidates.push({ provider, entry });
    else
      log.warn({ stage, provider: entry.provider }, 'provider is not configured (no API key): left out of the route');
  }
  if (!candidates.some(({ provider }) => provider === last)) {
    candidates.push({ provider: last, entry: { provider: last.name } });
  }
  return candidates;
}

/** The error for a provider that kept a caller waiting too long. */
export function deadlineError(kind: 'first' | 'gap', provider: string, limitMs: number): BvraiError {
  const what = kind === 'first' ? 'gave nothing' : 'stopped midway and gave nothing more';
  return new BvraiError(`provider.timeout-${kind}`, `${provider} ${what} within ${limitMs} ms`, {
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
