/** Beginning calls over HTTP: a telephone is rung, or a browser gets a socket. */
import { asc, eq, sql } from 'drizzle-orm';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { BvraiError } from '../../core/errors.ts';
import { metadataSchema, phoneNumberSchema, variablesSchema } from '../agents/schema.ts';
import { findAgent } from '../agents/store.ts';
import { newId } from '../db/ids.ts';
import { findPhoneNumber } from '../db/lookups.ts';
import { calls, phoneNumbers } from '../db/schema.ts';
import type { Transaction } from '../db/tenant.ts';
import { read } from '../http/api-app.ts';
import type { ApiApp, ResourceDependencies } from '../http/api-app.ts';
import { fieldProblem } from '../http/problem.ts';
import type { DialRequest, TwilioRest } from '../twilio/rest.ts';
import type { ApiDesk } from './api-desk.ts';
import { LONGEST_TURN_MS } from './dial-turns.ts';
import type { DialTurn, DialTurns } from './dial-turns.ts';
import { callSummaryResponse } from './json.ts';
import { dial, dialProblem } from './outbound.ts';
import { readCallSummary } from './store.ts';
import type { StoredCallSummary } from './store.ts';
import { VARIABLES_DESCRIPTION, isTimeZoneOfVariables } from './variables.ts';
import { OPEN_WITHIN_MS, START_GRACE_MS, admitWebCall } from './web.ts';

export interface NewCallDependencies {
  readonly desk: Pick<ApiDesk, 'check' | 'ring' | 'endRinging' | 'expect' | 'watch'>;
  /** Absent: no telephone can be rung. */
  readonly twilio: Pick<TwilioRest, 'dial'> | undefined;
  /** At which telephones are rung. */
  readonly turns: Pick<DialTurns, 'take' | 'close'>;
  /** This start of this server, which closes what it began; null: nobody does. */
  readonly instanceId: string | null;
  /** `ws(s)://…/web`, as whoever sent this request reaches it. */
  readonly webSocketUrl: (requestHost: string) => string;
}

type Dependencies = ResourceDependencies & NewCallDependencies;

/** After its ringing time Twilio has said for long what became of a call. */
const CALLBACK_GRACE_MS = 60_000;
/** A place is kept a moment longer than its call is watched: whether it still rings is asked first (unopened.ts). */
const PLACE_GRACE_MS = 15_000;
/** Of an organization's numbers, when the request names none. */
const MAX_NUMBERS_TRIED = 20;

const createBody = z.strictObject({
  agent_id: z.uuid(),
  channel: z.enum(['phone', 'web']).default('phone').describe('`web`: a browser opens the socket that is answered.'),
  to: phoneNumberSchema.optional().describe('Whom to ring; needed with channel phone.'),
  from: phoneNumberSchema.optional().describe('One of your numbers. Default: the agent’s first, else your first.'),
  machine_detection: z
    .enum(['Enable', 'DetectMessageEnd'])
    .optional()
    .describe('Has Twilio listen for an answering machine; the result is `answered_by`.'),
  ring_timeout_s: z.int().min(5).max(600).default(30),
  variables: variablesSchema
    .refine((value) => JSON.stringify(value).length <= 16_384, 'must be at most 16 KiB of JSON')
    .refine(isTimeZoneOfVariables, {
      message: 'must be the name of a time zone such as Europe/Berlin',
      path: ['time_zone'],
    })
    .default({})
    .describe(VARIABLES_DESCRIPTION)
    .meta({ examples: [{ caller_name: 'Grace' }] }),
  metadata: metadataSchema.default({}),
});
type CreateBody = z.infer<typeof createBody>;

const createdResponse = callSummaryResponse
  .extend({
    socket_url: z
      .string()
      .optional()
      .describe('With channel web: speaks Twilio’s media stream protocol, in which the browser takes Twilio’s part.'),
    token: z.string().optional().describe('Good once, for 60 s: `start.customParameters.token`.'),
    call_sid: z.string().optional().describe('To be sent as `start.callSid`.'),
  })
  .meta({ id: 'NewCall' });
type Created = z.infer<typeof createdResponse>;

export function newCallRoute(app: ApiApp, deps: Dependencies): void {
  // Requests that wait for their turn would hold up the server that closes.
  app.addHook('preClose', async () => deps.turns.close());
  app.post(
    '/api/v1/calls',
    {
      config: { access: { role: 'member', scope: 'calls:write' }, idempotent: true },
      schema: {
        operationId: 'createCall',
        tags: ['calls'],
        summary: 'Begin a call',
        description:
          'Rings a telephone through Twilio, or gives out a socket for a browser. What becomes of it is its status. When Twilio ' +
          'refuses (`carrier-refused`) or does not answer (`carrier-unavailable`), the call exists, has failed, and says why. ' +
          'Telephones are rung one after the other, as many in a second as Twilio takes: the answer may take 15 s longer by that. ' +
          'When too many wait, or as many calls are in progress as may, nothing is made: `capacity`, with `Retry-After`.',
        body: createBody,
        response: { 201: createdResponse },
      },
    },
    async (request, reply) => {
      let begun: BegunCall | undefined;
      const givePlaceUp = async (): Promise<void> => {
        if (begun?.ring) await deps.desk.endRinging(begun.body.id);
      };
      const made = deps.mutate<Created>(request, reply, async (tx, principal) => {
        // It runs again when it has lost against another transaction.
        await givePlaceUp();
        begun = await beginCall(tx, principal.organizationId, request, deps);
        const { body } = begun;
        const details = { channel: body.channel };
        const audit = { action: 'call.created', resourceType: 'call', resourceId: body.id, details };
        return { status: 201, body, audit };
      });
      const answer = await made.catch(async (thrown: unknown) => {
        await givePlaceUp();
        throw thrown;
      });
      // After the commit: the webhook of a call that is answered at once must find it.
      if (begun?.body.id === answer.id) await follow(begun, request, deps);
      else await failAgain(answer, request, deps);
      return answer;
    },
  );
}

interface BegunCall {
  readonly body: Created;
  readonly orgId: string;
  /** Absent: a browser call. */
  readonly ring: (DialRequest & { readonly turn: DialTurn }) | undefined;
}

async function follow(
  { body, orgId, ring }: BegunCall,
  { log }: FastifyRequest,
  { door, desk, twilio }: Dependencies,
): Promise<void> {
  const call = { id: body.id, orgId, channel: body.channel };
  if (!ring) return desk.watch(call, OPEN_WITHIN_MS + START_GRACE_MS);
  try {
    await desk.watch(call, ring.turn.waitMs + heardOfWithinMs(ring.ringTimeoutS));
    if (twilio) await dial(door, twilio, ring, log);
  } catch (thrown) {
    await desk.endRinging(ring.id);
    throw thrown;
  }
}

const heardOfWithinMs = (ringTimeoutS: number): number => ringTimeoutS * 1_000 + CALLBACK_GRACE_MS;

/** A request that is repeated rings nobody; when the first time failed after the commit, it fails in the same way. */
async function failAgain({ id }: Created, request: FastifyRequest, deps: Dependencies): Promise<void> {
  const call = await read(deps, request, (tx) => readCallSummary(tx, id));
  const problem = call && dialProblem(call);
  if (problem) throw problem;
}

async function beginCall(
  tx: Transaction,
  orgId: string,
  { body, host }: { readonly body: CreateBody; readonly host: string },
  deps: Dependencies,
): Promise<BegunCall> {
  await deps.desk.check(orgId);
  const agent = await findAgent(tx, body.agent_id);
  if (!agent || agent.publishedVersion === null) throw noSuchAgent();
  const id = newId();
  const numbers = body.channel === 'phone' ? await numbersOf(tx, orgId, body, deps) : undefined;
  await tx.insert(calls).values({
    id,
    orgId,
    direction: numbers ? 'outbound' : 'inbound',
    channel: body.channel,
    fromNumber: numbers?.from ?? '',
    toNumber: numbers?.to ?? '',
    agentId: agent.id,
    agentVersion: agent.publishedVersion,
    instanceId: deps.instanceId,
    variables: body.variables,
    metadata: body.metadata,
  });
  const call = await readCallSummary(tx, id);
  if (!call) throw new BvraiError('internal', 'A call was not inserted.');
  if (!numbers) return { body: await withSocket(tx, orgId, call, host, deps), orgId, ring: undefined };
  const { machine_detection: machineDetection, ring_timeout_s: ringTimeoutS } = body;
  // The last thing: what fails before it keeps no place.
  const turn = await placeAndTurn({ id, orgId }, ringTimeoutS, deps);
  return { body: call, orgId, ring: { id, orgId, ...numbers, machineDetection, ringTimeoutS, turn } };
}

/** Both or none. */
async function placeAndTurn(
  call: { readonly id: string; readonly orgId: string },
  ringTimeoutS: number,
  { desk, turns }: Dependencies,
): Promise<DialTurn> {
  await desk.ring(call, LONGEST_TURN_MS + heardOfWithinMs(ringTimeoutS) + PLACE_GRACE_MS);
  try {
    return turns.take(call.orgId);
  } catch (thrown) {
    await desk.endRinging(call.id);
    throw thrown;
  }
}

async function numbersOf(
  tx: Transaction,
  orgId: string,
  body: CreateBody,
  { twilio }: Dependencies,
): Promise<{ readonly from: string; readonly to: string }> {
  if (body.to === undefined) throw fault('to', 'is needed with channel phone');
  if (!twilio)
    throw new BvraiError(
      'conflict',
      'This server cannot ring telephones: TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and PUBLIC_URL are not all set.',
    );
  return { from: await callerNumber(tx, orgId, body), to: body.to };
}

/** Only a number whose calls come here: whoever claims one that another organization has may not ring in its name either. */
async function callerNumber(tx: Transaction, orgId: string, { from, agent_id: agentId }: CreateBody): Promise<string> {
  const rows = await tx
    .select({ number: phoneNumbers.number })
    .from(phoneNumbers)
    .where(from === undefined ? undefined : eq(phoneNumbers.number, from))
    .orderBy(sql`${phoneNumbers.agentId} IS NOT DISTINCT FROM ${agentId} DESC`, asc(phoneNumbers.createdAt))
    .limit(MAX_NUMBERS_TRIED);
  for (const { number } of rows) if ((await findPhoneNumber(tx, number))?.org_id === orgId) return number;
  throw fault('from', 'is none of the phone numbers that are answered here for you; add it first');
}

async function withSocket(
  tx: Transaction,
  orgId: string,
  call: StoredCallSummary,
  requestHost: string,
  deps: Dependencies,
): Promise<Created> {
  const { id, agent_id: agentId, variables } = call;
  const admitted = await admitWebCall(tx, deps, { id, orgId, agentId, variables });
  if (!admitted) throw noSuchAgent();
  const { token, callSid } = admitted;
  return { ...call, socket_url: deps.webSocketUrl(requestHost), token, call_sid: callSid };
}

const noSuchAgent = (): BvraiError => fault('agent_id', 'is not the id of an agent that is published');

function fault(field: string, detail: string): BvraiError {
  return fieldProblem('invalid-fields', `body /${field}: ${detail}`, [{ in: 'body', pointer: `/${field}`, detail }]);
}
