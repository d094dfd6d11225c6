/** A whole server in this process, on free loopback ports, with agents of the test's own; on a real Postgres when there is one. */
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { z } from 'zod';
import { readConfig } from '../../src/config.ts';
import { LOG_OPTIONS } from '../../src/core/log-options.ts';
import { startServer } from '../../src/main.ts';
import type { BvraiServer } from '../../src/main.ts';
import { embeddedDirectory, migratedDatabaseUrl, migrationsDirectory } from './database.ts';

const logLine = z.looseObject({ level: z.number(), msg: z.string().default('') });
export type ServerLogLine = z.infer<typeof logLine>;

const callRecord = z.looseObject({
  status: z.string(),
  end_reason: z.string().nullable(),
  messages: z.array(z.object({ role: z.string(), text: z.string(), heard_text: z.string(), at_ms: z.number() })),
  turns: z.array(z.object({ voice_to_voice_ms: z.number().nullable(), stages: z.record(z.string(), z.number()) })),
  events: z.array(z.looseObject({ type: z.string(), at_ms: z.number() })),
});
export type TestCallRecord = z.infer<typeof callRecord>;

export interface TestServer {
  readonly url: string;
  readonly server: BvraiServer;
  /** Every line the server has logged, at all levels. */
  readonly log: readonly ServerLogLine[];
  /** Connections to an emulator that belong to calls: those that wait for calls to come are not counted. */
  callConnections(vendor: 'deepgram' | 'elevenlabs', emulator: { readonly connections: number }): number;
  /** The key of the organization that a server in local mode has. */
  readonly apiKey: string;
  /** The record of a call, once all that was said so far has been written. */
  call(callSid: string): Promise<TestCallRecord>;
  close(): Promise<void>;
}

export interface TestServerOptions {
  /** Agent files by id. */
  readonly agents: Readonly<Record<string, unknown>>;
  readonly environment?: Readonly<Record<string, string>>;
  /** Wait until the embedded engines are warm. */
  readonly ready?: boolean;
}

const READY_TIMEOUT_MS = 30_000;
const WRITTEN_TIMEOUT_MS = 15_000;

/** Starts a server; whoever starts it closes it. */
export async function startTestServer({ agents, environment, ready = true }: TestServerOptions): Promise<TestServer> {
  const directory = await mkdtemp(join(tmpdir(), 'bvrai-server-'));
  await mkdir(join(directory, 'agents'));
  for (const [id, agent] of Object.entries(agents))
    await writeFile(join(directory, 'agents', `${id}.json`), JSON.stringify(agent));
  const dataDirectory = join(directory, 'data');
  const postgres = await migratedDatabaseUrl();
  if (!postgres) await rename(await embeddedDirectory('migrated'), dataDirectory);
  const config = {
    ...readConfig(
      { PORT: '0', DATA_DIR: dataDirectory, LOG_LEVEL: 'debug', DATABASE_URL: postgres?.url, ...environment },
      directory,
    ),
    migrationsDirectory,
  };
  const log: ServerLogLine[] = [];
  const logger = pino(
    { level: config.logLevel, ...LOG_OPTIONS },
    { write: (line) => log.push(logLine.parse(JSON.parse(line))) },
  );
  const server = await startServer(config, logger).catch(async (thrown: unknown) => {
    await rm(directory, { recursive: true, force: true });
    await postgres?.drop();
    throw thrown;
  });
  const url = `http://127.0.0.1:${server.port}`;
  if (ready) await waitUntilReady(url);
  const apiKey = await readFile(join(dataDirectory, 'local-api-key'), 'utf8').then(
    (text) => text.trim(),
    () => '',
  );
  return {
    url,
    server,
    log,
    callConnections: (vendor, { connections }) => connections - server.warmSockets(vendor),
    apiKey,
    async call(callSid) {
      await untilWritten(url);
      const headers = { authorization: `Bearer ${apiKey}` };
      return callRecord.parse(await (await fetch(`${url}/api/v1/calls/${callSid}`, { headers })).json());
    },
    async close() {
      await server.close(0);
      await rm(directory, { recursive: true, force: true });
      await postgres?.drop();
    },
  };
}

/** The spool is empty: everything that has happened is in the database. */
async function untilWritten(url: string): Promise<void> {
  const endMs = performance.now() + WRITTEN_TIMEOUT_MS;
  for (;;) {
    const metrics = await (await fetch(`${url}/metrics`)).text();
    if (/^bvrai_records_waiting_bytes 0$/mu.test(metrics)) return;
    if (performance.now() > endMs) throw new Error(`records were not written within ${WRITTEN_TIMEOUT_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function waitUntilReady(url: string): Promise<void> {
  const endMs = performance.now() + READY_TIMEOUT_MS;
  for (;;) {
    const response = await fetch(`${url}/health/ready`);
    const body = await response.text();
    if (response.ok) return;
    if (performance.now() > endMs) throw new Error(`not ready after ${READY_TIMEOUT_MS} ms: ${body}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
