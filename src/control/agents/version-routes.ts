/** The versions of agents over HTTP: looking at them, letting one answer calls, going back to one. */
import { z } from 'zod';
import type { Transaction } from '../db/tenant.ts';
import { read } from '../http/api-app.ts';
import type { ApiApp, ResourceDependencies } from '../http/api-app.ts';
import { checkIfMatch, etagOf } from '../http/etag.ts';
import { numberedPageQuery, pageOf, toNumberedPage } from '../http/pagination.ts';
import { fieldProblem, notFound } from '../http/problem.ts';
import { agentResponse, agentToJson, agentVersionResponse, versionToJson } from './json.ts';
import { authorOf, requireVoices } from './routes.ts';
import { addVersion, findAgent, findVersion, listVersions, publishVersion } from './store.ts';
import type { AgentVersionRow } from './store.ts';

const params = z.object({ agent_id: z.uuid() });
const MAX_VERSION = 1_000_000_000;
const versionNumber = z.int().min(1).max(MAX_VERSION);
const tags = ['agents'];

export function agentVersionRoutes(app: ApiApp, deps: ResourceDependencies): void {
  app.get(
    '/api/v1/agents/:agent_id/versions',
    {
      config: { access: { role: 'viewer', scope: 'agents:read' } },
      schema: {
        operationId: 'listAgentVersions',
        tags,
        summary: 'List the versions of an agent',
        params,
        querystring: z.strictObject(numberedPageQuery({ min: 1, max: MAX_VERSION })),
        response: { 200: pageOf(agentVersionResponse) },
      },
    },
    async (request) => {
      const { agent_id: id } = request.params;
      const { cursor, limit } = request.query;
      const rows = await read(deps, request, async (tx) => {
        if (!(await findAgent(tx, id))) throw notFound('agent');
        return listVersions(tx, id, cursor, limit + 1);
      });
      return toNumberedPage(rows, limit, ({ version }) => version, versionToJson);
    },
  );

  app.get(
    '/api/v1/agents/:agent_id/versions/:version',
    {
      config: { access: { role: 'viewer', scope: 'agents:read' } },
      schema: {
        operationId: 'getAgentVersion',
        tags,
        summary: 'Get a version of an agent',
        params: params.extend({ version: z.coerce.number().pipe(versionNumber) }),
        response: { 200: agentVersionResponse },
      },
    },
    async (request) => {
      const { agent_id: id, version } = request.params;
      const row = await read(deps, request, async (tx) =>
        (await findAgent(tx, id)) ? findVersion(tx, id, version) : undefined,
      );
      if (!row) throw notFound('version of an agent');
      return versionToJson(row);
    },
  );

  publishRoute(app, deps);
  rollbackRoute(app, deps);
}

function publishRoute(app: ApiApp, deps: ResourceDependencies): void {
  app.post(
    '/api/v1/agents/:agent_id/publish',
    {
      config: { access: { role: 'member', scope: 'agents:write' }, idempotent: true, ifMatch: 'optional' },
      schema: {
        operationId: 'publishAgent',
        tags,
        summary: 'Let a version answer calls',
        params,
        body: z.strictObject({
          version: versionNumber
            .optional()
            .describe('Default: the newest.')
            .meta({ examples: [1] }),
        }),
        response: { 200: agentResponse },
      },
    },
    (request, reply) =>
      deps.mutate(request, reply, async (tx) => {
        const { agent_id: id } = request.params;
        const current = await findAgent(tx, id, true);
        if (!current) throw notFound('agent');
        checkIfMatch(request, agentToJson(current));
        const version = request.body.version ?? current.version;
        await requireVersion(tx, id, version);
        const changed = version !== current.publishedVersion;
        const body = agentToJson(changed ? await publishVersion(tx, current, version) : current);
        reply.header('etag', etagOf(body));
        const audit = { action: 'agent.published', resourceType: 'agent', resourceId: id, details: { version } };
        return { status: 200, body, audit: changed ? audit : undefined };
      }),
  );
}

function rollbackRoute(app: ApiApp, deps: ResourceDependencies): void {
  app.post(
    '/api/v1/agents/:agent_id/rollback',
    {
      config: { access: { role: 'member', scope: 'agents:write' }, idempotent: true, ifMatch: 'optional' },
      schema: {
        operationId: 'rollBackAgent',
        tags,
        summary: 'Go back to a version',
        description: 'Makes a new version that is like the old one, and publishes it: history only grows.',
        params,
        body: z.strictObject({ version: versionNumber.meta({ examples: [1] }) }),
        response: { 200: agentResponse },
      },
    },
    (request, reply) =>
      deps.mutate(request, reply, async (tx, principal) => {
        const { agent_id: id } = request.params;
        const { version } = request.body;
        const current = await findAgent(tx, id, true);
        if (!current) throw notFound('agent');
        checkIfMatch(request, agentToJson(current));
        const { document } = await requireVersion(tx, id, version);
        // A voice that the old version names may have been deleted since.
        await requireVoices(tx, document);
        const row = await addVersion(tx, current, {
          orgId: principal.organizationId,
          document,
          createdBy: authorOf(principal),
          publish: true,
        });
        const body = agentToJson(row);
        reply.header('etag', etagOf(body));
        const details = { to: version, version: row.version };
        return {
          status: 200,
          body,
          audit: { action: 'agent.rolled_back', resourceType: 'agent', resourceId: id, details },
        };
      }),
  );
}

async function requireVersion(tx: Transaction, agentId: string, version: number): Promise<AgentVersionRow> {
  const row = await findVersion(tx, agentId, version);
  if (row) return row;
  const detail = 'is not a version of this agent';
  throw fieldProblem('invalid-fields', `body /version: ${detail}`, [{ in: 'body', pointer: '/version', detail }]);
}
