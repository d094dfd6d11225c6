/** Acting on calls in progress over HTTP. */
import { z } from 'zod';
import { BvraiError } from '../../core/errors.ts';
import { phoneNumberSchema } from '../agents/schema.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { principalOf } from '../auth/guard.ts';
import type { AskedEnd } from '../db/schema.ts';
import { read } from '../http/api-app.ts';
import type { ApiApp, ResourceDependencies } from '../http/api-app.ts';
import { notFound } from '../http/problem.ts';
import type { TwilioRest } from '../twilio/rest.ts';
import { endElsewhere } from './asked-end.ts';
import { carrierProblem } from './carrier.ts';
import type { ApiDesk } from './api-desk.ts';
import { findCallId, readCallSummary } from './store.ts';
import type { StoredCallSummary } from './store.ts';
import { webCallSid } from './web.ts';

export interface CallActionDependencies {
  readonly desk: Pick<ApiDesk, 'hangUp' | 'say' | 'transfer'>;
  /** Absent: no call can be transferred, nor one ended that is not live on this server. */
  readonly twilio: Pick<TwilioRest, 'hangUp' | 'transfer'> | undefined;
}

type Dependencies = ResourceDependencies & CallActionDependencies;

const access = { role: 'member', scope: 'calls:write' } as const;
const tags = ['calls'];
const params = z.object({ call_id: z.string().max(100) });
const done = { 204: z.undefined().describe('It is done.') };

export function callActionRoutes(app: ApiApp, deps: Dependencies): void {
  const { desk, twilio } = deps;

  app.post(
    '/api/v1/calls/:call_id/hangup',
    {
      config: { access },
      schema: { operationId: 'hangUpCall', tags, summary: 'End a call', params, response: done },
    },
    async (request, reply) => {
      const call = await openCall(deps, request, request.params.call_id);
      if (!(await desk.hangUp(sidOf(call)))) {
        if (!twilio || call.twilio_call_sid === null) throw notLive();
        const { twilio_call_sid: sid } = call;
        await elsewhere(deps, request, call.id, 'agent-hung-up', () => twilio.hangUp(sid));
      }
      return audited(deps, request, reply, 'call.hung_up', call.id);
    },
  );

  app.post(
    '/api/v1/calls/:call_id/transfer',
    {
      config: { access },
      schema: {
        operationId: 'transferCall',
        tags,
        summary: 'Transfer a call',
        description: 'Connects the caller to another number; the conversation with the agent ends by that.',
        params,
        body: z.strictObject({ to: phoneNumberSchema }),
        response: done,
      },
    },
    async (request, reply) => {
      const call = await openCall(deps, request, request.params.call_id);
      if (call.status !== 'in_progress' || call.twilio_call_sid === null) throw notLive();
      if (!twilio) throw new BvraiError('conflict', 'This server cannot transfer calls: Twilio is not configured.');
      const { to } = request.body;
      const isLive = await desk.transfer(call.twilio_call_sid, to).catch(refused);
      const { twilio_call_sid: sid } = call;
      if (!isLive) await elsewhere(deps, request, call.id, 'transferred', () => twilio.transfer(sid, to));
      return audited(deps, request, reply, 'call.transferred', call.id);
    },
  );

  app.post(
    '/api/v1/calls/:call_id/say',
    {
      config: { access },
      schema: {
        operationId: 'sayInCall',
        tags,
        summary: 'Have the agent say something',
        description: 'At once, instead of what it may be saying.',
        params,
        body: z.strictObject({ text: z.string().trim().min(1).max(2_000) }),
        response: done,
      },
    },
    async (request, reply) => {
      const call = await openCall(deps, request, request.params.call_id);
      if (!(await desk.say(sidOf(call), request.body.text))) throw notLive();
      return audited(deps, request, reply, 'call.spoken_in', call.id);
    },
  );
}

/** Ends a call that is not live on this server, if anywhere. */
function elsewhere(
  { door }: Dependencies,
  request: FastifyRequest,
  id: string,
  end: AskedEnd,
  ask: () => Promise<void>,
): Promise<void> {
  const { organizationId: orgId } = principalOf(request);
  return endElsewhere({ door, log: request.log }, { orgId, id, end }, () => ask().catch(refused));
}

/** What was done is done, so it is written down afterwards. */
function audited(
  { mutate }: Dependencies,
  request: FastifyRequest,
  reply: FastifyReply,
  action: string,
  resourceId: string,
): Promise<undefined> {
  return mutate(request, reply, () =>
    Promise.resolve({ status: 204, body: undefined, audit: { action, resourceType: 'call', resourceId } }),
  );
}

async function openCall(deps: Dependencies, request: FastifyRequest, name: string): Promise<StoredCallSummary> {
  const call = await read(deps, request, async (tx) => {
    const id = await findCallId(tx, name);
    return id === undefined ? undefined : readCallSummary(tx, id);
  });
  if (!call) throw notFound('call');
  if (call.ended_at !== null) throw notLive();
  return call;
}

const sidOf = ({ id, twilio_call_sid: sid }: StoredCallSummary): string => sid ?? webCallSid(id);

function notLive(): BvraiError {
  return new BvraiError('conflict', 'This call is not in progress on this server.');
}

function refused(thrown: unknown): never {
  // Nobody was asked: the call is being transferred already.
  if (thrown instanceof BvraiError && thrown.code === 'conflict') throw thrown;
  throw carrierProblem(thrown, ['/to']);
}
