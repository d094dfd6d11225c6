/** The door of the API: reads the credential, finds out whose it is, and compares with what the route declares. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Clock } from '../../core/clock.ts';
import { BvraiError } from '../../core/errors.ts';
import { RateLimiter, tooMany } from '../http/rate-limit.ts';
import { accessFault, nameOf } from './access.ts';
import type { Principal } from './access.ts';
import type { Authenticator } from './authenticator.ts';
import { ACCESS_COOKIE, readCookie } from './cookies.ts';
import { networkOf } from './network.ts';
import { checkOrigin } from './origin.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who is calling; null on public routes. */
    principal: Principal | null;
    /**
     * Whether the caller may still use this route, for answers that last: keys are revoked and sessions end meanwhile. Costs a
     * query only when something has changed, or twice a minute. While the database cannot be asked, the last answer counts.
     */
    stillAllowed: (() => Promise<boolean>) | null;
  }
}

export interface GuardOptions {
  readonly authenticator: Authenticator;
  readonly clock: Clock;
  /** Origins whose pages may use the cookie: this server's own, and those of CORS_ORIGINS. */
  readonly isTrustedOrigin: (origin: string, request: FastifyRequest) => boolean;
}

/** Look-ups of keys that are nobody's, in a minute, that one network may cost. */
const FAILURES = { requests: 60, windowS: 60 };

/** Guards every route declared in `app` after this; one that does not declare its access keeps the server from starting. */
export function installGuard(app: FastifyInstance, { authenticator, clock, isTrustedOrigin }: GuardOptions): void {
  const lookUps = new LookUps(authenticator, clock);
  app.decorateRequest('principal', null);
  app.decorateRequest('stillAllowed', null);
  app.addHook('onRoute', ({ url, method, config }) => {
    if (config?.access === undefined)
      throw new BvraiError('internal', `${[method].flat().join(', ')} ${url} declares no access (config.access).`);
  });
  app.addHook('onRequest', async (request) => {
    const { access } = request.routeOptions.config;
    if (access === undefined || access === 'public') return;
    const credential = credentialOf(request);
    if (credential.from === 'cookie') checkOrigin(request, isTrustedOrigin);
    const principal = await lookUps.authenticate(credential.text, networkOf(request.ip));
    if (!principal)
      throw new BvraiError(
        'unauthenticated',
        'The access token or API key is not valid, or no longer: log in, or refresh the session.',
      );
    request.principal = principal;
    request.log = request.log.child({ org: principal.organizationId, actor: nameOf(principal) });
    const fault = accessFault(principal, access);
    if (fault !== undefined) throw new BvraiError('forbidden', fault);
    request.stillAllowed = async () => {
      try {
        const now = await authenticator.confirm(credential.text, principal);
        return now !== undefined && accessFault(now, access) === undefined;
      } catch (thrown) {
        request.log.debug({ err: thrown }, 'whether a caller is still allowed cannot be asked');
        return true;
      }
    };
  });
}

/**
 * Counts, for each network, the look-ups of credentials that turn out to be nobody's. Only what must be looked up is refused beyond
 * the quota: whoever has shown a credential that is known gets in, whatever others of their network send.
 */
class LookUps {
  readonly #authenticator: Pick<Authenticator, 'authenticate'>;
  readonly #failures: RateLimiter;

  constructor(authenticator: Pick<Authenticator, 'authenticate'>, clock: Clock) {
    this.#authenticator = authenticator;
    this.#failures = new RateLimiter(FAILURES, clock);
  }

  /**
   * As the authenticator says; throws `rate-limited` for a look-up beyond the quota. One counts as failed until it has succeeded: of
   * many that come at once not each finds the quota unused.
   */
  async authenticate(credential: string, network: string): Promise<Principal | undefined> {
    let isCounted = false;
    let hasFailed = false;
    try {
      const principal = await this.#authenticator.authenticate(credential, () => {
        const { allowed, resetMs } = this.#failures.peek(network);
        if (!allowed) throw tooMany(resetMs);
        this.#failures.take(network);
        isCounted = true;
      });
      hasFailed = principal === undefined;
      return principal;
    } finally {
      // Also when the database could not be asked, which is nobody's fault.
      if (isCounted && !hasFailed) this.#failures.giveBack(network);
    }
  }
}

/** Who is calling, on a route that is not public. */
export function principalOf(request: FastifyRequest): Principal {
  if (request.principal) return request.principal;
  throw new BvraiError('internal', `${request.routeOptions.url ?? 'This route'} is public and has no principal.`);
}

/** Names whose quota a request counts against. */
export function clientOf(request: FastifyRequest): string {
  return request.principal ? nameOf(request.principal) : request.ip;
}

function credentialOf(request: FastifyRequest): { readonly from: 'header' | 'cookie'; readonly text: string } {
  const { authorization } = request.headers;
  if (authorization !== undefined) {
    const [, token] = /^Bearer +([\w.~+/=-]+) *$/iu.exec(authorization) ?? [];
    if (token !== undefined) return { from: 'header', text: token };
    throw new BvraiError('unauthenticated', 'Authorization must be “Bearer” and an access token or an API key.');
  }
  const cookie = readCookie(request, ACCESS_COOKIE);
  if (cookie !== undefined) return { from: 'cookie', text: cookie };
  throw new BvraiError('unauthenticated', 'Send Authorization: Bearer with an access token or an API key.');
}
