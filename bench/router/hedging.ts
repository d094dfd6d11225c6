/**
 * `npm run bench:hedging`: voice to voice at the caller's ear while one first token in twenty of the primary model takes 3 s:
 * from the primary alone, from two models with deadlines only, and with requests doubled when they are late. Many calls at once,
 * over real sockets; a server of its own for each. Exits 1 when a target is missed.
 */
import { parseArgs } from 'node:util';
import { formatTable } from '../phone/live-line.ts';
import { Phone } from '../phone/phone.ts';
import { loadRecording, type Recording } from '../turn-taking/recordings.ts';
import { type Line, LLM_FIRST_TOKEN_MS, type Rig, startRig } from '../turn-taking/rig.ts';
import { inParallel, quantile, seededRandom } from '../turn-taking/stats.ts';
import { tellVerdict } from '../verdict.ts';

const TARGETS = { p99Cut: 0.6, moreRequests: 0.05 };
/** How much the p50 of many calls may lie over that of one call, for the machine to have carried them. */
const CARRIED_MS = 60;
const TAIL = { share: 0.05, ms: 3_000 };
const LINES = 20;
/** Of each call: in these the server learns how fast the primary is. Their requests count, their latencies do not. */
const LEARNING_TURNS = 2;
const ANSWER_TIMEOUT_MS = 12_000;
const PAUSE_MS = 300;
/** Callers think before they speak, or else all would ask at the same moment, turn after turn. */
const MAX_THINKING_MS = 1_000;
const SPEECH = { recording: 'cards-004', text: 'What does it cost?' };
const ANSWER = 'Sure. ';

const MODES = [
  { title: 'primary alone', models: ['openai'], environment: { HEDGE_SHARE: '0' } },
  { title: 'two models, deadlines only', models: ['openai', 'anthropic'], environment: { HEDGE_SHARE: '0' } },
  { title: 'two models, hedged', models: ['openai', 'anthropic'], environment: {} },
] as const;

interface Measured {
  readonly title: string;
  /** Of one call on an idle server whose primary has no tail. */
  readonly aloneMs: readonly number[];
  readonly voiceToVoiceMs: readonly number[];
  readonly unanswered: number;
  /** Everything that reached a model, guesses and learning turns included, while many calls ran. */
  readonly toPrimary: number;
  readonly toSecondary: number;
  readonly errors: readonly string[];
}

/** One call; voice to voice of each of its turns, undefined for those without an answer. */
async function holdCall(rig: Rig, line: Line, speech: Recording, turns: number): Promise<(number | undefined)[]> {
  const phone = await Phone.ring({ serverUrl: rig.serverUrl, agent: line.agent });
  const heard: (number | undefined)[] = [];
  const random = seededRandom(rig.lines.indexOf(line) + 1);
  try {
    await phone.waitForAgent({ silenceMs: PAUSE_MS, timeoutMs: ANSWER_TIMEOUT_MS });
    for (let turn = 0; turn < turns; turn++) {
      line.moments.length = 0;
      await phone.sayNothing(random() * MAX_THINKING_MS);
      line.expect(speech, SPEECH.text);
      const utterance = await phone.say(speech.mulaw, speech.name);
      await phone.waitForAgent({ silenceMs: PAUSE_MS, timeoutMs: ANSWER_TIMEOUT_MS });
      heard.push(utterance?.voiceToVoiceMs);
    }
  } catch (error) {
    console.log(`  ${line.agent}: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    await phone.hangUp();
  }
  return Array.from({ length: turns }, (_, turn) => heard[turn]);
}

/** Counts what reaches the models, from now on; probes are no callers' requests, and none is expected. */
function countRequests(rig: Rig): { toPrimary: number; toSecondary: number } {
  const counts = { toPrimary: 0, toSecondary: 0 };
  rig.openai.watch(({ direction }) => {
    if (direction === 'received') counts.toPrimary++;
  });
  rig.anthropic.watch(({ direction }) => {
    if (direction === 'received') counts.toSecondary++;
  });
  return counts;
}

async function measure(mode: (typeof MODES)[number], speech: Recording, turns: number): Promise<Measured> {
  const rig = await startRig({
    // No filler: the answer is what is measured.
    agents: Array.from({ length: LINES }, () => ({ first_message: 'Hi.', turn_taking: { filler_after_ms: 30_000 } })),
    reply: () => ANSWER,
    logName: `hedging-${mode.models.length}-${'HEDGE_SHARE' in mode.environment ? 'off' : 'on'}`,
    models: mode.models,
    environment: mode.environment,
  });
  try {
    const [first] = rig.lines;
    const alone = first ? await holdCall(rig, first, speech, 4) : [];
    rig.openai.settings.firstTokenMs = { base: LLM_FIRST_TOKEN_MS, tail: TAIL };
    const counts = countRequests(rig);
    const calls = await inParallel(rig.lines, LINES, (line) => holdCall(rig, line, speech, LEARNING_TURNS + turns));
    const judged = calls.flatMap((call) => call.slice(LEARNING_TURNS));
    const voiceToVoiceMs = judged.flatMap((ms) => ms ?? []);
    return {
      title: mode.title,
      aloneMs: alone.flatMap((ms) => ms ?? []),
      voiceToVoiceMs,
      unanswered: judged.length - voiceToVoiceMs.length,
      ...counts,
      errors: rig.server.errors,
    };
  } finally {
    await rig.close();
  }
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

function report(all: readonly Measured[]): void {
  const rows = all.map((one) => [
    one.title,
    ...[0.5, 0.95, 0.99, 1].map((q) => quantile(one.voiceToVoiceMs, q).toFixed(0)),
    String(one.voiceToVoiceMs.length),
    quantile(one.aloneMs, 0.5).toFixed(0),
    String(one.toPrimary),
    String(one.toSecondary),
    percent(one.toSecondary / one.toPrimary),
  ]);
  const head = ['voice to voice, ms', 'p50', 'p95', 'p99', 'max', 'turns', 'one call p50'];
  console.log(`\n${formatTable([[...head, 'to primary', 'to secondary', 'more'], ...rows])}`);
  console.log(
    '\n“to primary” and “to secondary” are all requests that reached the models while the calls ran: those begun on a guess and ' +
      'those of the learning turns too.',
  );
}

function faultsOf(all: readonly Measured[]): string[] {
  const [alone, , hedged] = all;
  if (!alone || !hedged) return ['not every mode was measured'];
  const faults = all.flatMap(({ title, unanswered, errors, voiceToVoiceMs, aloneMs }) => {
    const overMs = quantile(voiceToVoiceMs, 0.5) - quantile(aloneMs, 0.5);
    return [
      ...(unanswered > 0 ? [`${title}: ${unanswered} turns got no answer`] : []),
      ...(overMs <= CARRIED_MS
        ? []
        : [`${title}: the machine did not carry the calls: p50 ${overMs.toFixed(0)} ms over`]),
      ...errors.map((line) => `${title}: the server logged ${line}`),
    ];
  });
  const cut = 1 - quantile(hedged.voiceToVoiceMs, 0.99) / quantile(alone.voiceToVoiceMs, 0.99);
  const more = hedged.toSecondary / hedged.toPrimary;
  console.log(`\nHedging cuts the p99 by ${percent(cut)} for ${percent(more)} more requests.`);
  if (!(cut >= TARGETS.p99Cut)) faults.push(`the p99 is cut by ${percent(cut)}, not ${percent(TARGETS.p99Cut)}`);
  if (!(more <= TARGETS.moreRequests)) faults.push(`${percent(more)} more requests`);
  return faults;
}

const { values } = parseArgs({ options: { turns: { type: 'string', default: '21' } } });
const speech = await loadRecording(SPEECH.recording);
const measured: Measured[] = [];
console.log(
  `${LINES} calls at once; of the primary's first tokens ${percent(TAIL.share)} take ${TAIL.ms} ms, the others, and all of the ` +
    `secondary's, ${LLM_FIRST_TOKEN_MS} ms.`,
);
for (const mode of MODES) measured.push(await measure(mode, speech, Number(values.turns)));
report(measured);
tellVerdict(faultsOf(measured));
