/** Twilio's webhooks: what to do with a call, and what became of it. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import VoiceResponse from 'twilio/lib/twiml/VoiceResponse.js';
import { validateRequest } from 'twilio/lib/webhooks/webhooks.js';
import { z } from 'zod';
import { maskPhoneNumber } from '../../core/log.ts';
import type { AgentConfig } from '../../pipeline/ports.ts';
import type { AgentStore } from '../agents/files.ts';
import { LOCAL_MODE_REFUSAL, isLocalPeer, peerOf } from '../local-mode.ts';
import { sendProblem } from '../http/problem.ts';

/** A call that was told to open a media stream; the token of that stream carries this. */
export interface ExpectedCall {
  readonly callSid: string;
  readonly agentId: string;
  readonly direction: 'inbound' | 'outbound';
  readonly from: string;
  readonly to: string;
}

export interface TwilioDependencies {
  readonly agents: AgentStore;
  /** Absent: local mode. */
  readonly authToken: string | undefined;
  readonly publicUrl: string | undefined;
  /** `ws(s)://…/media`, as the far side of this request reaches it. */
  readonly streamUrl: (requestHost: string) => string;
  /** A one-time token for the stream of an expected call; undefined: the server cannot take another call now. */
  readonly expectCall: (call: ExpectedCall) => string | undefined;
}

const voiceForm = z.object({
  CallSid: z.string().regex(/^CA[0-9a-f]{32}$/u, 'must be CA and 32 hex digits'),
  From: z.string().max(100).default(''),
  To: z.string().max(100).default(''),
  Direction: z.string().max(40).default('inbound'),
});

const formFields = z.record(z.string(), z.union([z.string(), z.array(z.string())]));

export function twilioRoutes(app: FastifyInstance, deps: TwilioDependencies): void {
  app.addHook('preHandler', async (request, reply) => authenticate(request, reply, deps));

  app.post('/twilio/voice', async (request, reply) => {
    const form = voiceForm.safeParse(request.body);
    if (!form.success) return sendProblem(reply, 400, 'bad-request', z.prettifyError(form.error));
    const { CallSid: callSid, From: from, To: to, Direction } = form.data;
    const log = request.log.child({ callSid });
    const agent = chooseAgent(request, to, deps);
    if (!agent) {
      log.warn({ to: maskPhoneNumber(to) }, 'no agent answers this number');
      return sendTwiml(reply, spoken('This number is not in service. Goodbye.'));
    }
    const direction = Direction.startsWith('outbound') ? 'outbound' : 'inbound';
    const token = deps.expectCall({ callSid, agentId: agent.id, direction, from, to });
    if (token === undefined) {
      log.warn({ agent: agent.id }, 'no capacity for another call');
      return sendTwiml(reply, spoken('All our lines are busy. Please call again in a few minutes.'));
    }
    log.info({ agent: agent.id, from: maskPhoneNumber(from), to: maskPhoneNumber(to) }, 'call expected');
    return sendTwiml(reply, connectStream(deps.streamUrl(request.host), token));
  });

  for (const path of ['/twilio/status', '/twilio/stream']) {
    app.post(path, async (request, reply) => {
      const { CallSid, CallStatus, StreamEvent, StreamError } = formFields.catch({}).parse(request.body);
      request.log.info(
        { callSid: CallSid, status: CallStatus, event: StreamEvent, error: StreamError },
        'twilio reports',
      );
      return reply.status(204).send();
    });
  }
}

/** With a token: Twilio's signature. Without: only this machine. */
async function authenticate(request: FastifyRequest, reply: FastifyReply, deps: TwilioDependencies): Promise<unknown> {
  if (deps.authToken === undefined) {
    if (isLocalPeer(peerOf(request))) return undefined;
    request.log.warn({ remoteAddress: request.ip }, 'refused a webhook from elsewhere in local mode');
    return sendProblem(reply, 403, 'forbidden', LOCAL_MODE_REFUSAL);
  }
  const signature = request.headers['x-twilio-signature'];
  const fields = formFields.safeParse(request.body ?? {});
  const url = `${deps.publicUrl}${request.url}`;
  if (typeof signature === 'string' && fields.success && validateRequest(deps.authToken, signature, url, fields.data)) {
    return undefined;
  }
  request.log.warn({ remoteAddress: request.ip, url }, 'refused a webhook without a valid Twilio signature');
  return sendProblem(
    reply,
    403,
    'bad-signature',
    'X-Twilio-Signature is missing or wrong. If this was Twilio: check TWILIO_AUTH_TOKEN, and that PUBLIC_URL is the URL set in the console.',
  );
}

/** The number chooses the agent; in local mode `?agent=` may. */
function chooseAgent(request: FastifyRequest, to: string, deps: TwilioDependencies): AgentConfig | undefined {
  const { agent } = z.object({ agent: z.string().optional() }).catch({}).parse(request.query);
  if (deps.authToken === undefined && agent !== undefined) return deps.agents.byId(agent);
  return deps.agents.byNumber(to);
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
