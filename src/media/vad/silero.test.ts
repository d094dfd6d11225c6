import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixtureAudio, noiseFixtures, speechFixtures } from '../../../tests/support/speech-fixtures.ts';
import { hear, judged, onLine } from '../../../tests/support/vad.ts';
import { systemClock, VirtualClock } from '../../core/clock.ts';
import { memoryLog } from '../../core/log.ts';
import { bundledModelPath, INPUT_SAMPLES, LAYER_SIZE, MAX_BATCH, SileroModel } from './silero-model.ts';
import { SileroVadEngine } from './silero.ts';
import type { VadEvent, VadSink } from './vad.ts';

const loadModel = () => SileroModel.load(bundledModelPath(), () => import('onnxruntime-node'));
/** The default of an agent. */
const BARGE_IN_MS = 120;
const nobody: VadSink = { onEvent() {} };
const speech = fixtureAudio('cards-005.wav').mulaw();

/** What the model alone decides: a fade is told ahead of it, and by how many windows depends on how busy it is. */
function verdicts(events: readonly VadEvent[]): unknown[] {
  return events
    .filter(({ type }) => type !== 'speech-faded')
    .map((event) => (event.type === 'speech-continued' ? { ...event, faded: undefined } : event));
}

describe('SileroVadEngine on recorded speech', () => {
  let engine: SileroVadEngine;
  const report: string[] = [];

  beforeAll(async () => {
    engine = new SileroVadEngine(await loadModel(), systemClock, memoryLog());
  });

  afterAll(async () => {
    await engine.close();
    process.stdout.write(`${['', 'Silero, default settings, ms after the truth:', ...report, ''].join('\n')}\n`);
  });

  it.each([
    { line: 'clean', snrDb: Number.POSITIVE_INFINITY },
    { line: '10 dB SNR', snrDb: 10 },
  ])('hears every voice soon after it begins, and its end: $line', async ({ line, snrDb }) => {
    const onsets: number[] = [];
    const offsets: number[] = [];
    const onsetErrors: number[] = [];
    const bargeIns: number[] = [];
    const offsetErrors: number[] = [];
    for (const fixture of speechFixtures) {
      const audio = onLine(fixture, snrDb);
      const heard = await hear(engine, audio.mulaw);
      const first = heard[0];
      const last = heard.at(-1);
      if (first?.type !== 'speech-started' || last?.type !== 'speech-ended') throw new Error(`Missed ${fixture.file}.`);
      expect(first.detectedAtMs, `${fixture.file}: false start`).toBeGreaterThan(audio.speechStartMs);
      onsets.push(first.detectedAtMs - audio.speechStartMs);
      onsetErrors.push(first.atMs - audio.speechStartMs);
      const voiced = heard.find((event) => event.type === 'speech-continued' && event.speechMs >= BARGE_IN_MS);
      bargeIns.push((voiced?.detectedAtMs ?? Number.POSITIVE_INFINITY) - audio.speechStartMs);
      offsets.push(last.detectedAtMs - audio.speechEndMs);
      offsetErrors.push(last.atMs - audio.speechEndMs);
    }
    report.push(
      `  ${line.padEnd(10)} onset p50 ${quantile(onsets, 0.5)}, p95 ${quantile(onsets, 0.95)}, its place off by ${quantile(onsetErrors, 0.5)}; ` +
        `${BARGE_IN_MS} ms of voice p50 ${quantile(bargeIns, 0.5)}, p95 ${quantile(bargeIns, 0.95)}; ` +
        `end p50 ${quantile(offsets, 0.5)}, p95 ${quantile(offsets, 0.95)}, its place off by ${quantile(offsetErrors, 0.5)}`,
    );
    expect(quantile(onsets, 0.5)).toBeLessThanOrEqual(130);
    // The latest are words that begin with 150 ms of a voiceless sound.
    expect(quantile(onsets, 0.95)).toBeLessThanOrEqual(280);
    expect(Math.abs(quantile(onsetErrors, 0.5))).toBeLessThanOrEqual(40);
    expect(quantile(bargeIns, 0.5)).toBeLessThanOrEqual(160);
    expect(quantile(offsets, 0.5)).toBeLessThanOrEqual(270);
    expect(quantile(offsets, 0.95)).toBeLessThanOrEqual(380);
    expect(Math.abs(quantile(offsetErrors, 0.5))).toBeLessThanOrEqual(40);
  });

  it.each(noiseFixtures)('is not fooled by $file', async ({ file }) => {
    expect(await hear(engine, fixtureAudio(file).mulaw())).toEqual([]);
  });

  it('does not take the hiss between digital silence and a quiet voice for speech', async () => {
    const fixture = speechFixtures.find((candidate) => candidate.file === 'goforward.wav');
    if (!fixture) throw new Error('No goforward.wav.');
    const line = onLine(fixture);
    const heard = await hear(engine, line.mulaw, { minSpeechMs: 32 });
    expect(heard.find((event) => event.type === 'speech-started')?.detectedAtMs).toBeGreaterThan(line.speechStartMs);
  });

  it('says the same of each of forty calls at once as of each alone', async () => {
    const calls = Array.from({ length: 40 }, (_, i) => onLine(speechFixtures[i % speechFixtures.length] ?? missing()));
    const together = await Promise.all(calls.map((call) => hear(engine, call.mulaw)));
    const alone: VadEvent[][] = [];
    for (const call of calls.slice(0, speechFixtures.length)) alone.push(await hear(engine, call.mulaw));
    for (const [i, events] of together.entries())
      expect(verdicts(events)).toEqual(verdicts(alone[i % alone.length] ?? []));
  });
});

describe('SileroModel', () => {
  it('gives a window the same probability whatever batch it is in', async () => {
    const model = await loadModel();
    const streams = speechFixtures.slice(0, 10).map((fixture) => fixtureAudio(fixture.file).pcm());
    const windows = 30;
    const alone = [];
    for (const stream of streams) alone.push((await judge(model, [stream], windows))[0] ?? missing());
    for (const composition of [
      streams,
      streams.toReversed(),
      streams.slice(3, 8),
      [...streams, ...streams.slice(0, 6)],
    ]) {
      const batched = await judge(model, composition, windows);
      for (const [row, stream] of composition.entries()) {
        const expected = alone[streams.indexOf(stream)] ?? missing();
        for (let i = 0; i < windows; i++) expect(batched[row]?.[i]).toBeCloseTo(expected[i] ?? Number.NaN, 4);
      }
    }
    expect(Math.max(...alone.flat())).toBeGreaterThan(0.9);
    await model.release();
  });

  it('refuses a batch larger than its buffers', async () => {
    const model = await loadModel();
    await expect(model.run(MAX_BATCH + 1)).rejects.toMatchObject({ code: 'internal' });
    await model.release();
  });
});

describe('SileroVadEngine under way', () => {
  it('gathers the windows of a millisecond and leaves no timer behind', async () => {
    const clock = new VirtualClock();
    const engine = new SileroVadEngine(await loadModel(), clock, memoryLog());
    const detectors = [engine.createDetector(nobody), engine.createDetector(nobody)];
    for (const detector of detectors) detector.write(speech.subarray(0, 8000));
    expect(clock.pendingTimers).toBe(1);
    expect(detectors.map((detector) => detector.positionMs)).toEqual([0, 0]);
    clock.advance(1);
    for (const detector of detectors) await judged(detector, 8000);
    detectors[0]?.write(speech);
    await engine.close();
    expect(clock.pendingTimers).toBe(0);
  });

  it('tells a closed call nothing, even of an inference under way, and its neighbour everything', async () => {
    const engine = new SileroVadEngine(await loadModel(), systemClock, memoryLog());
    const events: VadEvent[] = [];
    const neighbour: VadEvent[] = [];
    const closed = engine.createDetector({ onEvent: (event) => events.push(event) });
    const open = engine.createDetector({ onEvent: (event) => neighbour.push(event) });
    closed.write(speech.subarray(0, 4000));
    open.write(speech.subarray(0, 4000));
    // 205 ms is the voice's onset, 64 ms more make it speech: stop one window short of it.
    while (closed.positionMs < 192) await sleep(0);
    closed.close();
    closed.write(speech);
    await judged(open, 4000);
    expect(neighbour[0]?.type).toBe('speech-started');
    const stoppedAtMs = closed.positionMs;
    expect(events.every((event) => event.detectedAtMs <= stoppedAtMs)).toBe(true);
    expect(stoppedAtMs).toBeLessThan(480);
    await engine.close();
  });

  it('ends with an inference in flight: resolves, and says nothing more', async () => {
    const log = memoryLog();
    const clock = new VirtualClock();
    const engine = new SileroVadEngine(await loadModel(), clock, log);
    const detector = engine.createDetector({ onEvent: () => expect.unreachable('an event after close') });
    detector.write(speech.subarray(0, 8000));
    clock.advance(1);
    await Promise.all([engine.close(), engine.close()]);
    const late = engine.createDetector(nobody);
    late.write(speech);
    expect(detector.positionMs).toBeLessThan(32 * 8);
    expect(clock.pendingTimers).toBe(0);
    expect(log.lines).toEqual([]);
  });

  it('drops the oldest windows of a call that is too far behind, says so once, and keeps the time', async () => {
    const log = memoryLog();
    const engine = new SileroVadEngine(await loadModel(), systemClock, log);
    const detector = engine.createDetector(nobody);
    const line = new Uint8Array(256 * 100).fill(0x20);
    detector.write(line);
    await judged(detector, line.length);
    expect(engine.droppedWindows).toBe(36);
    detector.write(line);
    await judged(detector, 2 * line.length);
    expect(engine.droppedWindows).toBe(72);
    expect(log.lines).toMatchObject([{ level: 'warn', fields: { windows: 36 } }]);
    await engine.close();
  });

  it("survives a receiver that throws, and so do the others' events", async () => {
    const log = memoryLog();
    const engine = new SileroVadEngine(await loadModel(), systemClock, log);
    const bad = engine.createDetector({
      onEvent() {
        throw new Error('boom');
      },
    });
    const good: VadEvent[] = [];
    const detector = engine.createDetector({ onEvent: (event) => good.push(event) });
    bad.write(speech.subarray(0, 8000));
    detector.write(speech.subarray(0, 8000));
    await judged(bad, 8000);
    await judged(detector, 8000);
    expect(good.length).toBeGreaterThan(3);
    expect(log.lines[0]).toMatchObject({ level: 'error', message: expect.stringContaining('receiver') });
    await engine.close();
  });

  it('goes on with the energy detector when inference breaks, and says why', async () => {
    const log = memoryLog();
    const model = await loadModel();
    const engine = new SileroVadEngine(model, systemClock, log);
    const events: VadEvent[] = [];
    const detector = engine.createDetector({ onEvent: (event) => events.push(event) });
    // The session is really gone: what a crashed runtime looks like from here.
    await model.release();
    const line = onLine(speechFixtures.find((fixture) => fixture.file === 'cards-005.wav') ?? missing());
    detector.write(line.mulaw.subarray(0, 8000 * 2));
    await judged(detector, 8000 * 2);
    expect(engine.name).toBe('energy');
    expect(log.lines).toMatchObject([{ level: 'error', fields: { code: 'engine.failed' } }]);
    expect(events[0]?.type).toBe('speech-started');
    detector.close();
  });
});

/** Each stream's probabilities, window by window, with all streams in one batch. */
async function judge(model: SileroModel, streams: readonly Int16Array[], windows: number): Promise<number[][]> {
  const size = streams.length;
  const found: number[][] = streams.map(() => []);
  model.state.fill(0);
  for (let i = 0; i < windows; i++) {
    for (const [row, pcm] of streams.entries()) {
      for (let at = 0; at < INPUT_SAMPLES; at++) {
        model.input[row * INPUT_SAMPLES + at] = (pcm[i * 256 + at - 32] ?? 0) / 32_768;
      }
    }
    await model.run(size);
    model.state.set(model.nextState.subarray(0, 2 * size * LAYER_SIZE));
    for (let row = 0; row < size; row++) found[row]?.push(model.probabilities[row] ?? Number.NaN);
  }
  return found;
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

function missing(): never {
  throw new Error('A fixture is missing.');
}
