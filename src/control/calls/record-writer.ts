/** Spooled lines into the tables, so that writing them again changes nothing. */
import { sql } from 'drizzle-orm';
import type { SQL } from 'drizzle-orm';
import { BvraiError } from '../../core/errors.ts';
import { newId } from '../db/ids.ts';
import type { Transaction } from '../db/tenant.ts';
import { withAskedEnds } from './asked-end.ts';
import { NO_PRICES } from './prices.ts';
import type { Prices } from './prices.ts';
import { messageDetails, messageOf, statusAfter, turnOf } from './projection.ts';
import type { BeginLine, EventLine, SpoolLine } from './spool-lines.ts';
import { insertUsage, newestUsage, settleCosts } from './usage-writer.ts';

/** Of what was said in a call; a tsvector has an end too, and this is hours of talk. */
const SEARCHED_CHARACTERS = 150_000;

/** The words of the messages of a row of `calls`, each once. */
export const searchedWords = sql`coalesce((
  SELECT strip(to_tsvector('simple', left(string_agg(messages.text, ' '), ${SEARCHED_CHARACTERS})))
  FROM messages JOIN conversations ON conversations.id = messages.conversation_id
  WHERE conversations.call_id = calls.id AND messages.role <> 'tool'), '')`;

/**
 * Before events of an organization are inserted, by whomever: they get their feed ids in the order in which they can be seen, so that a follower
 * which has seen one id has seen all below it.
 */
export async function lockEvents(tx: Transaction, orgId: string): Promise<void> {
  await tx.execute(sql`SELECT pg_advisory_xact_lock(hashtextextended(${`events ${orgId}`}, 0))`);
}

/** Writes the lines of one organization, whose transaction `tx` is. Each statement takes its rows as one JSON parameter. */
export async function writeLines(
  tx: Transaction,
  lines: readonly SpoolLine[],
  prices: Prices = NO_PRICES,
): Promise<void> {
  const [{ org_id: orgId } = { org_id: '' }] = lines;
  await lockEvents(tx, orgId);
  const announced = lines.filter((line) => line.kind === 'announced');
  const begins = lines.filter((line) => line.kind === 'begin');
  const missed = lines.filter((line) => line.kind === 'missed');
  const told = lines.filter((line) => line.kind === 'event');
  const used = lines.filter((line) => line.kind === 'usage');
  const events = await withAskedEnds(tx, told);
  const rowsOf = <Row>(toRow: (line: EventLine) => Row | undefined): Row[] =>
    events.map(understood(toRow)).filter((row) => row !== undefined);
  const statements: readonly (readonly [readonly unknown[], (rows: string) => SQL])[] = [
    [announced, insertAnnounced],
    [begins, insertCalls],
    [begins.map(toConversation), insertConversations],
    [rowsOf(toEventRow), insertEvents],
    [rowsOf(toMessageRow), insertMessages],
    [rowsOf(toTurnRow), insertTurns],
    [newestUsage(used), insertUsage],
    [rowsOf(toEndRow), endCalls],
    [rowsOf(toEndRow), endConversations],
    [rowsOf(toEndRow), keepSearchedWords],
    // Behind the conversations: a call that has one was not missed.
    [missed, endMissed],
  ];
  for (const [rows, statement] of statements) {
    if (rows.length > 0) await tx.execute(statement(JSON.stringify(rows)));
  }
  // Also of calls that had ended before: of one that was taken for dead its server may say more.
  const settled = [...used, ...rowsOf(toEndRow)].map(({ call_id: id }) => id);
  await settleCosts(tx, [...new Set(settled)], prices);
}

/** A line of another version of this program may lack what its event has today: that is the line's fault, not the database's. */
const understood =
  <Row>(toRow: (line: EventLine) => Row) =>
  (line: EventLine): Row => {
    try {
      return toRow(line);
    } catch (thrown) {
      throw new BvraiError('invalid-value', `An event '${line.event.type}' cannot be understood.`, { cause: thrown });
    }
  };

function toConversation({ call_id, org_id, at }: BeginLine): object {
  return { id: newId(), call_id, org_id, at };
}

function toEventRow({ call_id, org_id, seq, at, event }: EventLine): object {
  const { type, at_ms, ...payload } = event;
  return { call_id, org_id, seq, at, type, at_ms: Math.round(at_ms), payload };
}

function toMessageRow({ call_id, org_id, seq, at, event }: EventLine): object | undefined {
  const message = messageOf(event);
  return (
    message && { ...message, call_id, org_id, seq, at, at_ms: Math.round(event.at_ms), details: messageDetails(event) }
  );
}

function toTurnRow({ call_id, org_id, seq, event }: EventLine): object | undefined {
  if (event.type !== 'turn-traced') return undefined;
  return { ...turnOf(event), call_id, org_id, seq, turn: event.turn, at_ms: Math.round(event.at_ms) };
}

interface EndRow {
  readonly call_id: string;
  readonly at: number;
  readonly end_reason: string;
  readonly status: 'completed' | 'failed';
  readonly duration_ms: number;
}

function toEndRow({ call_id, at, event }: EventLine): EndRow | undefined {
  if (event.type !== 'call-ended') return undefined;
  const { reason, at_ms } = event;
  return { call_id, at, end_reason: reason, status: statusAfter(reason), duration_ms: Math.round(at_ms) };
}

/** The columns that every line about a whole call fills, and their values in {@link callsOf}. */
const CALL_COLUMNS =
  sql.raw(`id, org_id, twilio_call_sid, direction, channel, from_number, to_number, agent_id, agent_version,
    instance_id, created_at`);
const CALL_VALUES = sql.raw(`call_id, org_id, twilio_call_sid, direction, channel, from_number, to_number, agent_id,
    agent_version, instance_id, to_timestamp(at / 1000.0)`);

/** Lines about whole calls, of each call the first: its webhook may be repeated. */
const callsOf = (rows: string): SQL => sql`(
  SELECT DISTINCT ON (call_id) * FROM jsonb_to_recordset(${rows}::jsonb) AS line (call_id uuid, org_id uuid,
    twilio_call_sid text, direction text, channel text, from_number text, to_number text, agent_id uuid,
    agent_version integer, instance_id uuid, at numeric, status text, end_reason text, end_detail text)
  ORDER BY call_id, at) AS line`;

/** One that rings was made by the API; its row may know more. */
const insertAnnounced = (rows: string): SQL => sql`
  INSERT INTO calls (${CALL_COLUMNS}, status) SELECT ${CALL_VALUES}, 'ringing' FROM ${callsOf(rows)}
  ON CONFLICT DO NOTHING`;

/** The call may exist already, announced or made by the API; it may even have ended, which stays. */
const insertCalls = (rows: string): SQL => sql`
  INSERT INTO calls (${CALL_COLUMNS}, status, started_at, answered_at)
  SELECT ${CALL_VALUES}, 'in_progress', to_timestamp(at / 1000.0), to_timestamp(at / 1000.0) FROM ${callsOf(rows)}
  ON CONFLICT (id) DO UPDATE SET status = 'in_progress', agent_version = excluded.agent_version,
    instance_id = excluded.instance_id, twilio_call_sid = coalesce(calls.twilio_call_sid, excluded.twilio_call_sid),
    started_at = coalesce(calls.started_at, excluded.started_at),
    answered_at = coalesce(calls.answered_at, excluded.answered_at)
  WHERE calls.ended_at IS NULL`;

const insertConversations = (rows: string): SQL => sql`
  INSERT INTO conversations (id, org_id, call_id, started_at)
  SELECT id, org_id, call_id, to_timestamp(at / 1000.0)
  FROM jsonb_to_recordset(${rows}::jsonb) AS line (id uuid, org_id uuid, call_id uuid, at numeric)
  ON CONFLICT (org_id, call_id) DO NOTHING`;

const insertEvents = (rows: string): SQL => sql`
  INSERT INTO call_events (org_id, call_id, seq, type, at_ms, payload, created_at)
  SELECT org_id, call_id, seq, type, at_ms, payload, to_timestamp(at / 1000.0)
  FROM jsonb_to_recordset(${rows}::jsonb) AS line (org_id uuid, call_id uuid, seq integer, type text, at_ms bigint,
    payload jsonb, at numeric)
  ON CONFLICT DO NOTHING`;

const insertMessages = (rows: string): SQL => sql`
  INSERT INTO messages (org_id, conversation_id, seq, role, text, heard_text, at_ms, details, created_at)
  SELECT line.org_id, conversations.id, seq, role, text, heard_text, at_ms, details, to_timestamp(at / 1000.0)
  FROM jsonb_to_recordset(${rows}::jsonb) AS line (org_id uuid, call_id uuid, seq integer, role text, text text,
    heard_text text, at_ms bigint, details jsonb, at numeric)
  JOIN conversations USING (org_id, call_id)
  ON CONFLICT DO NOTHING`;

const insertTurns = (rows: string): SQL => sql`
  INSERT INTO turns (org_id, call_id, seq, turn, at_ms, voice_to_voice_ms, stages)
  SELECT org_id, call_id, seq, turn, at_ms, voice_to_voice_ms, stages
  FROM jsonb_to_recordset(${rows}::jsonb) AS line (org_id uuid, call_id uuid, seq integer, turn integer, at_ms bigint,
    voice_to_voice_ms double precision, stages jsonb)
  ON CONFLICT DO NOTHING`;

/** Once for each call, at its end: each write of an indexed column writes every index of the row. */
const keepSearchedWords = (rows: string): SQL => sql`
  UPDATE calls SET search = ${searchedWords}
  FROM jsonb_to_recordset(${rows}::jsonb) AS line (call_id uuid)
  WHERE calls.id = line.call_id`;

const endCalls = (rows: string): SQL => sql`
  UPDATE calls SET status = line.status, end_reason = line.end_reason, ended_at = to_timestamp(line.at / 1000.0),
    duration_ms = line.duration_ms
  FROM jsonb_to_recordset(${rows}::jsonb) AS line (call_id uuid, status text, end_reason text, duration_ms bigint, at numeric)
  WHERE calls.id = line.call_id AND calls.ended_at IS NULL`;

const endMissed = (rows: string): SQL => sql`
  INSERT INTO calls (${CALL_COLUMNS}, status, end_reason, end_detail, ended_at)
  SELECT ${CALL_VALUES}, line.status, end_reason, end_detail, to_timestamp(at / 1000.0) FROM ${callsOf(rows)}
  ON CONFLICT (id) DO UPDATE SET status = excluded.status, end_reason = excluded.end_reason,
    end_detail = excluded.end_detail, ended_at = greatest(calls.created_at, excluded.ended_at),
    twilio_call_sid = coalesce(calls.twilio_call_sid, excluded.twilio_call_sid)
  WHERE calls.ended_at IS NULL AND NOT EXISTS (SELECT FROM conversations WHERE conversations.call_id = calls.id)`;

const endConversations = (rows: string): SQL => sql`
  UPDATE conversations SET status = CASE WHEN line.status = 'completed' THEN 'completed' ELSE 'abandoned' END,
    ended_at = to_timestamp(line.at / 1000.0)
  FROM jsonb_to_recordset(${rows}::jsonb) AS line (call_id uuid, status text, at numeric)
  WHERE conversations.call_id = line.call_id AND conversations.status = 'active'`;
