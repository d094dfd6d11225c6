/** What Twilio says became of a call, whatever the order in which it says it. */
import { sql } from 'drizzle-orm';
import { findCallBySid } from '../db/lookups.ts';
import type { CallStatus } from '../db/schema.ts';
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

/**
 * Moves a call forward, never back: a status counts only when it comes later in a call's life than what is known, so a
 * callback that comes late or twice changes nothing. A call that has a conversation ends by that, which knows why.
 * False: the call is not ours, or the status is none.
 */
export async function applyStatus(door: TenantDoor, call: CalledBack, twilioStatus: string): Promise<boolean> {
  const status = STATUS_OF[twilioStatus];
  const found = await find(door, call);
  if (status === undefined || !found) return false;
  const endReason = twilioStatus === 'completed' ? 'ended-without-conversation' : twilioStatus;
  const isEnd = !['initiated', 'ringing', 'in_progress'].includes(status);
  await door.inTenant(found.orgId, (tx) =>
    tx.execute(sql`
      UPDATE calls SET status = ${status}, twilio_call_sid = coalesce(twilio_call_sid, ${call.callSid}),
        answered_at = CASE WHEN ${status} = 'in_progress' THEN coalesce(answered_at, now()) ELSE answered_at END,
        ended_at = CASE WHEN ${isEnd} THEN now() END, end_reason = CASE WHEN ${isEnd} THEN ${endReason}::text END
      WHERE id = ${found.id} AND ended_at IS NULL
        AND (${isEnd} OR array_position(ARRAY['initiated', 'ringing', 'in_progress'], status)
          < array_position(ARRAY['initiated', 'ringing', 'in_progress'], ${status}::text))
        AND NOT (${isEnd} AND EXISTS (SELECT FROM conversations WHERE call_id = calls.id))`),
  );
  return true;
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
