/** What must be asked before it is known whose data it concerns: each question is one SQL function that takes an exact key. */
import { sql } from 'drizzle-orm';
import type { SQL } from 'drizzle-orm';
import { z } from 'zod';
import { ROLES } from '../auth/access.ts';
import type { Transaction } from './tenant.ts';

const time = z
  .string()
  .transform((text) => new Date(text))
  .nullable();
const id = z.string();

const login = z.object({ user_id: id, password_hash: z.string(), status: z.enum(['active', 'disabled']) });
const apiKey = z.object({
  id,
  org_id: id,
  secret_hash: z.string(),
  scopes: z.array(z.string()),
  expires_at: time,
  revoked_at: time,
});
const refreshToken = z.object({ id, org_id: id, user_id: id, family_id: id });
const phoneNumber = z.object({ id, org_id: id, agent_id: id.nullable() });
const call = z.object({ id, org_id: id });
const invitation = z.object({
  id,
  org_id: id,
  org_name: z.string(),
  email: z.string(),
  role: z.enum(ROLES),
  expires_at: time.pipe(z.date()),
  accepted_at: time,
});
const callOwner = z.object({ instance_id: id, node_id: id, beats: z.coerce.number() });
const openCall = z.object({ id, org_id: id, created_at: time.pipe(z.date()) });

export type LoginLookup = z.infer<typeof login>;
export type ApiKeyLookup = z.infer<typeof apiKey>;
export type RefreshTokenLookup = z.infer<typeof refreshToken>;
export type PhoneNumberLookup = z.infer<typeof phoneNumber>;
export type CallLookup = z.infer<typeof call>;
export type InvitationLookup = z.infer<typeof invitation>;
export type CallOwnerLookup = z.infer<typeof callOwner>;
export type OpenCallLookup = z.infer<typeof openCall>;

/** The user of an e-mail address, in any case of letters. */
export const findLogin = async (tx: Transaction, email: string): Promise<LoginLookup | undefined> =>
  (await rows(tx, login, sql`SELECT * FROM lookup_login(${email})`))[0];

/** The key whose public part is `keyId`, of an active organization; also when it is revoked or expired. */
export const findApiKey = async (tx: Transaction, keyId: string): Promise<ApiKeyLookup | undefined> =>
  (await rows(tx, apiKey, sql`SELECT * FROM lookup_api_key(${keyId})`))[0];

/** Whose token has this hash; also when it is used, revoked or expired. */
export const findRefreshToken = async (tx: Transaction, tokenHash: string): Promise<RefreshTokenLookup | undefined> =>
  (await rows(tx, refreshToken, sql`SELECT * FROM lookup_refresh_token(${tokenHash})`))[0];

/** The invitation whose token has this hash; also when it is accepted or expired. */
export const findInvitation = async (tx: Transaction, tokenHash: string): Promise<InvitationLookup | undefined> =>
  (await rows(tx, invitation, sql`SELECT * FROM lookup_invitation(${tokenHash})`))[0];

/** Whose number this is (E.164), by the oldest claim of an active organization; one with an agent goes before those without. */
export const findPhoneNumber = async (tx: Transaction, number: string): Promise<PhoneNumberLookup | undefined> =>
  (await rows(tx, phoneNumber, sql`SELECT * FROM lookup_phone_number(${number})`))[0];

export const findCallBySid = async (tx: Transaction, callSid: string): Promise<CallLookup | undefined> =>
  (await rows(tx, call, sql`SELECT * FROM lookup_call_by_sid(${callSid})`))[0];

/** The calls of one server that have not ended, oldest first. */
export const findOpenCalls = (tx: Transaction, instanceId: string): Promise<OpenCallLookup[]> =>
  rows(tx, openCall, sql`SELECT * FROM lookup_open_calls(${instanceId})`);

/** The servers that have calls which have not ended, with how often each has shown that it lives. */
export const findCallOwners = (tx: Transaction): Promise<CallOwnerLookup[]> =>
  rows(tx, callOwner, sql`SELECT * FROM lookup_call_owners()`);

/**
 * Removes expired refresh tokens and idempotency keys of every tenant, invitations that nobody had accepted a month after they expired,
 * and servers without calls that were not heard of for a day: at most `maxRows` of each. The number of rows; 0 while another server does it.
 */
export async function purgeExpired(tx: Transaction, maxRows: number): Promise<number> {
  const [purged] = await rows(
    tx,
    z.object({ count: z.coerce.number() }),
    sql`SELECT purge_expired(${maxRows}) AS count`,
  );
  return purged?.count ?? 0;
}

async function rows<T>(tx: Transaction, shape: z.ZodType<T>, query: SQL): Promise<T[]> {
  return z.array(shape).parse((await tx.execute(query)).rows);
}
