/** Local mode's own organization: with a key on this disk, and the agents of a folder of files. */
import { and, eq, isNull, sql } from 'drizzle-orm';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BvraiError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import type { AgentFile } from './agents/files.ts';
import { addVersion, findAgent, insertAgent } from './agents/store.ts';
import { insertApiKey } from './api-keys/store.ts';
import { SCOPES } from './auth/access.ts';
import { hashSecret, isSameSecretHash, newApiKey, parseApiKey } from './auth/opaque-tokens.ts';
import { newId } from './db/ids.ts';
import { findApiKey } from './db/lookups.ts';
import { agents, organizations, phoneNumbers } from './db/schema.ts';
import type { TenantDoor, Transaction } from './db/tenant.ts';

export interface LocalOrganization {
  readonly orgId: string;
  /** Agents by the names of their files. */
  readonly agentIds: ReadonlyMap<string, string>;
  /** Who answers numbers that no agent has. */
  readonly otherwise: string | undefined;
}

const KEY_FILE = 'local-api-key';
const EVERY_NUMBER = '*';

/**
 * Finds the organization by the key in `dataDirectory`, or makes both; brings its agents up to their files. A file that has
 * changed since makes a new version; what was changed over the API stays until then.
 */
export async function openLocalOrganization(
  door: TenantDoor,
  dataDirectory: string,
  files: readonly AgentFile[],
  log: Log,
): Promise<LocalOrganization> {
  const path = join(dataDirectory, KEY_FILE);
  const orgId = (await ownerOfKey(door, path)) ?? (await makeOrganization(door, path));
  log.info({ path }, 'local mode: this file holds an API key for the organization Local');
  const agentIds = new Map<string, string>();
  await door.inTenant(orgId, async (tx) => {
    for (const file of files) agentIds.set(file.slug, await seedAgent(tx, orgId, file));
  });
  const otherwise = files.find(({ numbers }) => numbers.includes(EVERY_NUMBER));
  return { orgId, agentIds, otherwise: otherwise && agentIds.get(otherwise.slug) };
}

/** Undefined: there is no key yet, or it belongs to another database. */
async function ownerOfKey(door: TenantDoor, path: string): Promise<string | undefined> {
  const parsed = parseApiKey((await readFile(path, 'utf8').catch(() => '')).trim());
  if (!parsed) return undefined;
  const key = await door.beforeTenant((tx) => findApiKey(tx, parsed.keyId));
  const valid = key && key.revoked_at === null && isSameSecretHash(key.secret_hash, hashSecret(parsed.secret));
  return valid ? key.org_id : undefined;
}

async function makeOrganization(door: TenantDoor, path: string): Promise<string> {
  const orgId = newId();
  const { key, keyId, secretHash } = newApiKey();
  await door.inTenant(orgId, async (tx) => {
    await tx.insert(organizations).values({ id: orgId, name: 'Local' });
    const scopes = [...SCOPES];
    await insertApiKey(tx, { orgId, keyId, secretHash, name: 'Local mode', scopes, expiresAt: null, createdBy: null });
  });
  try {
    await writeFile(path, `${key}\n`, { mode: 0o600 });
  } catch (thrown) {
    throw BvraiError.from(thrown, 'config.invalid', `${path} (DATA_DIR) cannot be written`);
  }
  return orgId;
}

async function seedAgent(
  tx: Transaction,
  orgId: string,
  { slug, document, numbers, sha256 }: AgentFile,
): Promise<string> {
  const seed = { file: slug, sha256 };
  const seeded = { ...document, metadata: { ...document.metadata, seed } };
  const [known] = await tx
    .select({ id: agents.id, sha256: sql<string>`${agents.metadata} -> 'seed' ->> 'sha256'` })
    .from(agents)
    .where(
      and(sql`${agents.metadata} @> ${JSON.stringify({ seed: { file: slug } })}::jsonb`, isNull(agents.deletedAt)),
    );
  if (known && known.sha256 !== sha256) {
    const current = await findAgent(tx, known.id, true);
    if (current) await addVersion(tx, current, { orgId, document: seeded, createdBy: null, publish: true });
  }
  const id = known?.id ?? (await insertAgent(tx, { id: newId(), orgId, document: seeded, createdBy: null })).id;
  if (known?.sha256 !== sha256) await claimNumbers(tx, orgId, id, numbers);
  return id;
}

async function claimNumbers(
  tx: Transaction,
  orgId: string,
  agentId: string,
  numbers: readonly string[],
): Promise<void> {
  for (const number of numbers.filter((wanted) => wanted !== EVERY_NUMBER)) {
    const [known] = await tx.select({ id: phoneNumbers.id }).from(phoneNumbers).where(eq(phoneNumbers.number, number));
    if (known) await tx.update(phoneNumbers).set({ agentId }).where(eq(phoneNumbers.id, known.id));
    else await tx.insert(phoneNumbers).values({ orgId, number, agentId });
  }
}
