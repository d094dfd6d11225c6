/** The server's own command as a process of its own, that it may be killed: `node src/main.ts`, in local mode, on the emulated vendors. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { startServer } from '../../bench/demo/server-process.ts';
import type { ServerProcess } from '../../bench/demo/server-process.ts';
import { projectRoot } from '../architecture/source-tree.ts';

export interface ServerOfItsOwn {
  readonly url: string;
  readonly apiKey: string;
  /** Answers of the API: what JSON says, or the text. Throws what is no success. */
  get(path: string): Promise<unknown>;
  post(path: string, body: object): Promise<unknown>;
  /** `/health/ready`: its status and its parts. */
  readiness(): Promise<{ readonly status: number; readonly parts: Readonly<Record<string, boolean>> }>;
  /** Resolves when every event so far is in the database. */
  written(): Promise<void>;
  /** kill -9; resolves when the process is gone. */
  kill(): Promise<void>;
  stop(): Promise<void>;
}

export interface ServerOfItsOwnOptions {
  /** DATA_DIR; a successor gets the same. */
  readonly dataDirectory: string;
  /** Undefined: the embedded database. */
  readonly databaseUrl: string | undefined;
  readonly environment: Readonly<Record<string, string>>;
}

const READY_TIMEOUT_MS = 60_000;
const WRITTEN_TIMEOUT_MS = 60_000;
const POLL_MS = 50;

const readinessSchema = z.object({ parts: z.record(z.string(), z.boolean()) });

/** Starts it and waits until it is ready. Its log is in `out/tests/`. */
export async function startServerOfItsOwn(options: ServerOfItsOwnOptions): Promise<ServerOfItsOwn> {
  const { dataDirectory, databaseUrl, environment } = options;
  const logs = join(projectRoot, 'out', 'tests');
  await mkdir(logs, { recursive: true });
  const server = await startServer({
    entry: join(projectRoot, 'src', 'main.ts'),
    cwd: projectRoot,
    logFile: join(logs, `server-${process.pid}-${++started}.log`),
    dataDirectory,
    readyTimeoutMs: READY_TIMEOUT_MS,
    environment: {
      ...environment,
      LOG_LEVEL: 'debug',
      // On a busy machine every answer may look late: the embedded voice would take its place.
      HEDGE_SHARE: '0',
      NODE_OPTIONS: '--import tsx',
      ...(databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl }),
    },
  });
  return toServer(server);
}

let started = 0;

function toServer(server: ServerProcess): ServerOfItsOwn {
  const { url, apiKey } = server;
  const ask = async (method: string, path: string, body?: object): Promise<unknown> => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { authorization: `Bearer ${apiKey}`, ...(body ? { 'content-type': 'application/json' } : {}) },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text.slice(0, 500)}`);
    return response.headers.get('content-type')?.includes('json') === true ? JSON.parse(text) : text;
  };
  return {
    url,
    apiKey,
    get: (path) => ask('GET', path),
    post: (path, body) => ask('POST', path, body),
    async readiness() {
      const response = await fetch(`${url}/health/ready`);
      return { status: response.status, ...readinessSchema.parse(await response.json()) };
    },
    async written() {
      const deadlineMs = performance.now() + WRITTEN_TIMEOUT_MS;
      while (!/^bvrai_records_waiting_bytes 0$/mu.test(String(await ask('GET', '/metrics')))) {
        if (performance.now() > deadlineMs) throw new Error(`records were not written in ${WRITTEN_TIMEOUT_MS} ms`);
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
    },
    async kill() {
      if (server.pid !== undefined) process.kill(server.pid, 'SIGKILL');
      // Too late for it to hear of anything else: this only waits.
      await server.stop();
    },
    stop: async () => void (await server.stop()),
  };
}
