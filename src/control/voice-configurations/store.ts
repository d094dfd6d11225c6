/** Rows of voice configurations. */
import { and, eq, inArray, isNull, or, sql } from 'drizzle-orm';
import { BvraiError } from '../../core/errors.ts';
import { behind, newestFirst } from '../db/keyset.ts';
import type { RowPosition } from '../db/keyset.ts';
import { agentVersions, agents, voiceConfigurations } from '../db/schema.ts';
import type { JsonObject } from '../db/schema.ts';
import type { Transaction } from '../db/tenant.ts';

export type VoiceRow = typeof voiceConfigurations.$inferSelect;

/** What can be set. */
export interface VoiceFields {
  readonly name: string;
  readonly provider: string;
  readonly model: string | null;
  readonly voice: string | null;
  readonly options: JsonObject;
  readonly metadata: JsonObject;
}

export function listVoices(tx: Transaction, after: RowPosition | undefined, count: number): Promise<VoiceRow[]> {
  return tx
    .select()
    .from(voiceConfigurations)
    .where(behind(after, voiceConfigurations.createdAt, voiceConfigurations.id))
    .orderBy(...newestFirst(voiceConfigurations.createdAt, voiceConfigurations.id))
    .limit(count);
}

export async function findVoice(tx: Transaction, id: string, forUpdate = false): Promise<VoiceRow | undefined> {
  const query = tx.select().from(voiceConfigurations).where(eq(voiceConfigurations.id, id));
  const [row] = await (forUpdate ? query.for('update') : query);
  return row;
}

/** Those of `ids` that there are. */
export async function findVoices(tx: Transaction, ids: readonly string[]): Promise<VoiceRow[]> {
  if (ids.length === 0) return [];
  return tx
    .select()
    .from(voiceConfigurations)
    .where(inArray(voiceConfigurations.id, [...ids]));
}

export async function insertVoice(tx: Transaction, orgId: string, fields: VoiceFields): Promise<VoiceRow> {
  const [row] = await tx
    .insert(voiceConfigurations)
    .values({ orgId, ...fields })
    .returning();
  if (!row) throw new BvraiError('internal', 'A voice configuration was not inserted.');
  return row;
}

export async function updateVoice(tx: Transaction, id: string, fields: VoiceFields): Promise<VoiceRow | undefined> {
  const [row] = await tx.update(voiceConfigurations).set(fields).where(eq(voiceConfigurations.id, id)).returning();
  return row;
}

export async function deleteVoice(tx: Transaction, id: string): Promise<void> {
  await tx.delete(voiceConfigurations).where(eq(voiceConfigurations.id, id));
}

/** The names of agents whose newest or published version speaks with a voice; up to three. */
export async function listUsers(tx: Transaction, id: string): Promise<string[]> {
  const wanted = JSON.stringify([{ voice_configuration_id: id }]);
  const rows = await tx
    .selectDistinct({ name: agents.name })
    .from(agents)
    .innerJoin(
      agentVersions,
      and(
        eq(agentVersions.agentId, agents.id),
        or(eq(agentVersions.version, agents.version), eq(agentVersions.version, agents.publishedVersion)),
      ),
    )
    .where(and(isNull(agents.deletedAt), sql`${agentVersions.config} -> 'tts' @> ${wanted}::jsonb`))
    .limit(3);
  return rows.map(({ name }) => name);
}
