/** Ends the calls that were begun and never came to a conversation, and of which nobody says any more what became of them. */
import { sql } from 'drizzle-orm';
import type { SQL } from 'drizzle-orm';
import { z } from 'zod';
import type { Clock, Timer } from '../../core/clock.ts';
import type { Log } from '../../core/log.ts';
import { findOpenCalls } from '../db/lookups.ts';
import { OPEN_CALL_STATUSES } from '../db/schema.ts';
import type { CallStatus } from '../db/schema.ts';
import type { TenantDoor } from '../db/tenant.ts';
import type { TwilioRest } from '../twilio/rest.ts';
import { applyStatus, endOf } from '../twilio/status.ts';
import type { CallDesk } from './desk.ts';

/** A call whose row exists. */
export interface UnopenedCall {
  readonly id: string;
  readonly orgId: string;
  readonly channel: 'phone' | 'web';
}

export interface UnopenedCallsOptions {
  readonly door: TenantDoor;
  readonly desk: Pick<CallDesk, 'hasBegun' | 'keepRinging' | 'endRinging'>;
  /** Absent: nobody can be asked what became of a call. */
  readonly carrier: Pick<TwilioRest, 'callStatus' | 'hangUp'> | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

const RETRY_MS = 10_000;
/** Whether a call that the carrier had others to ring before, or has answered and told nobody, still goes on. */
const ASK_AGAIN_MS = 30_000;
const SWEEP_EVERY_MS = 60_000;
/** A telephone rings for ten minutes at most, and its carrier may have had others to ring first. */
const LONGEST_WAIT_MS = 15 * 60_000;

/** A browser that opens no socket says nothing; a carrier's word can be lost. In both cases the call has to end nevertheless. */
const ENDS = {
  phone: { status: 'failed', endReason: 'no-callback' },
  web: { status: 'no_answer', endReason: 'never-opened' },
} as const;

/** Said of a call for which there is nobody to ask, or whom nobody knows. */
const NOBODY_KNOWS = 'unknown';
/** Said of a call whose carrier cannot be reached: it counts as one that goes on. */
const NO_ANSWER_YET = 'not answered';

/** Of a call that has not ended and has no conversation. */
const openRow = z.object({ channel: z.enum(['phone', 'web']), sid: z.string().nullable(), age_ms: z.coerce.number() });
type OpenRow = z.infer<typeof openRow>;

/**
 * Each call is watched for some minutes at most, and its carrier is asked before it is given up: it may have had others to ring first.
 * Watches live in memory and begin after the call's row was made, so one may be lost: a sweep once a minute ends what has been open for
 * too long without a conversation. What a server watches when it dies is its successor's (orphans.ts).
 */
export class UnopenedCalls {
  readonly #options: UnopenedCallsOptions;
  readonly #timers = new Map<string, Timer>();
  #sweeping: Timer | undefined;
  #closed = false;

  constructor(options: UnopenedCallsOptions) {
    this.#options = options;
  }

  /** Ends the call `afterMs` from now, unless it is in progress or has ended by then, or its carrier still has it to ring. */
  watch(call: UnopenedCall, afterMs: number): void {
    const timer = this.#options.clock.after(afterMs, () => {
      this.#timers.delete(call.id);
      const again = (delayMs: number): void => {
        if (!this.#closed) this.watch(call, delayMs);
      };
      this.#look(call, ['initiated', 'ringing']).then(
        (isOver) => {
          if (!isOver) again(ASK_AGAIN_MS);
        },
        (thrown: unknown) => {
          this.#options.log.warn({ err: thrown, call: call.id }, 'a call that was never opened could not be ended yet');
          again(RETRY_MS);
        },
      );
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

  async #endForgotten(instanceId: string): Promise<void> {
    const { door, log } = this.#options;
    const open = await door.beforeTenant((tx) => findOpenCalls(tx, instanceId));
    const before = Date.now() - LONGEST_WAIT_MS;
    for (const { id, org_id: orgId, created_at: at } of open) {
      if (at.getTime() > before || this.#timers.has(id)) continue;
      // One that is in progress without a conversation was answered, and its carrier's last word was lost.
      await this.#look({ id, orgId }, OPEN_CALL_STATUSES).catch((thrown: unknown) =>
        log.warn({ err: thrown, call: id }, 'a call that nobody watched could not be ended yet'),
      );
    }
  }

  /** Ends a call in one of these states, unless its carrier has it still. True: nothing is left to be done. */
  async #look(call: Pick<UnopenedCall, 'id' | 'orgId'>, statuses: readonly CallStatus[]): Promise<boolean> {
    const { door, desk, log } = this.#options;
    const { id, orgId } = call;
    // Its records may still be on their way.
    if (desk.hasBegun(id)) return true;
    const found = await door.inTenant(orgId, (tx) => tx.execute(readOpen(id, statuses)));
    const [row] = z.array(openRow).parse(found.rows);
    if (!row) return true;
    const report = { status: await this.#askCarrier(id, row), sequence: undefined, at: undefined };
    const goesOn = report.status !== NOBODY_KNOWS && endOf(report) === undefined;
    if (goesOn && row.age_ms < LONGEST_WAIT_MS) {
      desk.keepRinging(id, 2 * ASK_AGAIN_MS);
      return false;
    }
    if (goesOn) await this.#endAtCarrier(id, row);
    else await applyStatus(door, { callSid: '', named: { id, orgId } }, report, (each) => desk.hasBegun(each));
    const { status, endReason } = ENDS[row.channel];
    const ended = await door.inTenant(orgId, (tx) => tx.execute(endOpen(id, statuses, status, endReason)));
    desk.endRinging(id);
    if (ended.rows.length > 0) log.info({ call: id, endReason }, 'a call was never opened');
    return true;
  }

  /** CallStatus, in its words or one of ours. */
  async #askCarrier(id: string, { sid }: OpenRow): Promise<string> {
    const { carrier, log } = this.#options;
    if (!carrier || sid === null) return NOBODY_KNOWS;
    try {
      return (await carrier.callStatus(sid)) ?? NOBODY_KNOWS;
    } catch (thrown) {
      log.warn({ err: thrown, call: id }, 'the carrier did not say what became of a call');
      return NO_ANSWER_YET;
    }
  }

  /** What waits for so long shall ring nobody any more. */
  async #endAtCarrier(id: string, { sid }: OpenRow): Promise<void> {
    const { carrier, log } = this.#options;
    if (!carrier || sid === null) return;
    await carrier.hangUp(sid).catch((thrown: unknown) =>
      // Should it ring nevertheless, its first status callback ends it (twilio/routes.ts).
      log.warn({ err: thrown, call: id }, 'a call that is given up could not be ended at its carrier'),
    );
  }
}

const oneOf = (statuses: readonly CallStatus[]): SQL => sql`ANY (${`{${statuses.join(',')}}`}::text[])`;

const readOpen = (callId: string, statuses: readonly CallStatus[]): SQL => sql`
  SELECT channel, CASE channel WHEN 'phone' THEN twilio_call_sid END AS sid,
    extract(epoch FROM now() - created_at) * 1000 AS age_ms
  FROM calls WHERE id = ${callId} AND status = ${oneOf(statuses)}
    AND NOT EXISTS (SELECT FROM conversations WHERE call_id = calls.id)`;

const endOpen = (callId: string, statuses: readonly CallStatus[], status: string, endReason: string): SQL => sql`
  UPDATE calls SET status = ${status}, end_reason = ${endReason}, ended_at = now()
  WHERE id = ${callId} AND status = ${oneOf(statuses)}
    AND NOT EXISTS (SELECT FROM conversations WHERE call_id = calls.id)
  RETURNING id`;
