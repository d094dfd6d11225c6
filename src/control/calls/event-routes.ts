/** The events of calls as server-sent events. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { BvraiError } from '../../core/errors.ts';
import { principalOf } from '../auth/guard.ts';
import { read } from '../http/api-app.ts';
import type { ApiApp, ResourceDependencies } from '../http/api-app.ts';
import { notFound } from '../http/problem.ts';
import type { EventFeed } from './feed.ts';
import { findCallId } from './store.ts';

/** Followers at the same time, over all organizations. */
const MAX_FOLLOWERS = 500;
const HEARTBEAT_MS = 15_000;
/** A client that has not taken this much is too slow; it comes back with Last-Event-ID. */
const MAX_WAITING_BYTES = 1_024 * 1_024;

const access = { role: 'viewer', scope: 'calls:read' } as const;
const tags = ['calls'];
const RESUME =
  'Server-sent events: `id` is what `Last-Event-ID` resumes behind, without a gap or a repetition; `event` is the type, `data` ' +
  'the event as JSON. Comments keep the connection alive. A client that reads too slowly is told `event: too-slow` and cut off.';
const response = { 200: z.string().describe('text/event-stream, until the client closes it.') };

export function callEventRoutes(app: ApiApp, deps: ResourceDependencies & { readonly feed: EventFeed }): void {
  const followers = new Set<AbortController>();
  app.addHook('preClose', async () => {
    for (const follower of followers) follower.abort();
  });

  app.get(
    '/api/v1/calls/:call_id/events',
    {
      config: { access },
      schema: {
        operationId: 'followCallEvents',
        tags,
        summary: 'Follow the events of a call',
        description: `${RESUME} Ends when the call has ended. Without \`Last-Event-ID\` it begins with the call.`,
        params: z.object({ call_id: z.string().max(100) }),
        response,
      },
    },
    async (request, reply) => {
      const callId = await read(deps, request, (tx) => findCallId(tx, request.params.call_id));
      if (callId === undefined) throw notFound('call');
      return stream(request, reply, { feed: deps.feed, followers, callId, after: resumeBehind(request) ?? 0 });
    },
  );

  app.get(
    '/api/v1/events',
    {
      config: { access },
      schema: {
        operationId: 'followEvents',
        tags,
        summary: 'Follow the events of all calls',
        description: `${RESUME} Without \`Last-Event-ID\` it begins now.`,
        response,
      },
    },
    async (request, reply) => {
      const after = resumeBehind(request) ?? (await deps.feed.newest(principalOf(request).organizationId));
      return stream(request, reply, { feed: deps.feed, followers, callId: undefined, after });
    },
  );
}

/** What is no id of ours counts as none. */
function resumeBehind(request: FastifyRequest): number | undefined {
  const text = request.headers['last-event-id'];
  if (typeof text !== 'string' || !/^\d{1,15}$/u.test(text)) return undefined;
  return Number(text);
}

interface Following {
  readonly feed: EventFeed;
  readonly followers: Set<AbortController>;
  readonly callId: string | undefined;
  readonly after: number;
}

function stream(request: FastifyRequest, reply: FastifyReply, following: Following): FastifyReply {
  const { feed, followers, callId, after } = following;
  if (followers.size >= MAX_FOLLOWERS)
    throw new BvraiError('capacity', 'Too many followers at once; try again later.', { retryAfterMs: 10_000 });
  const scope = new AbortController();
  followers.add(scope);
  const headers = Object.entries(reply.getHeaders()).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  );
  reply.hijack();
  const { raw } = reply;
  raw.writeHead(200, {
    ...Object.fromEntries(headers),
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
  // The client knows at once that it is heard.
  raw.write(': connected\n\n');
  const heartbeat = setInterval(() => raw.write(': still here\n\n'), HEARTBEAT_MS);
  raw.on('close', () => scope.abort());
  raw.on('error', () => scope.abort());
  const followed = feed.follow({
    orgId: principalOf(request).organizationId,
    callId,
    after,
    signal: scope.signal,
    onEvent: ({ id, type, body }) => {
      raw.write(`id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(body)}\n\n`);
      if (raw.writableLength <= MAX_WAITING_BYTES) return;
      request.log.warn({ waitingBytes: raw.writableLength }, 'cut off a follower that reads too slowly');
      raw.write('event: too-slow\ndata: {"detail":"You read too slowly; come back with Last-Event-ID."}\n\n');
      scope.abort();
    },
  });
  followed
    .catch((thrown: unknown) => request.log.error({ err: thrown }, 'following events failed'))
    .finally(() => {
      clearInterval(heartbeat);
      followers.delete(scope);
      raw.end();
    });
  return reply;
}
