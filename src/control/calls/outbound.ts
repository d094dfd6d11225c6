/** Calls that this server begins: their rows before they are answered. */
import { and, eq, isNull } from 'drizzle-orm';
import type { Log } from '../../core/log.ts';
import { BvraiError } from '../../core/errors.ts';
import { calls } from '../db/schema.ts';
import type { TenantDoor } from '../db/tenant.ts';
import type { DialRequest, TwilioRest } from '../twilio/rest.ts';

/** An outbound call that has not ended; undefined: there is none. */
export async function findOutboundCall(
  door: TenantDoor,
  { id, orgId }: { readonly id: string; readonly orgId: string },
): Promise<{ readonly id: string; readonly orgId: string; readonly agentId: string } | undefined> {
  const [row] = await door.inTenant(orgId, (tx) =>
    tx
      .select({ agentId: calls.agentId })
      .from(calls)
      .where(and(eq(calls.id, id), eq(calls.direction, 'outbound'), isNull(calls.endedAt))),
  );
  return row && { id, orgId, agentId: row.agentId };
}

/** Rings in the background; the call's row tells what came of it. */
export function startDialling(
  door: TenantDoor,
  twilio: Pick<TwilioRest, 'dial'>,
  request: DialRequest,
  log: Log,
): void {
  dial(door, twilio, request, log).catch((thrown: unknown) =>
    log.error({ err: thrown, call: request.id }, 'the outcome of a call that was to be rung could not be written down'),
  );
}

/** Keeps the call's sid, or why it could not be rung. */
async function dial(door: TenantDoor, twilio: Pick<TwilioRest, 'dial'>, request: DialRequest, log: Log): Promise<void> {
  const { id, orgId } = request;
  try {
    const twilioCallSid = await twilio.dial(request);
    log.info({ call: id, callSid: twilioCallSid }, 'ringing');
    await door.inTenant(orgId, (tx) => tx.update(calls).set({ twilioCallSid }).where(eq(calls.id, id)));
  } catch (thrown) {
    const error = BvraiError.from(thrown);
    log.error({ err: error, call: id }, 'a call could not be rung');
    const endReason = error.code === 'provider.bad-request' ? 'dial-refused' : 'dial-failed';
    await door.inTenant(orgId, (tx) =>
      tx
        .update(calls)
        .set({ status: 'failed', endReason, endedAt: new Date() })
        .where(and(eq(calls.id, id), isNull(calls.endedAt))),
    );
  }
}
