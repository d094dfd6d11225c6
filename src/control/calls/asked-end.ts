/** Ends that one server is asked for while another runs the call, which then sees only its stream end, as if the caller had hung up. */
import { and, eq, inArray, isNotNull, isNull } from 'drizzle-orm';
import { BvraiError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { calls } from '../db/schema.ts';
import type { AskedEnd } from '../db/schema.ts';
import type { TenantDoor, Transaction } from '../db/tenant.ts';
import type { EventLine } from './spool-lines.ts';

/** What a stream's end looks like to the server that has it, whatever was behind it. */
const WIRE_ENDS: ReadonlySet<string> = new Set(['caller-hung-up', 'connection-lost']);

/**
 * Has the carrier end a call by `ask`. Its row says so before: when the stream ends the other server records `end`, and what it saw itself
 * once the carrier has refused. Throws `conflict` when the call has ended, `db.…`, and what `ask` throws.
 */
export async function endElsewhere(
  { door, log }: { readonly door: TenantDoor; readonly log: Log },
  { orgId, id, end }: { readonly orgId: string; readonly id: string; readonly end: AskedEnd },
  ask: () => Promise<void>,
): Promise<void> {
  const mark = (askedEnd: AskedEnd | null): Promise<{ id: string }[]> =>
    door.inTenant(orgId, (tx) =>
      tx
        .update(calls)
        .set({ askedEnd })
        .where(and(eq(calls.id, id), isNull(calls.endedAt)))
        .returning({ id: calls.id }),
    );
  if ((await mark(end)).length === 0) throw new BvraiError('conflict', 'This call has ended.');
  try {
    await ask();
  } catch (thrown) {
    await mark(null).catch((err: unknown) => log.error({ err, call: id }, 'that a call does not end was not noted'));
    throw thrown;
  }
}

/** The events as they are recorded: the end of a stream has the reason that somebody asked for, if somebody did. */
export async function withAskedEnds(tx: Transaction, events: readonly EventLine[]): Promise<readonly EventLine[]> {
  const ended = events.filter(isWireEnd).map(({ call_id: id }) => id);
  if (ended.length === 0) return events;
  const rows = await tx
    .select({ id: calls.id, askedEnd: calls.askedEnd })
    .from(calls)
    .where(and(inArray(calls.id, ended), isNotNull(calls.askedEnd)));
  const asked = new Map(rows.map(({ id, askedEnd }) => [id, askedEnd]));
  return events.map((line) => {
    const reason = asked.get(line.call_id);
    const { event } = line;
    return reason && event.type === 'call-ended' && isWireEnd(line) ? { ...line, event: { ...event, reason } } : line;
  });
}

function isWireEnd({ event }: EventLine): boolean {
  return event.type === 'call-ended' && WIRE_ENDS.has(event.reason);
}
