/** Agents over HTTP. */
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import type { Principal } from '../auth/access.ts';
import { newId } from '../db/ids.ts';
import type { Transaction } from '../db/tenant.ts';
import { read } from '../http/api-app.ts';
import type { ApiApp, ResourceDependencies } from '../http/api-app.ts';
import { checkIfMatch, etagOf, sendTagged } from '../http/etag.ts';
import type { FieldFault } from '../http/field-faults.ts';
import { mergePatch } from '../http/merge-patch.ts';
import { decodeCursor, pageOf, pageQuery, toPage } from '../http/pagination.ts';
import { parseFields } from '../http/parse-fields.ts';
import { fieldProblem, notFound } from '../http/problem.ts';
import { findVoices } from '../voice-configurations/store.ts';
import { voiceIdsOf } from './for-calls.ts';
import { agentPatch, agentResponse, agentToJson } from './json.ts';
import { agentSchema } from './schema.ts';
import type { AgentDocument } from './schema.ts';
import { addVersion, deleteAgent, findAgent, insertAgent, listAgents } from './store.ts';

const params = z.object({ agent_id: z.uuid() });
const tags = ['agents'];

export function agentRoutes(app: ApiApp, deps: ResourceDependencies): void {
  app.get(
    '/api/v1/agents',
    {
      config: { access: { role: 'viewer', scope: 'agents:read' } },
      schema: {
        operationId: 'listAgents',
        tags,
        summary: 'List agents',
        querystring: z.strictObject(pageQuery),
        response: { 200: pageOf(agentResponse) },
      },
    },
    async (request) => {
      const { cursor, limit } = request.query;
      const after = decodeCursor(cursor);
      const rows = await read(deps, request, (tx) => listAgents(tx, after, limit + 1));
      return toPage(rows, limit, ({ createdAt, id }) => ({ at: createdAt.toISOString(), id }), agentToJson);
    },
  );

  app.get(
    '/api/v1/agents/:agent_id',
    {
      config: { access: { role: 'viewer', scope: 'agents:read' } },
      schema: { operationId: 'getAgent', tags, summary: 'Get an agent', params, response: { 200: agentResponse } },
    },
    async (request, reply) => {
      const row = await read(deps, request, (tx) => findAgent(tx, request.params.agent_id));
      if (!row) throw notFound('agent');
      return sendTagged(request, reply, agentToJson(row));
    },
  );

  createRoute(app, deps);
  updateRoute(app, deps);
  deleteRoute(app, deps);
}

function createRoute(app: ApiApp, deps: ResourceDependencies): void {
  app.post(
    '/api/v1/agents',
    {
      config: { access: { role: 'member', scope: 'agents:write' }, idempotent: true },
      schema: {
        operationId: 'createAgent',
        tags,
        summary: 'Make an agent',
        description: 'Only `name` is needed. Its first version is published: it can take calls at once.',
        body: agentSchema,
        response: { 201: agentResponse },
      },
    },
    (request, reply) =>
      deps.mutate(request, reply, async (tx, principal) => {
        await requireVoices(tx, request.body);
        const row = await insertAgent(tx, {
          id: newId(),
          orgId: principal.organizationId,
          document: request.body,
          createdBy: authorOf(principal),
        });
        const body = agentToJson(row);
        reply.header('etag', etagOf(body));
        return { status: 201, body, audit: { action: 'agent.created', resourceType: 'agent', resourceId: row.id } };
      }),
  );
}

function updateRoute(app: ApiApp, deps: ResourceDependencies): void {
  app.patch(
    '/api/v1/agents/:agent_id',
    {
      config: { access: { role: 'member', scope: 'agents:write' }, ifMatch: 'required' },
      schema: {
        operationId: 'updateAgent',
        tags,
        summary: 'Change an agent',
        description:
          'JSON Merge Patch (RFC 7396): what is given changes, null goes back to the default, lists are replaced whole. Makes a ' +
          'new version, which answers calls from now on; calls in progress keep theirs.',
        params,
        querystring: z.strictObject({
          publish: z
            .enum(['true', 'false'])
            .default('true')
            .describe('`false`: the new version is a draft until it is published.'),
        }),
        body: agentPatch,
        response: { 200: agentResponse },
      },
    },
    (request, reply) =>
      deps.mutate(request, reply, async (tx, principal) => {
        const { agent_id: id } = request.params;
        const current = await findAgent(tx, id, true);
        if (!current) throw notFound('agent');
        checkIfMatch(request, agentToJson(current));
        const document = parseFields(agentSchema, mergePatch(current.document, request.body));
        await requireVoices(tx, document);
        const changed = !isDeepStrictEqual(document, current.document);
        const publish = request.query.publish === 'true';
        const orgId = principal.organizationId;
        const createdBy = authorOf(principal);
        const row = changed ? await addVersion(tx, current, { orgId, document, createdBy, publish }) : current;
        const body = agentToJson(row);
        reply.header('etag', etagOf(body));
        const details = { version: row.version, published: publish };
        const audit = { action: 'agent.updated', resourceType: 'agent', resourceId: id, details };
        return { status: 200, body, audit: changed ? audit : undefined };
      }),
  );
}

function deleteRoute(app: ApiApp, deps: ResourceDependencies): void {
  app.delete(
    '/api/v1/agents/:agent_id',
    {
      config: { access: { role: 'member', scope: 'agents:write' }, ifMatch: 'optional' },
      schema: {
        operationId: 'deleteAgent',
        tags,
        summary: 'Delete an agent',
        description: 'It takes no more calls, and its numbers have no agent. The records of its calls stay.',
        params,
        response: { 204: z.undefined().describe('It is deleted.') },
      },
    },
    (request, reply) =>
      deps.mutate(request, reply, async (tx) => {
        const { agent_id: id } = request.params;
        const current = await findAgent(tx, id, true);
        if (!current) throw notFound('agent');
        checkIfMatch(request, agentToJson(current));
        await deleteAgent(tx, id);
        const audit = { action: 'agent.deleted', resourceType: 'agent', resourceId: id };
        return { status: 204, body: undefined, audit };
      }),
  );
}

/** The user who makes a change; an API key is named by the audit log only. */
export function authorOf(principal: Principal): string | null {
  return principal.kind === 'user' ? principal.userId : null;
}

/** Throws `invalid-fields` for a voice configuration that the organization does not have. */
export async function requireVoices(tx: Transaction, document: AgentDocument): Promise<void> {
  const known = new Set((await findVoices(tx, voiceIdsOf(document))).map(({ id }) => id));
  const detail = 'is not the id of a voice configuration';
  const errors = document.tts.flatMap(({ voice_configuration_id: id }, index): FieldFault[] =>
    id === undefined || known.has(id) ? [] : [{ in: 'body', pointer: `/tts/${index}/voice_configuration_id`, detail }],
  );
  if (errors[0]) throw fieldProblem('invalid-fields', `body ${errors[0].pointer}: ${detail}`, errors);
}
