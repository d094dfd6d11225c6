/** Two hundred calls that end at random moments in random ways, over real sockets: nothing of them is left soon afterwards. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Phone } from '../../bench/phone/phone.ts';
import { seededRandom } from '../../bench/turn-taking/stats.ts';
import { Cable } from '../support/cable.ts';
import { startEmulatedCloud } from '../support/cloud.ts';
import type { EmulatedCloud } from '../support/cloud.ts';
import { expectNoLeaks, leakedHandles, openHandles, usualHandles } from '../support/leaks.ts';
import type { HandleCounts } from '../support/leaks.ts';
import { startTestServer } from '../support/server.ts';
import type { TestCallRecord, TestServer } from '../support/server.ts';
import { fixtureAudio } from '../support/speech-fixtures.ts';

/** Another seed, another two hundred moments. */
const SEED = Number(process.env['RANDOM_ENDS_SEED'] ?? 1);
const AT_ONCE = 25;
/** A second, as is claimed, and what a machine that is busy elsewhere may add; how long it took is printed. */
const PATIENCE_MS = 10_000;

/** By whom and how a call is ended, how many of the two hundred are, and the reasons that their records may give. */
const ENDS = {
  'max-duration': { calls: 6, agent: 'brief', reasons: ['max-duration'] },
  silence: { calls: 6, agent: 'lonely', reasons: ['caller-silent'] },
  'end_call tool': { calls: 14, agent: 'leaver', reasons: ['agent-hung-up'] },
  goodbye: { calls: 12, agent: 'bidden', reasons: ['agent-hung-up'] },
  'hang-up': { calls: 58, agent: 'teller', reasons: ['caller-hung-up'] },
  'hang-up while the model dies': { calls: 12, agent: 'dying', reasons: ['caller-hung-up'] },
  'torn line': { calls: 32, agent: 'teller', reasons: ['connection-lost'] },
  'bytes out of order': { calls: 22, agent: 'teller', reasons: ['connection-lost', 'protocol-violation'] },
  // Cuts the streams of every call of the batch, whichever way those end later.
  'hang-up when a vendor dies': { calls: 30, agent: 'teller', reasons: ['caller-hung-up'] },
  drain: { calls: 8, agent: 'teller', reasons: ['server-shutdown'] },
} as const;
type End = keyof typeof ENDS;

/** What is going on in the server when a caller's side ends the call. */
const MOMENTS = ['ringing', 'greeting', 'talking', 'guessing', 'thinking', 'answering', 'interrupting'] as const;

interface Plan {
  readonly end: End;
  readonly moment: (typeof MOMENTS)[number];
  /** How far into the moment, from 0 to 1. */
  readonly within: number;
}

const speech = fixtureAudio('cards-001.wav').mulaw();
const STORY = 'The house was built by a sea captain, when the harbour was still quiet. It has nine rooms and a garden.';
const AGENTS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  // The embedded recogniser, which may have to take over, knows little but these phrases.
  teller: { first_message: 'Hello there, how can I help?', end_call_phrases: [] },
  dying: { first_message: 'Hi.', end_call_phrases: [], llm: [{ provider: 'openai', model: 'dying' }] },
  leaver: { first_message: 'Hi.', system_prompt: 'Leave.' },
  bidden: { first_message: 'Hi.', stt: [{ provider: 'deepgram', options: { tag: 'goodbye' } }] },
  lonely: { first_message: 'Hi.', goodbye_message: 'Bye.', silence: { reminder_after_ms: 1_000, max_reminders: 1 } },
  brief: { first_message: 'Hi.', max_duration_s: 10, duration_warning_s: 0 },
};

let cloud: EmulatedCloud;
let server: TestServer;
/** What was open before there was a server, and what is when it has nothing to do. */
/** As long as the server's slowest round (a heartbeat) takes. */
const USUAL_MS = 2_500;
const before = openHandles();
let idle: HandleCounts;
let keptWhenIdle: number;

beforeAll(async () => {
  cloud = await startEmulatedCloud({
    deepgram: {
      transcripts: ({ url }) => (url.includes('goodbye') ? 'Goodbye.' : 'Tell me about the house.'),
      finalDelayMs: 120,
      interimDelayMs: 40,
    },
    openai: {
      firstTokenMs: 120,
      interTokenMs: 15,
      reply: ([system]) =>
        system?.content?.startsWith('Leave') ? { tool: { name: 'end_call', arguments: {} }, say: 'Bye.' } : STORY,
      modelFaults: { dying: { closeAfter: { messages: 6, code: 1006 } } },
    },
    elevenlabs: { firstAudioMs: 60 },
  });
  const agents = Object.fromEntries(Object.entries(AGENTS).map(([name, agent]) => [name, { name, ...agent }]));
  server = await startTestServer({ agents, environment: cloud.environment });
});

const closeAll = async (): Promise<void> => {
  await server?.close();
  await cloud?.close();
};
afterAll(closeAll);

/** All calls but those of the drain, the slow ways to end first, vendors' deaths in batches of their own. */
function planCalls(random: () => number): Plan[] {
  const ends = Object.keys(ENDS).filter((end): end is End => end in ENDS && end !== 'drain');
  return ends.flatMap((end) => Array.from({ length: ENDS[end].calls }, () => planCall(end, random)));
}

function planCall(end: End, random: () => number): Plan {
  return { end, moment: MOMENTS[Math.floor(random() * MOMENTS.length)] ?? 'ringing', within: random() };
}

/** Brings a call into the moment; what the caller says there may be cut short by the end. */
async function reach(phone: Phone, { moment, within }: Plan): Promise<void> {
  const speak = (): void => void phone.say(speech).catch(() => undefined);
  if (moment !== 'ringing') await phone.waitUntilAgentSpeaks();
  switch (moment) {
    case 'ringing':
      return sleep(150 * within);
    case 'greeting':
      return sleep(600 * within);
    case 'talking':
      speak();
      return sleep(1_000 * within);
    case 'guessing':
      await phone.say(speech);
      return sleep(120 * within);
    case 'thinking':
      await phone.say(speech);
      return sleep(100 + 250 * within);
    case 'answering':
      await phone.say(speech);
      await phone.waitUntilAgentSpeaks();
      return sleep(900 * within);
    case 'interrupting':
      await phone.say(speech);
      await phone.waitUntilAgentSpeaks();
      await sleep(200);
      speak();
      return sleep(1_000 * within);
  }
}

/** Holds a call until it is over, whoever ends it. */
async function holdCall(plan: Plan): Promise<{ plan: Plan; callSid: string }> {
  const { end } = plan;
  const cable = await Cable.lay(server.server.port);
  const phone = await Phone.ring({
    serverUrl: server.url,
    agent: ENDS[end].agent,
    streamUrlOverride: `ws://127.0.0.1:${cable.port}/media`,
  });
  try {
    switch (end) {
      case 'max-duration':
      case 'silence':
        break;
      case 'end_call tool':
      case 'goodbye':
        await phone.waitForAgent({ silenceMs: 100 });
        await insist(phone);
        break;
      default:
        await reach(phone, plan);
    }
    endFromOutside(plan, phone, cable);
    await phone.waitForEnd(30_000);
  } catch (thrown) {
    throw new Error(`${end}, ${plan.moment}, seed ${SEED}`, { cause: thrown });
  } finally {
    await phone.hangUp();
    await cable.close();
  }
  return { plan, callSid: phone.callSid };
}

/** Says it until the agent ends the call: on a busy machine another model may answer first, which leaves that to the caller. */
async function insist(phone: Phone): Promise<void> {
  const ended = phone.ended.then(() => true);
  for (let time = 0; time < 4; time++) {
    // Both are cut short when the call ends, which is what is waited for.
    await phone.say(speech).catch(() => undefined);
    const answered = phone.waitForAgent({ silenceMs: 2_000 }).then(
      () => false,
      () => false,
    );
    if (await Promise.race([ended, answered])) return;
  }
}

function endFromOutside({ end, within }: Plan, phone: Phone, cable: Cable): void {
  switch (end) {
    case 'hang-up':
    case 'hang-up while the model dies':
      return void phone.hangUp();
    case 'hang-up when a vendor dies':
      (within < 0.5 ? cloud.deepgram : cloud.elevenlabs).disconnect(1006);
      setTimeout(() => void phone.hangUp(), 400 * within);
      return;
    case 'torn line':
      return cable.tear();
    case 'bytes out of order':
      return cable.disturb(Uint8Array.from({ length: 64 }, (_, index) => (index * 151 + 77) % 256));
    default:
  }
}

/**
 * HTTP's connections outlive calls on purpose, and sockets wait for calls to come; each has an end in the server and one in the
 * emulator.
 */
function keptConnections(): number {
  const restingVoices = cloud.elevenlabs.openConnections.filter(({ resting }) => resting).length;
  return (
    cloud.openai.connections +
    restingVoices +
    server.server.warmSockets('deepgram') +
    server.server.warmSockets('elevenlabs')
  );
}

/** Calls whose line was torn before the server had read that they begin: it still waits for them. */
function neverBegun(): number {
  const lines = (message: string): number => server.log.filter(({ msg }) => msg === message).length;
  return lines('call expected') - lines('call-started');
}

/** What is left of calls that are over, by name; empty: nothing. */
function leftOver(): string[] {
  const left: Record<string, number> = {
    calls: server.server.activeCalls,
    'model requests': cloud.openai.activeRequests,
  };
  const expected: Readonly<Record<string, number>> = {
    TCPSocketWrap: 2 * (keptConnections() - keptWhenIdle),
    // Its place, and the wait for its stream: both last for about a minute after the webhook.
    Timeout: 2 * neverBegun(),
  };
  for (const [kind, count] of leakedHandles(idle)) left[kind] = count - (expected[kind] ?? 0);
  return [
    ...Object.entries(left).flatMap(([what, count]) => (count > 0 ? [`${count} × ${what}`] : [])),
    ...server.callConnections('deepgram', cloud.deepgram),
    ...server.callConnections('elevenlabs', cloud.elevenlabs),
  ];
}

/** Resolves with how long it took until nothing was left. */
async function untilNothingIsLeft(): Promise<number> {
  const fromMs = performance.now();
  for (let left = leftOver(); left.length > 0; left = leftOver()) {
    const waitedMs = performance.now() - fromMs;
    if (waitedMs > PATIENCE_MS) throw new Error(`Left after ${waitedMs.toFixed(0)} ms: ${left.join(', ')}`);
    await sleep(10);
  }
  return performance.now() - fromMs;
}

/** Undefined: the line was torn before the server had read that a call begins. */
async function readRecord({ plan, callSid }: { plan: Plan; callSid: string }): Promise<TestCallRecord | undefined> {
  const neverBegan = !server.log.some((line) => line['callSid'] === callSid && line.msg === 'call-started');
  const mayBe = plan.moment === 'ringing' && (plan.end === 'torn line' || plan.end === 'bytes out of order');
  return mayBe && neverBegan ? undefined : server.call(callSid);
}

/** The last calls are talking when the server is told to stop. */
async function drain(random: () => number): Promise<{ plan: Plan; callSid: string }[]> {
  const held = Array.from({ length: ENDS.drain.calls }, () => holdCall(planCall('drain', random)));
  await expect.poll(() => server.server.activeCalls, { timeout: 5_000 }).toBe(held.length);
  await sleep(1_500 * random());
  await server.server.close(100);
  return Promise.all(held);
}

it('two hundred calls leave no stream, no socket and no timer behind', async () => {
  const random = seededRandom(SEED);
  await sleep(50);
  idle = await usualHandles(USUAL_MS);
  keptWhenIdle = keptConnections();
  const calls = planCalls(random);
  const ended: { plan: Plan; callSid: string }[] = [];
  const settledMs: number[] = [];
  for (let from = 0; from < calls.length; from += AT_ONCE) {
    ended.push(...(await Promise.all(calls.slice(from, from + AT_ONCE).map(holdCall))));
    settledMs.push(await untilNothingIsLeft());
  }
  const records = await Promise.all(ended.map(readRecord));
  const drained = await drain(random);
  expect(ended.length + drained.length).toBe(200);
  for (const [index, { plan }] of ended.entries()) {
    const record = records[index];
    if (record === undefined) continue;
    const told = `${plan.end}, ${plan.moment}, call ${index}, seed ${SEED}`;
    expect(ENDS[plan.end].reasons, told).toContain(record.end_reason);
    expect(
      record.events.filter(({ type }) => type === 'call-ended'),
      told,
    ).toHaveLength(1);
  }
  for (const { callSid } of drained) {
    const reason = server.log.find((line) => line.msg === 'call ended' && line['callSid'] === callSid)?.['reason'];
    expect(ENDS.drain.reasons).toContain(reason);
  }
  await closeAll();
  await expectNoLeaks(before);
  console.info(`after each batch nothing was left within ms: ${settledMs.map((ms) => ms.toFixed(0)).join(' ')}`);
}, 120_000);
