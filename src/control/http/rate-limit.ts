/** How often a client may call: a quota per window, told to the client before it is used up. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Clock } from '../../core/clock.ts';
import { BvraiError } from '../../core/errors.ts';
import { networkOf } from '../auth/network.ts';

export interface Quota {
  readonly requests: number;
  readonly windowS: number;
}

export interface QuotaState {
  readonly allowed: boolean;
  readonly remaining: number;
  /** Until the window ends and the quota is whole again. */
  readonly resetMs: number;
}

/** Keys that are remembered at once. When there are more, the oldest window is forgotten. */
const MAX_KEYS = 20_000;

/** Counts per key in fixed windows, each of which begins with the key's first count. */
export class RateLimiter {
  readonly quota: Quota;
  readonly #clock: Clock;
  readonly #maxKeys: number;
  /** In the order in which the windows began, so that the first is the oldest. */
  readonly #windows = new Map<string, { count: number; readonly endsAtMs: number }>();

  constructor(quota: Quota, clock: Clock, maxKeys: number = MAX_KEYS) {
    this.quota = quota;
    this.#clock = clock;
    this.#maxKeys = maxKeys;
  }

  /** Counts one and says whether it was within the quota. */
  take(key: string): QuotaState {
    const nowMs = this.#clock.nowMs();
    let window = this.#windows.get(key);
    if (!window || window.endsAtMs <= nowMs) {
      this.#windows.delete(key);
      this.#makeRoom(nowMs);
      window = { count: 0, endsAtMs: nowMs + this.quota.windowS * 1_000 };
      this.#windows.set(key, window);
    }
    window.count++;
    return this.#state(window.count, window.endsAtMs - nowMs);
  }

  /** Takes back one that was counted. */
  giveBack(key: string): void {
    const window = this.#windows.get(key);
    if (window && window.count > 0) window.count--;
  }

  /** Whether one more would be within the quota; counts nothing. */
  peek(key: string): QuotaState {
    const nowMs = this.#clock.nowMs();
    const window = this.#windows.get(key);
    if (!window || window.endsAtMs <= nowMs) return this.#state(1, this.quota.windowS * 1_000);
    return this.#state(window.count + 1, window.endsAtMs - nowMs);
  }

  forget(key: string): void {
    this.#windows.delete(key);
  }

  #state(count: number, resetMs: number): QuotaState {
    return {
      allowed: count <= this.quota.requests,
      remaining: Math.max(0, this.quota.requests - count),
      resetMs,
    };
  }

  #makeRoom(nowMs: number): void {
    for (const [key, { endsAtMs }] of this.#windows) {
      if (endsAtMs > nowMs && this.#windows.size < this.#maxKeys) return;
      this.#windows.delete(key);
    }
  }
}

/** `read` and `write` count per user or API key; `auth` per address, as nobody is known there yet. */
export type LimitName = 'read' | 'write' | 'auth';
export type Quotas = Readonly<Record<LimitName, Quota>>;

export const DEFAULT_QUOTAS: Quotas = {
  read: { requests: 1_200, windowS: 60 },
  write: { requests: 300, windowS: 60 },
  auth: { requests: 30, windowS: 60 },
};

/** What a server is configured with, as quotas; those of an address that nobody is known at stay as they are. */
export function quotasPerMinute({
  readsPerMinute,
  writesPerMinute,
}: {
  readonly readsPerMinute: number;
  readonly writesPerMinute: number;
}): Quotas {
  const perMinute = (requests: number): Quota => ({ requests, windowS: 60 });
  return { ...DEFAULT_QUOTAS, read: perMinute(readsPerMinute), write: perMinute(writesPerMinute) };
}

/** The quota of a route that does not name one. */
function limitOf(method: string, named: LimitName | undefined): LimitName {
  return named ?? (method === 'GET' || method === 'HEAD' ? 'read' : 'write');
}

/**
 * Limits every route of a scope; `clientOf` names who is counted. The headers are those of
 * draft-ietf-httpapi-ratelimit-headers-10: `RateLimit-Policy: "read";q=1200;w=60` and `RateLimit: "read";r=1199;t=60`.
 */
export function installRateLimits(
  app: FastifyInstance,
  { quotas, clock, clientOf }: { quotas: Quotas; clock: Clock; clientOf: (request: FastifyRequest) => string },
): void {
  const limiters: Readonly<Record<LimitName, RateLimiter>> = {
    read: new RateLimiter(quotas.read, clock),
    write: new RateLimiter(quotas.write, clock),
    auth: new RateLimiter(quotas.auth, clock),
  };
  app.addHook('onRequest', async (request, reply) => {
    const name = limitOf(request.method, request.routeOptions.config.limit);
    const { quota } = limiters[name];
    const state = limiters[name].take(name === 'auth' ? networkOf(request.ip) : clientOf(request));
    reply.header('ratelimit-policy', `"${name}";q=${quota.requests};w=${quota.windowS}`);
    reply.header('ratelimit', `"${name}";r=${state.remaining};t=${Math.ceil(state.resetMs / 1_000)}`);
    if (!state.allowed) throw tooMany(state.resetMs);
  });
}

/** 429 with Retry-After. */
export function tooMany(retryAfterMs: number): BvraiError {
  const seconds = Math.ceil(retryAfterMs / 1_000);
  return new BvraiError('rate-limited', `Too many requests; try again in ${seconds} s.`, { retryAfterMs });
}
