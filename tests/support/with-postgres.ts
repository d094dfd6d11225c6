/** The command behind scripts/with-postgres.sh: runs another with TEST_DATABASE_URL, on a Postgres that it starts if need be. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import pg from 'pg';
import { findPostgresBinaries, startPostgresServer } from './postgres-server.ts';

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 3_000 });
  try {
    await client.connect();
    await client.end();
    return true;
  } catch {
    return false;
  }
}

async function main([command, ...parameters]: readonly string[]): Promise<number> {
  if (command === undefined) {
    process.stderr.write('usage: scripts/with-postgres.sh COMMAND [ARGUMENT…]\n');
    return 64;
  }
  const given = process.env['TEST_DATABASE_URL'];
  if (given !== undefined && (await answers(given))) return runWith(given, command, parameters);
  const binaries = findPostgresBinaries();
  if (binaries === undefined) {
    process.stderr.write('with-postgres: neither does TEST_DATABASE_URL answer nor is Postgres installed.\n');
    return 69;
  }
  const server = await startPostgresServer(binaries);
  try {
    return await runWith(server.url, command, parameters);
  } finally {
    await server.close();
  }
}

async function runWith(url: string, command: string, parameters: readonly string[]): Promise<number> {
  const child = spawn(command, [...parameters], {
    stdio: 'inherit',
    env: { ...process.env, TEST_DATABASE_URL: url },
  });
  // The terminal's Ctrl-C reaches the command too; what comes to us alone is handed on, and the server stopped after it.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  const [exitCode] = (await once(child, 'exit')) as [number | null];
  return exitCode ?? 1;
}

process.exitCode = await main(process.argv.slice(2));
