/** The agent of a call, as the pipeline runs it: its published version, with its voices filled in. */
import type { AgentConfig } from '../../pipeline/ports.ts';
import type { Transaction } from '../db/tenant.ts';
import { findVoices } from '../voice-configurations/store.ts';
import type { VoiceRow } from '../voice-configurations/store.ts';
import { toAgentConfig } from './schema.ts';
import type { AgentDocument } from './schema.ts';
import { findAgent, findVersion } from './store.ts';

/** Undefined: there is no such agent (any more), or no version of it is published. */
export async function loadAgentForCall(tx: Transaction, agentId: string): Promise<AgentConfig | undefined> {
  const agent = await findAgent(tx, agentId);
  if (!agent || agent.publishedVersion === null) return undefined;
  const published =
    agent.publishedVersion === agent.version
      ? agent.document
      : (await findVersion(tx, agentId, agent.publishedVersion))?.document;
  if (!published) return undefined;
  const document = withVoices(published, await findVoices(tx, voiceIdsOf(published)));
  return toAgentConfig(agentId, document, agent.publishedVersion);
}

/** The voice configurations that an agent names. */
export function voiceIdsOf({ tts }: AgentDocument): string[] {
  return tts.flatMap(({ voice_configuration_id: id }) => (id === undefined ? [] : [id]));
}

/** What an entry says itself goes before what its voice configuration says. */
function withVoices(document: AgentDocument, voices: readonly VoiceRow[]): AgentDocument {
  return {
    ...document,
    tts: document.tts.map(({ voice_configuration_id: id, ...entry }) => {
      const voice = voices.find((row) => row.id === id);
      if (!voice) return entry;
      return {
        ...entry,
        model: entry.model ?? voice.model ?? undefined,
        voice: entry.voice ?? voice.voice ?? undefined,
        options: { ...voice.options, ...entry.options },
      };
    }),
  };
}
