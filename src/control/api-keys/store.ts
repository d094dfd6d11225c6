/** Rows of API keys. A key is never deleted: the audit log names it. */
import { and, eq, isNull, sql } from 'drizzle-orm';
import { BvraiError } from '../../core/errors.ts';
import type { Scope } from '../auth/access.ts';
import { behind, newestFirst } from '../db/keyset.ts';
import type { RowPosition } from '../db/keyset.ts';
import { apiKeys } from '../db/schema.ts';
import type { Transaction } from '../db/tenant.ts';

/** Without the hash of its secret. */
const columns = {
  id: apiKeys.id,
  keyId: apiKeys.keyId,
  name: apiKeys.name,
  scopes: apiKeys.scopes,
  createdBy: apiKeys.createdBy,
  createdAt: apiKeys.createdAt,
  lastUsedAt: apiKeys.lastUsedAt,
  expiresAt: apiKeys.expiresAt,
  revokedAt: apiKeys.revokedAt,
};
export type ApiKeyRow = Omit<typeof apiKeys.$inferSelect, 'orgId' | 'secretHash' | 'updatedAt'>;

export function listApiKeys(tx: Transaction, after: RowPosition | undefined, count: number): Promise<ApiKeyRow[]> {
  return tx
    .select(columns)
    .from(apiKeys)
    .where(behind(after, apiKeys.createdAt, apiKeys.id))
    .orderBy(...newestFirst(apiKeys.createdAt, apiKeys.id))
    .limit(count);
}

export async function findApiKeyRow(tx: Transaction, id: string): Promise<ApiKeyRow | undefined> {
  const [row] = await tx.select(columns).from(apiKeys).where(eq(apiKeys.id, id));
  return row;
}

export interface NewApiKey {
  readonly orgId: string;
  readonly keyId: string;
  readonly secretHash: string;
  readonly name: string;
  readonly scopes: Scope[];
  readonly expiresAt: Date | null;
  readonly createdBy: string | null;
}

export async function insertApiKey(tx: Transaction, key: NewApiKey): Promise<ApiKeyRow> {
  const [row] = await tx.insert(apiKeys).values(key).returning(columns);
  if (!row) throw new BvraiError('internal', 'An API key was not inserted.');
  return row;
}

/** The key, revoked now if it was not before; undefined: there is none. */
export async function revokeApiKey(
  tx: Transaction,
  id: string,
): Promise<{ row: ApiKeyRow; changed: boolean } | undefined> {
  const [revoked] = await tx
    .update(apiKeys)
    .set({ revokedAt: sql`now()` })
    .where(and(eq(apiKeys.id, id), isNull(apiKeys.revokedAt)))
    .returning(columns);
  if (revoked) return { row: revoked, changed: true };
  const row = await findApiKeyRow(tx, id);
  return row && { row, changed: false };
}
