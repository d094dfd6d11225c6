/** Whether strangers may make organizations here, which then use the operator's providers and telephone. */
import { BvraiError } from '../../core/errors.ts';

/** `closed`: nobody makes an organization, and accounts are made by accepting an invitation only, for any address that an admin invites. */
export type Registration = 'open' | 'closed';

/** Throws `forbidden` where it is closed. */
export function requireOpenRegistration(registration: Registration): void {
  if (registration === 'closed')
    throw new BvraiError('forbidden', 'No new organization is taken here (REGISTRATION): ask a member to invite you.');
}
