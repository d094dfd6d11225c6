/** What Twilio says became of a call, whatever the order in which it says it. */
import { sql } from 'drizzle-orm';
import { z } from 'zod';
import { findCallBySid } from '../db/lookups.ts';
import { ENDED_CALL_STATUSES } from '../db/schema.ts';
import type { CallStatus } from '../db/schema.ts';
import type { ToldEnd } from '../calls/awaited.ts';
import type { TenantDoor } from '../db/tenant.ts';

const STATUS_OF: Readonly<Record<string, CallStatus>> = {
  queued: 'initiated',
  initiated: 'initiated',
  ringing: 'ringing',
  'in-progress': 'in_progress',
  completed: 'completed',
  busy: 'busy',
  failed: 'failed',
  'no-answer': 'no_answer',
  canceled: 'cancelled',
};

/** The call as the callback names it. `named` comes from our own callback URL, which Twilio has signed. */
export interface CalledBack {
  readonly callSid: string;
  readonly named: { readonly id: string; readonly orgId: string } | undefined;
}

/** A status callback, as far as it counts. */
export interface StatusReport {
  /** CallStatus, in Twilio's words. */
  readonly status: string;
  /** SequenceNumber: Twilio counts the callbacks of a call from 0. Undefined: it did not say. */
  readonly sequence: number | undefined;
  /** Timestamp: when it happened. Undefined: now. */
  readonly at: Date | undefined;
}

/** `unknown`: the call is not ours, or the status is none. `given-up`: it goes on at Twilio, though it was given up here. */
export type StatusOutcome = 'unknown' | 'known' | 'given-up';

const sequenceField = z
  .string()
  .regex(/^\d{1,9}$/u)
  .transform(Number)
  .optional()
  .catch(undefined);
/** A call that this server believes not to ring. */
const givenUp = z.object({ end_reason: z.enum(['dial-failed', 'no-callback']) });

/** RFC 2822, as in `Fri, 27 Nov 2026 09:00:00 +0000`. */
const timestampField = z
  .string()
  .max(100)
  .transform((text) => new Date(text))
  .refine((date) => !Number.isNaN(date.getTime()))
  .optional()
  .catch(undefined);

export function readStatus(fields: Readonly<Record<string, unknown>>): StatusReport {
  return {
    status: String(fields['CallStatus']),
    sequence: sequenceField.parse(fields['SequenceNumber']),
    at: timestampField.parse(fields['Timestamp']),
  };
}

/** The end that it tells of; undefined: the call goes on. */
export function endOf({ status: twilioStatus, at }: StatusReport): ToldEnd | undefined {
  const status = ENDED_CALL_STATUSES.find((ended) => ended === STATUS_OF[twilioStatus]);
  const reason = twilioStatus === 'completed' ? 'ended-without-conversation' : twilioStatus;
  return status && { status, reason, at };
}

/**
 * Moves a call forward, never back. A status counts when its sequence number is above those seen, and it comes later in a
 * call's life than what is known from elsewhere; without numbers the latter alone decides. So a callback that comes late or twice
 * changes nothing, except that a late one still tells when the call was answered. A call that has a conversation ends by
 * that, which knows why: `hasConversation` says so while its record does not yet.
 */
export async function applyStatus(
  door: TenantDoor,
  call: CalledBack,
  report: StatusReport,
  hasConversation: (callId: string) => boolean,
): Promise<StatusOutcome> {
  const { sequence, at } = report;
  const status = STATUS_OF[report.status];
  const found = await find(door, call);
  if (status === undefined || !found) return 'unknown';
  const end = endOf(report);
  const isEnd = end !== undefined;
  const isElsewhere = isEnd && hasConversation(found.id);
  const { rows } = await door.inTenant(found.orgId, (tx) =>
    tx.execute(sql`
      WITH known AS (
        SELECT id, greatest(created_at, coalesce(${at?.toISOString() ?? null}::timestamptz, now())) AS at,
          ended_at IS NULL AND NOT ${isElsewhere}::boolean AND coalesce(twilio_sequence < ${sequence ?? null}::integer, true)
            AND (CASE WHEN ${isEnd}::boolean THEN NOT EXISTS (SELECT FROM conversations WHERE call_id = calls.id)
              ELSE array_position(ARRAY['initiated', 'ringing', 'in_progress'], status)
                < array_position(ARRAY['initiated', 'ringing', 'in_progress'], ${status}::text) END) AS counts
        FROM calls WHERE id = ${found.id} FOR UPDATE)
      UPDATE calls SET
        twilio_call_sid = coalesce(calls.twilio_call_sid, nullif(${call.callSid}, '')),
        twilio_sequence = greatest(calls.twilio_sequence, ${sequence ?? null}::integer),
        answered_at = CASE WHEN ${status}::text = 'in_progress' THEN coalesce(calls.answered_at, known.at)
          ELSE calls.answered_at END,
        status = CASE WHEN counts THEN ${status}::text ELSE calls.status END,
        ended_at = CASE WHEN counts AND ${isEnd}::boolean THEN known.at ELSE calls.ended_at END,
        end_reason = CASE WHEN counts AND ${isEnd}::boolean THEN ${end?.reason ?? null}::text ELSE calls.end_reason END
      FROM known WHERE calls.id = known.id
      RETURNING calls.end_reason`),
  );
  const isGivenUp = z.array(givenUp).nonempty().safeParse(rows).success;
  return isGivenUp && !isEnd ? 'given-up' : 'known';
}

/** Keeps what the answering machine detection heard. False: the call is not ours. */
export async function applyAnsweredBy(door: TenantDoor, call: CalledBack, answeredBy: string): Promise<boolean> {
  const found = await find(door, call);
  if (!found) return false;
  await door.inTenant(found.orgId, (tx) =>
    tx.execute(sql`UPDATE calls SET answered_by = ${answeredBy} WHERE id = ${found.id}`),
  );
  return true;
}

async function find(
  door: TenantDoor,
  { callSid, named }: CalledBack,
): Promise<{ readonly id: string; readonly orgId: string } | undefined> {
  if (named) return named;
  const known = await door.beforeTenant((tx) => findCallBySid(tx, callSid));
  return known && { id: known.id, orgId: known.org_id };
}
