/** Ends the calls that were begun and never came to a conversation, and of which nobody says any more what became of them. */
import { and, eq, inArray, isNull, sql } from 'drizzle-orm';
import type { Clock, Timer } from '../../core/clock.ts';
import type { Log } from '../../core/log.ts';
import { findOpenCalls } from '../db/lookups.ts';
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
const SWEEP_EVERY_MS = 60_000;
/** A telephone rings for ten minutes at most, and its carrier may have had others to ring first. */
const LONGEST_WAIT_MS = 15 * 60_000;

/** A browser that opens no socket says nothing; a carrier's word can be lost. In both cases the call has to end nevertheless. */
const ENDS = {
  phone: { status: 'failed', endReason: 'no-callback' },
  web: { status: 'no_answer', endReason: 'never-opened' },
} as const;

/**
 * Each call is watched for some minutes at most. Watches live in memory and begin after the call's row was made, so one may be lost: a
 * sweep once a minute ends what has been open for too long without a conversation. What a server watches when it dies is its successor's
 * (orphans.ts).
 */
export class UnopenedCalls {
  readonly #options: UnopenedCallsOptions;
  readonly #timers = new Map<string, Timer>();
  #sweeping: Timer | undefined;
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

  /** Sweeps the open calls of this start of this server from now on. Once. */
  sweep(instanceId: string): void {
    this.#sweeping = this.#options.clock.after(SWEEP_EVERY_MS, () => {
      this.#endForgotten(instanceId)
        .catch((thrown: unknown) =>
          this.#options.log.warn({ err: thrown }, 'calls without an end could not be looked for'),
        )
        .finally(() => {
          if (!this.#closed) this.sweep(instanceId);
        });
    });
  }

  close(): void {
    this.#closed = true;
    this.#sweeping?.cancel();
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

  async #endForgotten(instanceId: string): Promise<void> {
    const { door, desk, log } = this.#options;
    const open = await door.beforeTenant((tx) => findOpenCalls(tx, instanceId));
    const before = Date.now() - LONGEST_WAIT_MS;
    for (const { id, org_id: orgId, created_at: at } of open) {
      if (at.getTime() > before || desk.hasBegun(id) || this.#timers.has(id)) continue;
      const { rows } = await door.inTenant(orgId, (tx) => tx.execute(endForgotten(id)));
      if (rows.length > 0) log.warn({ call: id }, 'a call that nobody watched was never opened');
    }
  }
}

/** One that is in progress without a conversation was answered, and its carrier's last word was lost. */
const endForgotten = (callId: string) => sql`
  UPDATE calls SET ended_at = now(),
    status = CASE channel WHEN 'web' THEN ${ENDS.web.status} ELSE ${ENDS.phone.status} END,
    end_reason = CASE channel WHEN 'web' THEN ${ENDS.web.endReason} ELSE ${ENDS.phone.endReason} END
  WHERE id = ${callId} AND ended_at IS NULL AND NOT EXISTS (SELECT FROM conversations WHERE call_id = calls.id)
  RETURNING id`;
