/** Beginning calls over HTTP, and acting on those in progress. */
import { asc, eq, sql } from 'drizzle-orm';
import { z } from 'zod';
import { BvraiError } from '../../core/errors.ts';
import { metadataSchema, phoneNumberSchema } from '../agents/schema.ts';
import type { AnsweringAgents } from '../agents/answering.ts';
import { loadAgentForCall } from '../agents/for-calls.ts';
import { findAgent } from '../agents/store.ts';
import { newId } from '../db/ids.ts';
import { calls, phoneNumbers } from '../db/schema.ts';
import type { Transaction } from '../db/tenant.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { read } from '../http/api-app.ts';
import type { ApiApp, ResourceDependencies } from '../http/api-app.ts';
import { fieldProblem, notFound } from '../http/problem.ts';
import type { DialRequest, TwilioRest } from '../twilio/rest.ts';
import { webCallSid } from './desk.ts';
import type { CallDesk } from './desk.ts';
import { callSummaryResponse } from './json.ts';
import { startDialling } from './outbound.ts';
import { findCallId, readCallSummary } from './store.ts';
import type { StoredCallSummary } from './store.ts';

export interface CallActionDependencies {
  readonly desk: CallDesk;
  readonly agents: AnsweringAgents;
  /** Absent: no telephone can be rung, nor a call be transferred. */
  readonly twilio: Pick<TwilioRest, 'dial' | 'hangUp' | 'transfer'> | undefined;
  /** This start of this server, which closes what it began; null: nobody does. */
  readonly instanceId: string | null;
  /** `ws(s)://…/web`, as whoever sent this request reaches it. */
  readonly webSocketUrl: (requestHost: string) => string;
}

type Dependencies = ResourceDependencies & CallActionDependencies;

const access = { role: 'member', scope: 'calls:write' } as const;
const tags = ['calls'];
const params = z.object({ call_id: z.string().max(100) });
const done = { 204: z.undefined().describe('It is done.') };

const createBody = z.strictObject({
  agent_id: z.uuid(),
  channel: z.enum(['phone', 'web']).default('phone').describe('`web`: a browser opens the socket that is answered.'),
  to: phoneNumberSchema.optional().describe('Whom to ring; needed with channel phone.'),
  from: phoneNumberSchema.optional().describe('One of your numbers. Default: the agent’s first, else your first.'),
  machine_detection: z
    .enum(['Enable', 'DetectMessageEnd'])
    .optional()
    .describe('Has Twilio listen for an answering machine; the result is `answered_by`.'),
  ring_timeout_s: z.int().min(5).max(600).default(30),
  metadata: metadataSchema.default({}),
});
type CreateBody = z.infer<typeof createBody>;

const createdResponse = callSummaryResponse
  .extend({
    socket_url: z.string().optional().describe('With channel web: speaks Twilio’s media stream protocol.'),
    token: z.string().optional().describe('Good once, for 60 s: `start.customParameters.token`.'),
    call_sid: z.string().optional().describe('To be sent as `start.callSid`.'),
  })
  .meta({ id: 'NewCall' });

export function callActionRoutes(app: ApiApp, deps: Dependencies): void {
  app.post(
    '/api/v1/calls',
    {
      config: { access, idempotent: true },
      schema: {
        operationId: 'createCall',
        tags,
        summary: 'Begin a call',
        description:
          'Rings a telephone through Twilio, or gives out a socket for a browser. What becomes of it is its status.',
        body: createBody,
        response: { 201: createdResponse },
      },
    },
    async (request, reply) => {
      let ring: DialRequest | undefined;
      const answer = await deps.mutate(request, reply, async (tx, principal) => {
        const { organizationId: orgId } = principal;
        const created = await beginCall(tx, orgId, request.body, deps);
        ring = created.ring;
        const web = request.body.channel === 'web' ? await openWeb(tx, deps, request.host, orgId, created.call) : {};
        const audit = {
          action: 'call.created',
          resourceType: 'call',
          resourceId: created.call.id,
          details: { channel: request.body.channel },
        };
        return { status: 201, body: { ...created.call, ...web }, audit };
      });
      // After the commit: the webhook of a call that is answered at once must find it. A repeated request rings nobody.
      if (ring && deps.twilio) startDialling(deps.door, deps.twilio, ring, request.log);
      return answer;
    },
  );

  liveRoutes(app, deps);
}

async function beginCall(
  tx: Transaction,
  orgId: string,
  body: CreateBody,
  deps: Dependencies,
): Promise<{ readonly call: StoredCallSummary; readonly ring: DialRequest | undefined }> {
  const reason = deps.desk.closedBecause;
  if (reason !== undefined)
    throw new BvraiError('capacity', `No further call can be taken now: ${reason}`, { retryAfterMs: 5_000 });
  const agent = await findAgent(tx, body.agent_id);
  if (!agent || agent.publishedVersion === null) throw fault('agent_id', 'is not the id of an agent that is published');
  const id = newId();
  const isPhone = body.channel === 'phone';
  if (isPhone && body.to === undefined) throw fault('to', 'is needed with channel phone');
  if (isPhone && !deps.twilio)
    throw new BvraiError(
      'conflict',
      'This server cannot ring telephones: TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and PUBLIC_URL are not all set.',
    );
  const from = isPhone ? await callerNumber(tx, body) : '';
  const to = isPhone ? (body.to ?? '') : '';
  await tx.insert(calls).values({
    id,
    orgId,
    direction: isPhone ? 'outbound' : 'inbound',
    channel: body.channel,
    fromNumber: from,
    toNumber: to,
    agentId: agent.id,
    agentVersion: agent.publishedVersion,
    instanceId: deps.instanceId,
    metadata: body.metadata,
  });
  const call = await readCallSummary(tx, id);
  if (!call) throw new BvraiError('internal', 'A call was not inserted.');
  const { machine_detection: machineDetection, ring_timeout_s: ringTimeoutS } = body;
  return { call, ring: isPhone ? { id, orgId, from, to, machineDetection, ringTimeoutS } : undefined };
}

async function callerNumber(tx: Transaction, { from, agent_id: agentId }: CreateBody): Promise<string> {
  const rows = await tx
    .select({ number: phoneNumbers.number })
    .from(phoneNumbers)
    .where(from === undefined ? undefined : eq(phoneNumbers.number, from))
    .orderBy(sql`${phoneNumbers.agentId} IS NOT DISTINCT FROM ${agentId} DESC`, asc(phoneNumbers.createdAt))
    .limit(1);
  const [row] = rows;
  if (!row) throw fault('from', 'is none of your phone numbers; add it first');
  return row.number;
}

async function openWeb(
  tx: Transaction,
  { desk, agents, webSocketUrl }: Dependencies,
  requestHost: string,
  orgId: string,
  { id, agent_id: agentId }: StoredCallSummary,
): Promise<{ socket_url: string; token: string; call_sid: string }> {
  const loaded = await loadAgentForCall(tx, agentId);
  if (!loaded) throw fault('agent_id', 'is not the id of an agent that is published');
  const agent = agents.canonical(loaded);
  const callSid = webCallSid(id);
  const token = desk.expect({ callSid, id, orgId, agent, direction: 'inbound', channel: 'web', from: '', to: '' });
  return { socket_url: webSocketUrl(requestHost), token, call_sid: callSid };
}

function liveRoutes(app: ApiApp, deps: Dependencies): void {
  const { desk, twilio } = deps;

  app.post(
    '/api/v1/calls/:call_id/hangup',
    {
      config: { access },
      schema: { operationId: 'hangUpCall', tags, summary: 'End a call', params, response: done },
    },
    async (request, reply) => {
      const call = await openCall(deps, request, request.params.call_id);
      if (!desk.hangUp(sidOf(call))) {
        if (!twilio || call.twilio_call_sid === null) throw notLive();
        await twilio.hangUp(call.twilio_call_sid).catch(refused);
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
      await twilio.transfer(call.twilio_call_sid, request.body.to).catch(refused);
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
      if (!desk.say(sidOf(call), request.body.text)) throw notLive();
      return audited(deps, request, reply, 'call.spoken_in', call.id);
    },
  );
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
  const { message, code } = BvraiError.from(thrown);
  if (code === 'provider.bad-request') throw new BvraiError('conflict', message, { cause: thrown });
  throw new BvraiError('capacity', message, { cause: thrown });
}

function fault(field: string, detail: string): BvraiError {
  return fieldProblem('invalid-fields', `body /${field}: ${detail}`, [{ in: 'body', pointer: `/${field}`, detail }]);
}
