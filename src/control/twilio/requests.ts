/** Who may post to the webhooks, and what they post. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { validateRequest } from 'twilio/lib/webhooks/webhooks.js';
import { z } from 'zod';
import { sendProblem } from '../http/problem.ts';
import { LOCAL_MODE_REFUSAL, isLocalPeer, peerOf } from '../local-mode.ts';

export interface WebhookGate {
  /** Absent: local mode. */
  readonly authToken: string | undefined;
  readonly publicUrl: string | undefined;
}

export const formFields = z.record(z.string(), z.union([z.string(), z.array(z.string())]));

export const callSidField = z.string().regex(/^CA[0-9a-f]{32}$/u, 'must be CA and 32 hex digits');

/** With a token: Twilio's signature. Without: only this machine. */
export async function authenticateWebhook(
  request: FastifyRequest,
  reply: FastifyReply,
  { authToken, publicUrl }: WebhookGate,
): Promise<unknown> {
  if (authToken === undefined) {
    if (isLocalPeer(peerOf(request))) return undefined;
    request.log.warn({ remoteAddress: request.ip }, 'refused a webhook from elsewhere in local mode');
    return sendProblem(reply, 403, 'forbidden', LOCAL_MODE_REFUSAL);
  }
  const signature = request.headers['x-twilio-signature'];
  const fields = formFields.safeParse(request.body ?? {});
  const url = `${publicUrl}${request.url}`;
  if (typeof signature === 'string' && fields.success && validateRequest(authToken, signature, url, fields.data)) {
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
