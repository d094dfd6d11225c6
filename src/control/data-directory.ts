/** DATA_DIR: what a server keeps on its own disk, held by one process at a time. */
import { randomUUID } from 'node:crypto';
import { link, mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { BvraiError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';

/** A directory that this process holds until `close`. */
export interface DataDirectory {
  readonly path: string;
  /** Names this directory from one start to the next. */
  readonly nodeId: string;
  /** Lets another process have it. Idempotent. */
  close(): Promise<void>;
}

const holderShape = z.object({
  pid: z.number(),
  host: z.string(),
  /** When that process started, where the system tells: a pid alone may be somebody else's by now. */
  process_start: z.string().nullable(),
  token: z.string(),
});
type Holder = z.infer<typeof holderShape>;

const TOUCH_EVERY_MS = 2_000;
/** On another host (a shared volume) only the file's age tells whether its writer lives. */
const STALE_AFTER_MS = 15_000;
const MAX_TRIES = 5;

/**
 * Makes the directory if need be and takes it. Throws `config.invalid` when it cannot be made or written, and `db.locked` when another
 * process that lives has it: the embedded database and the spool would be destroyed by two writers.
 */
export async function holdDataDirectory(path: string, log: Log): Promise<DataDirectory> {
  await mkdir(path, { recursive: true, mode: 0o700 }).catch((thrown: unknown) => {
    throw BvraiError.from(thrown, 'config.invalid', `DATA_DIR=${path} cannot be made`);
  });
  const lockFile = join(path, 'lock');
  const self: Holder = {
    pid: process.pid,
    host: hostname(),
    process_start: await processStart(process.pid),
    token: randomUUID(),
  };
  await take(path, lockFile, self);
  const touching = setInterval(() => {
    const now = new Date();
    utimes(lockFile, now, now).catch((thrown: unknown) =>
      log.error({ err: thrown, path }, 'the lock of DATA_DIR is gone'),
    );
  }, TOUCH_EVERY_MS);
  touching.unref();
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    clearInterval(touching);
    if ((await readHolder(lockFile))?.token === self.token) await rm(lockFile, { force: true });
  };
  return { path, nodeId: await nodeIdOf(path), close: () => (closing ??= close()) };
}

async function take(path: string, lockFile: string, self: Holder): Promise<void> {
  for (let tries = 1; tries <= MAX_TRIES; tries++) {
    if (await createExclusively(lockFile, self)) return;
    const holder = await readHolder(lockFile);
    // Let go of in this very moment.
    if (!holder) continue;
    if (await isAlive(holder, lockFile)) throw locked(path, holder);
    await removeStale(lockFile, holder);
  }
  throw new BvraiError('db.locked', `DATA_DIR=${path} is being taken by several processes at once; start one of them.`);
}

function locked(path: string, { pid, host }: Holder): BvraiError {
  return new BvraiError(
    'db.locked',
    `DATA_DIR=${path} is in use by process ${pid} on ${host}. Stop that server, or give this one a DATA_DIR of its own.`,
  );
}

/** The whole file appears at once, so nobody reads half of it. */
async function createExclusively(lockFile: string, holder: Holder): Promise<boolean> {
  const draft = `${lockFile}.${holder.token}`;
  await writeFile(draft, JSON.stringify(holder), { mode: 0o600 }).catch((thrown: unknown) => {
    throw BvraiError.from(thrown, 'config.invalid', `DATA_DIR=${dirname(lockFile)} cannot be written`);
  });
  try {
    await link(draft, lockFile);
    return true;
  } catch (thrown) {
    if (isFault(thrown, 'EEXIST')) return false;
    throw thrown;
  } finally {
    await rm(draft, { force: true });
  }
}

/** Moves a dead process's lock away; when somebody was faster, what was moved is theirs, and is put back. */
async function removeStale(lockFile: string, stale: Holder): Promise<void> {
  const aside = `${lockFile}.stale.${randomUUID()}`;
  try {
    await rename(lockFile, aside);
  } catch (thrown) {
    if (isFault(thrown, 'ENOENT')) return;
    throw thrown;
  }
  if ((await readHolder(aside))?.token !== stale.token) await link(aside, lockFile).catch(() => {});
  await rm(aside, { force: true });
}

async function readHolder(file: string): Promise<Holder | undefined> {
  try {
    return holderShape.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (thrown) {
    if (isFault(thrown, 'ENOENT')) return undefined;
    throw BvraiError.from(
      thrown,
      'db.locked',
      `${file} is not a lock of ours; if no server uses the directory, remove it`,
    );
  }
}

async function isAlive(holder: Holder, lockFile: string): Promise<boolean> {
  if (holder.host !== hostname()) {
    const file = await stat(lockFile).catch(() => undefined);
    return file !== undefined && Date.now() - file.mtimeMs < STALE_AFTER_MS;
  }
  try {
    process.kill(holder.pid, 0);
  } catch (thrown) {
    // EPERM: it lives, and is somebody else's.
    return !isFault(thrown, 'ESRCH');
  }
  return (await processStart(holder.pid)) === holder.process_start;
}

/** Field 22 of /proc/<pid>/stat, in clock ticks since boot; null where there is no /proc. */
async function processStart(pid: number): Promise<string | null> {
  const line = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  // The second field, the command in brackets, may hold spaces.
  return line?.slice(line.lastIndexOf(')') + 2).split(' ')[19] ?? null;
}

async function nodeIdOf(path: string): Promise<string> {
  const file = join(path, 'node-id');
  const known = await readFile(file, 'utf8').catch(() => '');
  const valid = z.uuid().safeParse(known.trim());
  if (valid.success) return valid.data;
  const id = randomUUID();
  await writeFile(file, `${id}\n`, { mode: 0o600 });
  return id;
}

function isFault(thrown: unknown, code: string): boolean {
  return thrown instanceof Error && 'code' in thrown && thrown.code === code;
}
