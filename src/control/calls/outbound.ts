/** Calls that this server begins: their rows before they are answered. */
import { and, eq, isNull } from 'drizzle-orm';
import type { Log } from '../../core/log.ts';
import { BvraiError } from '../../core/errors.ts';
import { calls } from '../db/schema.ts';
import type { TenantDoor } from '../db/tenant.ts';
import type { DialRequest, TwilioRest } from '../twilio/rest.ts';
import { carrierProblem } from './carrier.ts';
import type { DialTurn } from './dial-turns.ts';
import type { StoredCallSummary } from './store.ts';

export interface OutboundCall {
  readonly id: string;
  readonly orgId: string;
  readonly agentId: string;
  readonly variables: Readonly<Record<string, string>>;
}

/** An outbound call that has not ended; undefined: there is none. */
export async function findOutboundCall(
  door: TenantDoor,
  { id, orgId }: { readonly id: string; readonly orgId: string },
): Promise<OutboundCall | undefined> {
  const [row] = await door.inTenant(orgId, (tx) =>
    tx
      .select({ agentId: calls.agentId, variables: calls.variables })
      .from(calls)
      .where(and(eq(calls.id, id), eq(calls.direction, 'outbound'), isNull(calls.endedAt))),
  );
  return row && { id, orgId, ...row };
}

/**
 * Rings when its turn has come, and keeps the call's sid. Throws `carrier-refused` or `carrier-unavailable` when that fails; the call has ended by that, and
 * says why. A call that rings although its carrier did not answer in time finds nobody here when it is taken.
 */
export async function dial(
  door: TenantDoor,
  twilio: Pick<TwilioRest, 'dial'>,
  request: DialRequest & { readonly turn: DialTurn },
  log: Log,
): Promise<void> {
  const { id, orgId, turn } = request;
  const ringing = turn.come().then(() => twilio.dial(request));
  const rung = await ringing.then(
    (callSid) => ({ callSid }),
    (thrown: unknown) => ({ problem: carrierProblem(thrown, ['/to', '/from']) }),
  );
  const change = 'callSid' in rung ? { twilioCallSid: rung.callSid } : failure(rung.problem);
  await door
    .inTenant(orgId, (tx) =>
      tx
        .update(calls)
        .set(change)
        .where(and(eq(calls.id, id), 'callSid' in rung ? isNull(calls.twilioCallSid) : isNull(calls.endedAt))),
    )
    // Twilio's callbacks name the call too, and one that was not rung ends by its deadline (unopened.ts).
    .catch((thrown: unknown) => log.error({ err: thrown, call: id }, 'what became of a call was not written down'));
  if ('callSid' in rung) return log.info({ call: id, callSid: rung.callSid }, 'ringing');
  log.warn({ err: rung.problem, call: id }, 'a call could not be rung');
  throw rung.problem;
}

function failure({ code, message }: BvraiError): Partial<typeof calls.$inferInsert> {
  const endReason = code === 'carrier-refused' ? 'dial-refused' : 'dial-failed';
  return { status: 'failed', endReason, endDetail: message, endedAt: new Date() };
}

/** The problem that `dial` threw for this call, while it is known from its record only; undefined: it was rung. */
export function dialProblem({ end_reason: reason, end_detail: detail }: StoredCallSummary): BvraiError | undefined {
  if (reason !== 'dial-refused' && reason !== 'dial-failed') return undefined;
  return new BvraiError(reason === 'dial-refused' ? 'carrier-refused' : 'carrier-unavailable', detail ?? reason);
}
