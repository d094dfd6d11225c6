/** Invariant 6: one end with one reason, nothing after it, and nothing left of the call. */
import type { CallEndReason, CallEvent } from '../../../src/pipeline/events.ts';
import { END_CALL } from '../../../src/pipeline/session/tools.ts';
import type { Check, CheckContext } from './check.ts';
import { stallMs } from './check.ts';

/** The longest goodbye, with all that may keep it from beginning. */
const GOODBYE_MS = 15_000;
/** What may be cut off its end: the wire is not exact to the frame. */
const CUT_MS = 60;

export interface Leftovers {
  readonly timers: number;
  readonly streams: Readonly<Record<string, number>>;
  readonly released: boolean;
}

export class EndCheck implements Check {
  readonly #context: CheckContext;
  readonly #leftovers: () => Leftovers;
  readonly #lastError: () => string;
  reason: CallEndReason | undefined;
  #lastAtMs = 0;
  #lastFailureMs = -1;
  /** The model ends the call: what it says last may be long. */
  #leaving = false;

  constructor(context: CheckContext, leftovers: () => Leftovers, lastError: () => string) {
    this.#context = context;
    this.#leftovers = leftovers;
    this.#lastError = lastError;
  }

  onEvent(event: CallEvent): void {
    const { fail } = this.#context;
    if (this.reason) fail('end', `${event.type} after the end of the call`);
    if (event.at_ms < this.#lastAtMs)
      fail('order', `${event.type} at ${event.at_ms} ms after one at ${this.#lastAtMs} ms`);
    this.#lastAtMs = event.at_ms;
    if (event.type === 'tool-called' && event.name === END_CALL) this.#leaving = true;
    if (event.type === 'turn-failed') this.#lastFailureMs = this.#context.nowMs();
    if (event.type !== 'call-ended') return;
    this.reason = event.reason;
    if (event.reason === 'internal-error') fail('exception', `internal error: ${this.#lastError()}`);
  }

  /** The agent's last words are heard before it hangs up, unless they could not be made. */
  onHangUp(): void {
    const { far, profile, fail } = this.#context;
    const nowMs = this.#context.nowMs();
    if (this.reason || this.#lastFailureMs === nowMs) return;
    const unheardMs =
      far.lastAudibleMs(Number.POSITIVE_INFINITY) - nowMs - profile.network.toFarSideMs - stallMs(profile);
    if (unheardMs > CUT_MS) fail('end', `hung up with ${Math.round(unheardMs)} ms of the goodbye unheard`);
  }

  settle(nowMs: number): void {
    const { agent, fail } = this.#context;
    // Sockets and streams of a real vendor take a moment to close; a timer does not.
    if (this.#leftovers().released && this.#leftovers().timers > 0) fail('end', 'a timer is left of the call');
    if (!this.reason && !this.#leaving && nowMs > agent.maxDurationMs + GOODBYE_MS)
      fail('end', 'the call is over its maximum duration');
  }

  finish(): void {
    const { fail } = this.#context;
    if (!this.reason) fail('end', 'the call has no end');
    const { timers, streams, released } = this.#leftovers();
    if (!released) fail('end', 'the call has not been released');
    if (timers > 0) fail('end', `${timers} timers are left of the call`);
    for (const [kind, count] of Object.entries(streams)) {
      if (count > 0) fail('end', `${count} ${kind} streams are left of the call`);
    }
  }
}
