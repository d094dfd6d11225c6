/** Rows of people and their sessions. */
import { and, asc, eq, isNull, sql } from 'drizzle-orm';
import type { SQL } from 'drizzle-orm';
import { memberships, organizations, refreshTokens, users } from '../db/schema.ts';
import { inOtherTenant } from '../db/tenant.ts';
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

/**
 * Until the transaction ends, no other opens or ends a session of this user: what is being ended must not leave a token behind that
 * an exchange at the same moment made.
 */
export async function lockSessions(tx: Transaction, userId: string): Promise<void> {
  await tx.execute(sql`SELECT pg_advisory_xact_lock(hashtextextended(${`sessions ${userId}`}, 0))`);
}

/** A user, and the organization that the transaction is in, on behalf of them. */
export interface SessionOwner {
  readonly userId: string;
  readonly organizationId: string;
}

/** What `work` finds in each organization of a user: a session goes on when they switch, so it may have tokens in several. */
export async function inOwnOrganizations<T>(
  tx: Transaction,
  { userId, organizationId }: SessionOwner,
  work: () => Promise<readonly T[]>,
): Promise<T[]> {
  const seats = await tx.select({ orgId: memberships.orgId }).from(memberships).where(eq(memberships.userId, userId));
  const found: T[] = [];
  for (const { orgId } of seats) found.push(...(await inOtherTenant(tx, orgId, organizationId, work)));
  return found;
}

/** Ends the sessions of a user that `which` selects, in all their organizations. Returns the families that had not ended yet. */
export async function revokeSessions(
  tx: Transaction,
  owner: SessionOwner,
  which: SQL,
  now: Date,
): Promise<ReadonlySet<string>> {
  await lockSessions(tx, owner.userId);
  const revoked = await inOwnOrganizations(tx, owner, () =>
    tx
      .update(refreshTokens)
      .set({ revokedAt: now })
      .where(and(eq(refreshTokens.userId, owner.userId), which, isNull(refreshTokens.revokedAt)))
      .returning({ familyId: refreshTokens.familyId }),
  );
  return new Set(revoked.map(({ familyId }) => familyId));
}
