/** The calls of telephones whose webhook was answered, until their stream starts: each leaves a record, whatever becomes of it. */
import type { Clock, Timer } from '../../core/clock.ts';
import type { Log } from '../../core/log.ts';
import type { EndedCallStatus } from '../db/schema.ts';
import { toRecordedCall } from './desk.ts';
import type { CallDesk, ExpectedCall } from './desk.ts';
import type { CallRecorder, MissedEnd } from './recorder.ts';
import { OPEN_WITHIN_MS, START_GRACE_MS } from './web.ts';

/** What the carrier said of a call's end. */
export interface ToldEnd {
  readonly status: EndedCallStatus;
  readonly reason: string;
  readonly at: Date | undefined;
}

export interface AwaitedCallsOptions {
  readonly recorder: Pick<CallRecorder, 'announce' | 'miss'>;
  readonly desk: Pick<CallDesk, 'hasBegun'>;
  readonly clock: Clock;
  readonly log: Log;
}

const STREAM_WITHIN_MS = OPEN_WITHIN_MS + START_GRACE_MS;
const NO_STREAM = `Twilio was told to open the media stream, and did not within ${STREAM_WITHIN_MS / 1_000} s: the caller was faster, or it does not reach PUBLIC_URL.`;

interface Awaited {
  readonly call: ExpectedCall;
  readonly timer: Timer;
  /** The carrier has said how it ended: what it says after that changes nothing, though the record may not say so yet. */
  isOver: boolean;
}

/**
 * Everything is written by way of the spool, behind the call's own announcement: no webhook waits for the database, and what Twilio
 * says of a call counts though its row does not exist yet. Nothing here can touch a call that has a conversation.
 *
 * Each call is kept until its stream comes, for 75 s at most; the stream tokens, of which each has one, bound their number.
 */
export class AwaitedCalls {
  readonly #options: AwaitedCallsOptions;
  /** By their sids. */
  readonly #awaited = new Map<string, Awaited>();

  constructor(options: AwaitedCallsOptions) {
    this.#options = options;
  }

  /** Twilio is told to open the stream of this call. A webhook that is repeated counts from its last time. */
  expect(call: ExpectedCall): void {
    const { clock, recorder } = this.#options;
    if (!this.#take(call)) recorder.announce(toRecordedCall(call));
    const timer = clock.after(STREAM_WITHIN_MS, () => {
      this.#awaited.delete(call.callSid);
      this.#miss(awaited, { status: 'failed', reason: 'never-opened', detail: NO_STREAM });
    });
    const awaited = { call, timer, isOver: false };
    this.#awaited.set(call.callSid, awaited);
  }

  /** The stream has come: what follows is its conversation's. */
  begun(callSid: string): void {
    this.#awaited.get(callSid)?.timer.cancel();
    this.#awaited.delete(callSid);
  }

  /** There is no place for this call, as `why` says; its caller hears that all lines are busy. */
  refuse(call: ExpectedCall, why: string): void {
    // Of a call that we rang, nobody's line was busy.
    const status = call.direction === 'inbound' ? 'busy' : 'failed';
    const end = { status, reason: 'over-capacity', detail: why } as const;
    this.#options.recorder.miss(toRecordedCall(call), { ...end, announced: this.#take(call) });
  }

  /** Ends a call as the carrier says it ended. False: it is not awaited here, or its stream has come. */
  end(callSid: string, told: ToldEnd): boolean {
    const awaited = this.#awaited.get(callSid);
    if (!awaited || this.#options.desk.hasBegun(awaited.call.id)) return false;
    this.#miss(awaited, told);
    awaited.isOver = true;
    return true;
  }

  /** Ends those that are still awaited: their tokens are gone with this process. Before the recorder is closed. */
  close(): void {
    for (const awaited of this.#awaited.values()) {
      awaited.timer.cancel();
      this.#miss(awaited, { status: 'failed', reason: 'server-shutdown' });
    }
    this.#awaited.clear();
  }

  #take({ callSid }: ExpectedCall): boolean {
    const isKnown = this.#awaited.has(callSid);
    this.begun(callSid);
    return isKnown;
  }

  #miss({ call, isOver }: Awaited, end: Omit<MissedEnd, 'announced'>): void {
    const { desk, recorder, log } = this.#options;
    if (isOver || desk.hasBegun(call.id)) return;
    recorder.miss(toRecordedCall(call), { ...end, announced: true });
    log.warn({ call: call.id, callSid: call.callSid, reason: end.reason }, 'the stream of a call never came');
  }
}
