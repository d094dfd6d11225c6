/** What calls used, into the tables; and, when they have ended, what that cost. Writing it again changes nothing. */
import { sql } from 'drizzle-orm';
import type { SQL } from 'drizzle-orm';
import type { CallUsage } from '../../pipeline/ports.ts';
import type { Transaction } from '../db/tenant.ts';
import { priceCall } from './costs.ts';
import type { EndedCall } from './costs.ts';
import type { Prices } from './prices.ts';
import type { UsageLine } from './spool-lines.ts';

/** Of each stream the last line: one statement cannot write a row twice. */
export function newestUsage(lines: readonly UsageLine[]): UsageLine[] {
  const newest = new Map<string, UsageLine>();
  for (const line of lines) {
    const key = `${line.call_id} ${line.instance_id} ${line.stream}`;
    const known = newest.get(key);
    if (!known || known.seq < line.seq) newest.set(key, line);
  }
  return [...newest.values()];
}

export const insertUsage = (rows: string): SQL => sql`
  INSERT INTO call_usage (org_id, call_id, instance_id, stream, seq, final, usage)
  SELECT org_id, call_id, instance_id, stream, seq, final, usage
  FROM jsonb_to_recordset(${rows}::jsonb) AS line (org_id uuid, call_id uuid, instance_id uuid, stream integer,
    seq integer, final boolean, usage jsonb)
  ON CONFLICT (org_id, call_id, instance_id, stream) DO UPDATE SET seq = excluded.seq, final = excluded.final,
    usage = excluded.usage
  WHERE call_usage.seq < excluded.seq`;

interface EndedRow extends Record<string, unknown> {
  readonly id: string;
  readonly direction: EndedCall['direction'];
  readonly channel: EndedCall['channel'];
  readonly duration_ms: string | number | null;
  readonly usages: readonly CallUsage[];
  readonly is_complete: boolean;
}

/** Writes what those of the calls cost that had a conversation and have ended. */
export async function settleCosts(tx: Transaction, callIds: readonly string[], prices: Prices): Promise<void> {
  if (callIds.length === 0) return;
  const { rows } = await tx.execute<EndedRow>(sql`
    SELECT calls.id, direction, channel, duration_ms,
      coalesce(json_agg(call_usage.usage ORDER BY call_usage.instance_id, stream) FILTER (WHERE call_usage.usage IS NOT NULL), '[]') AS usages,
      coalesce(bool_and(call_usage.final), false) AS is_complete
    FROM calls LEFT JOIN call_usage ON call_usage.org_id = calls.org_id AND call_usage.call_id = calls.id
    WHERE calls.id = ANY (${`{${callIds.join(',')}}`}::uuid[]) AND ended_at IS NOT NULL AND started_at IS NOT NULL
    GROUP BY calls.id`);
  const settled = rows.map(({ id, direction, channel, duration_ms: durationMs, usages, is_complete: isComplete }) => {
    const ended = { direction, channel, durationMs: Number(durationMs ?? 0), usages, isComplete };
    const { usage, costs } = priceCall(ended, prices);
    return { id, usage, ...costs };
  });
  if (settled.length > 0) await tx.execute(updateCosts(JSON.stringify(settled)));
}

const updateCosts = (rows: string): SQL => sql`
  UPDATE calls SET usage = line.usage, telephony_cost_usd = line.telephony, stt_cost_usd = line.stt,
    llm_cost_usd = line.llm, tts_cost_usd = line.tts
  FROM jsonb_to_recordset(${rows}::jsonb) AS line (id uuid, usage jsonb, telephony numeric, stt numeric, llm numeric, tts numeric)
  WHERE calls.id = line.id`;
