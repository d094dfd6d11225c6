/** API keys over HTTP. */
import { z } from 'zod';
import { SCOPES } from '../auth/access.ts';
import { newApiKey } from '../auth/opaque-tokens.ts';
import { read } from '../http/api-app.ts';
import type { ApiApp, ResourceDependencies } from '../http/api-app.ts';
import { decodeCursor, pageOf, pageQuery, toPage } from '../http/pagination.ts';
import { fieldProblem, notFound } from '../http/problem.ts';
import { requireGrant } from '../members/rules.ts';
import { findApiKeyRow, insertApiKey, listApiKeys, revokeApiKey } from './store.ts';
import type { ApiKeyRow } from './store.ts';

const apiKeySchema = z
  .object({
    id: z.uuid(),
    prefix: z.string().describe('How the key begins, to recognise it by.'),
    name: z.string(),
    scopes: z.array(z.string()),
    created_by: z.uuid().nullable().describe('The user who made it.'),
    created_at: z.iso.datetime(),
    last_used_at: z.iso.datetime().nullable().describe('To the minute.'),
    expires_at: z.iso.datetime().nullable(),
    revoked_at: z.iso.datetime().nullable(),
  })
  .meta({ id: 'ApiKey' });

const createdSchema = apiKeySchema
  .extend({ key: z.string().describe('`bv_live_<id>_<secret>`. Shown this once: only its hash is kept.') })
  .meta({ id: 'NewApiKey' });

const createBody = z.strictObject({
  name: z
    .string()
    .trim()
    .min(1)
    .max(200)
    .meta({ examples: ['CRM integration'] }),
  scopes: z
    .array(z.enum(SCOPES))
    .min(1)
    .max(SCOPES.length)
    .transform((scopes) => [...new Set(scopes)])
    .describe('What the key may do; `…:write` includes `…:read`.')
    .meta({ examples: [['calls:read']] }),
  expires_at: z.iso
    .datetime({ offset: true })
    .nullable()
    .default(null)
    .describe('Default: never.')
    .meta({ examples: ['2099-01-01T00:00:00Z'] }),
});

const params = z.object({ api_key_id: z.uuid() });
const tags = ['api-keys'];
/** People only: a key that could make keys could not be revoked. */
const MAKING_ROLE = 'admin';
const access = { role: MAKING_ROLE, scope: null } as const;

export function apiKeyRoutes(app: ApiApp, deps: ResourceDependencies): void {
  app.get(
    '/api/v1/api-keys',
    {
      config: { access },
      schema: {
        operationId: 'listApiKeys',
        tags,
        summary: 'List API keys',
        querystring: z.strictObject(pageQuery),
        response: { 200: pageOf(apiKeySchema) },
      },
    },
    async (request) => {
      const { cursor, limit } = request.query;
      const after = decodeCursor(cursor);
      const rows = await read(deps, request, (tx) => listApiKeys(tx, after, limit + 1));
      return toPage(rows, limit, ({ createdAt, id }) => ({ at: createdAt.toISOString(), id }), toJson);
    },
  );

  app.get(
    '/api/v1/api-keys/:api_key_id',
    {
      config: { access },
      schema: { operationId: 'getApiKey', tags, summary: 'Get an API key', params, response: { 200: apiKeySchema } },
    },
    async (request) => {
      const row = await read(deps, request, (tx) => findApiKeyRow(tx, request.params.api_key_id));
      if (!row) throw notFound('API key');
      return toJson(row);
    },
  );

  apiKeyChanges(app, deps);
}

function apiKeyChanges(app: ApiApp, deps: ResourceDependencies): void {
  app.post(
    '/api/v1/api-keys',
    {
      config: { access, idempotent: true },
      schema: {
        operationId: 'createApiKey',
        tags,
        summary: 'Make an API key',
        body: createBody,
        response: { 201: createdSchema },
      },
    },
    (request, reply) =>
      deps.mutate(request, reply, async (tx, principal) => {
        const { name, scopes, expires_at } = request.body;
        const expiresAt = expires_at === null ? null : new Date(expires_at);
        if (expiresAt && expiresAt <= new Date()) {
          const detail = 'must lie in the future';
          throw fieldProblem('invalid-fields', `body /expires_at: ${detail}`, [
            { in: 'body', pointer: '/expires_at', detail },
          ]);
        }
        const maker = await requireGrant(tx, principal, MAKING_ROLE);
        const { key, keyId, secretHash } = newApiKey();
        const row = await insertApiKey(tx, {
          orgId: maker.organizationId,
          keyId,
          secretHash,
          name,
          scopes,
          expiresAt,
          createdBy: maker.userId,
        });
        return {
          status: 201,
          body: { ...toJson(row), key },
          audit: { action: 'api_key.created', resourceType: 'api_key', resourceId: row.id, details: { name, scopes } },
        };
      }),
  );

  app.delete(
    '/api/v1/api-keys/:api_key_id',
    {
      config: { access },
      schema: {
        operationId: 'revokeApiKey',
        tags,
        summary: 'Revoke an API key',
        description: 'At once on this server, within a second on every other. The key stays in the list, as revoked.',
        params,
        response: { 204: z.undefined().describe('It is revoked.') },
      },
    },
    (request, reply) =>
      deps.mutate(request, reply, async (tx) => {
        const revoked = await revokeApiKey(tx, request.params.api_key_id);
        if (!revoked) throw notFound('API key');
        const { row, changed } = revoked;
        return {
          status: 204,
          body: undefined,
          audit: changed ? { action: 'api_key.revoked', resourceType: 'api_key', resourceId: row.id } : undefined,
          authChanges: [{ kind: 'api-key', key_id: row.keyId }],
        };
      }),
  );
}

function toJson(row: ApiKeyRow): z.infer<typeof apiKeySchema> {
  return {
    id: row.id,
    prefix: `bv_live_${row.keyId}_`,
    name: row.name,
    scopes: row.scopes,
    created_by: row.createdBy,
    created_at: row.createdAt.toISOString(),
    last_used_at: row.lastUsedAt?.toISOString() ?? null,
    expires_at: row.expiresAt?.toISOString() ?? null,
    revoked_at: row.revokedAt?.toISOString() ?? null,
  };
}
