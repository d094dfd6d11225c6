/**
 * Browser calls: what telephones get by a webhook, a browser gets from the API.
 *
 * The wire is Twilio's media stream protocol (docs/twilio-wire.md), in which the browser takes Twilio's part: JSON in text frames, audio
 * as base64 of raw mu-law at 8 kHz, one channel.
 *
 *     browser → {"event":"connected","protocol":"Call","version":"1.0.0"}
 *     browser → {"event":"start","sequenceNumber":"1","streamSid":"MZ…","start":{"streamSid":"MZ…","callSid":call_sid,
 *               "accountSid":"AC…","tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},
 *               "customParameters":{"token":token}}}
 *     browser → {"event":"media","sequenceNumber":"2","streamSid":"MZ…","media":{"track":"inbound","chunk":"1","timestamp":"20",
 *               "payload":"…"}}              every 20 ms; `timestamp` is ms since the start
 *     server  → {"event":"media","streamSid":"MZ…","media":{"payload":"…"}}                to be played after what came before
 *     server  → {"event":"mark","streamSid":"MZ…","mark":{"name":"…"}}                     to be sent back as it is once played to here
 *     server  → {"event":"clear","streamSid":"MZ…"}                                        drop what is not yet played, send back all marks
 *     browser → {"event":"stop","sequenceNumber":"9","streamSid":"MZ…","stop":{"accountSid":"AC…","callSid":call_sid}}
 *
 * The marks are what the record knows of what was heard. A `start` without a good token closes the socket with 1008, as does a
 * second use of one. The server closes with 1000 when the agent hangs up.
 */
import { loadAgentForCall } from '../agents/for-calls.ts';
import type { Transaction } from '../db/tenant.ts';
import type { ApiDesk } from './api-desk.ts';

/** How long a browser has for opening its socket; its token lasts no longer (`StreamTokens`). */
export const OPEN_WITHIN_MS = 60_000;
/** A socket that opens at the last moment still has to say its start. */
export const START_GRACE_MS = 15_000;

/** A browser call whose row exists. */
export interface WebCall {
  readonly id: string;
  readonly orgId: string;
  readonly agentId: string;
  readonly variables: Readonly<Record<string, string>>;
}

export interface WebCallDependencies {
  readonly desk: Pick<ApiDesk, 'expect'>;
}

/** Admits the call; its token and the sid that its stream must have. Undefined: the agent cannot be called. Throws `capacity`. */
export async function admitWebCall(
  tx: Transaction,
  { desk }: WebCallDependencies,
  { id, orgId, agentId, variables }: WebCall,
): Promise<{ readonly token: string; readonly callSid: string } | undefined> {
  const agent = await loadAgentForCall(tx, agentId);
  if (!agent) return undefined;
  const callSid = webCallSid(id);
  const call = { callSid, id, orgId, agent, variables } as const;
  return { callSid, token: await desk.expect({ ...call, direction: 'inbound', channel: 'web', from: '', to: '' }) };
}

/** The name of a browser call's stream, which has Twilio's form. */
export function webCallSid(callId: string): string {
  return `CA${callId.replaceAll('-', '')}`;
}
