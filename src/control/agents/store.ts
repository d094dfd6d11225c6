/** Rows of agents and their versions. A version is never changed: a call can always say what it ran on. */
import { and, desc, eq, isNull, lt, sql } from 'drizzle-orm';
import { BvraiError } from '../../core/errors.ts';
import { behind, newestFirst } from '../db/keyset.ts';
import type { RowPosition } from '../db/keyset.ts';
import { agentVersions, agents, phoneNumbers } from '../db/schema.ts';
import type { Transaction } from '../db/tenant.ts';
import { agentSchema } from './schema.ts';
import type { AgentDocument } from './schema.ts';

/** An agent with the document of its newest version. */
export interface AgentRow {
  readonly id: string;
  readonly version: number;
  /** The version that answers calls; null: none does. */
  readonly publishedVersion: number | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly document: AgentDocument;
}

export interface AgentVersionRow {
  readonly version: number;
  readonly createdAt: Date;
  readonly createdBy: string | null;
  readonly document: AgentDocument;
}

const agentColumns = {
  id: agents.id,
  version: agents.version,
  publishedVersion: agents.publishedVersion,
  createdAt: agents.createdAt,
  updatedAt: agents.updatedAt,
  config: agentVersions.config,
};
const versionColumns = {
  version: agentVersions.version,
  createdAt: agentVersions.createdAt,
  createdBy: agentVersions.createdBy,
  config: agentVersions.config,
};

function withDocument<Row extends { readonly config: unknown }>({
  config,
  ...row
}: Row): Omit<Row, 'config'> & { document: AgentDocument } {
  return { ...row, document: storedDocument(config) };
}

/**
 * What an older server wrote lacks the fields that came later: they get their defaults. What a newer one wrote may have fields that are
 * not known here: while servers are replaced one by one, the others answer calls without them.
 */
function storedDocument(config: unknown): AgentDocument {
  const { success, data, error } = agentSchema.safeParse(config);
  if (success) return data;
  const known: unknown = structuredClone(config);
  for (const issue of error.issues) if (issue.code === 'unrecognized_keys') removeFields(known, issue.path, issue.keys);
  return agentSchema.parse(known);
}

function removeFields(document: unknown, path: readonly PropertyKey[], names: readonly string[]): void {
  let holder = document;
  for (const step of path) holder = isContainer(holder) ? holder[step] : undefined;
  if (isContainer(holder)) for (const name of names) delete holder[name];
}

function isContainer(value: unknown): value is Record<PropertyKey, unknown> {
  return typeof value === 'object' && value !== null;
}

const newestVersion = and(eq(agentVersions.agentId, agents.id), eq(agentVersions.version, agents.version));

export async function listAgents(tx: Transaction, after: RowPosition | undefined, count: number): Promise<AgentRow[]> {
  const rows = await tx
    .select(agentColumns)
    .from(agents)
    .innerJoin(agentVersions, newestVersion)
    .where(and(isNull(agents.deletedAt), behind(after, agents.createdAt, agents.id)))
    .orderBy(...newestFirst(agents.createdAt, agents.id))
    .limit(count);
  return rows.map(withDocument);
}

/** With `forUpdate` nobody else changes it until the transaction ends. */
export async function findAgent(tx: Transaction, id: string, forUpdate = false): Promise<AgentRow | undefined> {
  const query = tx
    .select(agentColumns)
    .from(agents)
    .innerJoin(agentVersions, newestVersion)
    .where(and(eq(agents.id, id), isNull(agents.deletedAt)));
  // The lock first: joined in one statement, the version could be the one from before somebody else's change.
  if (forUpdate) await tx.select({ id: agents.id }).from(agents).where(eq(agents.id, id)).for('update');
  const [row] = await query;
  return row && withDocument(row);
}

export interface NewAgent {
  readonly id: string;
  readonly orgId: string;
  readonly document: AgentDocument;
  readonly createdBy: string | null;
}

/** An agent with its first version, published. */
export async function insertAgent(tx: Transaction, { id, orgId, document, createdBy }: NewAgent): Promise<AgentRow> {
  const [row] = await tx
    .insert(agents)
    .values({ id, orgId, name: document.name, metadata: document.metadata, version: 1, publishedVersion: 1 })
    .returning();
  if (!row) throw new BvraiError('internal', 'An agent was not inserted.');
  await tx.insert(agentVersions).values({ orgId, agentId: id, version: 1, config: document, createdBy });
  const { version, publishedVersion, createdAt, updatedAt } = row;
  return { id, version, publishedVersion, createdAt, updatedAt, document };
}

/** The next version of an agent that is locked; published too, if `publish`. */
export async function addVersion(
  tx: Transaction,
  agent: AgentRow,
  change: {
    readonly orgId: string;
    readonly document: AgentDocument;
    readonly createdBy: string | null;
    readonly publish: boolean;
  },
): Promise<AgentRow> {
  const { orgId, document, createdBy, publish } = change;
  const version = agent.version + 1;
  await tx.insert(agentVersions).values({ orgId, agentId: agent.id, version, config: document, createdBy });
  const [row] = await tx
    .update(agents)
    .set({
      name: document.name,
      metadata: document.metadata,
      version,
      publishedVersion: publish ? version : agent.publishedVersion,
    })
    .where(eq(agents.id, agent.id))
    .returning({ publishedVersion: agents.publishedVersion, updatedAt: agents.updatedAt });
  if (!row) throw new BvraiError('internal', 'An agent that was locked is gone.');
  return { ...agent, ...row, version, document };
}

/** Lets a version answer calls. */
export async function publishVersion(tx: Transaction, agent: AgentRow, version: number): Promise<AgentRow> {
  const [row] = await tx
    .update(agents)
    .set({ publishedVersion: version })
    .where(eq(agents.id, agent.id))
    .returning({ updatedAt: agents.updatedAt });
  return { ...agent, publishedVersion: version, updatedAt: row?.updatedAt ?? agent.updatedAt };
}

/** Hidden from now on, but kept for the calls that it took; its numbers have no agent any more. */
export async function deleteAgent(tx: Transaction, id: string): Promise<void> {
  await tx
    .update(agents)
    .set({ deletedAt: sql`now()` })
    .where(eq(agents.id, id));
  await tx.update(phoneNumbers).set({ agentId: null }).where(eq(phoneNumbers.agentId, id));
}

/** Newest first, those below `before`. */
export async function listVersions(
  tx: Transaction,
  agentId: string,
  before: number | undefined,
  count: number,
): Promise<AgentVersionRow[]> {
  const rows = await tx
    .select(versionColumns)
    .from(agentVersions)
    .where(
      and(eq(agentVersions.agentId, agentId), before === undefined ? undefined : lt(agentVersions.version, before)),
    )
    .orderBy(desc(agentVersions.version))
    .limit(count);
  return rows.map(withDocument);
}

export async function findVersion(
  tx: Transaction,
  agentId: string,
  version: number,
): Promise<AgentVersionRow | undefined> {
  const [row] = await tx
    .select(versionColumns)
    .from(agentVersions)
    .where(and(eq(agentVersions.agentId, agentId), eq(agentVersions.version, version)));
  return row && withDocument(row);
}
