/** Invitations: a token that its inviter hands over, and its holder exchanges for a membership. */
import { and, eq, isNull, notInArray } from 'drizzle-orm';
import { BvraiError } from '../../core/errors.ts';
import { recordAudit } from '../audit-log/store.ts';
import { ROLES, isAtLeast } from '../auth/access.ts';
import type { Role } from '../auth/access.ts';
import { hashSecret, newSecret } from '../auth/opaque-tokens.ts';
import type { Passwords } from '../auth/passwords.ts';
import type { ClientFacts, Session, Sessions } from '../auth/sessions.ts';
import { newId } from '../db/ids.ts';
import { behind, newestFirst } from '../db/keyset.ts';
import type { RowPosition } from '../db/keyset.ts';
import { findInvitation, findLogin } from '../db/lookups.ts';
import { invitations, memberships, users } from '../db/schema.ts';
import type { TenantDoor, Transaction } from '../db/tenant.ts';
import { fieldProblem } from '../http/problem.ts';

const INVITATION_DAYS = 7;
/** Who may invite. */
export const INVITING_ROLE = 'admin';

/** Without the hash of its token. */
const columns = {
  id: invitations.id,
  email: invitations.email,
  role: invitations.role,
  expiresAt: invitations.expiresAt,
  acceptedAt: invitations.acceptedAt,
  createdAt: invitations.createdAt,
};
export type InvitationRow = Omit<typeof invitations.$inferSelect, 'orgId' | 'tokenHash' | 'invitedBy'>;

export function listInvitations(
  tx: Transaction,
  after: RowPosition | undefined,
  count: number,
): Promise<InvitationRow[]> {
  return tx
    .select(columns)
    .from(invitations)
    .where(behind(after, invitations.createdAt, invitations.id))
    .orderBy(...newestFirst(invitations.createdAt, invitations.id))
    .limit(count);
}

/**
 * The token is returned this once. Whether the address has an account plays no part here; whoever accepts with the token learns it, and
 * that may be the inviter.
 */
export async function insertInvitation(
  tx: Transaction,
  invitation: {
    readonly orgId: string;
    readonly email: string;
    readonly role: Role;
    readonly invitedBy: string;
    readonly now: Date;
  },
): Promise<{ readonly row: InvitationRow; readonly token: string }> {
  const { now, ...facts } = invitation;
  const token = newSecret();
  const expiresAt = new Date(now.getTime() + INVITATION_DAYS * 86_400_000);
  const [row] = await tx
    .insert(invitations)
    .values({ ...facts, tokenHash: hashSecret(token), expiresAt })
    .returning(columns);
  if (!row) throw new BvraiError('internal', 'An invitation was not inserted.');
  return { row, token };
}

export async function deleteInvitation(tx: Transaction, id: string): Promise<InvitationRow | undefined> {
  const [row] = await tx.delete(invitations).where(eq(invitations.id, id)).returning(columns);
  return row;
}

/**
 * Withdraws what a member invited to and can no longer give: who leaves, or becomes less, must not come back by a token of their
 * own making. `role`: their new one; undefined: they leave. Returns how many.
 */
export async function withdrawInvitationsOf(tx: Transaction, userId: string, role: Role | undefined): Promise<number> {
  const stillGiven =
    role !== undefined && isAtLeast(role, INVITING_ROLE) ? ROLES.filter((one) => isAtLeast(role, one)) : [];
  const rows = await tx
    .delete(invitations)
    .where(
      and(
        eq(invitations.invitedBy, userId),
        isNull(invitations.acceptedAt),
        stillGiven.length === 0 ? undefined : notInArray(invitations.role, stillGiven),
      ),
    )
    .returning({ id: invitations.id });
  return rows.length;
}

export interface InvitationsOptions {
  readonly door: TenantDoor;
  readonly passwords: Passwords;
  readonly sessions: Sessions;
  readonly now?: () => Date;
}

/** Accepting, which begins outside of any organization. */
export class Invitations {
  readonly #options: InvitationsOptions;
  readonly #now: () => Date;

  constructor(options: InvitationsOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => new Date());
  }

  /**
   * Joins the organization, with the account of the invited address, or a new one if there is none. Nobody has proven that the address
   * is theirs: the inviter, too, can accept, so a new account of an invited address may have a password of the inviter's choice. Throws `invalid-fields` for a
   * token that is unknown, expired or accepted already, `invalid-credentials` for a wrong password of the account. `onAddress` is
   * told the invited address before any password is checked, whether it has an account or not; what it throws ends the try.
   */
  async accept(
    answer: {
      readonly token: string;
      readonly password: string;
      readonly name: string;
      readonly onAddress: (email: string) => void;
    },
    client: ClientFacts,
  ): Promise<Session> {
    const { door, passwords, sessions } = this.#options;
    const invitation = await door.beforeTenant((tx) => findInvitation(tx, hashSecret(answer.token)));
    if (!invitation || invitation.accepted_at !== null || invitation.expires_at <= this.#now()) throw notAcceptable();
    const { org_id: orgId, email, role } = invitation;
    answer.onAddress(email);
    const login = await door.beforeTenant((tx) => findLogin(tx, email));
    const userId = login ? await sessions.checkPassword(email, answer.password) : newId();
    const passwordHash = login ? undefined : await passwords.hash(answer.password);
    const seat = { userId, organization: { id: orgId, name: invitation.org_name, role } };
    return door.inTenant(
      orgId,
      async (tx) => {
        const accepted = await tx
          .update(invitations)
          .set({ acceptedAt: this.#now() })
          .where(and(eq(invitations.id, invitation.id), isNull(invitations.acceptedAt)))
          .returning({ id: invitations.id });
        if (accepted.length === 0) throw notAcceptable();
        if (passwordHash !== undefined)
          await tx.insert(users).values({ id: userId, email, name: answer.name, passwordHash });
        // Who is a member already keeps their role.
        const joined = await tx.insert(memberships).values({ orgId, userId, role }).onConflictDoNothing().returning();
        const [member] =
          joined.length > 0 ? joined : await tx.select().from(memberships).where(eq(memberships.userId, userId));
        await recordAudit(
          tx,
          { principal: { kind: 'user', userId }, organizationId: orgId, requestId: client.requestId },
          { action: 'invitation.accepted', resourceType: 'invitation', resourceId: invitation.id },
        );
        return sessions.open(
          tx,
          { ...seat, organization: { ...seat.organization, role: member?.role ?? role } },
          client,
        );
      },
      { userId },
    );
  }
}

function notAcceptable(): BvraiError {
  const detail = 'is not the token of an invitation that can be accepted; it may have expired, ask for a new one';
  return fieldProblem('invalid-fields', `body /token: ${detail}`, [{ in: 'body', pointer: '/token', detail }]);
}
