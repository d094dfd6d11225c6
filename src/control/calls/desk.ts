/** Where every call of this server is known from its announcement to its end: what its token stands for, and who records it. */
import type { AgentConfig, CallEvent, LiveCallControl } from '../../pipeline/ports.ts';
import type { Admission } from '../admission.ts';
import type { CallRecorder, RecordedCall } from './recorder.ts';

/** A call that was told to open a media stream; the token of that stream carries this. */
export interface ExpectedCall {
  /** As the stream will name itself: Twilio's sid, or that of a browser call. */
  readonly callSid: string;
  readonly id: string;
  readonly orgId: string;
  readonly agent: AgentConfig;
  readonly direction: 'inbound' | 'outbound';
  readonly channel: 'phone' | 'web';
  readonly from: string;
  readonly to: string;
  /** What `{{name}}` stands for, as the request that began the call said. */
  readonly variables: Readonly<Record<string, string>>;
}

export interface CallDeskOptions {
  readonly recorder: Pick<CallRecorder, 'begin' | 'append'>;
  readonly admission: Pick<Admission, 'check' | 'untilOnTime' | 'ring' | 'keepRinging' | 'endRinging'>;
  /** A one-time token for the stream of a call. Throws `capacity` when too many are outstanding. */
  readonly mintToken: (call: ExpectedCall) => string;
}

/** What its record says of a call from its beginning. */
export function toRecordedCall({
  callSid,
  id,
  orgId,
  agent,
  direction,
  channel,
  from,
  to,
}: ExpectedCall): RecordedCall {
  const twilioCallSid = channel === 'phone' ? callSid : undefined;
  const { id: agentId, version: agentVersion } = agent;
  return { callSid, id, orgId, twilioCallSid, direction, channel, from, to, agentId, agentVersion };
}

/** Of calls whose stream has started; the newest. */
const MAX_REMEMBERED = 10_000;

/** What routes do with the calls of this server. */
export class CallDesk {
  readonly #options: CallDeskOptions;
  /** Ids with the calls' organizations, the oldest first. */
  readonly #begun = new Map<string, string>();
  #control: LiveCallControl | undefined;

  constructor(options: CallDeskOptions) {
    this.#options = options;
  }

  /** The pipeline's calls, which are made with this desk's `onEvent`. */
  attach(control: LiveCallControl): void {
    this.#control = control;
  }

  /** Rejects with `capacity` when no further call of this organization can be taken now. */
  async check(orgId: string): Promise<void> {
    const { admission } = this.#options;
    await admission.untilOnTime();
    admission.check(orgId);
  }

  /** Keeps a place for a call that is about to be rung, for `forMs` at most. Rejects with `capacity`. */
  async ring(call: { readonly id: string; readonly orgId: string }, forMs: number): Promise<void> {
    const { admission } = this.#options;
    await admission.untilOnTime();
    admission.ring(call, forMs);
  }

  /** It still rings: its place is kept for `forMs` from now. */
  keepRinging(callId: string, forMs: number): void {
    this.#options.admission.keepRinging(callId, forMs);
  }

  /** A call that was rung will not be answered. */
  endRinging(callId: string): void {
    this.#options.admission.endRinging(callId);
  }

  /** Gives out the token of a call that may begin. Rejects with `capacity`. */
  async expect(call: ExpectedCall): Promise<string> {
    const { admission } = this.#options;
    await admission.untilOnTime();
    // All at once: meanwhile nobody else may be let in. A call that was rung has a place already.
    admission.endRinging(call.id);
    admission.check(call.orgId);
    return this.#options.mintToken(call);
  }

  /** The stream has started: from now on the call is recorded. */
  begin(call: ExpectedCall): void {
    this.#begun.set(call.id, call.orgId);
    const [oldest] = this.#begun.keys();
    if (this.#begun.size > MAX_REMEMBERED && oldest !== undefined) this.#begun.delete(oldest);
    this.#options.recorder.begin(toRecordedCall(call));
  }

  /** Whether the call had a conversation on this server: that says how it ends, though its record may not say so yet. */
  hasBegun(id: string): boolean {
    return this.#begun.has(id);
  }

  /** Whose call that is which had a conversation on this server; undefined: none had this id, or long ago. */
  organizationOf(id: string): string | undefined {
    return this.#begun.get(id);
  }

  readonly onEvent = (callId: string, event: CallEvent): void => this.#options.recorder.append(callId, event);

  /** False: the call is not live on this server. */
  hangUp(callSid: string): boolean {
    return this.#control?.hangUp(callSid) ?? false;
  }

  /** False: the call is not live on this server. */
  say(callSid: string, text: string): boolean {
    return this.#control?.say(callSid, text) ?? false;
  }

  /** False: the call is not live on this server. Rejects when the operator refuses. */
  async transfer(callSid: string, to: string): Promise<boolean> {
    return (await this.#control?.transfer(callSid, to)) ?? false;
  }
}
