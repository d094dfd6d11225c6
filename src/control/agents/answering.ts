/** Which agent answers: asked of the database for each call, and of memory when that is away. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { BvraiError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import type { AgentConfig } from '../../pipeline/ports.ts';
import { findPhoneNumber } from '../db/lookups.ts';
import type { TenantDoor } from '../db/tenant.ts';
import { loadAgentForCall } from './for-calls.ts';

/** An agent and whose it is. */
export interface AnsweringAgent {
  readonly orgId: string;
  readonly agent: AgentConfig;
}

export interface AnsweringAgentsOptions {
  readonly door: TenantDoor;
  readonly log: Log;
  /** An agent, or a version of one, that has not answered before. */
  readonly onNewAgent: (agent: AgentConfig) => void;
}

/** A caller hears silence meanwhile. */
const LOOK_UP_MS = 1_500;
const MAX_REMEMBERED = 2_000;

export class AnsweringAgents {
  readonly #options: AnsweringAgentsOptions;
  /** The last answers, the oldest first; served as they are while the database is away. */
  readonly #known = new Map<string, AnsweringAgent>();
  /** Equal agents are the same object, so that what is prepared for one serves its next call. */
  readonly #agents = new Map<string, AgentConfig>();

  constructor(options: AnsweringAgentsOptions) {
    this.#options = options;
  }

  /** Undefined: nobody answers this number. Throws when the database is away and the number was never seen. */
  byNumber(number: string): Promise<AnsweringAgent | undefined> {
    const { door } = this.#options;
    return this.#find(`number ${number}`, async () => {
      const owner = await door.beforeTenant((tx) => findPhoneNumber(tx, number));
      return owner?.agent_id ? this.#load(owner.org_id, owner.agent_id) : undefined;
    });
  }

  /** Undefined: there is no such agent, or no version of it is published. */
  byId(orgId: string, agentId: string): Promise<AnsweringAgent | undefined> {
    return this.#find(agentKey(orgId, agentId), () => this.#load(orgId, agentId));
  }

  /** The same when no caller waits: for as long as the database takes. */
  async prepare(orgId: string, agentId: string): Promise<AnsweringAgent | undefined> {
    const found = await this.#load(orgId, agentId);
    if (found) remember(this.#known, agentKey(orgId, agentId), found);
    return found;
  }

  /** The same agent, as the object that stands for it in this process. */
  canonical(agent: AgentConfig): AgentConfig {
    const known = this.#agents.get(agent.id);
    if (isDeepStrictEqual(known, agent) && known) return known;
    remember(this.#agents, agent.id, agent);
    this.#options.onNewAgent(agent);
    return agent;
  }

  async #load(orgId: string, agentId: string): Promise<AnsweringAgent | undefined> {
    const agent = await this.#options.door.inTenant(orgId, (tx) => loadAgentForCall(tx, agentId));
    return agent && { orgId, agent: this.canonical(agent) };
  }

  async #find(key: string, ask: () => Promise<AnsweringAgent | undefined>): Promise<AnsweringAgent | undefined> {
    try {
      const found = await withinDeadline(ask());
      if (found) remember(this.#known, key, found);
      else this.#known.delete(key);
      return found;
    } catch (thrown) {
      const known = this.#known.get(key);
      if (!known) throw thrown;
      this.#options.log.warn({ err: thrown, agent: known.agent.id }, 'the agent of a call is taken from memory');
      return known;
    }
  }
}

const agentKey = (orgId: string, agentId: string): string => `agent ${orgId} ${agentId}`;

function remember<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > MAX_REMEMBERED && oldest !== undefined) map.delete(oldest);
}

async function withinDeadline<T>(asked: Promise<T>): Promise<T> {
  const done = new AbortController();
  const late = sleep(LOOK_UP_MS, undefined, { signal: done.signal }).then(
    () => {
      throw new BvraiError('db.timeout', `The database has not said within ${LOOK_UP_MS} ms who answers.`);
    },
    () => asked,
  );
  try {
    return await Promise.race([asked, late]);
  } finally {
    done.abort();
  }
}
