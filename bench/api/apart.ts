/**
 * Load and database stand for other machines, but share the cores of this one: so that what is measured is the server, and not how the cores
 * are shared, they run only when nobody else wants to (SCHED_IDLE, by util-linux's `chrt`).
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { promisify } from 'node:util';
import type pg from 'pg';

const run = promisify(execFile);

/** Resolves with whether the system did it. What these processes start later inherits it. */
export async function setApart(pids: readonly number[]): Promise<boolean> {
  for (const pid of pids) {
    try {
      await run('chrt', ['--idle', '--all-tasks', '--pid', '0', String(pid)]);
    } catch (thrown) {
      // A worker of the database may have ended meanwhile.
      if (!existsSync(`/proc/${pid}`)) continue;
      console.log(`Process ${pid} cannot be set apart: ${String(thrown)}`);
      return false;
    }
  }
  return pids.length > 0;
}

/** The processes of the database that `client` is connected to; none when it runs elsewhere. */
export async function processesOfDatabase(client: pg.ClientBase): Promise<number[]> {
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const server = await parentOf(rows[0]?.pid ?? 0);
  if (server === undefined) return [];
  const others = (await readdir('/proc')).filter((name) => /^\d+$/u.test(name)).map(Number);
  const parents = await Promise.all(others.map(parentOf));
  return [server, ...others.filter((_, index) => parents[index] === server)];
}

/** Undefined: there is no such process here, or it is no database's. */
async function parentOf(pid: number): Promise<number | undefined> {
  const line = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const parent = Number(line.slice(line.lastIndexOf(')') + 2).split(' ')[1]);
  return line.includes('(postgres)') && parent > 1 ? parent : undefined;
}
