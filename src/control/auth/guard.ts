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

/** Wrong credentials that one network may send in a minute; each can cost a look-up. */
const FAILURES = { requests: 60, windowS: 60 };

/** Guards every route declared in `app` after this; one that does not declare its access keeps the server from starting. */
export function installGuard(app: FastifyInstance, { authenticator, clock, isTrustedOrigin }: GuardOptions): void {
  const failures = new Failures(authenticator, clock);
  app.decorateRequest('principal', null);
  app.decorateRequest('stillAllowed', null);
  app.addHook('onRoute', ({ url, method, config }) => {
    if (config?.access === undefined)
      throw new BvraiError('internal', `${[method].flat().join(', ')} ${url} declares no access (config.access).`);
  });
  app.addHook('onRequest', async (request) => {
    const { access } = request.routeOptions.config;
    if (access === undefined || access === 'public') return;
    const network = networkOf(request.ip);
    failures.check(network);
    const credential = credentialOf(request);
    if (credential.from === 'cookie') checkOrigin(request, isTrustedOrigin);
    const principal = await failures.authenticate(credential.text, network);
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

/** Counts, for each network, the credentials that turn out to be nobody's. */
class Failures {
  readonly #authenticator: Pick<Authenticator, 'authenticate'>;
  readonly #limiter: RateLimiter;

  constructor(authenticator: Pick<Authenticator, 'authenticate'>, clock: Clock) {
    this.#authenticator = authenticator;
    this.#limiter = new RateLimiter(FAILURES, clock);
  }

  /** Throws `rate-limited` when the network has used up its quota. */
  check(network: string): void {
    const { allowed, resetMs } = this.#limiter.peek(network);
    if (!allowed) throw tooMany(resetMs);
  }

  /**
   * As the authenticator says. A look-up counts as failed until it has succeeded: of many that come at once not each finds the
   * quota unused.
   */
  async authenticate(credential: string, network: string): Promise<Principal | undefined> {
    let isCounted = false;
    const count = (): void => {
      this.#limiter.take(network);
      isCounted = true;
    };
    let hasFailed = false;
    try {
      const principal = await this.#authenticator.authenticate(credential, () => {
        this.check(network);
        count();
      });
      hasFailed = principal === undefined;
      if (hasFailed && !isCounted) count();
      return principal;
    } finally {
      // Also when the database could not be asked, which is nobody's fault.
      if (isCounted && !hasFailed) this.#limiter.giveBack(network);
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
