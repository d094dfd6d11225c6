/** Rows of people and their sessions. */
import { and, asc, eq, isNull } from 'drizzle-orm';
import { memberships, organizations, refreshTokens, users } from '../db/schema.ts';
import type { Transaction } from '../db/tenant.ts';
import type { Role } from './access.ts';

export interface User {
  readonly id: string;
  readonly email: string;
  readonly name: string;
}

/** An organization with a user's role in it. */
export interface OwnOrganization {
  readonly id: string;
  readonly name: string;
  readonly role: Role;
}

/** A user's own account, unless it is disabled; needs the transaction to be on behalf of them. */
export async function findOwnUser(tx: Transaction, userId: string): Promise<User | undefined> {
  const [row] = await tx
    .select({ id: users.id, email: users.email, name: users.name })
    .from(users)
    .where(and(eq(users.id, userId), eq(users.status, 'active')));
  return row;
}

/** The active organizations of a user, the one they joined first in front. */
export function listOwnOrganizations(tx: Transaction, userId: string): Promise<OwnOrganization[]> {
  return tx
    .select({ id: organizations.id, name: organizations.name, role: memberships.role })
    .from(memberships)
    .innerJoin(organizations, and(eq(organizations.id, memberships.orgId), eq(organizations.status, 'active')))
    .where(eq(memberships.userId, userId))
    .orderBy(asc(memberships.createdAt), asc(organizations.id));
}

export interface NewRefreshToken {
  readonly orgId: string;
  readonly userId: string;
  readonly familyId: string;
  readonly tokenHash: string;
  readonly expiresAt: Date;
  readonly userAgent: string | undefined;
}

export async function insertRefreshToken(tx: Transaction, token: NewRefreshToken): Promise<void> {
  await tx.insert(refreshTokens).values({ ...token, userAgent: token.userAgent?.slice(0, 300) ?? null });
}

/** Ends all that came from one log-in. */
export async function revokeFamily(tx: Transaction, familyId: string, now: Date): Promise<void> {
  await tx
    .update(refreshTokens)
    .set({ revokedAt: now })
    .where(and(eq(refreshTokens.familyId, familyId), isNull(refreshTokens.revokedAt)));
}
