/** Guessing passwords is slow: so many tries per account, per address, and per both. */
import type { Clock } from '../../core/clock.ts';
import { RateLimiter, tooMany } from '../http/rate-limit.ts';
import type { Quota } from '../http/rate-limit.ts';
import { networkOf } from './network.ts';

export interface LoginQuotas {
  readonly pair: Quota;
  readonly account: Quota;
  readonly address: Quota;
}

/**
 * A person who mistypes is stopped by `pair`; one address that tries many accounts by `address`; many addresses that try one account
 * by `account`, which is wide, since whoever fills it keeps the owner out as well. Each counts only what the ones before it let
 * through: one address alone, with its 5 tries in 5 minutes, does not fill it.
 */
export const DEFAULT_LOGIN_QUOTAS: LoginQuotas = {
  pair: { requests: 5, windowS: 300 },
  account: { requests: 30, windowS: 900 },
  address: { requests: 60, windowS: 900 },
};

/** Counts in this process only: behind several servers a guesser has as many times the tries. */
export class LoginThrottle {
  readonly #pair: RateLimiter;
  readonly #account: RateLimiter;
  readonly #address: RateLimiter;

  constructor(clock: Clock, quotas: LoginQuotas = DEFAULT_LOGIN_QUOTAS) {
    this.#pair = new RateLimiter(quotas.pair, clock);
    this.#account = new RateLimiter(quotas.account, clock);
    this.#address = new RateLimiter(quotas.address, clock);
  }

  /**
   * Counts a try before it is made, so that a thousand at once are no way around. Whether there is such an account plays no part.
   * Throws `rate-limited`.
   */
  begin(email: string, address: string): void {
    const network = networkOf(address);
    const counts = [
      () => this.#pair.take(pairKey(email, network)),
      () => this.#address.take(network),
      () => this.#account.take(email),
    ];
    for (const count of counts) {
      const { allowed, resetMs } = count();
      if (!allowed) throw tooMany(resetMs);
    }
  }

  /** The password was right: what this person has mistyped is forgiven. */
  succeeded(email: string, address: string): void {
    this.#pair.forget(pairKey(email, networkOf(address)));
  }
}

function pairKey(email: string, network: string): string {
  return `${network} ${email}`;
}
