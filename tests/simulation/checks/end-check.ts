/** Invariant 6: one end with one reason, nothing after it, and nothing left of the call. */
import type { CallEndReason, CallEvent } from '../../../src/pipeline/events.ts';
import type { Check, CheckContext } from './check.ts';

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
    if (event.type !== 'call-ended') return;
    this.reason = event.reason;
    if (event.reason === 'internal-error') fail('exception', `internal error: ${this.#lastError()}`);
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
