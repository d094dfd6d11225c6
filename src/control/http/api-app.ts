/** What the routes of a resource are given. */
import type { FastifyBaseLogger, FastifyInstance, FastifyRequest, RawServerDefault } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { principalOf } from '../auth/guard.ts';
import type { TenantDoor, Transaction, TransactionOptions } from '../db/tenant.ts';
import type { Mutate } from './mutation.ts';

/** The scope of the API: guarded, limited, with zod schemas for types. */
export type ApiApp = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>;

export interface ResourceDependencies {
  readonly door: TenantDoor;
  readonly mutate: Mutate;
}

/** Reads in the caller's organization, and on their behalf if they are a person. */
export function read<T>(
  { door }: Pick<ResourceDependencies, 'door'>,
  request: Pick<FastifyRequest, 'principal'> & FastifyRequest,
  work: (tx: Transaction) => Promise<T>,
  options: Pick<TransactionOptions, 'oneRead'> = {},
): Promise<T> {
  const principal = principalOf(request);
  const userId = principal.kind === 'user' ? principal.userId : undefined;
  return door.inTenant(principal.organizationId, work, { ...options, userId });
}
