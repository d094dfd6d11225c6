/**
 * What voice activity costs: CPU for each 32 ms window, and how long it keeps the event loop at a stretch, when 1, 10
 * and 100 calls finish a window in the same millisecond.
 *
 *   node --import tsx bench/micro/vad.bench.ts
 *
 * Exits with 1 if a batch of 100 calls keeps the event loop for longer than a 20 ms frame.
 */
import { VirtualClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import { loadVad } from '../../src/media/vad/load.ts';
import { WINDOW_MS, WINDOW_SAMPLES } from '../../src/media/vad/vad.ts';
import type { VadDetector, VadEngine } from '../../src/media/vad/vad.ts';
import { fixtureAudio } from '../../tests/support/speech-fixtures.ts';

const ROUNDS = 100;
const WARM_UP_ROUNDS = 10;
const FRAME_MS = 20;
/** Longer than the engine waits for windows of other calls. */
const GATHER_MS = 2;
const speech = fixtureAudio('librivox-0870.wav').mulaw();

interface Round {
  readonly cpuUs: number;
  /** The longest turn of the event loop, in CPU time: the wall clock also counts what else runs on the machine. */
  readonly blockedMs: number;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Gives each call one window and turns the event loop until all of them are judged. */
async function round(clock: VirtualClock, detectors: readonly VadDetector[], index: number): Promise<Round> {
  const from = (index * WINDOW_SAMPLES) % (speech.length - WINDOW_SAMPLES);
  const window = speech.subarray(from, from + WINDOW_SAMPLES);
  const doneMs = (detectors[0]?.positionMs ?? 0) + WINDOW_MS;
  let cpuUs = 0;
  let blockedMs = 0;
  let before = process.cpuUsage();
  for (const detector of detectors) detector.write(window);
  clock.advance(GATHER_MS);
  do {
    await nextTurn();
    const turn = process.cpuUsage(before);
    before = process.cpuUsage();
    cpuUs += turn.user + turn.system;
    blockedMs = Math.max(blockedMs, (turn.user + turn.system) / 1000);
  } while (detectors.some((detector) => detector.positionMs < doneMs));
  return { cpuUs, blockedMs };
}

async function measure(engine: VadEngine, clock: VirtualClock, calls: number): Promise<Round[]> {
  const detectors = Array.from({ length: calls }, () => engine.createDetector({ onEvent() {} }));
  for (let i = 0; i < WARM_UP_ROUNDS; i++) await round(clock, detectors, i);
  const rounds: Round[] = [];
  for (let i = 0; i < ROUNDS; i++) rounds.push(await round(clock, detectors, i));
  for (const detector of detectors) detector.close();
  return rounds;
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

let failed = false;
for (const name of ['silero', 'energy'] as const) {
  const clock = new VirtualClock();
  const engine = await loadVad(silentLog, { clock, engine: name });
  for (const calls of [1, 10, 100]) {
    const rounds = await measure(engine, clock, calls);
    const cpuUs =
      quantile(
        rounds.map((one) => one.cpuUs),
        0.5,
      ) / calls;
    const blockedMs = rounds.map((one) => one.blockedMs);
    const typicalMs = quantile(blockedMs, 0.5);
    process.stdout.write(
      `${engine.name.padEnd(7)} ${String(calls).padStart(4)} calls  ${cpuUs.toFixed(1).padStart(7)} µs CPU a window  ` +
        `event loop kept for ${typicalMs.toFixed(2)} ms (p50), ${quantile(blockedMs, 0.95).toFixed(2)} ms (p95)\n`,
    );
    if (calls === 100 && typicalMs > FRAME_MS) failed = true;
  }
  await engine.close();
}
process.exitCode = failed ? 1 : 0;
