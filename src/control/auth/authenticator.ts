/** From a credential to who is calling: one place, whether it is an access token or an API key. */
import { and, eq, gt, isNull, sql } from 'drizzle-orm';
import type { Clock } from '../../core/clock.ts';
import { BvraiError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import type { Database } from '../db/database.ts';
import { findApiKey } from '../db/lookups.ts';
import type { ApiKeyLookup } from '../db/lookups.ts';
import { apiKeys, memberships, organizations, refreshTokens, users } from '../db/schema.ts';
import type { TenantDoor } from '../db/tenant.ts';
import type { Principal, Role } from './access.ts';
import type { AccessClaims, AccessTokens } from './access-tokens.ts';
import { AUTH_CHANNEL, parseAuthChange } from './changes.ts';
import type { AuthChange } from './changes.ts';
import { hashSecret, isSameSecretHash, parseApiKey } from './opaque-tokens.ts';
import { RevocableCache } from './revocable-cache.ts';

/** The backstop for a notification that never came. */
const MAX_AGE_MS = 30_000;
const MAX_ENTRIES = 10_000;
/** `last_used_at` of a key is this exact; writing it with every request would cost more than the request. */
const LAST_USED_EVERY_MS = 60_000;

export interface AuthenticatorOptions {
  readonly database: Database;
  readonly door: TenantDoor;
  readonly accessTokens: AccessTokens;
  readonly clock: Clock;
  readonly log: Log;
  readonly now?: () => Date;
}

/**
 * Believes the database for up to 30 s about the same key or session, unless a change is announced: by {@link apply} in this process,
 * by NOTIFY from the others. When notifications were not heard for a while, everything is asked anew.
 */
export class Authenticator {
  readonly #options: AuthenticatorOptions;
  readonly #now: () => Date;
  readonly #keys: RevocableCache<ApiKeyLookup | undefined>;
  readonly #roles: RevocableCache<Role | undefined>;
  /** Keys that somebody has proven to have: to ask about one again costs a query in half a minute at most. */
  readonly #rightKeyIds = new Set<string>();
  readonly #lastUsedAtMs = new Map<string, number>();
  readonly #writes = new Set<Promise<void>>();
  readonly #stopListening: () => void;

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => new Date());
    const { clock } = options;
    this.#keys = new RevocableCache({ clock, maxAgeMs: MAX_AGE_MS, maxEntries: MAX_ENTRIES });
    this.#roles = new RevocableCache({ clock, maxAgeMs: MAX_AGE_MS, maxEntries: MAX_ENTRIES });
    this.#stopListening = options.database.listen({
      channel: AUTH_CHANNEL,
      onNotification: (payload) => {
        const change = parseAuthChange(payload);
        if (change) this.apply(change);
        else this.#forgetAll();
      },
      onConnected: () => this.#forgetAll(),
    });
  }

  /**
   * Who a bearer credential stands for; undefined: nobody, now. Throws when the database cannot be asked. `beforeLookUp` is called before
   * the database is asked about a key that anybody may have made up; what it throws keeps it from being asked. Access tokens of ours
   * and keys that have been right here are asked about without.
   */
  async authenticate(credential: string, beforeLookUp: () => void): Promise<Principal | undefined> {
    if (credential.startsWith('bv_live_')) return this.#authenticateKey(credential, beforeLookUp);
    const claims = await this.#options.accessTokens.verify(credential);
    return claims && this.#authenticateUser(claims);
  }

  /**
   * Who somebody is now whom {@link authenticate} knew by `credential`; undefined: nobody any more. The access token of a user may
   * have run out meanwhile: their session counts. Throws when the database cannot be asked.
   */
  confirm(credential: string, principal: Principal): Promise<Principal | undefined> {
    return principal.kind === 'api-key' ? this.#authenticateKey(credential) : this.#authenticateUser(principal);
  }

  /** Forgets what a change makes untrue; effective with the next request. */
  apply(change: AuthChange): void {
    switch (change.kind) {
      case 'api-key':
        this.#keys.forget((key) => key === change.key_id);
        return;
      case 'session':
        this.#roles.forget((key) => key.endsWith(` ${change.session_id}`));
        return;
      case 'member':
        this.#roles.forget((key) => key.startsWith(`${change.organization_id} ${change.user_id} `));
        return;
      default:
        change satisfies never;
    }
  }

  /** Stops listening and waits for what is being written. */
  async close(): Promise<void> {
    this.#stopListening();
    await Promise.all(this.#writes);
  }

  #forgetAll(): void {
    this.#keys.forgetAll();
    this.#roles.forgetAll();
  }

  async #authenticateKey(credential: string, beforeLookUp: () => void = () => {}): Promise<Principal | undefined> {
    const parsed = parseApiKey(credential);
    if (!parsed) return undefined;
    const { keyId, secret } = parsed;
    const key = await this.#keys.get(keyId, () => {
      if (!this.#rightKeyIds.has(keyId)) beforeLookUp();
      return this.#options.door.beforeTenant((tx) => findApiKey(tx, keyId));
    });
    if (!key || key.revoked_at !== null || !isSameSecretHash(key.secret_hash, hashSecret(secret))) return undefined;
    if (key.expires_at !== null && key.expires_at <= this.#now()) return undefined;
    if (this.#rightKeyIds.size >= MAX_ENTRIES) this.#rightKeyIds.clear();
    this.#rightKeyIds.add(keyId);
    this.#noteUse(key);
    return { kind: 'api-key', apiKeyId: key.id, organizationId: key.org_id, scopes: key.scopes };
  }

  async #authenticateUser({ userId, organizationId, sessionId }: AccessClaims): Promise<Principal | undefined> {
    const role = await this.#roles.get(`${organizationId} ${userId} ${sessionId}`, () =>
      this.#findRole(organizationId, userId, sessionId),
    );
    return role && { kind: 'user', userId, organizationId, role, sessionId };
  }

  /** The role that a user has now; undefined when they left, are disabled, or the session was ended. */
  #findRole(organizationId: string, userId: string, sessionId: string): Promise<Role | undefined> {
    return this.#options.door.inTenant(
      organizationId,
      async (tx) => {
        const liveSession = tx
          .select({ one: sql`1` })
          .from(refreshTokens)
          .where(
            and(
              eq(refreshTokens.familyId, sessionId),
              eq(refreshTokens.userId, userId),
              isNull(refreshTokens.revokedAt),
              gt(refreshTokens.expiresAt, this.#now()),
            ),
          );
        const [row] = await tx
          .select({ role: memberships.role })
          .from(memberships)
          .innerJoin(users, and(eq(users.id, memberships.userId), eq(users.status, 'active')))
          .innerJoin(organizations, and(eq(organizations.id, memberships.orgId), eq(organizations.status, 'active')))
          .where(
            and(eq(memberships.orgId, organizationId), eq(memberships.userId, userId), sql`EXISTS (${liveSession})`),
          );
        return row?.role;
      },
      { userId },
    );
  }

  /** Writes `last_used_at` in the background; a failure costs only that. */
  #noteUse({ id, org_id }: ApiKeyLookup): void {
    const nowMs = this.#options.clock.nowMs();
    const lastMs = this.#lastUsedAtMs.get(id);
    if (lastMs !== undefined && nowMs - lastMs < LAST_USED_EVERY_MS) return;
    if (this.#lastUsedAtMs.size >= MAX_ENTRIES) this.#lastUsedAtMs.clear();
    this.#lastUsedAtMs.set(id, nowMs);
    const write = this.#options.door
      .inTenant(org_id, (tx) => tx.update(apiKeys).set({ lastUsedAt: this.#now() }).where(eq(apiKeys.id, id)))
      .then(
        () => {},
        (thrown: unknown) =>
          this.#options.log.warn(
            { err: BvraiError.from(thrown), apiKeyId: id },
            'last_used_at of an API key was not written',
          ),
      )
      .finally(() => this.#writes.delete(write));
    this.#writes.add(write);
  }
}
