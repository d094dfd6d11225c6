/** Twilio's webhooks: what to do with a call, and what became of it. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import VoiceResponse from 'twilio/lib/twiml/VoiceResponse.js';
import { z } from 'zod';
import { BvraiError } from '../../core/errors.ts';
import { maskPhoneNumber } from '../../core/log.ts';
import type { AnsweringAgent, AnsweringAgents } from '../agents/answering.ts';
import type { AwaitedCalls } from '../calls/awaited.ts';
import type { CallDesk, ExpectedCall } from '../calls/desk.ts';
import { findOutboundCall } from '../calls/outbound.ts';
import { idOf, isId, newId } from '../db/ids.ts';
import type { TenantDoor } from '../db/tenant.ts';
import { sendProblem } from '../http/problem.ts';
import type { LocalOrganization } from '../local-organization.ts';
import { authenticateWebhook, callSidField, formFields } from './requests.ts';
import type { WebhookGate } from './requests.ts';
import type { TwilioRest } from './rest.ts';
import { applyAnsweredBy, applyStatus, endOf, readStatus } from './status.ts';
import type { CalledBack } from './status.ts';

export interface TwilioDependencies extends WebhookGate {
  readonly door: TenantDoor;
  readonly agents: AnsweringAgents;
  readonly desk: CallDesk;
  readonly awaited: Pick<AwaitedCalls, 'expect' | 'refuse' | 'end'>;
  /** Absent: this server rings nobody. */
  readonly rest: Pick<TwilioRest, 'hangUp'> | undefined;
  /** In local mode. */
  readonly local: LocalOrganization | undefined;
  /** `ws(s)://…/media`, as the far side of this request reaches it. */
  readonly streamUrl: (requestHost: string) => string;
}

const voiceForm = z.object({
  CallSid: callSidField,
  From: z.string().max(100).default(''),
  To: z.string().max(100).default(''),
  Direction: z.string().max(40).default('inbound'),
});
type VoiceForm = z.infer<typeof voiceForm>;

/** What our own callback URLs say of an outbound call. */
const ownQuery = z.object({ call: z.string(), org: z.string() });

export function twilioRoutes(app: FastifyInstance, deps: TwilioDependencies): void {
  app.addHook('preHandler', async (request, reply) => authenticateWebhook(request, reply, deps));

  app.post('/twilio/voice', async (request, reply) => {
    const form = voiceForm.safeParse(request.body);
    if (!form.success) return sendProblem(reply, 400, 'bad-request', z.prettifyError(form.error));
    const log = request.log.child({ callSid: form.data.CallSid });
    try {
      return sendTwiml(reply, await answer(request, form.data, deps));
    } catch (thrown) {
      // A caller hears words, never Twilio's "an application error has occurred".
      const error = BvraiError.from(thrown);
      if (error.code === 'capacity') {
        log.warn({ reason: error.message }, 'no capacity for another call');
        return sendTwiml(reply, spoken('All our lines are busy. Please call again in a few minutes.'));
      }
      log.error({ err: thrown }, 'a call could not be answered');
      return sendTwiml(reply, spoken('We are sorry, we cannot take your call at the moment. Please call again later.'));
    }
  });

  statusRoutes(app, deps);
}

async function answer(request: FastifyRequest, form: VoiceForm, deps: TwilioDependencies): Promise<VoiceResponse> {
  const { CallSid: callSid, From: from, To: to, Direction } = form;
  const log = request.log.child({ callSid });
  const named = namedCall(request);
  const outbound = named && (await findOutboundCall(deps.door, named));
  if (named && !outbound) {
    log.warn({ call: named.id }, 'a call was answered that has ended already');
    return spoken('This call has ended. Goodbye.');
  }
  const found = outbound
    ? await deps.agents.byId(outbound.orgId, outbound.agentId)
    : await chooseAgent(request, to, deps);
  if (!found) {
    log.warn({ to: maskPhoneNumber(to) }, 'no agent answers this number');
    return spoken('This number is not in service. Goodbye.');
  }
  const { orgId, agent } = found;
  const call: ExpectedCall = {
    callSid,
    // A webhook may be repeated, on another server too, and it is still one call. Once that had its stream, a further one is recorded by itself.
    id: outbound?.id ?? (deps.desk.hasBegun(idOf(callSid)) ? newId() : idOf(callSid)),
    orgId,
    agent,
    direction: Direction.startsWith('outbound') ? 'outbound' : 'inbound',
    channel: 'phone',
    from,
    to,
    variables: outbound?.variables ?? {},
  };
  const token = await tokenFor(call, deps);
  log.info({ agent: agent.id, from: maskPhoneNumber(from), to: maskPhoneNumber(to) }, 'call expected');
  return connectStream(deps.streamUrl(request.host), token);
}

/** Whether it is given or refused for want of capacity, the call is recorded from now on. */
async function tokenFor(call: ExpectedCall, { desk, awaited }: TwilioDependencies): Promise<string> {
  try {
    const token = await desk.expect(call);
    awaited.expect(call);
    return token;
  } catch (thrown) {
    const { code, message } = BvraiError.from(thrown);
    if (code === 'capacity') awaited.refuse(call, message);
    throw thrown;
  }
}

/** The number chooses the agent; in local mode `?agent=` may, by its id or its file's name. */
async function chooseAgent(
  request: FastifyRequest,
  to: string,
  { agents, local }: TwilioDependencies,
): Promise<AnsweringAgent | undefined> {
  if (!local) return agents.byNumber(to);
  const { agent } = z.object({ agent: z.string().optional() }).catch({}).parse(request.query);
  if (agent !== undefined) {
    const id = local.agentIds.get(agent) ?? agent;
    return isId(id) ? agents.byId(local.orgId, id) : undefined;
  }
  const byNumber = await agents.byNumber(to);
  return byNumber ?? (local.otherwise === undefined ? undefined : agents.byId(local.orgId, local.otherwise));
}

function namedCall(request: FastifyRequest): { readonly id: string; readonly orgId: string } | undefined {
  const query = ownQuery.safeParse(request.query);
  if (!query.success || !isId(query.data.call) || !isId(query.data.org)) return undefined;
  return { id: query.data.call, orgId: query.data.org };
}

function statusRoutes(app: FastifyInstance, { door, desk, awaited, rest }: TwilioDependencies): void {
  const told = (request: FastifyRequest): CalledBack & { readonly fields: z.infer<typeof formFields> } => {
    const fields = formFields.catch({}).parse(request.body);
    return { callSid: callSidField.catch('').parse(fields['CallSid']), named: namedCall(request), fields };
  };

  app.post('/twilio/status', async (request, reply) => {
    const { fields, ...call } = told(request);
    const report = readStatus(fields);
    const end = endOf(report);
    if (call.named && end) desk.endRinging(call.named.id);
    // A call that came in may have a row only in a moment; one that we rang has one for certain, which knows more.
    if (!call.named && end && awaited.end(call.callSid, end)) return reply.status(204).send();
    // Asked again later by Twilio, should it fail: applied twice it changes nothing.
    const outcome = await applyStatus(door, call, report, (id) => desk.hasBegun(id));
    const { status, sequence } = report;
    request.log.info({ callSid: call.callSid, status, sequence, outcome }, 'twilio reports a status');
    if (outcome === 'given-up') await stopRinging(request, call.callSid, rest);
    const { AnsweredBy: answeredBy } = fields;
    if (typeof answeredBy === 'string') await applyAnsweredBy(door, call, answeredBy.slice(0, 100));
    return reply.status(204).send();
  });

  app.post('/twilio/amd', async (request, reply) => {
    const { fields, ...call } = told(request);
    const { AnsweredBy: answeredBy } = fields;
    const known = typeof answeredBy === 'string' && (await applyAnsweredBy(door, call, answeredBy.slice(0, 100)));
    request.log.info({ callSid: call.callSid, answeredBy, known }, 'twilio reports who answered');
    return reply.status(204).send();
  });

  app.post('/twilio/stream', async (request, reply) => {
    const { callSid, fields } = told(request);
    request.log.info(
      { callSid, event: fields['StreamEvent'], error: fields['StreamError'] },
      'twilio reports a stream',
    );
    return reply.status(204).send();
  });
}

/** Twilio's answer to the request for this call was late or lost, so it counts as failed: nobody shall take it any more. */
async function stopRinging(request: FastifyRequest, callSid: string, rest: TwilioDependencies['rest']): Promise<void> {
  try {
    await rest?.hangUp(callSid);
    request.log.warn({ callSid }, 'ended a call at Twilio that had been given up');
  } catch (thrown) {
    request.log.error({ err: thrown, callSid }, 'a call that had been given up could not be ended at Twilio');
  }
}

function connectStream(url: string, token: string): VoiceResponse {
  const response = new VoiceResponse();
  response.connect().stream({ url }).parameter({ name: 'token', value: token });
  return response;
}

function spoken(text: string): VoiceResponse {
  const response = new VoiceResponse();
  response.say(text);
  response.hangup();
  return response;
}

function sendTwiml(reply: FastifyReply, response: VoiceResponse): FastifyReply {
  return reply.type('text/xml').send(response.toString());
}
