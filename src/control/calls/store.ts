/** Reads the records of calls; the shapes are those of the HTTP API. Every query runs through the tenant door. */
import { and, asc, eq, gte, lt, or, sql } from 'drizzle-orm';
import type { SQL } from 'drizzle-orm';
import { isId } from '../db/ids.ts';
import { behind, newestFirst } from '../db/keyset.ts';
import { callEvents, calls, conversations, messages, turns } from '../db/schema.ts';
import type { CallStatus, JsonObject } from '../db/schema.ts';
import type { Transaction } from '../db/tenant.ts';
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
  };
  readonly variables: Readonly<Record<string, string>>;
  readonly metadata: JsonObject;
}

/** `GET /api/v1/calls/{id}`. Messages, turns and events in the order of their happening. */
export interface StoredCall extends StoredCallSummary {
  readonly conversation_id: string | null;
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
  const rows = await tx
    .select(summaryColumns)
    .from(calls)
    .where(
      and(
        ...plainConditions(filter),
        matching ? isOneOf(matching) : dense(filter),
        behind(after, calls.createdAt, calls.id),
      ),
    )
    .orderBy(...newestFirst(calls.createdAt, calls.id))
    .limit(page.limit + 1);
  const positionOf = ({ createdAt, id }: (typeof rows)[number]) => ({ at: createdAt.toISOString(), id });
  const { items, next_cursor: nextCursor } = toPage(rows, page.limit, positionOf, toSummary);
  return { items, nextCursor };
}

/** Without what was said in it. Undefined: there is no such call. */
export async function readCallSummary(tx: Transaction, callId: string): Promise<StoredCallSummary | undefined> {
  const [row] = await tx.select(summaryColumns).from(calls).where(eq(calls.id, callId));
  return row && toSummary(row);
}

/** Undefined: there is no such call, or it is another tenant's. */
export async function readCall(tx: Transaction, callId: string): Promise<StoredCall | undefined> {
  if (!isId(callId)) return undefined;
  const [row] = await tx.select(summaryColumns).from(calls).where(eq(calls.id, callId));
  if (!row) return undefined;
  const [conversation] = await tx
    .select({ id: conversations.id })
    .from(conversations)
    .where(eq(conversations.callId, callId));
  return {
    ...toSummary(row),
    conversation_id: conversation?.id ?? null,
    messages: conversation ? await readMessages(tx, conversation.id) : [],
    turns: await readTurns(tx, callId),
    events: await readEvents(tx, callId),
  };
}

/** The id of a call that is named by its id or by Twilio's CallSid; undefined: there is none in this organization. */
export async function findCallId(tx: Transaction, name: string): Promise<string | undefined> {
  const [row] = await tx
    .select({ id: calls.id })
    .from(calls)
    .where(isId(name) ? eq(calls.id, name) : eq(calls.twilioCallSid, name));
  return row?.id;
}

/** The messages of a conversation; none when there is no such conversation. */
export async function readMessages(tx: Transaction, conversationId: string): Promise<StoredMessage[]> {
  return tx
    .select({
      seq: messages.seq,
      role: messages.role,
      text: messages.text,
      heard_text: messages.heardText,
      at_ms: messages.atMs,
      details: messages.details,
    })
    .from(messages)
    .where(eq(messages.conversationId, conversationId))
    .orderBy(asc(messages.seq));
}

async function readTurns(tx: Transaction, callId: string): Promise<StoredTurn[]> {
  return tx
    .select({ turn: turns.turn, at_ms: turns.atMs, voice_to_voice_ms: turns.voiceToVoiceMs, stages: turns.stages })
    .from(turns)
    .where(eq(turns.callId, callId))
    .orderBy(asc(turns.seq));
}

async function readEvents(tx: Transaction, callId: string): Promise<StoredEvent[]> {
  const rows = await tx
    .select({ seq: callEvents.seq, type: callEvents.type, at_ms: callEvents.atMs, payload: callEvents.payload })
    .from(callEvents)
    .where(eq(callEvents.callId, callId))
    .orderBy(asc(callEvents.seq));
  return rows.map(({ payload, ...event }) => ({ ...payload, ...event }));
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

const summaryColumns = {
  id: calls.id,
  status: calls.status,
  endReason: calls.endReason,
  endDetail: calls.endDetail,
  direction: calls.direction,
  channel: calls.channel,
  from: calls.fromNumber,
  to: calls.toNumber,
  agentId: calls.agentId,
  agentVersion: calls.agentVersion,
  twilioCallSid: calls.twilioCallSid,
  answeredBy: calls.answeredBy,
  createdAt: calls.createdAt,
  startedAt: calls.startedAt,
  answeredAt: calls.answeredAt,
  endedAt: calls.endedAt,
  durationMs: calls.durationMs,
  telephonyCostUsd: calls.telephonyCostUsd,
  sttCostUsd: calls.sttCostUsd,
  llmCostUsd: calls.llmCostUsd,
  ttsCostUsd: calls.ttsCostUsd,
  variables: calls.variables,
  metadata: calls.metadata,
};

type SummaryRow = Pick<typeof calls.$inferSelect, Exclude<keyof typeof summaryColumns, 'from' | 'to'>> & {
  readonly from: string;
  readonly to: string;
};

function toSummary(row: SummaryRow): StoredCallSummary {
  return {
    id: row.id,
    status: row.status,
    end_reason: row.endReason,
    end_detail: row.endDetail,
    direction: row.direction,
    channel: row.channel,
    from: row.from,
    to: row.to,
    agent_id: row.agentId,
    agent_version: row.agentVersion,
    twilio_call_sid: row.twilioCallSid,
    answered_by: row.answeredBy,
    created_at: row.createdAt.toISOString(),
    started_at: row.startedAt?.toISOString() ?? null,
    answered_at: row.answeredAt?.toISOString() ?? null,
    ended_at: row.endedAt?.toISOString() ?? null,
    duration_ms: row.durationMs,
    cost_usd: {
      telephony: row.telephonyCostUsd,
      stt: row.sttCostUsd,
      llm: row.llmCostUsd,
      tts: row.ttsCostUsd,
    },
    variables: row.variables,
    metadata: row.metadata,
  };
}
