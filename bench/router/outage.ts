/**
 * `npm run bench:outage`: many calls at once while the primary vendor of each stage dies and returns, in turn. The server is a
 * process of its own. Exits 1 when a call is lost, a question stays unanswered, or a socket stays open.
 */
import { mkdir, mkdtemp, readFile, readdir, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startServer } from '../demo/server-process.ts';
import { startDeepgramEmulator } from '../emulators/deepgram.ts';
import { startElevenLabsEmulator } from '../emulators/elevenlabs.ts';
import { startOpenAiEmulator } from '../emulators/openai.ts';
import { formatTable } from '../phone/live-line.ts';
import { findProjectRoot, loadRecording } from '../turn-taking/recordings.ts';
import { makeAgent } from '../turn-taking/rig.ts';
import { vendorEnvironment } from '../vendor-environment.ts';
import { holdThroughOutages } from './outage-calls.ts';
import type { OutageReport } from './outage-calls.ts';
import { OUTAGE_AGENT, OUTAGE_VENDORS, outagesOf } from './outages.ts';

const READY_TIMEOUT_MS = 30_000;
/** How long sockets may take to close after the last call. */
const SETTLE_MS = 5_000;

/** Sockets of a process, where the system tells (Linux). */
async function socketsOf(pid: number | undefined): Promise<number | undefined> {
  const folder = `/proc/${pid}/fd`;
  const names = await readdir(folder).catch(() => undefined);
  if (!names) return undefined;
  const targets = await Promise.all(names.map((name) => readlink(join(folder, name)).catch(() => '')));
  return targets.filter((target) => target.startsWith('socket:')).length;
}

function print({ phases, lost, mutedCalls, underrunMs }: OutageReport, calls: number): void {
  console.log(
    formatTable([
      ['phase', 'answered', 'unanswered', 'slowest voice to voice, ms'],
      ...phases.map(({ name, answered, unanswered, slowestMs }) => [
        name,
        String(answered),
        String(unanswered),
        slowestMs.toFixed(0),
      ]),
    ]),
  );
  console.log(
    `\n${calls} calls: ${lost.length} lost, ${mutedCalls} muted; playback ran dry for ${underrunMs.toFixed(0)} ms in all.`,
  );
  for (const reason of lost) console.log(`  ${reason}`);
}

/** The server keeps one open for each address in use, for calls to come: the recogniser's and the voice's. */
const WARM_SOCKETS = 2;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      calls: { type: 'string', default: '200' },
      'outage-s': { type: 'string', default: '30' },
      'rest-s': { type: 'string', default: '3' },
      'spread-s': { type: 'string', default: '40' },
    },
  });
  const calls = Number(values.calls);
  const root = findProjectRoot();
  const closing: (() => Promise<unknown>)[] = [];
  try {
    const deepgram = await startDeepgramEmulator(OUTAGE_VENDORS.deepgram);
    closing.push(() => deepgram.close());
    const openai = await startOpenAiEmulator(OUTAGE_VENDORS.openai);
    closing.push(() => openai.close());
    const elevenlabs = await startElevenLabsEmulator(OUTAGE_VENDORS.elevenlabs);
    closing.push(() => elevenlabs.close());
    const directory = await mkdtemp(join(tmpdir(), 'bvrai-bench-'));
    closing.push(() => rm(directory, { recursive: true }));
    await mkdir(join(root, 'out', 'router'), { recursive: true });
    const logFile = join(root, 'out', 'router', 'outage.log');
    const server = await startServer({
      entry: fileURLToPath(new URL('../../src/main.js', import.meta.url)),
      cwd: root,
      logFile,
      readyTimeoutMs: READY_TIMEOUT_MS,
      dataDirectory: directory,
      environment: vendorEnvironment({ deepgram, openai, elevenlabs }),
    });
    closing.push(() => server.stop());
    const socketsBefore = await socketsOf(server.pid);
    const report = await holdThroughOutages({
      serverUrl: server.url,
      agent: await makeAgent(server, OUTAGE_AGENT),
      calls,
      question: (await loadRecording('cards-001')).mulaw,
      outages: outagesOf({ deepgram, openai, elevenlabs }),
      outageMs: Number(values['outage-s']) * 1_000,
      restMs: Number(values['rest-s']) * 1_000,
      spreadMs: Number(values['spread-s']) * 1_000,
    });
    print(report, calls);
    await sleep(SETTLE_MS);
    const socketsAfter = await socketsOf(server.pid);
    const vendorSockets = deepgram.webSockets + openai.webSockets + elevenlabs.webSockets;
    // Requests leave connections for the next ones; the server has no others.
    const keptAlive = deepgram.connections + openai.connections + elevenlabs.connections;
    const leaked =
      socketsAfter === undefined || socketsBefore === undefined ? 0 : socketsAfter - socketsBefore - keptAlive;
    console.log(
      `Open afterwards: ${vendorSockets} WebSockets and ${openai.activeRequests + elevenlabs.activeRequests} requests to vendors ` +
        `(${keptAlive} connections kept alive); sockets of the server ${socketsBefore ?? '?'} before, ${socketsAfter ?? '?'} after.`,
    );
    const failedTurns = (await readFile(logFile, 'utf8'))
      .split('\n')
      .filter((line) => line.includes('"turn failed"')).length;
    console.log(`Turns that the server gave up or asked about again: ${failedTurns}. Log: out/router/outage.log`);
    const unanswered = report.phases.reduce((sum, phase) => sum + phase.unanswered, 0);
    const isWell =
      report.lost.length + report.mutedCalls + unanswered + openai.activeRequests === 0 &&
      vendorSockets <= WARM_SOCKETS &&
      leaked <= WARM_SOCKETS;
    if (!isWell) process.exitCode = 1;
  } finally {
    for (const end of closing.toReversed()) await end();
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
