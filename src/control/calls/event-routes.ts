/** The events of calls as server-sent events. */
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { principalOf } from '../auth/guard.ts';
import { read } from '../http/api-app.ts';
import type { ApiApp, ResourceDependencies } from '../http/api-app.ts';
import { notFound } from '../http/problem.ts';
import { EventStreams } from './event-stream.ts';
import type { EventStreamTimes } from './event-stream.ts';
import type { EventFeed } from './feed.ts';
import { findCallId } from './store.ts';

const access = { role: 'viewer', scope: 'calls:read' } as const;
const tags = ['calls'];
/** A HEAD would be answered when the stream ends, and hold a follower's place until then. */
const exposeHeadRoute = false;
const RESUME =
  'Server-sent events: `id` is what `Last-Event-ID` resumes behind, without a gap or a repetition; `event` is the type, `data` ' +
  'the event as JSON. Comments keep the connection alive. A client that reads too slowly is told `event: too-slow` and cut off; one ' +
  'whose key is revoked, or whose session or rights end, is told `event: access-ended` within a second.';
const response = {
  200: {
    description: 'Events, one after the other, for as long as the stream lasts.',
    content: { 'text/event-stream': { schema: z.string() } },
  },
};

export interface EventRouteDependencies extends ResourceDependencies {
  readonly feed: EventFeed;
  readonly eventStreams?: EventStreamTimes | undefined;
}

export function callEventRoutes(app: ApiApp, deps: EventRouteDependencies): void {
  const streams = new EventStreams(deps.feed, deps.eventStreams);
  app.addHook('preClose', async () => streams.close());

  app.get(
    '/api/v1/calls/:call_id/events',
    {
      exposeHeadRoute,
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
      return streams.begin(request, reply, { callId, after: resumeBehind(request) ?? 0 });
    },
  );

  app.get(
    '/api/v1/events',
    {
      exposeHeadRoute,
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
      return streams.begin(request, reply, { callId: undefined, after });
    },
  );
}

/** What is no id of ours counts as none. */
function resumeBehind(request: FastifyRequest): number | undefined {
  const text = request.headers['last-event-id'];
  if (typeof text !== 'string' || !/^\d{1,15}$/u.test(text)) return undefined;
  return Number(text);
}
