/** What the API does with the live calls of this server. */
import type { AnsweringAgents } from '../agents/answering.ts';
import type { CallDesk, ExpectedCall } from './desk.ts';
import type { UnopenedCall, UnopenedCalls } from './unopened.ts';

/** All of it answers later: the calls may be another thread's (api-thread/). */
export interface ApiDesk {
  /** Rejects with `capacity` when no further call of this organization can be taken now. */
  check(orgId: string): Promise<void>;
  /** Keeps a place for a call that is about to be rung, for `forMs` at most. Rejects with `capacity`. */
  ring(call: { readonly id: string; readonly orgId: string }, forMs: number): Promise<void>;
  /** A call that was rung will not be answered. */
  endRinging(callId: string): Promise<void>;
  /** Gives out the token of a call that may begin. Rejects with `capacity`. */
  expect(call: ExpectedCall): Promise<string>;
  /** Ends the call `afterMs` from now, unless it is in progress or has ended by then. */
  watch(call: UnopenedCall, afterMs: number): Promise<void>;
  /** False: the call is not live on this server. */
  hangUp(callSid: string): Promise<boolean>;
  /** False: the call is not live on this server. */
  say(callSid: string, text: string): Promise<boolean>;
  /** False: the call is not live on this server. Rejects when the operator refuses. */
  transfer(callSid: string, to: string): Promise<boolean>;
}

export interface ApiDeskParts {
  readonly desk: CallDesk;
  readonly agents: Pick<AnsweringAgents, 'canonical'>;
  readonly unopened: Pick<UnopenedCalls, 'watch'>;
}

/** The desk of the calls in this thread. */
export function apiDesk({ desk, agents, unopened }: ApiDeskParts): ApiDesk {
  return {
    check: (orgId) => desk.check(orgId),
    ring: (call, forMs) => desk.ring(call, forMs),
    endRinging: async (callId) => desk.endRinging(callId),
    expect: (call) => desk.expect({ ...call, agent: agents.canonical(call.agent) }),
    watch: async (call, afterMs) => unopened.watch(call, afterMs),
    hangUp: async (callSid) => desk.hangUp(callSid),
    say: async (callSid, text) => desk.say(callSid, text),
    transfer: (callSid, to) => desk.transfer(callSid, to),
  };
}
