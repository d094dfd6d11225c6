/** Who may give which role to whom. */
import { BvraiError } from '../../core/errors.ts';
import { isAtLeast } from '../auth/access.ts';
import type { Principal, Role } from '../auth/access.ts';
import type { Transaction } from '../db/tenant.ts';
import { lockRole } from './store.ts';

export type UserPrincipal = Extract<Principal, { kind: 'user' }>;

/**
 * Nobody gives or takes what they do not have themselves. Returns the person; throws `forbidden`. Asks the database: what lasts (an invitation,
 * a key, a role) must not be given out by somebody whose own role was taken a moment ago, on another server.
 */
export async function requireGrant(
  tx: Transaction,
  principal: Principal,
  ...roles: readonly Role[]
): Promise<UserPrincipal> {
  if (principal.kind !== 'user') throw new BvraiError('forbidden', 'No API key can do this: log in as a person.');
  const own = await lockRole(tx, principal.organizationId, principal.userId);
  if (own === undefined) throw new BvraiError('forbidden', 'You are no member of this organization any more.');
  const beyond = roles.find((role) => !isAtLeast(own, role));
  if (beyond !== undefined)
    throw new BvraiError('forbidden', `Only a member with the role ${beyond} or more can give or take that role.`);
  return principal;
}

/** Throws `conflict` if an organization would be left without an owner. `owners`: those that there are, locked. */
export function requireOtherOwner(owners: readonly string[], userId: string): void {
  if (owners.every((id) => id === userId))
    throw new BvraiError('conflict', 'This is the last owner: make somebody else an owner first.');
}
