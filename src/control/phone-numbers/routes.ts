/** Phone numbers over HTTP. */
import { sql } from 'drizzle-orm';
import { z } from 'zod';
import { metadataSchema, phoneNumberSchema } from '../agents/schema.ts';
import { findAgent } from '../agents/store.ts';
import { carrierProblem } from '../calls/carrier.ts';
import { toDatabaseError } from '../db/errors.ts';
import { findPhoneNumber as findHolder } from '../db/lookups.ts';
import type { Transaction } from '../db/tenant.ts';
import { read } from '../http/api-app.ts';
import type { ApiApp, ResourceDependencies } from '../http/api-app.ts';
import { checkIfMatch, sendTagged } from '../http/etag.ts';
import { mergePatch, patchOf } from '../http/merge-patch.ts';
import { decodeCursor, pageOf, pageQuery, toPage } from '../http/pagination.ts';
import { parseFields } from '../http/parse-fields.ts';
import { fieldProblem, notFound } from '../http/problem.ts';
import type { TwilioRest } from '../twilio/rest.ts';
import { deletePhoneNumber, findPhoneNumber, insertPhoneNumber, listPhoneNumbers, updatePhoneNumber } from './store.ts';
import type { PhoneNumberRow } from './store.ts';

const changeable = {
  agent_id: z.uuid().nullable().default(null).describe('Who answers; null: nobody.'),
  label: z
    .string()
    .trim()
    .min(1)
    .max(200)
    .nullable()
    .default(null)
    .describe('For people.')
    .meta({ examples: ['Reception'] }),
  metadata: metadataSchema.default({}),
};
const changeableFields = z.strictObject(changeable);
const phoneNumberFields = z.strictObject({
  number: phoneNumberSchema.describe(
    'In E.164. Where the server has a Twilio account, it must be a number of that account which no other organization has. ' +
      'Elsewhere it is unique in the organization, and of several organizations the first to claim it is called.',
  ),
  ...changeable,
});

const phoneNumberResponse = z
  .object({ id: z.uuid(), ...phoneNumberFields.shape, created_at: z.iso.datetime(), updated_at: z.iso.datetime() })
  .meta({ id: 'PhoneNumber' });

const params = z.object({ phone_number_id: z.uuid() });
const tags = ['phone-numbers'];
const mayRead = { role: 'viewer', scope: 'phone-numbers:read' } as const;
const mayWrite = { role: 'member', scope: 'phone-numbers:write' } as const;

export interface PhoneNumberDependencies {
  /** Absent: nobody can say whose a number is. */
  readonly twilio: Pick<TwilioRest, 'hasNumber'> | undefined;
}

type Dependencies = ResourceDependencies & PhoneNumberDependencies;

export function phoneNumberRoutes(app: ApiApp, deps: Dependencies): void {
  app.get(
    '/api/v1/phone-numbers',
    {
      config: { access: mayRead },
      schema: {
        operationId: 'listPhoneNumbers',
        tags,
        summary: 'List phone numbers',
        querystring: z.strictObject({ ...pageQuery, agent_id: z.uuid().optional() }),
        response: { 200: pageOf(phoneNumberResponse) },
      },
    },
    async (request) => {
      const { cursor, limit, agent_id: agentId } = request.query;
      const after = decodeCursor(cursor);
      const rows = await read(deps, request, (tx) => listPhoneNumbers(tx, { agentId }, after, limit + 1));
      return toPage(rows, limit, ({ createdAt, id }) => ({ at: createdAt.toISOString(), id }), toJson);
    },
  );

  app.get(
    '/api/v1/phone-numbers/:phone_number_id',
    {
      config: { access: mayRead },
      schema: {
        operationId: 'getPhoneNumber',
        tags,
        summary: 'Get a phone number',
        params,
        response: { 200: phoneNumberResponse },
      },
    },
    async (request, reply) => {
      const row = await read(deps, request, (tx) => findPhoneNumber(tx, request.params.phone_number_id));
      if (!row) throw notFound('phone number');
      return sendTagged(request, reply, toJson(row));
    },
  );

  createAndUpdateRoutes(app, deps);
  deleteRoute(app, deps);
}

function createAndUpdateRoutes(app: ApiApp, deps: Dependencies): void {
  app.post(
    '/api/v1/phone-numbers',
    {
      config: { access: mayWrite, idempotent: true },
      schema: {
        operationId: 'createPhoneNumber',
        tags,
        summary: 'Let an agent answer a number',
        body: phoneNumberFields,
        response: { 201: phoneNumberResponse },
      },
    },
    async (request, reply) => {
      const { number, agent_id: agentId, label, metadata } = request.body;
      // Before the transaction, which is not to wait for Twilio.
      const { twilio } = deps;
      if (twilio) await requireOwn(number, twilio);
      return deps.mutate(request, reply, async (tx, { organizationId }) => {
        await requireAgent(tx, agentId);
        if (twilio) await requireFree(tx, organizationId, number);
        const row = await insertPhoneNumber(tx, organizationId, { number, agentId, label, metadata }).catch(
          numberTaken,
        );
        const audit = { action: 'phone_number.created', resourceType: 'phone_number', resourceId: row.id };
        return { status: 201, body: toJson(row), audit };
      });
    },
  );

  app.patch(
    '/api/v1/phone-numbers/:phone_number_id',
    {
      config: { access: mayWrite, ifMatch: 'optional' },
      schema: {
        operationId: 'updatePhoneNumber',
        tags,
        summary: 'Change who answers a number',
        params,
        body: patchOf(changeableFields),
        response: { 200: phoneNumberResponse },
      },
    },
    (request, reply) =>
      deps.mutate(request, reply, async (tx) => {
        const { phone_number_id: id } = request.params;
        const current = await findPhoneNumber(tx, id, true);
        if (!current) throw notFound('phone number');
        checkIfMatch(request, toJson(current));
        const before = { agent_id: current.agentId, label: current.label, metadata: current.metadata };
        const { agent_id: agentId, label, metadata } = parseFields(changeableFields, mergePatch(before, request.body));
        if (agentId !== current.agentId) await requireAgent(tx, agentId);
        const row = await updatePhoneNumber(tx, id, { agentId, label, metadata });
        if (!row) throw notFound('phone number');
        const audit = { action: 'phone_number.updated', resourceType: 'phone_number', resourceId: id };
        return { status: 200, body: toJson(row), audit };
      }),
  );
}

function deleteRoute(app: ApiApp, deps: ResourceDependencies): void {
  app.delete(
    '/api/v1/phone-numbers/:phone_number_id',
    {
      config: { access: mayWrite, ifMatch: 'optional' },
      schema: {
        operationId: 'deletePhoneNumber',
        tags,
        summary: 'Give a number up',
        params,
        response: { 204: z.undefined().describe('It is given up.') },
      },
    },
    (request, reply) =>
      deps.mutate(request, reply, async (tx) => {
        const { phone_number_id: id } = request.params;
        const current = await findPhoneNumber(tx, id, true);
        if (!current) throw notFound('phone number');
        checkIfMatch(request, toJson(current));
        await deletePhoneNumber(tx, id);
        const audit = { action: 'phone_number.deleted', resourceType: 'phone_number', resourceId: id };
        return { status: 204, body: undefined, audit };
      }),
  );
}

/** Throws `invalid-fields` for an agent that the organization does not have (any more). */
async function requireAgent(tx: Transaction, agentId: string | null): Promise<void> {
  if (agentId === null || (await findAgent(tx, agentId))) return;
  const detail = 'is not the id of an agent';
  throw fieldProblem('invalid-fields', `body /agent_id: ${detail}`, [{ in: 'body', pointer: '/agent_id', detail }]);
}

/** Throws `invalid-fields` for a number that the account does not have, and `carrier-unavailable` when it does not say so. */
async function requireOwn(number: string, twilio: Pick<TwilioRest, 'hasNumber'>): Promise<void> {
  const isOwn = await twilio.hasNumber(number).catch((thrown: unknown) => {
    throw carrierProblem(thrown);
  });
  if (isOwn) return;
  const detail = 'is not a number of the Twilio account of this server';
  throw fieldProblem('invalid-fields', `body /number: ${detail}`, [{ in: 'body', pointer: '/number', detail }]);
}

/** Throws `conflict` for a number that another organization has. Until the transaction ends nobody else can have it. */
async function requireFree(tx: Transaction, orgId: string, number: string): Promise<void> {
  await tx.execute(sql`SELECT pg_advisory_xact_lock(hashtextextended(${`number ${number}`}, 0))`);
  const holder = await findHolder(tx, number);
  if (!holder || holder.org_id === orgId) return;
  const detail = 'is answered for another organization; whoever runs this server can say for which';
  throw fieldProblem('conflict', `body /number: ${detail}`, [{ in: 'body', pointer: '/number', detail }]);
}

function numberTaken(thrown: unknown): never {
  const { details } = toDatabaseError(thrown);
  if (details['constraint'] !== 'phone_numbers_number_key') throw thrown;
  const detail = 'is among your numbers already';
  throw fieldProblem('conflict', `body /number: ${detail}`, [{ in: 'body', pointer: '/number', detail }]);
}

function toJson(row: PhoneNumberRow): z.infer<typeof phoneNumberResponse> {
  return {
    id: row.id,
    number: row.number,
    agent_id: row.agentId,
    label: row.label,
    metadata: row.metadata,
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
  };
}
