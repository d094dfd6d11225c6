/** Members of the organization over HTTP. */
import { z } from 'zod';
import { ROLES } from '../auth/access.ts';
import { principalOf } from '../auth/guard.ts';
import { read } from '../http/api-app.ts';
import type { ApiApp, ResourceDependencies } from '../http/api-app.ts';
import { decodeCursor, pageOf, pageQuery, toPage } from '../http/pagination.ts';
import { notFound } from '../http/problem.ts';
import { withdrawInvitationsOf } from '../invitations/store.ts';
import { requireGrant, requireOtherOwner } from './rules.ts';
import { deleteMember, findMember, listMembers, lockOwners, setRole } from './store.ts';
import type { MemberRow } from './store.ts';

const memberSchema = z
  .object({
    user_id: z.uuid(),
    email: z.string(),
    name: z.string(),
    role: z.enum(ROLES),
    created_at: z.iso.datetime().describe('When they joined.'),
  })
  .meta({ id: 'Member' });

const params = z.object({ user_id: z.uuid() });
const tags = ['organizations'];

export function memberRoutes(app: ApiApp, deps: ResourceDependencies): void {
  app.get(
    '/api/v1/members',
    {
      config: { access: { role: 'viewer', scope: 'members:read' } },
      schema: {
        operationId: 'listMembers',
        tags,
        summary: 'List members',
        querystring: z.strictObject(pageQuery),
        response: { 200: pageOf(memberSchema) },
      },
    },
    async (request) => {
      const { cursor, limit } = request.query;
      const after = decodeCursor(cursor);
      const { organizationId } = principalOf(request);
      const rows = await read(deps, request, (tx) => listMembers(tx, organizationId, after, limit + 1));
      return toPage(rows, limit, ({ createdAt, userId }) => ({ at: createdAt.toISOString(), id: userId }), toJson);
    },
  );

  app.get(
    '/api/v1/members/:user_id',
    {
      config: { access: { role: 'viewer', scope: 'members:read' } },
      schema: { operationId: 'getMember', tags, summary: 'Get a member', params, response: { 200: memberSchema } },
    },
    async (request) => {
      const { organizationId } = principalOf(request);
      const row = await read(deps, request, (tx) => findMember(tx, organizationId, request.params.user_id));
      if (!row) throw notFound('member');
      return toJson(row);
    },
  );

  updateRoute(app, deps);
  removeRoute(app, deps);
}

function updateRoute(app: ApiApp, deps: ResourceDependencies): void {
  app.patch(
    '/api/v1/members/:user_id',
    {
      config: { access: { role: 'admin', scope: null } },
      schema: {
        operationId: 'updateMember',
        tags,
        summary: 'Change a member’s role',
        description: 'Effective with their next request. Only an owner makes or unmakes an owner; one always remains.',
        params,
        body: z.strictObject({ role: z.enum(ROLES) }),
        response: { 200: memberSchema },
      },
    },
    (request, reply) =>
      deps.mutate(request, reply, async (tx, principal) => {
        const { organizationId } = principal;
        const { user_id: userId } = request.params;
        const { role } = request.body;
        const owners = await lockOwners(tx, organizationId);
        const member = await findMember(tx, organizationId, userId);
        if (!member) throw notFound('member');
        await requireGrant(tx, principal, role, member.role);
        if (member.role === 'owner' && role !== 'owner') requireOtherOwner(owners, userId);
        await setRole(tx, organizationId, userId, role);
        const withdrawn = await withdrawInvitationsOf(tx, userId, role);
        return {
          status: 200,
          body: toJson({ ...member, role }),
          audit: {
            action: 'member.updated',
            resourceType: 'member',
            resourceId: userId,
            details: { from: member.role, to: role, withdrawn_invitations: withdrawn },
          },
          authChanges: [{ kind: 'member', organization_id: organizationId, user_id: userId }],
        };
      }),
  );
}

function removeRoute(app: ApiApp, deps: ResourceDependencies): void {
  app.delete(
    '/api/v1/members/:user_id',
    {
      config: { access: { role: 'admin', scope: null } },
      schema: {
        operationId: 'removeMember',
        tags,
        summary: 'Remove a member',
        description:
          'Their sessions in this organization end at once, and their open invitations are withdrawn; their account stays, and so ' +
          'do API keys that they made. The last owner cannot be removed.',
        params,
        response: { 204: z.undefined().describe('They are no member any more.') },
      },
    },
    (request, reply) =>
      deps.mutate(request, reply, async (tx, principal) => {
        const { organizationId } = principal;
        const { user_id: userId } = request.params;
        const owners = await lockOwners(tx, organizationId);
        const member = await findMember(tx, organizationId, userId);
        if (!member) throw notFound('member');
        await requireGrant(tx, principal, member.role);
        if (member.role === 'owner') requireOtherOwner(owners, userId);
        const withdrawn = await withdrawInvitationsOf(tx, userId, undefined);
        await deleteMember(tx, organizationId, userId);
        return {
          status: 204,
          body: undefined,
          audit: {
            action: 'member.removed',
            resourceType: 'member',
            resourceId: userId,
            details: { role: member.role, withdrawn_invitations: withdrawn },
          },
          authChanges: [{ kind: 'member', organization_id: organizationId, user_id: userId }],
        };
      }),
  );
}

function toJson({ userId, email, name, role, createdAt }: MemberRow): z.infer<typeof memberSchema> {
  return { user_id: userId, email, name, role, created_at: createdAt.toISOString() };
}
