/** Rows of organizations. */
import { eq } from 'drizzle-orm';
import { memberships, organizations } from '../db/schema.ts';
import type { JsonObject } from '../db/schema.ts';
import type { Transaction } from '../db/tenant.ts';

export type OrganizationRow = typeof organizations.$inferSelect;

/** The tenant itself, locked for a change if `forUpdate`. */
export async function findOrganization(
  tx: Transaction,
  id: string,
  forUpdate = false,
): Promise<OrganizationRow | undefined> {
  const query = tx.select().from(organizations).where(eq(organizations.id, id));
  const [row] = await (forUpdate ? query.for('update') : query);
  return row;
}

/** A new organization and its owner; the transaction is in it, and on behalf of them. */
export async function insertOrganization(
  tx: Transaction,
  { id, name, ownerId }: { readonly id: string; readonly name: string; readonly ownerId: string },
): Promise<void> {
  await tx.insert(organizations).values({ id, name });
  await tx.insert(memberships).values({ orgId: id, userId: ownerId, role: 'owner' });
}

export async function updateOrganization(
  tx: Transaction,
  id: string,
  change: { readonly name: string; readonly metadata: JsonObject },
): Promise<OrganizationRow | undefined> {
  const [row] = await tx.update(organizations).set(change).where(eq(organizations.id, id)).returning();
  return row;
}
