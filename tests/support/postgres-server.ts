/** A Postgres of one's own, from the machine's binaries: on a free port, in a temporary directory, and gone afterwards. */
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { chown, mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';

const run = promisify(execFile);

/** A running server; `stop` and `start` again, or `pause` and `resume`, make the outages of reliability.md. */
export interface PostgresServer {
  /** As an owner of databases and roles who is no superuser, as with a hosted Postgres. */
  readonly url: string;
  readonly superuserUrl: string;
  start(): Promise<void>;
  /** `fast` ends sessions and closes in order; `immediate` is a crash. */
  stop(mode: 'fast' | 'immediate'): Promise<void>;
  /** Freezes every process of the server: connections stay open and nobody answers. */
  pause(): void;
  resume(): void;
  /** Stops it and removes its directory. */
  close(): Promise<void>;
}

const START_DEADLINE_MS = 30_000;
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  max_connections: '200',
  // A test's database must survive the server's crash, but not the machine's.
  fsync: 'off',
  full_page_writes: 'off',
};

/** The directory of `initdb` and `postgres`: on PATH, or where Debian puts them (the newest); undefined: there are none. */
export function findPostgresBinaries(): string | undefined {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  const places = [
    ...(process.env['PATH'] ?? '').split(delimiter),
    ...versions.map((version) => join(debian, version, 'bin')),
  ];
  return places.find((place) => existsSync(join(place, 'initdb')) && existsSync(join(place, 'postgres')));
}

interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** Postgres refuses to run as root. */
async function account(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    try {
      const [uid, gid] = await Promise.all(['-u', '-g'].map(async (what) => (await run('id', [what, name])).stdout));
      return { uid: Number(uid), gid: Number(gid) };
    } catch {
      // No such user: try the next.
    }
  }
  throw new Error('There is no user to run Postgres as: neither postgres nor nobody.');
}

/** Makes and starts a server. `binaries` is what {@link findPostgresBinaries} found. */
export async function startPostgresServer(binaries: string): Promise<PostgresServer> {
  const owner = await account();
  const directory = await mkdtemp(join(tmpdir(), 'bvrai-postgres-'));
  if (owner) await chown(directory, owner.uid, owner.gid);
  const data = join(directory, 'data');
  const options = ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'];
  await run(join(binaries, 'initdb'), options, { ...owner, cwd: directory });
  const port = await freePort();
  let child: ChildProcess | undefined;

  const start = async (): Promise<void> => {
    const settings = Object.entries(SETTINGS).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const started = spawn(join(binaries, 'postgres'), ['-D', data, '-p', `${port}`, '-k', directory, ...settings], {
      ...owner,
      cwd: directory,
      stdio: 'ignore',
    });
    child = started;
    await untilAnswers(superuserUrl, () => started.exitCode !== null);
  };
  const stop = async (mode: 'fast' | 'immediate'): Promise<void> => {
    const stopping = child;
    child = undefined;
    if (!stopping || stopping.exitCode !== null) return;
    const ended = once(stopping, 'exit');
    stopping.kill(mode === 'fast' ? 'SIGINT' : 'SIGQUIT');
    await ended;
  };
  const signalAll = (signal: NodeJS.Signals): void => {
    if (child?.pid === undefined) throw new Error('The server is not running.');
    for (const pid of [child.pid, ...childrenOf(child.pid)]) signalOne(pid, signal);
  };

  const superuserUrl = `postgres://postgres@127.0.0.1:${port}/postgres`;
  await start();
  await onceAs(superuserUrl, 'CREATE ROLE bvrai_owner LOGIN CREATEDB CREATEROLE NOSUPERUSER NOBYPASSRLS');
  await onceAs(superuserUrl, 'CREATE DATABASE bvrai OWNER bvrai_owner');
  return {
    url: `postgres://bvrai_owner@127.0.0.1:${port}/bvrai`,
    superuserUrl,
    start,
    stop,
    pause: () => signalAll('SIGSTOP'),
    resume: () => signalAll('SIGCONT'),
    async close() {
      if (child) signalAll('SIGCONT');
      await stop('immediate');
      await rm(directory, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** A session's process may end between being listed and being signalled. */
function signalOne(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (thrown) {
    if (!(thrown instanceof Error && 'code' in thrown && thrown.code === 'ESRCH')) throw thrown;
  }
}

async function onceAs(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

async function untilAnswers(url: string, isGone: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + START_DEADLINE_MS;
  for (;;) {
    try {
      await onceAs(url, 'SELECT 1');
      return;
    } catch (thrown) {
      if (isGone()) throw new Error('Postgres ended while it started.', { cause: thrown });
      if (performance.now() > deadlineMs) throw new Error('Postgres did not start in time.', { cause: thrown });
    }
    await sleep(50);
  }
}

/** A session's process makes itself the leader of a group of its own, so the group of the server does not hold it. */
function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/u.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/stat`, 'utf8');
        return Number(line.slice(line.lastIndexOf(')') + 2).split(' ')[1]) === parent;
      } catch {
        // It ended meanwhile.
        return false;
      }
    });
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (typeof address !== 'object' || address === null) throw new Error('No free port.');
  return address.port;
}
