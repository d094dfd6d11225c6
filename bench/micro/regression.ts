/**
 * The regression gate of CI: what the hot path costs, as a multiple of a fixed piece of work that is measured in the same
 * run, turn by turn with it, so that a slow or busy machine moves both. Fails when a figure is above its limit.
 *
 *   npm run bench:regression              compares with bench/micro/regression-limits.json
 *   npm run bench:regression -- --write   writes the limits anew: twice the measured ratio
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { VirtualClock } from '../../src/core/clock.ts';
import { decodeMulaw, encodeMulaw } from '../../src/media/audio/g711.ts';
import { Resampler } from '../../src/media/audio/resampler.ts';
import { Playout } from '../../src/media/playout.ts';
import { simulate } from '../../tests/simulation/simulate.ts';
import { PAYLOAD, beginOwnCall, mediaText } from './own-call.ts';

/** Shared machines move the ratios by up to half; a change that doubles a cost stands out of that. */
const ALLOWANCE = 2;
const ROUNDS = 40;
const LIMITS_FILE = new URL('regression-limits.json', import.meta.url);
const limitsSchema = z.record(z.string(), z.number().positive());

interface Subject {
  readonly name: string;
  /** About as much work as the yardstick: a few milliseconds. */
  run(): void;
}

function repeat(times: number, work: () => void): () => void {
  return () => {
    for (let index = 0; index < times; index++) work();
  };
}

/** What all is measured against: arithmetic, strings, JSON and garbage, in about the proportions of the server's own work. */
function yardstick(): number {
  let sum = 0;
  for (let index = 0; index < 400; index++) {
    const text = JSON.stringify({ index, label: `item ${index}`, values: [index, index * 2, index * 3] });
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null) sum += Object.keys(parsed).length;
    for (let step = 0; step < 2_000; step++) sum = (Math.imul(sum, 1_664_525) + 1_013_904_223) | 0;
  }
  return sum;
}

function g711(): Subject {
  const samples = Int16Array.from({ length: 160 }, (_, index) => Math.round(8_000 * Math.sin(index / 5)));
  const codes = new Uint8Array(samples.length);
  const frame = (): void => {
    encodeMulaw(samples, codes);
    decodeMulaw(codes, samples);
  };
  return { name: 'G.711 frame, encode and decode', run: repeat(5_000, frame) };
}

function resampling(): Subject {
  const resampler = new Resampler(24_000, 8_000);
  const input = Int16Array.from({ length: 480 }, (_, index) => Math.round(8_000 * Math.sin(index / 9)));
  const output = new Int16Array(160);
  return { name: 'resampling of a frame, 24 to 8 kHz', run: repeat(100, () => resampler.process(input, output)) };
}

/** Both directions of one stream: its frames in, through the parser and the repair of gaps; frames out. */
function twilioWire(): Subject[] {
  const { stream, port } = beginOwnCall(new VirtualClock(), () => {});
  let chunk = 1;
  const frameIn = (): void => stream.onText(mediaText(chunk++));
  return [
    { name: 'frame in: from text to audio', run: repeat(1_500, frameIn) },
    { name: 'frame out: from audio to text', run: repeat(5_000, () => port.sendMedia(PAYLOAD)) },
  ];
}

/** One second of a reply through the ledger: pushed, paced out, proven by its marks. */
function playout(): Subject {
  const audio = new Uint8Array(8_000);
  const spans = [{ text: 'a second of speech ', startMs: 0, durationMs: 1_000 }];
  let generation = 0;
  const second = (): void => {
    const ledger = new Playout();
    ledger.begin(++generation);
    ledger.push(generation, audio, spans);
    ledger.finish(generation);
    for (let nowMs = 0; nowMs <= 1_400; nowMs += 20) {
      for (const output of ledger.poll(nowMs)) if (output.type === 'mark') ledger.onMark(output.name, nowMs);
    }
  };
  return { name: 'ledger, a second of a reply', run: repeat(50, second) };
}

/** The session and its machine: whole calls on the virtual clock, with everything that random callers do to them. */
function session(): Subject {
  const calls = (): void => {
    for (let seed = 1; seed <= 2; seed++) {
      const { violation } = simulate({ seed });
      if (violation) throw new Error(`seed ${seed} breaks ${violation.invariant}: run npm run simulate`);
    }
  };
  return { name: 'two simulated calls', run: calls };
}

/** CPU time, so that what else runs on the machine does not count. */
function cpuUsOf(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

/** The best of many turns, of both: the others had the machine's noise in them. The first turns also warm the compiler up. */
function ratioOf(subject: Subject): number {
  let unitUs = Infinity;
  let subjectUs = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    unitUs = Math.min(unitUs, cpuUsOf(yardstick));
    subjectUs = Math.min(
      subjectUs,
      cpuUsOf(() => subject.run()),
    );
  }
  return subjectUs / unitUs;
}

const { values } = parseArgs({ options: { write: { type: 'boolean', default: false } } });
const subjects = [g711(), resampling(), ...twilioWire(), playout(), session()];
const measured = Object.fromEntries(subjects.map((subject) => [subject.name, ratioOf(subject)]));
if (values.write) {
  const limits = Object.fromEntries(
    Object.entries(measured).map(([name, ratio]) => [name, Number((ratio * ALLOWANCE).toPrecision(3))]),
  );
  writeFileSync(LIMITS_FILE, `${JSON.stringify(limits, null, 2)}\n`);
}
const limits = limitsSchema.parse(JSON.parse(readFileSync(LIMITS_FILE, 'utf8')));
console.log('Cost as a multiple of the yardstick; the limit is twice what it was when last set.');
for (const [name, ratio] of Object.entries(measured)) {
  const limit = limits[name];
  if (limit === undefined) throw new Error(`${name} has no limit: run npm run bench:regression -- --write`);
  const verdict = ratio <= limit ? 'ok' : 'REGRESSION';
  console.log(
    `${name.padEnd(38)} ${ratio.toFixed(3).padStart(8)}   limit ${limit.toFixed(3).padStart(8)}   ${verdict}`,
  );
  if (ratio > limit) process.exitCode = 1;
}
