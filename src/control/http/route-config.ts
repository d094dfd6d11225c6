/** What a route declares in `config`, for hooks and the OpenAPI document. */
import type { Access } from '../auth/access.ts';
import type { Deprecation } from './deprecation.ts';
import type { LimitName } from './rate-limit.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call. Every route under /api/v1 must say; one that does not keeps the server from starting. */
    access?: Access;
    /** Which quota it counts against; by default `read` for GET and `write` for the rest. */
    limit?: LimitName;
    /** Takes an Idempotency-Key. */
    idempotent?: true;
    /** Takes If-Match; `required`: refuses without. */
    ifMatch?: 'required' | 'optional';
    deprecated?: Deprecation;
  }
}
