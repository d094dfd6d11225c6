/** `npm run demo`: starts the server on its embedded engines, rings it, holds a conversation, and shows what came of it. */
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CallFailed, Phone } from '../phone/phone.ts';
import { LivePrinter } from './live.ts';
import { peaksOf, renderPage } from './page.ts';
import { buildReport, latencyTable } from './report.ts';
import { DEMO_AGENT, DEMO_TURNS, type ScriptedTurn } from './script.ts';
import { followEvents, readRecord, type ServerEvent } from './server-events.ts';
import { ServerFailed, type ServerProcess, startServer } from './server-process.ts';
import { findFaults } from './verify.ts';

const READY_TIMEOUT_MS = 20_000;
const ANSWER_TIMEOUT_MS = 8000;
/** The whole conversation; a demo that hangs must still end. */
const CALL_TIMEOUT_MS = 60_000;
/** The caller waits this long after the agent's last word before going on. */
const PAUSE_MS = 250;
/** How much of an answer is heard before the caller interrupts it. */
const BARGE_IN_AFTER_MS = 900;

/** The nearest folder upwards with a package.json: the same from the source and from `dist/`. */
function findProjectRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
}

/** Goes through the script; throws {@link CallFailed} when an answer does not come. */
async function converse(phone: Phone, turns: readonly ScriptedTurn[], questionsFolder: string): Promise<void> {
  await phone.waitForAgent({ silenceMs: PAUSE_MS, timeoutMs: ANSWER_TIMEOUT_MS });
  for (const [index, turn] of turns.entries()) {
    await phone.say(join(questionsFolder, turn.file), turn.topic);
    if (turn.endsCall) {
      await phone.waitUntilAgentSpeaks(ANSWER_TIMEOUT_MS);
      await phone.waitForEnd(ANSWER_TIMEOUT_MS);
    } else if (turns[index + 1]?.isBargeIn) {
      await phone.waitUntilAgentSpeaks(ANSWER_TIMEOUT_MS);
      await phone.sayNothing(BARGE_IN_AFTER_MS);
    } else {
      await phone.waitForAgent({ silenceMs: PAUSE_MS, timeoutMs: ANSWER_TIMEOUT_MS });
    }
  }
}

interface CallResult {
  readonly phone: Phone;
  readonly events: readonly ServerEvent[];
  /** What kept the conversation from its end. */
  readonly faults: readonly string[];
}

async function holdCall(server: ServerProcess, questionsFolder: string): Promise<CallResult> {
  const printer = new LivePrinter((line) => console.log(line));
  const faults: string[] = [];
  const live: ServerEvent[] = [];
  const phone = await Phone.ring({
    serverUrl: server.url,
    agent: DEMO_AGENT,
    signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
    onEvent: (event) => printer.onPhone(event),
  });
  const feed = new AbortController();
  const following = followEvents(server, phone.callSid, feed.signal, (event) => {
    live.push(event);
    printer.onServer(event);
  });
  try {
    await converse(phone, DEMO_TURNS, questionsFolder);
  } catch (error) {
    if (!(error instanceof CallFailed)) throw error;
    faults.push(error.message);
  } finally {
    await phone.hangUp();
  }
  let events: readonly ServerEvent[] = live;
  try {
    const record = await readRecord(server, phone.callSid);
    if (record.events.length > 0) events = record.events;
    if (record.status !== 'completed') faults.push(`the server's record says ${record.status}, ${record.endReason}`);
  } catch (error) {
    faults.push(`the server's record of the call cannot be read: ${String(error)}`);
  }
  feed.abort();
  const feedFault = await following;
  if (feedFault) faults.push(feedFault);
  return { phone, events, faults };
}

async function showResult(
  root: string,
  result: CallResult,
  serverErrors: readonly string[],
): Promise<readonly string[]> {
  const { phone, events } = result;
  const report = buildReport({
    agent: DEMO_AGENT,
    callSid: phone.callSid,
    durationMs: phone.nowMs,
    script: DEMO_TURNS,
    utterances: phone.utterances,
    events,
  });
  const firstSpeechMs = phone.utterances[0]?.startMs ?? Infinity;
  const faults = [
    ...result.faults,
    ...findFaults(DEMO_TURNS, report, {
      heardGreeting: phone.events.some((event) => event.type === 'agent-audible' && event.atMs < firstSpeechMs),
      warnings: phone.warnings.map((warning) => `${warning.code} ${warning.text}`),
      serverErrors,
    }),
  ];
  console.log(`\n${latencyTable(report.turns)}`);
  console.log(
    '\nMilliseconds after the caller stopped speaking; "agent stopped": after the caller began to interrupt.',
  );
  const { count, totalMs } = phone.underruns;
  if (count > 0) console.log(`Playback ran dry ${count} times, ${Math.round(totalMs)} ms in all.`);

  const folder = join(root, 'out', 'demo');
  await phone.writeWav(join(folder, 'call.wav'));
  const template = join(root, 'bench', 'demo', 'page.html');
  const page = await renderPage(template, {
    report,
    peaks: peaksOf(phone.said(), phone.heard()),
    audioFile: 'call.wav',
    faults,
  });
  await writeFile(join(folder, 'index.html'), page);
  const shown = relative(process.cwd(), folder) || '.';
  console.log(
    `\nHear it: ${join(shown, 'call.wav')} (left: caller, right: agent). See it: open ${join(shown, 'index.html')}`,
  );
  return faults;
}

async function demo(): Promise<readonly string[]> {
  const root = findProjectRoot();
  await mkdir(join(root, 'out', 'demo'), { recursive: true });
  console.log('Starting the server on its embedded engines: no key, no phone, no cloud …');
  const server = await startServer({
    // Beside this file in the same build.
    entry: fileURLToPath(new URL('../../src/main.js', import.meta.url)),
    cwd: root,
    logFile: join(root, 'out', 'demo', 'server.log'),
    dataDirectory: join(root, 'out', 'demo', 'data'),
    readyTimeoutMs: READY_TIMEOUT_MS,
  });
  try {
    console.log(`It listens on ${server.url}. Ringing ${DEMO_AGENT} …\n`);
    const result = await holdCall(server, join(root, 'bench', 'demo', 'questions'));
    return await showResult(root, result, server.errors);
  } finally {
    const { drained } = await server.stop();
    if (!drained) console.log('The server had to be killed.');
  }
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
try {
  const faults = await demo();
  if (faults.length > 0) {
    console.error(`\nThe demo FAILED:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`);
    process.exitCode = 1;
  }
} catch (error) {
  if (!(error instanceof CallFailed) && !(error instanceof ServerFailed)) throw error;
  console.error(`\nThe demo FAILED: ${error.message}`);
  process.exitCode = 1;
}
