/** The agents of `agents/*.json`, until the database comes. */
import { readFile, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { BvraiError } from '../../core/errors.ts';
import type { AgentConfig } from '../../pipeline/ports.ts';
import { agentFileSchema, toAgentConfig } from './schema.ts';

/** Finds the agent that takes a call. */
export interface AgentStore {
  readonly all: readonly AgentConfig[];
  byId(id: string): AgentConfig | undefined;
  /** The agent of a called number, or the one that answers for all others. */
  byNumber(number: string): AgentConfig | undefined;
}

/**
 * Reads every `*.json` of a directory; the file's name is the agent's id.
 * Throws `agent.invalid`, naming the file, the field and the fault; two agents with one number are a fault too.
 */
export async function loadAgents(directory: string): Promise<AgentStore> {
  const byId = new Map<string, AgentConfig>();
  const byNumber = new Map<string, AgentConfig>();
  for (const file of await listFiles(directory)) {
    const { agent, numbers } = await readAgent(directory, file);
    byId.set(agent.id, agent);
    for (const number of numbers) {
      const holder = byNumber.get(number);
      if (holder)
        throw new BvraiError('agent.invalid', `${file}: number ${number} already belongs to agent ${holder.id}`);
      byNumber.set(number, agent);
    }
  }
  return {
    all: [...byId.values()],
    byId: (id) => byId.get(id),
    byNumber: (number) => byNumber.get(number) ?? byNumber.get('*'),
  };
}

async function listFiles(directory: string): Promise<string[]> {
  try {
    const files = (await readdir(directory)).filter((file) => file.endsWith('.json')).sort();
    if (files.length > 0) return files;
  } catch (thrown) {
    throw BvraiError.from(thrown, 'agent.invalid', `The agents' directory ${directory} (AGENTS_DIR) cannot be read`);
  }
  throw new BvraiError(
    'agent.invalid',
    `No agent in ${directory} (AGENTS_DIR): it needs at least one file such as front-desk.json.`,
  );
}

async function readAgent(directory: string, file: string): Promise<{ agent: AgentConfig; numbers: readonly string[] }> {
  const parsed = agentFileSchema.safeParse(await readJson(join(directory, file), file));
  if (!parsed.success)
    throw new BvraiError('agent.invalid', `${file} is not a valid agent:\n${z.prettifyError(parsed.error)}`);
  return { agent: toAgentConfig(basename(file, '.json'), parsed.data), numbers: parsed.data.phone_numbers };
}

async function readJson(path: string, file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch (thrown) {
    throw BvraiError.from(thrown, 'agent.invalid', `${file} is not readable JSON`);
  }
}
