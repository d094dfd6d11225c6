/**
 * `npm run bench:barge-in`: how soon an interrupted agent is silenced, and what noise and "uh-huh" do to it; over real
 * sockets, with recorded people and noises. Exits 1 when a target is missed.
 */
import { parseArgs } from 'node:util';
import { readRecord, type ServerEvent } from '../demo/server-events.ts';
import { formatTable } from '../phone/live-line.ts';
import { Phone } from '../phone/phone.ts';
import { checkClears } from './after-clear.ts';
import { compareHeard, type EarReport } from './ear.ts';
import { loadRecording, mix, type Recording } from './recordings.ts';
import { type Line, type Rig, startRig } from './rig.ts';
import { inParallel, quantile, seededRandom, summaryCells } from './stats.ts';
import { tellVerdict } from '../verdict.ts';

const TARGETS = { p50Ms: 180, p95Ms: 350 };
const AT_ONCE = 4;
const TIMEOUT_MS = 15_000;
/** The agent has finished when nothing came from it for so long; it may be held back for less. */
const FINISHED_MS = 3_000;
const QUESTION = 'Please tell me everything about the house.';
const ANSWER =
  'The house was built by a sea captain in eighteen twelve, when the harbour was still a quiet place. ' +
  'It has nine rooms, a garden with old apple trees, and a small tower from which you can see the ships. ' +
  'His daughter lived there alone for forty years, and painted every wall in a different colour. ' +
  'Since then nobody has dared to change any of it.';
/** No clause of the answer is longer, white space left out: more than this must not be said twice after a resume. */
const LONGEST_CLAUSE = 90;

/** Sound of the agent so long after the onset, while the caller speaks, is not the rest of what was interrupted. */
const TALKED_OVER_MS = 1_000;
const SHORT_MS = 2_500;
const INTERRUPTERS = [
  'cards-001',
  'cards-002',
  'cards-003',
  'cards-004',
  'cards-005',
  'digits-29340',
  'goforward',
  'numbers',
  'something',
  'librivox-0870',
  'librivox-0880',
  'librivox-0890',
  'librivox-0920',
  'librivox-0930',
];

interface Interruption {
  readonly recording: string;
  /** Speech onset to the `clear`, which a breath before the speech may bring early; undefined: it never came. */
  readonly clearMs: number | undefined;
  /** The same from the onset that energy alone finds. */
  readonly earClearMs: number | undefined;
  /** To the agent's last audible sample at the ear. */
  readonly silentMs: number | undefined;
}

interface Outcome<Result> {
  readonly results: readonly Result[];
  readonly clears: number;
  readonly faults: readonly string[];
}

/** Rings and asks, so that the agent is at the beginning of its long answer. */
async function ringAndAsk(rig: Rig, line: Line, question: Recording): Promise<Phone> {
  line.moments.length = 0;
  const phone = await Phone.ring({ serverUrl: rig.serverUrl, agent: line.agent });
  await phone.waitForAgent({ silenceMs: 300, timeoutMs: TIMEOUT_MS });
  line.expect(question, QUESTION);
  await phone.say(question.mulaw, question.name);
  await phone.waitUntilAgentSpeaks(TIMEOUT_MS);
  return phone;
}

/** Hangs up and judges the silences after the clears of the call. */
async function conclude(rig: Rig, line: Line, phone: Phone) {
  await phone.hangUp();
  const { events } = await readRecord(rig.server, phone.callSid);
  const { startedAtMs } = phone;
  const checked = checkClears({ startedAtMs, phone: phone.events, server: events, moments: line.moments });
  return { events, ...checked };
}

async function interrupt(
  rig: Rig,
  line: Line,
  question: Recording,
  recordings: readonly Recording[],
  random: () => number,
): Promise<Outcome<Interruption>> {
  const phone = await ringAndAsk(rig, line, question);
  const results: Interruption[] = [];
  const faults: string[] = [];
  try {
    for (const recording of recordings) {
      await phone.sayNothing(600 + 2_000 * random());
      line.expect(recording, 'Stop, please tell me something else.');
      const utterance = await phone.say(recording.mulaw, recording.name);
      if (!utterance) continue;
      await phone.waitUntilAgentSpeaks(TIMEOUT_MS);
      const beganMs = utterance.startMs - recording.earOnsetMs;
      const clears = phone.events.filter(({ type, atMs }) => type === 'clear' && atMs >= beganMs);
      // A breath may silence the agent for a moment only; then it is the clear at the words that counts.
      const clear = clears.find(({ atMs }) => atMs >= beganMs + recording.onsetMs) ?? clears[0];
      results.push({
        recording: recording.name,
        clearMs: clear && clear.atMs - beganMs - recording.onsetMs,
        earClearMs: clear && clear.atMs - utterance.startMs,
        silentMs: utterance.bargeInStopMs,
      });
    }
  } catch (error) {
    faults.push(`${line.agent}: ${error instanceof Error ? error.message : String(error)}`);
  }
  const concluded = await conclude(rig, line, phone);
  return { results, clears: concluded.clears, faults: [...faults, ...concluded.faults] };
}

/** A sound over the agent's answer, which should not end it. */
interface Disturbance {
  readonly kind: 'noise' | 'voice, nothing recognised' | 'backchannel';
  readonly recording: Recording;
  /** What the recogniser makes of it. */
  readonly text: string;
}

interface Disturbed extends Disturbance {
  readonly ear: EarReport;
  readonly silenced: number;
  readonly resumed: number;
  readonly longestSilenceMs: number;
  readonly events: readonly ServerEvent[];
}

async function disturb(
  rig: Rig,
  line: Line,
  question: Recording,
  disturbance: Disturbance,
  random: () => number,
): Promise<Outcome<Disturbed>> {
  const phone = await ringAndAsk(rig, line, question);
  const answerFromMs = phone.utterances.at(-1)?.endMs ?? 0;
  const faults: string[] = [];
  try {
    await phone.sayNothing(500 + 1_500 * random());
    line.expect(disturbance.recording, disturbance.text);
    await phone.say(disturbance.recording.mulaw, disturbance.recording.name);
    await phone.waitUntil('the agent to finish', 60_000, () => {
      const last = phone.events.findLast(({ type }) => type === 'media' || type === 'clear');
      return last !== undefined && phone.nowMs - last.atMs > FINISHED_MS;
    });
  } catch (error) {
    faults.push(`${disturbance.recording.name}: ${error instanceof Error ? error.message : String(error)}`);
  }
  const ear = compareHeard(phone.heard(answerFromMs), ANSWER);
  const { events, clears, faults: late } = await conclude(rig, line, phone);
  const result = {
    ...disturbance,
    ear,
    silenced: clears,
    resumed: events.filter(({ type }) => type === 'resumed').length,
    longestSilenceMs: longestSilence(phone),
    events,
  };
  return { results: [result], clears, faults: [...faults, ...late] };
}

/** The longest time from a clear to the next audio. */
function longestSilence(phone: Phone): number {
  let longestMs = 0;
  for (const [index, { type, atMs }] of phone.events.entries()) {
    if (type !== 'clear') continue;
    const next = phone.events.slice(index).find((event) => event.type === 'media');
    if (next) longestMs = Math.max(longestMs, next.atMs - atMs);
  }
  return longestMs;
}

async function disturbances(): Promise<Disturbance[]> {
  const names = ['cough', 'keyboard', 'music', 'pink', 'brown', 'ringback', 'dtmf'];
  const noises = await Promise.all(names.map((name) => loadRecording(`noise-${name}`)));
  const [keyboard, music, brown] = [noises[1], noises[2], noises[4]];
  if (!keyboard || !music || !brown) throw new Error('noise fixtures are missing');
  noises.push(
    mix('10 s of music', 10_000, [{ of: music, gain: 1 }]),
    mix('10 s of office noise', 10_000, [
      { of: brown, gain: 0.6 },
      { of: keyboard, gain: 0.6 },
      { of: music, gain: 0.1 },
    ]),
  );
  const voiced = async (name: string, maxMs: number, kind: Disturbance['kind'], text: string) => ({
    kind,
    recording: await loadRecording(name, maxMs),
    text,
  });
  const voices = await Promise.all([
    voiced('cards-001', 1_000, 'voice, nothing recognised', ''),
    voiced('digits-29340', 1_700, 'voice, nothing recognised', ''),
    voiced('librivox-0880', 1_200, 'voice, nothing recognised', ''),
    voiced('librivox-0930', 900, 'voice, nothing recognised', ''),
    voiced('cards-001', 700, 'backchannel', 'Uh-huh.'),
    voiced('cards-004', 650, 'backchannel', 'Okay.'),
    voiced('cards-003', 900, 'backchannel', 'Yeah.'),
    voiced('goforward', 1_000, 'backchannel', 'Mm-hmm.'),
  ]);
  return [
    ...noises.map((recording): Disturbance => ({ kind: 'noise', recording, text: '' })),
    // Twice, at other moments.
    ...voices,
    ...voices,
  ];
}

function reportInterruptions({ results, clears, faults }: Outcome<Interruption>, expected: number): string[] {
  const cleared = results.flatMap(({ clearMs }) => clearMs ?? []);
  // A breath that silences the agent before a word is said must not make the reaction to words look quicker.
  const found = cleared.filter((clearMs) => clearMs >= 0);
  const byRecording = INTERRUPTERS.map((name) => {
    const own = results.filter(({ recording }) => recording === name);
    return [
      `  ${name}`,
      ...summaryCells(own.flatMap(({ clearMs }) => (clearMs !== undefined && clearMs >= 0 ? clearMs : []))),
    ];
  });
  console.log('\nThe caller interrupts:\n');
  console.log(
    formatTable([
      ['ms after the onset of speech', 'p50', 'p95', 'max', 'times'],
      ['clear on the wire', ...summaryCells(found)],
      [
        '  after the first sound that the ear finds',
        ...summaryCells(results.flatMap(({ earClearMs }) => earClearMs ?? [])),
      ],
      ...byRecording,
      ['last sound of the agent at the ear', ...summaryCells(results.flatMap(({ silentMs }) => silentMs ?? []))],
    ]),
  );
  console.log(`\n${cleared.length - found.length} clears more came with a breath before the voice.`);
  const talkedOver = results.filter(({ silentMs }) => (silentMs ?? 0) > TALKED_OVER_MS).length;
  console.log(`${talkedOver} times the agent was heard again before the caller had finished.`);
  console.log(`${clears} clears, ${faults.length} of them followed by audio that should not have been sent.`);
  const [p50, p95] = [quantile(found, 0.5), quantile(found, 0.95)];
  const misses = [...faults];
  if (results.length < expected) misses.push(`only ${results.length} of ${expected} interruptions were answered`);
  if (cleared.length < results.length) misses.push(`${results.length - cleared.length} interruptions brought no clear`);
  if (!(p50 <= TARGETS.p50Ms)) misses.push(`onset to clear: p50 is ${p50.toFixed(0)} ms, not within ${TARGETS.p50Ms}`);
  if (!(p95 <= TARGETS.p95Ms)) misses.push(`onset to clear: p95 is ${p95.toFixed(0)} ms, not within ${TARGETS.p95Ms}`);
  return misses;
}

function reportDisturbances(outcomes: readonly Outcome<Disturbed>[], verbose: boolean): string[] {
  const misses = outcomes.flatMap(({ faults }) => faults);
  const rows = outcomes
    .flatMap(({ results }) => results)
    .map(({ kind, recording, text, ear, silenced, resumed, longestSilenceMs, events }) => {
      const what = `${kind}: ${recording.name}${text && ` as "${text}"`}`;
      if (ear.lost !== '') misses.push(`${what}: ${ear.lost.length} characters never heard: "${ear.lost}"`);
      if (ear.foreign.length > 0) misses.push(`${what}: the agent also said "${ear.foreign.join('", "')}"`);
      if (ear.repeated.length > LONGEST_CLAUSE * silenced) misses.push(`${what}: "${ear.repeated}" was said twice`);
      if (verbose) for (const event of events) console.log(JSON.stringify(event));
      return [
        what,
        String(silenced),
        String(resumed),
        silenced > 0 ? `${longestSilenceMs.toFixed(0)} ms` : '–',
        String(ear.lost.length),
        String(ear.repeated.length),
      ];
    });
  console.log(`\nSounds over an answer of ${ANSWER.replaceAll(' ', '').length} characters:\n`);
  console.log(formatTable([['sound', 'silenced', 'resumed', 'for at most', 'lost', 'repeated'], ...rows]));
  return misses;
}

async function bench(times: number, seed: number, verbose: boolean): Promise<string[]> {
  const random = seededRandom(seed);
  const question = await loadRecording('cards-001');
  const interrupters = await Promise.all(INTERRUPTERS.map((name) => loadRecording(name, SHORT_MS)));
  const rig = await startRig({
    agents: Array.from({ length: AT_ONCE }, () => ({ first_message: 'Hi.' })),
    reply: () => ANSWER,
    logName: 'barge-in-server',
  });
  const lineFor = (lane: number): Line => {
    const line = rig.lines[lane];
    if (!line) throw new Error('no such line');
    return line;
  };
  try {
    const all = Array.from({ length: times }, (_, index) => interrupters[index % interrupters.length]).flatMap(
      (recording) => recording ?? [],
    );
    // The calls of a lane come to an end after ten turns, so that histories stay short.
    const calls = Array.from({ length: Math.ceil(times / 10) }, (_, call) => all.slice(call * 10, call * 10 + 10));
    const interrupted = await inParallel(calls, AT_ONCE, (recordings, lane) =>
      interrupt(rig, lineFor(lane), question, recordings, random),
    );
    const disturbed = await inParallel(await disturbances(), AT_ONCE, (disturbance, lane) =>
      disturb(rig, lineFor(lane), question, disturbance, random),
    );
    return [
      ...reportInterruptions(
        {
          results: interrupted.flatMap(({ results }) => results),
          clears: interrupted.reduce((sum, { clears }) => sum + clears, 0),
          faults: interrupted.flatMap(({ faults }) => faults),
        },
        times,
      ),
      ...reportDisturbances(disturbed, verbose),
      ...rig.server.errors.map((line) => `the server logged ${line}`),
    ];
  } finally {
    await rig.close();
  }
}

const { values } = parseArgs({
  options: {
    times: { type: 'string', default: '56' },
    seed: { type: 'string', default: '1' },
    verbose: { type: 'boolean', default: false },
  },
});
tellVerdict(await bench(Number(values.times), Number(values.seed), values.verbose));
