/** Logging in, staying logged in, and logging out. */
import { and, eq, gte, inArray, ne } from 'drizzle-orm';
import { BvraiError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { recordAudit } from '../audit-log/store.ts';
import { newId } from '../db/ids.ts';
import { findLogin, findRefreshToken } from '../db/lookups.ts';
import type { RefreshTokenLookup } from '../db/lookups.ts';
import { memberships, organizations, refreshTokens, users } from '../db/schema.ts';
import { inOtherTenant } from '../db/tenant.ts';
import type { TenantDoor, Transaction } from '../db/tenant.ts';
import { fieldProblem } from '../http/problem.ts';
import type { AccessTokens } from './access-tokens.ts';
import {
  findOwnUser,
  inOwnOrganizations,
  insertRefreshToken,
  listOwnOrganizations,
  lockSessions,
  revokeSessions,
} from './accounts.ts';
import type { OwnOrganization, User } from './accounts.ts';
import { announce } from './changes.ts';
import type { AuthChange } from './changes.ts';
import { hashSecret, newSecret } from './opaque-tokens.ts';
import type { Passwords } from './passwords.ts';

export const REFRESH_TOKEN_S = 30 * 24 * 60 * 60;
/** A reply can be lost on its way: for so long the token that it answered may be exchanged once more. */
const LOST_REPLY_GRACE_MS = 10_000;

/** A log-in that has just succeeded; the tokens are shown this once. */
export interface Session {
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly user: User;
  readonly organization: OwnOrganization;
}

/** What a log-in says of its client. */
export interface ClientFacts {
  readonly requestId: string;
  readonly userAgent: string | undefined;
}

export interface SessionsOptions {
  readonly door: TenantDoor;
  readonly passwords: Passwords;
  readonly accessTokens: AccessTokens;
  readonly applyAuthChange: (change: AuthChange) => void;
  readonly log: Log;
  readonly now?: () => Date;
}

/** A membership for which a session is to be opened. */
interface Seat {
  readonly userId: string;
  readonly organization: OwnOrganization;
}

export class Sessions {
  readonly #options: SessionsOptions;
  readonly #now: () => Date;

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => new Date());
  }

  /** A new account with a new organization. Throws `conflict` for an address that has one. */
  async register(
    account: {
      readonly email: string;
      readonly password: string;
      readonly name: string;
      readonly organizationName: string;
    },
    client: ClientFacts,
  ): Promise<Session> {
    const { door, passwords } = this.#options;
    const { email, name, organizationName } = account;
    const passwordHash = await passwords.hash(account.password);
    const [userId, organizationId] = [newId(), newId()];
    const seat: Seat = { userId, organization: { id: organizationId, name: organizationName, role: 'owner' } };
    return door
      .inTenant(
        organizationId,
        async (tx) => {
          await tx.insert(organizations).values({ id: organizationId, name: organizationName });
          await tx.insert(users).values({ id: userId, email, name, passwordHash });
          await tx.insert(memberships).values({ orgId: organizationId, userId, role: 'owner' });
          await recordAudit(tx, actorOf(seat, client), {
            action: 'organization.created',
            resourceType: 'organization',
            resourceId: organizationId,
          });
          return this.open(tx, seat, client);
        },
        { userId },
      )
      .catch((thrown: unknown) => {
        throw emailTaken(thrown);
      });
  }

  /** Throws `invalid-credentials`, in the same words and time whether there is such an account or not. */
  async login(
    credentials: { readonly email: string; readonly password: string; readonly organizationId: string | undefined },
    client: ClientFacts,
  ): Promise<Session> {
    const userId = await this.checkPassword(credentials.email, credentials.password);
    const seat = await this.#seatOf(userId, credentials.organizationId);
    return this.#options.door.inTenant(seat.organization.id, (tx) => this.open(tx, seat, client), { userId });
  }

  /** The id of the active user with this password. */
  async checkPassword(email: string, password: string): Promise<string> {
    const { door, passwords } = this.#options;
    const found = await door.beforeTenant((tx) => findLogin(tx, email));
    const matches = await passwords.verify(found?.password_hash, password);
    if (!matches || found?.status !== 'active')
      throw new BvraiError('invalid-credentials', 'The e-mail address or the password is wrong.');
    return found.user_id;
  }

  /**
   * Exchanges a refresh token for a new session of the same family, in `organizationId` or where it was; the token is used up. One
   * that was used before means that two have it: the whole family ends, in every organization. Except within ten seconds, when the
   * successor has not been used either: then the first reply was probably lost, so the successor is taken back and another one
   * given out.
   */
  async refresh(token: string, organizationId: string | undefined, client: ClientFacts): Promise<Session> {
    const found = await this.#options.door.beforeTenant((tx) => findRefreshToken(tx, hashSecret(token)));
    if (!found) throw invalidRefreshToken();
    const { user_id: userId, org_id: presentId, family_id: familyId } = found;
    const seat = await this.#seatOf(userId, organizationId ?? presentId);
    const exchanged = await this.#options.door.inTenant(
      presentId,
      async (tx) => {
        const verdict = await this.#useUp(tx, found);
        // In the same transaction: two exchanges of one token must not leave two sessions.
        return verdict === 'usable'
          ? inOtherTenant(tx, seat.organization.id, presentId, () => this.open(tx, seat, client, familyId))
          : verdict;
      },
      { userId },
    );
    if (exchanged === 'stolen') {
      this.#options.applyAuthChange({ kind: 'session', session_id: familyId });
      this.#options.log.warn({ userId, org: presentId }, 'a refresh token was used twice: its session has been ended');
    }
    if (typeof exchanged === 'string') throw invalidRefreshToken();
    return exchanged;
  }

  /** Ends the session of a refresh token; an unknown one has ended already. */
  async endByRefreshToken(token: string): Promise<void> {
    const found = await this.#options.door.beforeTenant((tx) => findRefreshToken(tx, hashSecret(token)));
    if (found) await this.end(found.org_id, found.user_id, found.family_id);
  }

  /** Ends a session in every organization that it has been in: its refresh token, and its access tokens with the next request. */
  async end(organizationId: string, userId: string, sessionId: string): Promise<void> {
    const change: AuthChange = { kind: 'session', session_id: sessionId };
    await this.#options.door.inTenant(
      organizationId,
      async (tx) => {
        await revokeSessions(tx, { userId, organizationId }, eq(refreshTokens.familyId, sessionId), this.#now());
        await announce(tx, change);
      },
      { userId },
    );
    this.#options.applyAuthChange(change);
  }

  /** Opens a session for a membership that `tx`, on behalf of the user and in the organization, has just made or seen. */
  async open(tx: Transaction, seat: Seat, client: ClientFacts, familyId: string = newId()): Promise<Session> {
    const { userId, organization } = seat;
    const refreshToken = newSecret();
    await insertRefreshToken(tx, {
      orgId: organization.id,
      userId,
      familyId,
      tokenHash: hashSecret(refreshToken),
      expiresAt: new Date(this.#now().getTime() + REFRESH_TOKEN_S * 1_000),
      userAgent: client.userAgent,
    });
    await tx.update(users).set({ lastLoginAt: this.#now() }).where(eq(users.id, userId));
    const user = await findOwnUser(tx, userId);
    if (!user) throw invalidRefreshToken();
    const accessToken = await this.#options.accessTokens.issue({
      userId,
      organizationId: organization.id,
      sessionId: familyId,
    });
    return { accessToken, refreshToken, user, organization };
  }

  /** Throws `forbidden` for a user without any organization, `not-found` for one that is not theirs. */
  async #seatOf(userId: string, wantedId: string | undefined): Promise<Seat> {
    const own = await this.#options.door.asUser(userId, (tx) => listOwnOrganizations(tx, userId));
    const organization = wantedId === undefined ? own[0] : own.find(({ id }) => id === wantedId);
    if (organization) return { userId, organization };
    throw wantedId === undefined
      ? new BvraiError('forbidden', 'This account belongs to no organization any more.')
      : new BvraiError('not-found', 'You belong to no organization with this id.');
  }

  /** Marks a token as used, or ends its family. It decides under a lock, so that of two exchanges one is the second. */
  async #useUp(tx: Transaction, found: RefreshTokenLookup): Promise<'usable' | 'invalid' | 'stolen'> {
    const owner = { userId: found.user_id, organizationId: found.org_id };
    await lockSessions(tx, owner.userId);
    const now = this.#now();
    const [row] = await tx.select().from(refreshTokens).where(eq(refreshTokens.id, found.id)).for('update');
    if (!row || row.expiresAt <= now) return 'invalid';
    if (row.usedAt === null && row.revokedAt === null) {
      await tx.update(refreshTokens).set({ usedAt: now }).where(eq(refreshTokens.id, row.id));
      return 'usable';
    }
    if (row.revokedAt === null && row.usedAt !== null && now.getTime() - row.usedAt.getTime() <= LOST_REPLY_GRACE_MS) {
      const successors = await inOwnOrganizations(tx, owner, () =>
        tx
          .select({ id: refreshTokens.id, usedAt: refreshTokens.usedAt })
          .from(refreshTokens)
          .where(
            and(
              eq(refreshTokens.familyId, row.familyId),
              gte(refreshTokens.createdAt, row.createdAt),
              ne(refreshTokens.id, row.id),
            ),
          ),
      );
      if (successors.every(({ usedAt }) => usedAt === null)) {
        const taken = successors.map(({ id }) => id);
        await revokeSessions(tx, owner, inArray(refreshTokens.id, taken), now);
        return 'usable';
      }
    }
    const revoked = await revokeSessions(tx, owner, eq(refreshTokens.familyId, row.familyId), now);
    if (revoked.size === 0) return 'invalid';
    await announce(tx, { kind: 'session', session_id: row.familyId });
    await recordAudit(
      tx,
      { principal: { kind: 'user', userId: owner.userId }, organizationId: owner.organizationId, requestId: 'none' },
      {
        action: 'session.revoked',
        resourceType: 'session',
        resourceId: row.familyId,
        details: { reason: 'refresh token used twice' },
      },
    );
    return 'stolen';
  }
}

function actorOf({ userId, organization }: Seat, { requestId }: ClientFacts): Parameters<typeof recordAudit>[1] {
  return { principal: { kind: 'user', userId }, organizationId: organization.id, requestId };
}

function emailTaken(thrown: unknown): unknown {
  if (!(thrown instanceof BvraiError) || thrown.details['constraint'] !== 'users_email_key') return thrown;
  const detail = 'has an account already; log in, or accept the invitation with its password';
  return fieldProblem('conflict', `body /email: ${detail}`, [{ in: 'body', pointer: '/email', detail }]);
}

function invalidRefreshToken(): BvraiError {
  return new BvraiError('unauthenticated', 'The refresh token is not valid, or no longer: log in again.');
}
