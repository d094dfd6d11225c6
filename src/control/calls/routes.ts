/** The records of calls over HTTP. In this version only for this machine: there are no accounts yet. */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { CallEvent } from '../../pipeline/ports.ts';
import { isLocalPeer, peerOf } from '../local-mode.ts';
import { sendProblem } from '../http/problem.ts';
import type { CallRecords } from './records.ts';

const listQuery = z.object({ limit: z.coerce.number().int().min(1).max(100).default(50) });
const callParams = z.object({ id: z.string().max(100) });

/** Followers of one call's events at the same time, over all calls. */
const MAX_FOLLOWERS = 100;

export function callRoutes(
  app: FastifyInstance,
  { records, localMode }: { records: CallRecords; localMode: boolean },
): void {
  let followers = 0;
  app.addHook('onRequest', async (request, reply) => {
    if (localMode && isLocalPeer(peerOf(request))) return undefined;
    return sendProblem(
      reply,
      403,
      'forbidden',
      'Call records are only shown to this machine, in local mode, until accounts exist.',
    );
  });

  app.get('/api/v1/calls', async (request, reply) => {
    const query = listQuery.safeParse(request.query);
    if (!query.success) return sendProblem(reply, 400, 'bad-request', z.prettifyError(query.error));
    return { items: records.list(query.data.limit), next_cursor: null };
  });

  app.get('/api/v1/calls/:id', async (request, reply) => {
    const record = records.get(callParams.parse(request.params).id);
    return record ?? sendProblem(reply, 404, 'not-found', 'There is no call with this id.');
  });

  app.get('/api/v1/calls/:id/events', (request, reply) => {
    const { id } = callParams.parse(request.params);
    if (followers >= MAX_FOLLOWERS)
      return sendProblem(reply, 429, 'too-many-followers', 'Too many followers at once; try again later.');
    const write = (event: CallEvent): void => {
      reply.raw.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
      if (event.type === 'call-ended') reply.raw.end();
    };
    if (!records.get(id)) return sendProblem(reply, 404, 'not-found', 'There is no call with this id.');
    followers++;
    reply.hijack();
    reply.raw.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    const unfollow = records.follow(id, write);
    reply.raw.on('close', () => {
      followers--;
      unfollow?.();
    });
    return reply;
  });
}
