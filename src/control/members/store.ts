/** Rows of members. */
import { and, asc, eq } from 'drizzle-orm';
import type { Role } from '../auth/access.ts';
import { behind, newestFirst } from '../db/keyset.ts';
import type { RowPosition } from '../db/keyset.ts';
import { memberships, users } from '../db/schema.ts';
import type { Transaction } from '../db/tenant.ts';

const columns = {
  userId: memberships.userId,
  email: users.email,
  name: users.name,
  role: memberships.role,
  createdAt: memberships.createdAt,
};

export interface MemberRow {
  readonly userId: string;
  readonly email: string;
  readonly name: string;
  readonly role: Role;
  readonly createdAt: Date;
}

/** A user sees their memberships elsewhere too, so the organization is named. */
function here(orgId: string) {
  return eq(memberships.orgId, orgId);
}

export function listMembers(
  tx: Transaction,
  orgId: string,
  after: RowPosition | undefined,
  count: number,
): Promise<MemberRow[]> {
  return tx
    .select(columns)
    .from(memberships)
    .innerJoin(users, eq(users.id, memberships.userId))
    .where(and(here(orgId), behind(after, memberships.createdAt, memberships.userId)))
    .orderBy(...newestFirst(memberships.createdAt, memberships.userId))
    .limit(count);
}

export async function findMember(tx: Transaction, orgId: string, userId: string): Promise<MemberRow | undefined> {
  const [row] = await tx
    .select(columns)
    .from(memberships)
    .innerJoin(users, eq(users.id, memberships.userId))
    .where(and(here(orgId), eq(memberships.userId, userId)));
  return row;
}

/** The ids of all owners, locked until the transaction ends, so that two cannot leave each other alone. */
export async function lockOwners(tx: Transaction, orgId: string): Promise<string[]> {
  const rows = await tx
    .select({ userId: memberships.userId })
    .from(memberships)
    .where(and(here(orgId), eq(memberships.role, 'owner')))
    .orderBy(asc(memberships.userId))
    .for('update');
  return rows.map(({ userId }) => userId);
}

/** The role that a member has, and keeps until the transaction ends; undefined: they are none. */
export async function lockRole(tx: Transaction, orgId: string, userId: string): Promise<Role | undefined> {
  const [row] = await tx
    .select({ role: memberships.role })
    .from(memberships)
    .where(and(here(orgId), eq(memberships.userId, userId)))
    .for('share');
  return row?.role;
}

export async function setRole(tx: Transaction, orgId: string, userId: string, role: Role): Promise<void> {
  await tx
    .update(memberships)
    .set({ role })
    .where(and(here(orgId), eq(memberships.userId, userId)));
}

/** Their refresh tokens go with the membership. */
export async function deleteMember(tx: Transaction, orgId: string, userId: string): Promise<void> {
  await tx.delete(memberships).where(and(here(orgId), eq(memberships.userId, userId)));
}
