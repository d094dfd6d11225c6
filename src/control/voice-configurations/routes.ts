/** Voice configurations over HTTP. */
import { z } from 'zod';
import { BvraiError } from '../../core/errors.ts';
import { toDatabaseError } from '../db/errors.ts';
import { metadataSchema } from '../agents/schema.ts';
import { read } from '../http/api-app.ts';
import type { ApiApp, ResourceDependencies } from '../http/api-app.ts';
import { checkIfMatch, sendTagged } from '../http/etag.ts';
import { mergePatch, patchOf } from '../http/merge-patch.ts';
import { decodeCursor, pageOf, pageQuery, toPage } from '../http/pagination.ts';
import { parseFields } from '../http/parse-fields.ts';
import { fieldProblem, notFound } from '../http/problem.ts';
import { deleteVoice, findVoice, insertVoice, listUsers, listVoices, updateVoice } from './store.ts';
import type { VoiceRow } from './store.ts';

const voiceFields = z.strictObject({
  name: z
    .string()
    .trim()
    .min(1)
    .max(200)
    .describe('Unique in the organization.')
    .meta({ examples: ['Warm and slow'] }),
  provider: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,49}$/u, 'must be the name of a provider such as elevenlabs')
    .describe('For people: the agent’s entry says which provider speaks.')
    .meta({ examples: ['elevenlabs'] }),
  model: z.string().min(1).max(100).nullable().default(null),
  voice: z.string().min(1).max(100).nullable().default(null),
  options: z.record(z.string().max(100), z.unknown()).default({}).describe('Passed to the provider as they are.'),
  metadata: metadataSchema.default({}),
});

const voiceSchema = z
  .object({ id: z.uuid(), ...voiceFields.shape, created_at: z.iso.datetime(), updated_at: z.iso.datetime() })
  .meta({ id: 'VoiceConfiguration' });

const params = z.object({ voice_configuration_id: z.uuid() });
const tags = ['voice-configurations'];
const mayRead = { role: 'viewer', scope: 'voice-configurations:read' } as const;
const mayWrite = { role: 'member', scope: 'voice-configurations:write' } as const;

export function voiceConfigurationRoutes(app: ApiApp, deps: ResourceDependencies): void {
  app.get(
    '/api/v1/voice-configurations',
    {
      config: { access: mayRead },
      schema: {
        operationId: 'listVoiceConfigurations',
        tags,
        summary: 'List voice configurations',
        querystring: z.strictObject(pageQuery),
        response: { 200: pageOf(voiceSchema) },
      },
    },
    async (request) => {
      const { cursor, limit } = request.query;
      const after = decodeCursor(cursor);
      const rows = await read(deps, request, (tx) => listVoices(tx, after, limit + 1));
      return toPage(rows, limit, ({ createdAt, id }) => ({ at: createdAt.toISOString(), id }), toJson);
    },
  );

  app.get(
    '/api/v1/voice-configurations/:voice_configuration_id',
    {
      config: { access: mayRead },
      schema: {
        operationId: 'getVoiceConfiguration',
        tags,
        summary: 'Get a voice configuration',
        params,
        response: { 200: voiceSchema },
      },
    },
    async (request, reply) => {
      const row = await read(deps, request, (tx) => findVoice(tx, request.params.voice_configuration_id));
      if (!row) throw notFound('voice configuration');
      return sendTagged(request, reply, toJson(row));
    },
  );

  createAndUpdateRoutes(app, deps);
  deleteRoute(app, deps);
}

function createAndUpdateRoutes(app: ApiApp, deps: ResourceDependencies): void {
  app.post(
    '/api/v1/voice-configurations',
    {
      config: { access: mayWrite, idempotent: true },
      schema: {
        operationId: 'createVoiceConfiguration',
        tags,
        summary: 'Make a voice configuration',
        body: voiceFields,
        response: { 201: voiceSchema },
      },
    },
    (request, reply) =>
      deps.mutate(request, reply, async (tx, { organizationId }) => {
        const row = await insertVoice(tx, organizationId, request.body).catch(nameTaken);
        const audit = {
          action: 'voice_configuration.created',
          resourceType: 'voice_configuration',
          resourceId: row.id,
        };
        return { status: 201, body: toJson(row), audit };
      }),
  );

  app.patch(
    '/api/v1/voice-configurations/:voice_configuration_id',
    {
      config: { access: mayWrite, ifMatch: 'optional' },
      schema: {
        operationId: 'updateVoiceConfiguration',
        tags,
        summary: 'Change a voice configuration',
        description: 'Agents that use it speak so from their next call on.',
        params,
        body: patchOf(voiceFields),
        response: { 200: voiceSchema },
      },
    },
    (request, reply) =>
      deps.mutate(request, reply, async (tx) => {
        const { voice_configuration_id: id } = request.params;
        const current = await findVoice(tx, id, true);
        if (!current) throw notFound('voice configuration');
        checkIfMatch(request, toJson(current));
        const { name, provider, model, voice, options, metadata } = current;
        const before = { name, provider, model, voice, options, metadata };
        const row = await updateVoice(tx, id, parseFields(voiceFields, mergePatch(before, request.body))).catch(
          nameTaken,
        );
        if (!row) throw notFound('voice configuration');
        const audit = { action: 'voice_configuration.updated', resourceType: 'voice_configuration', resourceId: id };
        return { status: 200, body: toJson(row), audit };
      }),
  );
}

function deleteRoute(app: ApiApp, deps: ResourceDependencies): void {
  app.delete(
    '/api/v1/voice-configurations/:voice_configuration_id',
    {
      config: { access: mayWrite, ifMatch: 'optional' },
      schema: {
        operationId: 'deleteVoiceConfiguration',
        tags,
        summary: 'Delete a voice configuration',
        description: 'Refused while an agent uses it.',
        params,
        response: { 204: z.undefined().describe('It is deleted.') },
      },
    },
    (request, reply) =>
      deps.mutate(request, reply, async (tx) => {
        const { voice_configuration_id: id } = request.params;
        const current = await findVoice(tx, id, true);
        if (!current) throw notFound('voice configuration');
        checkIfMatch(request, toJson(current));
        const users = await listUsers(tx, id);
        if (users.length > 0)
          throw new BvraiError(
            'conflict',
            `It is in use by ${users.join(', ')}: give those agents another voice first.`,
          );
        await deleteVoice(tx, id);
        const audit = { action: 'voice_configuration.deleted', resourceType: 'voice_configuration', resourceId: id };
        return { status: 204, body: undefined, audit };
      }),
  );
}

function nameTaken(thrown: unknown): never {
  const { details } = toDatabaseError(thrown);
  if (details['constraint'] !== 'voice_configurations_name_key') throw thrown;
  const detail = 'is the name of another voice configuration';
  throw fieldProblem('conflict', `body /name: ${detail}`, [{ in: 'body', pointer: '/name', detail }]);
}

function toJson(row: VoiceRow): z.infer<typeof voiceSchema> {
  return {
    id: row.id,
    name: row.name,
    provider: row.provider,
    model: row.model,
    voice: row.voice,
    options: row.options,
    metadata: row.metadata,
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
  };
}
