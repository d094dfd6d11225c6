/** Saying in time that a route goes away. */
import type { FastifyInstance } from 'fastify';

export interface Deprecation {
  /** ISO date from which the route should no longer be used. */
  readonly since: string;
  /** ISO date after which it may be gone. */
  readonly sunset?: string;
  /** Where it is written what to use instead. */
  readonly link?: string;
}

/** `Deprecation` (RFC 9745), `Sunset` (RFC 8594) and `Link` on every answer of a deprecated route. */
export function installDeprecation(app: FastifyInstance): void {
  app.addHook('onRequest', async (request, reply) => {
    const { deprecated } = request.routeOptions.config;
    if (!deprecated) return;
    reply.header('deprecation', `@${Math.floor(Date.parse(deprecated.since) / 1_000)}`);
    if (deprecated.sunset !== undefined) reply.header('sunset', new Date(deprecated.sunset).toUTCString());
    if (deprecated.link !== undefined) reply.header('link', `<${deprecated.link}>; rel="deprecation"`);
  });
}
