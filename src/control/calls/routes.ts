/** Calls over HTTP: the list and the record. */
import { z } from 'zod';
import { metadataSchema } from '../agents/schema.ts';
import { CALL_STATUSES } from '../db/schema.ts';
import type { JsonObject } from '../db/schema.ts';
import { read } from '../http/api-app.ts';
import type { ApiApp, ResourceDependencies } from '../http/api-app.ts';
import { findUnstorable } from '../http/field-faults.ts';
import { pageOf, pageQuery } from '../http/pagination.ts';
import { notFound } from '../http/problem.ts';
import { callResponse, callSummaryResponse } from './json.ts';
import { listCalls, readCall } from './store.ts';

const access = { role: 'viewer', scope: 'calls:read' } as const;
const tags = ['calls'];
/**
 * The records are not checked against the schema once more: they come from our own query, tests compare both, and checking a list
 * of 50 takes the process that carries the calls half a millisecond.
 */
const asItIs = (): ((record: unknown) => string) => JSON.stringify;

/** Undefined: the text of a query is no metadata. */
function metadataOf(text: string): JsonObject | undefined {
  try {
    const json: unknown = JSON.parse(text);
    return findUnstorable(json, 'query') ? undefined : metadataSchema.safeParse(json).data;
  } catch {
    return undefined;
  }
}

const listQuery = z.strictObject({
  ...pageQuery,
  status: z.enum(CALL_STATUSES).optional(),
  agent_id: z.uuid().optional(),
  direction: z.enum(['inbound', 'outbound']).optional(),
  channel: z.enum(['phone', 'web']).optional(),
  number: z
    .string()
    .min(1)
    .max(50)
    .optional()
    .describe('The caller’s or the called one.')
    .meta({ examples: ['+15550100'] }),
  from: z.iso
    .datetime({ offset: true })
    .optional()
    .describe('Calls made at this time or later.')
    .meta({ examples: ['2020-01-01T00:00:00Z'] }),
  to: z.iso
    .datetime({ offset: true })
    .optional()
    .describe('Calls made before this time.')
    .meta({ examples: ['2099-01-01T00:00:00Z'] }),
  q: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .describe('Words that were said in a call that has ended, all of them, in any order.'),
  metadata: z
    .string()
    .max(2_000)
    .refine((text) => metadataOf(text), 'must be a JSON object, such as {"campaign":"spring"}')
    .optional()
    .describe('A JSON object: calls whose metadata have all of its fields, with these values.')
    .meta({ examples: ['{"campaign":"spring"}'] }),
});

export function callRoutes(app: ApiApp, deps: ResourceDependencies): void {
  app.get(
    '/api/v1/calls',
    {
      config: { access },
      serializerCompiler: asItIs,
      schema: {
        operationId: 'listCalls',
        tags,
        summary: 'List calls',
        description: 'Newest first.',
        querystring: listQuery,
        response: { 200: pageOf(callSummaryResponse) },
      },
    },
    async (request) => {
      const { cursor, limit, agent_id: agentId, from, to, q: text, metadata, ...plain } = request.query;
      const filter = {
        ...plain,
        agentId,
        text,
        metadata: metadata === undefined ? undefined : metadataOf(metadata),
        createdFrom: from === undefined ? undefined : new Date(from),
        createdBefore: to === undefined ? undefined : new Date(to),
      };
      const page = await read(deps, request, (tx) => listCalls(tx, filter, { limit, cursor }), {
        // These are looked up first.
        oneRead: text === undefined && metadata === undefined,
      });
      return { items: [...page.items], next_cursor: page.nextCursor };
    },
  );

  app.get(
    '/api/v1/calls/:call_id',
    {
      config: { access },
      serializerCompiler: asItIs,
      schema: {
        operationId: 'getCall',
        tags,
        summary: 'Get a call',
        description:
          'With what was said and heard in it, how long each answer took, and its events. Twilio’s CallSid finds it too.',
        params: z.object({ call_id: z.string().max(100) }),
        response: { 200: callResponse },
      },
    },
    async (request) => {
      const call = await read(deps, request, (tx) => readCall(tx, request.params.call_id), { oneRead: true });
      if (!call) throw notFound('call');
      return { ...call, messages: [...call.messages], turns: [...call.turns], events: [...call.events] };
    },
  );
}
