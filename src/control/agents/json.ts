/** Agents as the API shows them. */
import { z } from 'zod';
import { described, patchOf } from '../http/merge-patch.ts';
import { LANGUAGE_DEFAULTS, languageDefaultsOf, withLanguageDefaults } from './language-defaults.ts';
import { agentSchema } from './schema.ts';
import type { AgentDocument } from './schema.ts';
import type { AgentRow, AgentVersionRow } from './store.ts';

const { end_call_phrases, goodbye_message, silence } = agentSchema.shape;
const { reminder_message } = silence.unwrap().shape;

/** An agent's fields as they are shown: what callers will hear stands in each, set or not. */
const shownFields = {
  ...agentSchema.shape,
  end_call_phrases: described(end_call_phrases.unwrap(), end_call_phrases),
  goodbye_message: described(goodbye_message.unwrap(), goodbye_message),
  silence: described(
    silence.unwrap().extend({ reminder_message: described(reminder_message.unwrap(), reminder_message) }),
    silence,
  ),
  language_defaults: z
    .array(z.enum(LANGUAGE_DEFAULTS))
    .describe(
      'JSON Pointers of the texts that nobody has set. They are those of the agent’s language, and change with it; a PATCH of the ' +
        'field sets one, with null it goes back to the language’s.',
    ),
};

export const agentResponse = z
  .object({
    id: z.uuid(),
    version: z.int().describe('The newest version, which is shown; every change makes one.'),
    published_version: z.int().nullable().describe('The version that answers calls.'),
    ...shownFields,
    created_at: z.iso.datetime(),
    updated_at: z.iso.datetime(),
  })
  .meta({ id: 'Agent' });

export const agentVersionResponse = z
  .object({
    version: z.int(),
    ...shownFields,
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
    ...shownDocument(row.document),
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
  };
}

export function versionToJson(row: AgentVersionRow): z.infer<typeof agentVersionResponse> {
  return {
    version: row.version,
    ...shownDocument(row.document),
    created_by: row.createdBy,
    created_at: row.createdAt.toISOString(),
  };
}

function shownDocument(document: AgentDocument) {
  return { ...withLanguageDefaults(document), language_defaults: languageDefaultsOf(document) };
}
