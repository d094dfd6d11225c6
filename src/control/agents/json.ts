/** Agents as the API shows them. */
import { z } from 'zod';
import { patchOf } from '../http/merge-patch.ts';
import { agentSchema } from './schema.ts';
import type { AgentRow, AgentVersionRow } from './store.ts';

export const agentResponse = z
  .object({
    id: z.uuid(),
    version: z.int().describe('The newest version, which is shown; every change makes one.'),
    published_version: z.int().nullable().describe('The version that answers calls.'),
    ...agentSchema.shape,
    created_at: z.iso.datetime(),
    updated_at: z.iso.datetime(),
  })
  .meta({ id: 'Agent' });

export const agentVersionResponse = z
  .object({
    version: z.int(),
    ...agentSchema.shape,
    created_by: z.uuid().nullable().describe('The user who made it; null: an API key, or the user is gone.'),
    created_at: z.iso.datetime(),
  })
  .meta({ id: 'AgentVersion' });

export const agentPatch = patchOf(agentSchema);

export function agentToJson(row: AgentRow): z.infer<typeof agentResponse> {
  return {
    id: row.id,
    version: row.version,
    published_version: row.publishedVersion,
    ...row.document,
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
  };
}

export function versionToJson(row: AgentVersionRow): z.infer<typeof agentVersionResponse> {
  return {
    version: row.version,
    ...row.document,
    created_by: row.createdBy,
    created_at: row.createdAt.toISOString(),
  };
}
