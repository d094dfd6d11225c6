/** Organizations over HTTP. */
import { z } from 'zod';
import { BvraiError } from '../../core/errors.ts';
import { metadataSchema } from '../agents/schema.ts';
import { recordAudit } from '../audit-log/store.ts';
import { ROLES } from '../auth/access.ts';
import { findOwnUser, listOwnOrganizations } from '../auth/accounts.ts';
import { principalOf } from '../auth/guard.ts';
import { requireOpenRegistration } from '../auth/registration.ts';
import type { Registration } from '../auth/registration.ts';
import { organizationNameSchema } from '../auth/schema.ts';
import { newId } from '../db/ids.ts';
import { inOtherTenant } from '../db/tenant.ts';
import { read } from '../http/api-app.ts';
import type { ApiApp, ResourceDependencies } from '../http/api-app.ts';
import { checkIfMatch, sendTagged } from '../http/etag.ts';
import { mergePatch, patchOf } from '../http/merge-patch.ts';
import { parseFields } from '../http/parse-fields.ts';
import { notFound } from '../http/problem.ts';
import { findOrganization, insertOrganization, updateOrganization } from './store.ts';
import type { OrganizationRow } from './store.ts';

const organizationFields = z.strictObject({ name: organizationNameSchema, metadata: metadataSchema.default({}) });

const organizationSchema = z
  .object({
    id: z.uuid(),
    name: z.string(),
    status: z.enum(['active', 'suspended']),
    metadata: metadataSchema,
    created_at: z.iso.datetime(),
    updated_at: z.iso.datetime(),
  })
  .meta({ id: 'Organization' });

const ownOrganizationSchema = z
  .object({ id: z.uuid(), name: z.string(), role: z.enum(ROLES).describe('Yours in it.') })
  .meta({ id: 'OwnOrganization' });

const params = z.object({ organization_id: z.uuid() });
const tags = ['organizations'];

type Dependencies = ResourceDependencies & { readonly registration: Registration };

export function organizationRoutes(app: ApiApp, deps: Dependencies): void {
  app.get(
    '/api/v1/organizations',
    {
      config: { access: { role: 'viewer', scope: null } },
      schema: {
        operationId: 'listOrganizations',
        tags,
        summary: 'List the organizations that you belong to',
        description: 'A session is in one of them; log in or refresh with `organization_id` for another.',
        response: { 200: z.object({ items: z.array(ownOrganizationSchema), next_cursor: z.null() }) },
      },
    },
    async (request) => {
      const principal = principalOf(request);
      const userId = principal.kind === 'user' ? principal.userId : '';
      return { items: await read(deps, request, (tx) => listOwnOrganizations(tx, userId)), next_cursor: null };
    },
  );

  app.post(
    '/api/v1/organizations',
    {
      config: { access: { role: 'viewer', scope: null }, idempotent: true },
      schema: {
        operationId: 'createOrganization',
        tags,
        summary: 'Make another organization, of which you are the owner',
        body: z.strictObject({ name: organizationNameSchema }),
        response: { 201: ownOrganizationSchema },
      },
    },
    (request, reply) =>
      deps.mutate(request, reply, async (tx, principal) => {
        requireOpenRegistration(deps.registration);
        if (principal.kind !== 'user') throw new BvraiError('forbidden', 'An API key cannot own an organization.');
        const { userId } = principal;
        const id = newId();
        const { name } = request.body;
        if (!(await findOwnUser(tx, userId))) throw new BvraiError('unauthenticated', 'This account is gone.');
        await inOtherTenant(tx, id, principal.organizationId, async () => {
          await insertOrganization(tx, { id, name, ownerId: userId });
          await recordAudit(
            tx,
            { principal, organizationId: id, requestId: request.id },
            { action: 'organization.created', resourceType: 'organization', resourceId: id },
          );
        });
        // Its audit log is the new one's, not that of the organization that the session is in.
        return { status: 201, body: { id, name, role: 'owner' as const }, audit: undefined };
      }),
  );

  oneOrganization(app, deps);
}

/** The organization of the session. Another one, even one's own, does not exist here. */
function oneOrganization(app: ApiApp, deps: ResourceDependencies): void {
  app.get(
    '/api/v1/organizations/:organization_id',
    {
      config: { access: { role: 'viewer', scope: 'organization:read' } },
      schema: {
        operationId: 'getOrganization',
        tags,
        summary: 'Get the organization of this session',
        params,
        response: { 200: organizationSchema },
      },
    },
    async (request, reply) => {
      const { organization_id: id } = request.params;
      if (id !== principalOf(request).organizationId) throw notFound('organization');
      const row = await read(deps, request, (tx) => findOrganization(tx, id));
      if (!row) throw notFound('organization');
      return sendTagged(request, reply, toJson(row));
    },
  );

  app.patch(
    '/api/v1/organizations/:organization_id',
    {
      config: { access: { role: 'admin', scope: null }, ifMatch: 'optional' },
      schema: {
        operationId: 'updateOrganization',
        tags,
        summary: 'Change the organization of this session',
        params,
        body: patchOf(organizationFields),
        response: { 200: organizationSchema },
      },
    },
    (request, reply) =>
      deps.mutate(request, reply, async (tx, principal) => {
        const { organization_id: id } = request.params;
        const current = id === principal.organizationId ? await findOrganization(tx, id, true) : undefined;
        if (!current) throw notFound('organization');
        checkIfMatch(request, toJson(current));
        const { name, metadata } = current;
        const change = parseFields(organizationFields, mergePatch({ name, metadata }, request.body));
        const row = await updateOrganization(tx, id, change);
        if (!row) throw notFound('organization');
        return {
          status: 200,
          body: toJson(row),
          audit: { action: 'organization.updated', resourceType: 'organization', resourceId: id },
        };
      }),
  );
}

function toJson(row: OrganizationRow): z.infer<typeof organizationSchema> {
  return {
    id: row.id,
    name: row.name,
    status: row.status,
    metadata: row.metadata,
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
  };
}
