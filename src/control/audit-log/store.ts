/** Who changed what: one row for every change, written in the transaction that makes it. */
import { and, eq } from 'drizzle-orm';
import type { Principal } from '../auth/access.ts';
import { behind, newestFirst } from '../db/keyset.ts';
import type { RowPosition } from '../db/keyset.ts';
import { auditLog } from '../db/schema.ts';
import type { JsonObject } from '../db/schema.ts';
import type { Transaction } from '../db/tenant.ts';

/** What was done: `<resource>.<past participle>`, such as `agent.created`. */
export interface AuditEntry {
  readonly action: string;
  readonly resourceType: string;
  readonly resourceId: string;
  /** Facts that tell one change from another; never secrets, never whole texts. */
  readonly details?: JsonObject;
}

/** Who did it, and in which request. */
export interface Actor {
  readonly principal: Pick<Principal & { kind: 'user' }, 'kind' | 'userId'> | Extract<Principal, { kind: 'api-key' }>;
  readonly organizationId: string;
  readonly requestId: string;
}

export async function recordAudit(
  tx: Transaction,
  { principal, organizationId, requestId }: Actor,
  entry: AuditEntry,
): Promise<void> {
  await tx.insert(auditLog).values({
    orgId: organizationId,
    actorType: principal.kind === 'user' ? 'user' : 'api_key',
    actorUserId: principal.kind === 'user' ? principal.userId : null,
    actorApiKeyId: principal.kind === 'api-key' ? principal.apiKeyId : null,
    action: entry.action,
    resourceType: entry.resourceType,
    resourceId: entry.resourceId,
    details: entry.details ?? {},
    requestId,
  });
}

export type AuditRow = typeof auditLog.$inferSelect;

export interface AuditFilter {
  readonly resourceType?: string | undefined;
  readonly resourceId?: string | undefined;
}

/** Up to `count` entries of the tenant, newest first, behind `after`. */
export function listAuditEntries(
  tx: Transaction,
  { resourceType, resourceId }: AuditFilter,
  after: RowPosition | undefined,
  count: number,
): Promise<AuditRow[]> {
  return tx
    .select()
    .from(auditLog)
    .where(
      and(
        resourceType === undefined ? undefined : eq(auditLog.resourceType, resourceType),
        resourceId === undefined ? undefined : eq(auditLog.resourceId, resourceId),
        behind(after, auditLog.createdAt, auditLog.id),
      ),
    )
    .orderBy(...newestFirst(auditLog.createdAt, auditLog.id))
    .limit(count);
}
