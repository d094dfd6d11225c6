/** Invitations over HTTP. */
import { z } from 'zod';
import { ROLES } from '../auth/access.ts';
import { emailSchema } from '../auth/schema.ts';
import { read } from '../http/api-app.ts';
import type { ApiApp, ResourceDependencies } from '../http/api-app.ts';
import { decodeCursor, pageOf, pageQuery, toPage } from '../http/pagination.ts';
import { notFound } from '../http/problem.ts';
import { requireGrant } from '../members/rules.ts';
import { INVITING_ROLE, deleteInvitation, insertInvitation, listInvitations } from './store.ts';
import type { InvitationRow } from './store.ts';

const invitationSchema = z
  .object({
    id: z.uuid(),
    email: z.string(),
    role: z.enum(ROLES),
    created_at: z.iso.datetime(),
    expires_at: z.iso.datetime(),
    accepted_at: z.iso.datetime().nullable(),
  })
  .meta({ id: 'Invitation' });

const createdSchema = invitationSchema
  .extend({
    token: z.string().describe('For the invited person, who accepts with it. Shown this once; no mail is sent.'),
  })
  .meta({ id: 'NewInvitation' });

const params = z.object({ invitation_id: z.uuid() });

export function invitationRoutes(app: ApiApp, deps: ResourceDependencies): void {
  const tags = ['organizations'];

  app.get(
    '/api/v1/invitations',
    {
      config: { access: { role: 'admin', scope: null } },
      schema: {
        operationId: 'listInvitations',
        tags,
        summary: 'List invitations',
        querystring: z.strictObject(pageQuery),
        response: { 200: pageOf(invitationSchema) },
      },
    },
    async (request) => {
      const { cursor, limit } = request.query;
      const after = decodeCursor(cursor);
      const rows = await read(deps, request, (tx) => listInvitations(tx, after, limit + 1));
      return toPage(rows, limit, ({ createdAt, id }) => ({ at: createdAt.toISOString(), id }), toJson);
    },
  );

  app.post(
    '/api/v1/invitations',
    {
      config: { access: { role: INVITING_ROLE, scope: null }, idempotent: true },
      schema: {
        operationId: 'createInvitation',
        tags,
        summary: 'Invite somebody',
        description: 'The answer does not say whether the address has an account. Only an owner can invite an owner.',
        body: z.strictObject({ email: emailSchema, role: z.enum(ROLES).default('member') }),
        response: { 201: createdSchema },
      },
    },
    (request, reply) =>
      deps.mutate(request, reply, async (tx, principal) => {
        const { email, role } = request.body;
        const inviter = await requireGrant(tx, principal, role, INVITING_ROLE);
        const { row, token } = await insertInvitation(tx, {
          orgId: inviter.organizationId,
          email,
          role,
          invitedBy: inviter.userId,
          now: new Date(),
        });
        return {
          status: 201,
          body: { ...toJson(row), token },
          audit: { action: 'invitation.created', resourceType: 'invitation', resourceId: row.id, details: { role } },
        };
      }),
  );

  app.delete(
    '/api/v1/invitations/:invitation_id',
    {
      config: { access: { role: 'admin', scope: null } },
      schema: {
        operationId: 'deleteInvitation',
        tags,
        summary: 'Withdraw an invitation',
        params,
        response: { 204: z.undefined().describe('It is withdrawn.') },
      },
    },
    (request, reply) =>
      deps.mutate(request, reply, async (tx) => {
        const row = await deleteInvitation(tx, request.params.invitation_id);
        if (!row) throw notFound('invitation');
        return {
          status: 204,
          body: undefined,
          audit: { action: 'invitation.withdrawn', resourceType: 'invitation', resourceId: row.id },
        };
      }),
  );
}

function toJson(row: InvitationRow): z.infer<typeof invitationSchema> {
  return {
    id: row.id,
    email: row.email,
    role: row.role,
    created_at: row.createdAt.toISOString(),
    expires_at: row.expiresAt.toISOString(),
    accepted_at: row.acceptedAt?.toISOString() ?? null,
  };
}
