/**
 * `npm run bench:api`: the records of calls over HTTP at 100,000 calls on a real Postgres; first alone, then beside live calls, whose
 * frames must not suffer. The server, the vendors, the load and Postgres are processes of their own. Exits 1 when a target is missed.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type ServerProcess, startServer } from '../demo/server-process.ts';
import { findProjectRoot, loadRecording } from '../turn-taking/recordings.ts';
import { makeAgent } from '../turn-taking/rig.ts';
import { processesOfDatabase, setApart } from './apart.ts';
import { cpuMsOf, machineMs, waitUntilQuiet } from './cpu.ts';
import { type LoadPlan, type LoadReport, runLoad } from './load.ts';
import { type Get, requestKinds } from './requests.ts';
import { type Phase, printReport } from './report.ts';
import { AGENTS_A_TENANT, postgresUrl, seedRecords, type Tenant, withClient, withDatabase } from './seed.ts';
import { Talkers } from './talkers.ts';
import { startVendors, type Vendors } from './vendors.ts';

const READY_TIMEOUT_MS = 30_000;
const SPREAD_MS = 8_000;
/** What of each phase is not counted: answers begun before it, connections that are opened. */
const WARM_UP_MS = 8_000;
const CONNECTIONS = 32;

interface Options {
  readonly calls: number;
  readonly ratePerSecond: number;
  readonly phaseMs: number;
  /** Loaded phases; there is one more quiet one, around each. */
  readonly rounds: number;
  /** How long other work on the machine is waited for, at most. */
  readonly settleMs: number;
  /** Load and database compete with server and phones for the cores. */
  readonly together: boolean;
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      calls: { type: 'string', default: '50' },
      rate: { type: 'string', default: '300' },
      'phase-s': { type: 'string', default: '30' },
      rounds: { type: 'string', default: '4' },
      'settle-s': { type: 'string', default: '30' },
      together: { type: 'boolean', default: false },
    },
  });
  return {
    calls: Number(values.calls),
    ratePerSecond: Number(values.rate),
    phaseMs: Number(values['phase-s']) * 1_000,
    rounds: Number(values.rounds),
    settleMs: Number(values['settle-s']) * 1_000,
    together: values.together,
  };
}

async function main(): Promise<void> {
  const options = readOptions();
  await withDatabase(postgresUrl('npm run bench:api'), async (databaseUrl) => {
    const closing: (() => Promise<unknown>)[] = [];
    try {
      const vendors = await startVendors();
      closing.push(() => vendors.close());
      const directory = await mkdtemp(join(tmpdir(), 'bvrai-bench-'));
      closing.push(() => rm(directory, { recursive: true }));
      const server = await startServerOn(databaseUrl, vendors, directory, options);
      closing.push(() => server.stop());
      const tenant = await tenantOf(server, databaseUrl);
      await withClient(databaseUrl, (client) => seedRecords(client, tenant));
      const apart = options.together ? false : await setApart(await withClient(databaseUrl, processesOfDatabase));
      if (!(await measure(server, tenant, { ...options, together: !apart }))) process.exitCode = 1;
    } finally {
      for (const end of closing.toReversed()) await end();
    }
  });
}

async function startServerOn(
  databaseUrl: string,
  vendors: Vendors,
  dataDirectory: string,
  { ratePerSecond }: Options,
): Promise<ServerProcess> {
  const root = findProjectRoot();
  await mkdir(join(root, 'out', 'api'), { recursive: true });
  return startServer({
    entry: fileURLToPath(new URL('../../src/main.js', import.meta.url)),
    cwd: root,
    logFile: join(root, 'out', 'api', 'server.log'),
    readyTimeoutMs: READY_TIMEOUT_MS,
    dataDirectory,
    environment: {
      ...vendors.environment,
      DATABASE_URL: databaseUrl,
      // One key asks for all: as much as many would.
      API_READS_PER_MINUTE: String(Math.ceil(ratePerSecond * 120)),
    },
  });
}

/** The server's own organization, with agents that the seeded calls had. */
async function tenantOf(server: ServerProcess, databaseUrl: string): Promise<Tenant> {
  const agentIds: string[] = [];
  for (let agent = 0; agent < AGENTS_A_TENANT; agent++)
    agentIds.push(await makeAgent(server, { name: `bench ${agent}` }));
  const orgId = await withClient(databaseUrl, async (client) => {
    const [, , keyId] = server.apiKey.split('_');
    await client.query('SET ROLE bvrai_app');
    const { rows } = await client.query<{ org_id: string }>('SELECT org_id FROM lookup_api_key($1)', [keyId]);
    return rows[0]?.org_id;
  });
  if (orgId === undefined) throw new Error('The server’s key belongs to no organization of this database.');
  return { orgId, agentIds };
}

async function measure(server: ServerProcess, tenant: Tenant, options: Options): Promise<boolean> {
  const get: Get = async (path) => {
    const response = await fetch(server.url + path, { headers: { authorization: `Bearer ${server.apiKey}` } });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  };
  const { phaseMs, ratePerSecond } = options;
  const load: LoadPlan = {
    url: server.url,
    apiKey: server.apiKey,
    kinds: await requestKinds(get, tenant.agentIds),
    ratePerSecond,
    durationMs: phaseMs,
    warmUpMs: WARM_UP_MS,
    connections: CONNECTIONS,
    seed: 1,
  };
  await waitUntilQuiet(options.settleMs);
  const phases: Phase[] = [];
  const phase = async (name: string, work: () => Promise<LoadReport | undefined>): Promise<void> => {
    phases.push(await observe(name, server, work));
  };
  const prepare = options.together ? undefined : (pid: number) => setApart([pid]);
  // What is compiled and cached with the first requests is no part of any phase.
  await runLoad(load, prepare);
  await phase('alone', () => runLoad(load, prepare));
  const talkers = new Talkers({
    serverUrl: server.url,
    agent: await makeAgent(server, TALKING_AGENT),
    calls: options.calls,
    question: (await loadRecording('cards-001')).mulaw,
    spreadMs: SPREAD_MS,
  });
  try {
    await sleep(2 * SPREAD_MS);
    await phase('quiet', () => pause(phaseMs));
    for (let round = 0; round < options.rounds; round++) {
      await phase('loaded', () => runLoad({ ...load, seed: 2 + round }, prepare));
      await phase('quiet', () => pause(phaseMs));
    }
  } finally {
    await talkers.end();
  }
  return printReport({ phases, talkers, options, serverErrors: server.errors });
}

const TALKING_AGENT = {
  name: 'Ada',
  first_message: 'Hello.',
  silence: { max_reminders: 0 },
  stt: [{ provider: 'deepgram' }],
  llm: [{ provider: 'openai' }],
  tts: [{ provider: 'elevenlabs' }],
};

async function pause(durationMs: number): Promise<undefined> {
  await sleep(durationMs);
}

/** Runs a phase and says when its counted part was, and how busy server and machine were meanwhile. */
async function observe(
  name: string,
  server: ServerProcess,
  work: () => Promise<LoadReport | undefined>,
): Promise<Phase> {
  const fromMs = performance.now();
  const before = { server: await cpuMsOf(server.pid), machine: machineMs() };
  const load = await work();
  const toMs = performance.now();
  const after = { server: await cpuMsOf(server.pid), machine: machineMs() };
  const serverCpuMs = before.server === undefined || after.server === undefined ? NaN : after.server - before.server;
  return {
    name,
    fromMs: fromMs + WARM_UP_MS,
    toMs,
    load,
    serverCpuShare: serverCpuMs / (toMs - fromMs),
    machineBusyShare:
      (after.machine.busyMs - before.machine.busyMs) / Math.max(1, after.machine.allMs - before.machine.allMs),
  };
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
