/** Rows of phone numbers: which agent answers which. */
import { and, eq } from 'drizzle-orm';
import { BvraiError } from '../../core/errors.ts';
import { behind, newestFirst } from '../db/keyset.ts';
import type { RowPosition } from '../db/keyset.ts';
import { phoneNumbers } from '../db/schema.ts';
import type { JsonObject } from '../db/schema.ts';
import type { Transaction } from '../db/tenant.ts';

export type PhoneNumberRow = typeof phoneNumbers.$inferSelect;

/** What can be changed later. */
export interface PhoneNumberFields {
  /** Null: nobody answers. */
  readonly agentId: string | null;
  readonly label: string | null;
  readonly metadata: JsonObject;
}

export function listPhoneNumbers(
  tx: Transaction,
  { agentId }: { readonly agentId?: string | undefined },
  after: RowPosition | undefined,
  count: number,
): Promise<PhoneNumberRow[]> {
  return tx
    .select()
    .from(phoneNumbers)
    .where(
      and(
        agentId === undefined ? undefined : eq(phoneNumbers.agentId, agentId),
        behind(after, phoneNumbers.createdAt, phoneNumbers.id),
      ),
    )
    .orderBy(...newestFirst(phoneNumbers.createdAt, phoneNumbers.id))
    .limit(count);
}

export async function findPhoneNumber(
  tx: Transaction,
  id: string,
  forUpdate = false,
): Promise<PhoneNumberRow | undefined> {
  const query = tx.select().from(phoneNumbers).where(eq(phoneNumbers.id, id));
  const [row] = await (forUpdate ? query.for('update') : query);
  return row;
}

export async function insertPhoneNumber(
  tx: Transaction,
  orgId: string,
  fields: PhoneNumberFields & { readonly number: string },
): Promise<PhoneNumberRow> {
  const [row] = await tx
    .insert(phoneNumbers)
    .values({ orgId, ...fields })
    .returning();
  if (!row) throw new BvraiError('internal', 'A phone number was not inserted.');
  return row;
}

export async function updatePhoneNumber(
  tx: Transaction,
  id: string,
  fields: PhoneNumberFields,
): Promise<PhoneNumberRow | undefined> {
  const [row] = await tx.update(phoneNumbers).set(fields).where(eq(phoneNumbers.id, id)).returning();
  return row;
}

export async function deletePhoneNumber(tx: Transaction, id: string): Promise<PhoneNumberRow | undefined> {
  const [row] = await tx.delete(phoneNumbers).where(eq(phoneNumbers.id, id)).returning();
  return row;
}
