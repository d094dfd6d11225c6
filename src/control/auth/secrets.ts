/** The one secret of the server, and what is derived from it. */
import { hkdfSync, randomBytes } from 'node:crypto';
import { link, mkdir, readFile, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BvraiError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';

const FILE = 'auth-secret';
const SECRET_BYTES = 32;

/**
 * AUTH_SECRET, or one that is made once and kept in DATA_DIR, readable by this user only. Servers that share a database need the
 * same one, so there AUTH_SECRET is to be set. Throws `config.invalid` if the file cannot be used.
 */
export async function loadAuthSecret(configured: string | undefined, dataDirectory: string, log: Log): Promise<string> {
  if (configured !== undefined) return configured;
  const path = join(dataDirectory, FILE);
  try {
    await mkdir(dataDirectory, { recursive: true, mode: 0o700 });
    const made = randomBytes(SECRET_BYTES).toString('base64url');
    // A link appears whole or not at all, and only once: of two servers that start together, one makes it and both read it.
    const draft = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
    await writeFile(draft, made, { mode: 0o600, flag: 'wx' });
    try {
      await link(draft, path);
    } finally {
      await unlink(draft);
    }
    log.warn(
      { path },
      'AUTH_SECRET is not set: made one, which this data directory keeps. Set it where several servers share a database.',
    );
    return made;
  } catch (thrown) {
    if (!isAlreadyThere(thrown)) throw unusable(path, thrown);
  }
  try {
    const kept = (await readFile(path, 'utf8')).trim();
    if (kept.length < 32) throw new BvraiError('config.invalid', 'it is too short');
    return kept;
  } catch (thrown) {
    throw unusable(path, thrown);
  }
}

function isAlreadyThere(thrown: unknown): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === 'EEXIST';
}

function unusable(path: string, thrown: unknown): BvraiError {
  return BvraiError.from(
    thrown instanceof Error ? new Error(thrown.message) : thrown,
    'config.invalid',
    `AUTH_SECRET is not set, and ${path} (DATA_DIR) cannot keep one`,
  );
}

/** 32 bytes for one purpose; from one purpose's key nothing follows for another's. */
export function deriveKey(secret: string, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', secret, 'bvrai', purpose, 32));
}
