/** The agents of a folder of JSON files, with which a server in local mode begins. */
import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { BvraiError } from '../../core/errors.ts';
import { agentFileSchema } from './schema.ts';
import type { AgentDocument } from './schema.ts';

export interface AgentFile {
  /** The file's name, by which a caller in local mode may choose the agent. */
  readonly slug: string;
  readonly document: AgentDocument;
  /** E.164; `*`: every number that no other agent has. */
  readonly numbers: readonly string[];
  /** Of the file's text. */
  readonly sha256: string;
}

/**
 * Reads every `*.json` of a directory.
 * Throws `agent.invalid`, naming the file, the field and the fault; two agents with one number are a fault too.
 */
export async function readAgentFiles(directory: string): Promise<AgentFile[]> {
  const agents: AgentFile[] = [];
  const holders = new Map<string, string>();
  for (const file of await listFiles(directory)) {
    const agent = await readAgent(directory, file);
    agents.push(agent);
    for (const number of agent.numbers) {
      const holder = holders.get(number);
      if (holder !== undefined)
        throw new BvraiError('agent.invalid', `${file}: number ${number} already belongs to agent ${holder}`);
      holders.set(number, agent.slug);
    }
  }
  return agents;
}

async function listFiles(directory: string): Promise<string[]> {
  try {
    const files = (await readdir(directory)).filter((file) => file.endsWith('.json')).sort();
    if (files.length > 0) return files;
  } catch (thrown) {
    throw BvraiError.from(thrown, 'agent.invalid', `The agents' directory ${directory} cannot be read`);
  }
  throw new BvraiError(
    'agent.invalid',
    `No agent in ${directory}: it needs at least one file such as front-desk.json.`,
  );
}

async function readAgent(directory: string, file: string): Promise<AgentFile> {
  const text = await readText(join(directory, file), file);
  const parsed = agentFileSchema.safeParse(parseJson(text, file));
  if (!parsed.success)
    throw new BvraiError('agent.invalid', `${file} is not a valid agent:\n${z.prettifyError(parsed.error)}`);
  const { phone_numbers: numbers, ...document } = parsed.data;
  return {
    slug: basename(file, '.json'),
    document,
    numbers,
    sha256: createHash('sha256').update(text).digest('hex'),
  };
}

async function readText(path: string, file: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (thrown) {
    throw BvraiError.from(thrown, 'agent.invalid', `${file} cannot be read`);
  }
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (thrown) {
    throw BvraiError.from(thrown, 'agent.invalid', `${file} is not readable JSON`);
  }
}
