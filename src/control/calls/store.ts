/** Reads the records of calls; the shapes are those of the HTTP API. Every query runs through the tenant door. */
import { and, eq, gte, lt, or, sql } from 'drizzle-orm';
import type { AnyColumn, SQL } from 'drizzle-orm';
import { PgDialect } from 'drizzle-orm/pg-core';
import { isId } from '../db/ids.ts';
import { behind, newestFirst } from '../db/keyset.ts';
import { callEvents, calls, conversations, messages, turns } from '../db/schema.ts';
import type { CallStatus, JsonObject } from '../db/schema.ts';
import type { Transaction } from '../db/tenant.ts';
import type { PricedUsage } from './costs.ts';
import { decodeCursor, toPage } from '../http/pagination.ts';

/** Which calls; what is absent does not matter. */
export interface CallFilter {
  readonly status?: CallStatus | undefined;
  readonly agentId?: string | undefined;
  readonly direction?: 'inbound' | 'outbound' | undefined;
  readonly channel?: 'phone' | 'web' | undefined;
  /** The caller's or the called number. */
  readonly number?: string | undefined;
  readonly createdFrom?: Date | undefined;
  readonly createdBefore?: Date | undefined;
  /** Words that were said in a call that has ended, all of them, in any order. */
  readonly text?: string | undefined;
  /** Fields that the call's metadata contains. */
  readonly metadata?: JsonObject | undefined;
}

export interface PageRequest {
  /** At most so many items. */
  readonly limit: number;
  /** `nextCursor` of the page before. */
  readonly cursor?: string | undefined;
}

export interface Page<Item> {
  readonly items: readonly Item[];
  /** Null: this is the last page. */
  readonly nextCursor: string | null;
}

/** A call in a list. Times are ISO 8601; costs are in US dollars, null while unknown. */
export interface StoredCallSummary {
  readonly id: string;
  readonly status: CallStatus;
  readonly end_reason: string | null;
  readonly end_detail: string | null;
  readonly direction: 'inbound' | 'outbound';
  readonly channel: 'phone' | 'web';
  readonly from: string;
  readonly to: string;
  readonly agent_id: string;
  readonly agent_version: number;
  readonly twilio_call_sid: string | null;
  readonly answered_by: string | null;
  readonly created_at: string;
  readonly started_at: string | null;
  readonly answered_at: string | null;
  readonly ended_at: string | null;
  readonly duration_ms: number | null;
  readonly cost_usd: {
    readonly telephony: number | null;
    readonly stt: number | null;
    readonly llm: number | null;
    readonly tts: number | null;
    /** Null unless all of them are known. */
    readonly total: number | null;
    /** Some of what was used is not known, and comes on top. */
    readonly is_minimum: boolean;
  };
  readonly variables: Readonly<Record<string, string>>;
  readonly metadata: JsonObject;
}

/** `GET /api/v1/calls/{id}`. Messages, turns and events in the order of their happening. */
export interface StoredCall extends StoredCallSummary {
  readonly conversation_id: string | null;
  readonly usage: Omit<PricedUsage, 'missing_prices' | 'is_minimum'> | null;
  readonly missing_prices: PricedUsage['missing_prices'];
  readonly messages: readonly StoredMessage[];
  readonly turns: readonly StoredTurn[];
  readonly events: readonly StoredEvent[];
}

export interface StoredMessage {
  readonly seq: number;
  readonly role: 'caller' | 'agent' | 'tool';
  readonly text: string;
  readonly heard_text: string;
  readonly at_ms: number;
  readonly details: JsonObject;
}

export interface StoredTurn {
  readonly turn: number;
  readonly at_ms: number;
  readonly voice_to_voice_ms: number | null;
  readonly stages: JsonObject;
}

/** The event's own fields beside these two. */
export interface StoredEvent extends JsonObject {
  readonly seq: number;
  readonly type: string;
  readonly at_ms: number;
}

/** Of more matches than these a filter by text is not looked up but tried on each call in turn, which then ends soon. */
const MAX_LOOKED_UP = 1_000;

/** Newest first. Throws `invalid-fields` for a cursor that is none. */
export async function listCalls(
  tx: Transaction,
  filter: CallFilter,
  page: PageRequest,
): Promise<Page<StoredCallSummary>> {
  const after = decodeCursor(page.cursor);
  const matching = await matchingIds(tx, filter);
  if (matching?.length === 0) return { items: [], nextCursor: null };
  const wanted = and(
    ...plainConditions(filter),
    matching ? isOneOf(matching) : dense(filter),
    behind(after, calls.createdAt, calls.id),
  );
  const newest = sql.join(newestFirst(calls.createdAt, calls.id), sql`, `);
  // The rows are chosen first, so that only those of the page become JSON.
  const { rows } = await tx.execute<{ items: readonly StoredCallSummary[] }>(sql`
    SELECT coalesce(json_agg(json_build_object(${SUMMARY}) ORDER BY ${newest}), '[]') AS items
    FROM (SELECT * FROM ${calls} ${wanted && sql`WHERE ${wanted}`}
      ORDER BY ${newest} LIMIT ${page.limit + 1}) AS calls`);
  const positionOf = ({ created_at: at, id }: StoredCallSummary) => ({ at, id });
  const found = toPage(rows[0]?.items ?? [], page.limit, positionOf, (item) => item);
  return { items: found.items, nextCursor: found.next_cursor };
}

/** Without what was said in it. Undefined: there is no such call. */
export async function readCallSummary(tx: Transaction, callId: string): Promise<StoredCallSummary | undefined> {
  const { rows } = await tx.execute<{ call: StoredCallSummary }>(
    sql`SELECT json_build_object(${SUMMARY}) AS call FROM ${calls} WHERE ${eq(calls.id, callId)}`,
  );
  return rows[0]?.call;
}

/** A call by its id or Twilio's CallSid. Undefined: there is none in this organization. */
export async function readCall(tx: Transaction, name: string): Promise<StoredCall | undefined> {
  // Parsing and planning it takes the database twice as long as running it, so a session does that once.
  const [row] = await tx
    .select({ call: RECORD })
    .from(calls)
    .leftJoin(conversations, eq(conversations.callId, calls.id))
    .where(isId(name) ? eq(calls.id, sql.placeholder('name')) : eq(calls.twilioCallSid, sql.placeholder('name')))
    .prepare(isId(name) ? 'call_by_id' : 'call_by_twilio_sid')
    .execute({ name });
  return row?.call;
}

/** The id of a call that is named by its id or by Twilio's CallSid; undefined: there is none in this organization. */
export async function findCallId(tx: Transaction, name: string): Promise<string | undefined> {
  const [row] = await tx
    .select({ id: calls.id })
    .from(calls)
    .where(isId(name) ? eq(calls.id, name) : eq(calls.twilioCallSid, name));
  return row?.id;
}

function plainConditions(filter: CallFilter): (SQL | undefined)[] {
  const { status, agentId, direction, channel, number, createdFrom, createdBefore } = filter;
  return [
    status && eq(calls.status, status),
    agentId === undefined ? undefined : eq(calls.agentId, agentId),
    direction && eq(calls.direction, direction),
    channel && eq(calls.channel, channel),
    number === undefined ? undefined : or(eq(calls.fromNumber, number), eq(calls.toNumber, number)),
    createdFrom && gte(calls.createdAt, createdFrom),
    createdBefore && lt(calls.createdAt, createdBefore),
  ];
}

/** The calls that a filter by text or metadata leaves, by their indexes; undefined: no such filter, or too many calls. */
async function matchingIds(tx: Transaction, { text, metadata }: CallFilter): Promise<string[] | undefined> {
  if (text === undefined && metadata === undefined) return undefined;
  const wanted = metadata === undefined ? null : JSON.stringify(metadata);
  const { rows } = await tx.execute<{ id: string }>(
    sql`SELECT id FROM matching_calls(${text ?? null}::text, ${wanted}::jsonb, ${MAX_LOOKED_UP + 1}::integer) AS id`,
  );
  return rows.length > MAX_LOOKED_UP ? undefined : rows.map(({ id }) => id);
}

/** One parameter, however many there are: with one each a list of 425 matches took 12 ms instead of 8 (p50). */
function isOneOf(ids: readonly string[]): SQL {
  return sql`${calls.id} = ANY (${`{${ids.join(',')}}`}::uuid[])`;
}

function dense({ text, metadata }: CallFilter): SQL | undefined {
  return and(
    text === undefined ? undefined : sql`${calls.search} @@ plainto_tsquery('simple', ${text})`,
    metadata === undefined ? undefined : sql`${calls.metadata} @> ${JSON.stringify(metadata)}::jsonb`,
  );
}

const dialect = new PgDialect();

/** A fragment without parameters, written out once: otherwise drizzle does it for each query, which takes longer than the rest. */
function writtenOut<T>(fragment: SQL): SQL<T> {
  return sql.raw(dialect.sqlToQuery(fragment).sql) as SQL<T>;
}

/** As `Date.toISOString` writes it; null stays null. */
const iso = (column: AnyColumn): SQL => sql`to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

/** A call that nobody took up has used nothing, and nobody had to write that down. */
const costOf = (cost: AnyColumn | SQL): SQL => sql`CASE WHEN ${calls.endedAt} IS NOT NULL AND ${calls.startedAt} IS NULL
  AND ${calls.answeredAt} IS NULL THEN 0 ELSE ${cost} END`;

// Records become JSON in the database: what the process that carries the calls does for a list of 50 then takes a third of the
// time, and for a detail a fifth (docs/decisions/0050). The fields are those of the types above.

/** Names and values of a {@link StoredCallSummary}, of a row of `calls`. */
const SUMMARY = writtenOut(sql`
  'id', ${calls.id}, 'status', ${calls.status}, 'end_reason', ${calls.endReason},
   'end_detail', ${calls.endDetail}, 'direction', ${calls.direction},
  'channel', ${calls.channel}, 'from', ${calls.fromNumber}, 'to', ${calls.toNumber}, 'agent_id', ${calls.agentId},
  'agent_version', ${calls.agentVersion}, 'twilio_call_sid', ${calls.twilioCallSid}, 'answered_by', ${calls.answeredBy},
  'created_at', ${iso(calls.createdAt)}, 'started_at', ${iso(calls.startedAt)}, 'answered_at', ${iso(calls.answeredAt)},
  'ended_at', ${iso(calls.endedAt)}, 'duration_ms', ${calls.durationMs},
  'cost_usd', json_build_object('telephony', ${costOf(calls.telephonyCostUsd)}, 'stt', ${costOf(calls.sttCostUsd)},
    'llm', ${costOf(calls.llmCostUsd)}, 'tts', ${costOf(calls.ttsCostUsd)},
    'total', ${costOf(sql`${calls.telephonyCostUsd} + ${calls.sttCostUsd} + ${calls.llmCostUsd} + ${calls.ttsCostUsd}`)},
    'is_minimum', coalesce((${calls.usage} -> 'is_minimum')::boolean, false)),
  'variables', ${calls.variables}, 'metadata', ${calls.metadata}`);
/** All {@link StoredMessage}s. */
const MESSAGES = sql`(
  SELECT coalesce(json_agg(json_build_object('seq', ${messages.seq}, 'role', ${messages.role}, 'text', ${messages.text},
    'heard_text', ${messages.heardText}, 'at_ms', ${messages.atMs}, 'details', ${messages.details}) ORDER BY ${messages.seq}), '[]')
  FROM ${messages} WHERE ${eq(messages.conversationId, conversations.id)})`;
/** All {@link StoredTurn}s. */
const TURNS = sql`(
  SELECT coalesce(json_agg(json_build_object('turn', ${turns.turn}, 'at_ms', ${turns.atMs},
    'voice_to_voice_ms', ${turns.voiceToVoiceMs}, 'stages', ${turns.stages}) ORDER BY ${turns.seq}), '[]')
  FROM ${turns} WHERE ${eq(turns.callId, calls.id)})`;
/** All {@link StoredEvent}s. */
const EVENTS = sql`(
  SELECT coalesce(json_agg(${callEvents.payload} || jsonb_build_object('seq', ${callEvents.seq}, 'type', ${callEvents.type},
    'at_ms', ${callEvents.atMs}) ORDER BY ${callEvents.seq}), '[]')
  FROM ${callEvents} WHERE ${eq(callEvents.callId, calls.id)})`;
/** A whole {@link StoredCall}. */
const RECORD = writtenOut<StoredCall>(sql`json_build_object(${SUMMARY}, 'conversation_id', ${conversations.id},
  'usage', ${calls.usage} - 'missing_prices' - 'is_minimum', 'missing_prices', coalesce(${calls.usage} -> 'missing_prices', '[]'),
  'messages', ${MESSAGES}, 'turns', ${TURNS}, 'events', ${EVENTS})`);
