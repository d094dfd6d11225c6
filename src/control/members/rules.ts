/** Who may give which role to whom. */
import { BvraiError } from '../../core/errors.ts';
import { isAtLeast } from '../auth/access.ts';
import type { Principal, Role } from '../auth/access.ts';

export type UserPrincipal = Extract<Principal, { kind: 'user' }>;

/** Nobody gives or takes what they do not have themselves. Returns the person; throws `forbidden`. */
export function requireGrant(principal: Principal, ...roles: readonly Role[]): UserPrincipal {
  if (principal.kind !== 'user') throw new BvraiError('forbidden', 'No API key can do this: log in as a person.');
  const beyond = roles.find((role) => !isAtLeast(principal.role, role));
  if (beyond !== undefined)
    throw new BvraiError('forbidden', `Only a member with the role ${beyond} or more can give or take that role.`);
  return principal;
}

/** Throws `conflict` if an organization would be left without an owner. `owners`: those that there are, locked. */
export function requireOtherOwner(owners: readonly string[], userId: string): void {
  if (owners.every((id) => id === userId))
    throw new BvraiError('conflict', 'This is the last owner: make somebody else an owner first.');
}
