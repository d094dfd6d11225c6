/** The audit log over HTTP: to be read only. */
import { z } from 'zod';
import { read } from '../http/api-app.ts';
import type { ApiApp, ResourceDependencies } from '../http/api-app.ts';
import { decodeCursor, pageOf, pageQuery, toPage } from '../http/pagination.ts';
import { listAuditEntries } from './store.ts';
import type { AuditRow } from './store.ts';

const auditEntrySchema = z
  .object({
    id: z.uuid(),
    action: z.string().describe('Such as `agent.updated`.'),
    resource_type: z.string(),
    resource_id: z.string().nullable(),
    actor: z.object({
      type: z.enum(['user', 'api_key', 'system']),
      id: z.uuid().nullable().describe('Of the user or API key; null once the user is gone.'),
    }),
    details: z.record(z.string(), z.unknown()),
    request_id: z.string().nullable(),
    created_at: z.iso.datetime(),
  })
  .meta({ id: 'AuditEntry' });

export function auditLogRoutes(app: ApiApp, deps: ResourceDependencies): void {
  app.get(
    '/api/v1/audit-log',
    {
      config: { access: { role: 'admin', scope: 'audit-log:read' } },
      schema: {
        operationId: 'listAuditLog',
        tags: ['audit-log'],
        summary: 'List changes, newest first',
        querystring: z.strictObject({
          ...pageQuery,
          resource_type: z
            .string()
            .max(100)
            .optional()
            .meta({ examples: ['agent'] }),
          resource_id: z.string().max(100).optional(),
        }),
        response: { 200: pageOf(auditEntrySchema) },
      },
    },
    async (request) => {
      const { cursor, limit, resource_type: resourceType, resource_id: resourceId } = request.query;
      const after = decodeCursor(cursor);
      const rows = await read(deps, request, (tx) =>
        listAuditEntries(tx, { resourceType, resourceId }, after, limit + 1),
      );
      return toPage(rows, limit, ({ createdAt, id }) => ({ at: createdAt.toISOString(), id }), toJson);
    },
  );
}

function toJson(row: AuditRow): z.infer<typeof auditEntrySchema> {
  return {
    id: row.id,
    action: row.action,
    resource_type: row.resourceType,
    resource_id: row.resourceId,
    actor: { type: row.actorType, id: row.actorUserId ?? row.actorApiKeyId },
    details: row.details,
    request_id: row.requestId,
    created_at: row.createdAt.toISOString(),
  };
}
