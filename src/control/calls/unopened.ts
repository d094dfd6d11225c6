/** Ends the calls that were begun and never came to a conversation, and of which nobody says any more what became of them. */
import { and, eq, inArray, isNull } from 'drizzle-orm';
import type { Clock, Timer } from '../../core/clock.ts';
import type { Log } from '../../core/log.ts';
import { calls } from '../db/schema.ts';
import type { TenantDoor } from '../db/tenant.ts';
import type { CallDesk } from './desk.ts';

/** A call whose row exists. */
export interface UnopenedCall {
  readonly id: string;
  readonly orgId: string;
  readonly channel: 'phone' | 'web';
}

export interface UnopenedCallsOptions {
  readonly door: TenantDoor;
  readonly desk: Pick<CallDesk, 'hasBegun'>;
  readonly clock: Clock;
  readonly log: Log;
}

const RETRY_MS = 10_000;

/** A browser that opens no socket says nothing; a carrier's word can be lost. In both cases the call has to end nevertheless. */
const ENDS = {
  phone: { status: 'failed', endReason: 'no-callback' },
  web: { status: 'no_answer', endReason: 'never-opened' },
} as const;

/**
 * Each call is watched for some minutes at most. What a server watches when it dies is ended by its successor (orphans.ts).
 */
export class UnopenedCalls {
  readonly #options: UnopenedCallsOptions;
  readonly #timers = new Map<string, Timer>();
  #closed = false;

  constructor(options: UnopenedCallsOptions) {
    this.#options = options;
  }

  /** Ends the call `afterMs` from now, unless it is in progress or has ended by then. */
  watch(call: UnopenedCall, afterMs: number): void {
    const timer = this.#options.clock.after(afterMs, () => {
      this.#timers.delete(call.id);
      this.#end(call).catch((thrown: unknown) => {
        this.#options.log.warn({ err: thrown, call: call.id }, 'a call that was never opened could not be ended yet');
        if (!this.#closed) this.watch(call, RETRY_MS);
      });
    });
    this.#timers.set(call.id, timer);
  }

  close(): void {
    this.#closed = true;
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
  }

  async #end({ id, orgId, channel }: UnopenedCall): Promise<void> {
    const { door, desk, log } = this.#options;
    // Its records may still be on their way.
    if (desk.hasBegun(id)) return;
    const { status, endReason } = ENDS[channel];
    const ended = await door.inTenant(orgId, (tx) =>
      tx
        .update(calls)
        .set({ status, endReason, endedAt: new Date() })
        .where(and(eq(calls.id, id), isNull(calls.endedAt), inArray(calls.status, ['initiated', 'ringing'])))
        .returning({ id: calls.id }),
    );
    if (ended.length > 0) log.info({ call: id, endReason }, 'a call was never opened');
  }
}
