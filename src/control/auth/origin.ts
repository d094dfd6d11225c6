/** Requests that a cookie speaks for must come from a page of ours: the browser says so, and no page can make it lie. */
import type { FastifyRequest } from 'fastify';
import { BvraiError } from '../../core/errors.ts';

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Throws `forbidden` for an unsafe method whose Origin is not trusted. Without an Origin (which browsers send with every such
 * request), only `Sec-Fetch-Site: same-origin` will do. SameSite=Strict is the first line; this one also holds against pages on
 * sister domains.
 */
export function checkOrigin(
  request: FastifyRequest,
  isTrustedOrigin: (origin: string, request: FastifyRequest) => boolean,
): void {
  if (SAFE.has(request.method)) return;
  const { origin } = request.headers;
  const trusted =
    origin === undefined ? request.headers['sec-fetch-site'] === 'same-origin' : isTrustedOrigin(origin, request);
  if (!trusted)
    throw new BvraiError(
      'forbidden',
      'A request with the session cookie must come from a page of this server (Origin).',
    );
}

/** The server's own origin (PUBLIC_URL, else the host that was asked) and the allowed others. */
export function trustOrigins(
  publicUrl: string | undefined,
  others: readonly string[],
): (origin: string, request: FastifyRequest) => boolean {
  const listed = new Set(others);
  return (origin, request) => {
    if (listed.has(origin)) return true;
    if (publicUrl !== undefined) return origin === new URL(publicUrl).origin;
    return origin === `http://${request.host}` || origin === `https://${request.host}`;
  };
}
