/** Entity tags: what a client has read, so that nobody overwrites a change that they have not seen. */
import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { BvraiError } from '../../core/errors.ts';
import { isObject } from './merge-patch.ts';

/**
 * A strong tag of a representation: equal exactly for the same JSON, in whatever order its fields are. What a change answers has them
 * as they were sent, what is read later as the database keeps them.
 */
export function etagOf(representation: unknown): string {
  const canonical = JSON.stringify(representation, (_name, value: unknown) =>
    isObject(value) ? sorted(value) : value,
  );
  return `"${createHash('sha256').update(canonical).digest('base64url').slice(0, 22)}"`;
}

function sorted(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).sort(([one], [other]) => (one < other ? -1 : 1)));
}

/** Answers a GET with its tag; 304 when the client has this very state. */
export function sendTagged<Body>(request: FastifyRequest, reply: FastifyReply, body: Body): Body | FastifyReply {
  const tag = etagOf(body);
  reply.header('etag', tag);
  return matches(request.headers['if-none-match'], tag) ? reply.status(304).send() : body;
}

/**
 * Throws unless the client has seen the present state: `precondition-required` (428) without If-Match, where the route
 * demands it, `precondition-failed` (412) with an old one. `*` stands for whatever the state is.
 */
export function checkIfMatch(request: FastifyRequest, current: unknown): void {
  const header = request.headers['if-match'];
  if (header === undefined) {
    if (request.routeOptions.config.ifMatch !== 'required') return;
    throw new BvraiError(
      'precondition-required',
      'Send If-Match with the ETag that you have read, so that no change of somebody else is lost; `*` overwrites whatever there is.',
    );
  }
  if (!matches(header, etagOf(current)))
    throw new BvraiError('precondition-failed', 'It has changed since you read it. Read it again, then change that.');
}

function matches(header: string | undefined, tag: string): boolean {
  return header !== undefined && header.split(',').some((part) => part.trim() === '*' || part.trim() === tag);
}
