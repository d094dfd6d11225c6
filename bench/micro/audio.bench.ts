/**
 * What each audio element costs for a 20 ms frame, and whether it allocates once it is warm.
 *
 *   node --expose-gc --import tsx bench/micro/audio.bench.ts
 *
 * Prints a line for each element; exits with 1 if G.711 or the resampler allocates for each frame.
 */
import { existsSync, readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { systemClock } from '../../src/core/clock.ts';
import { decodeAlaw, decodeMulaw, encodeAlaw, encodeMulaw } from '../../src/media/audio/g711.ts';
import { OggOpusDemuxer } from '../../src/media/audio/ogg-opus.ts';
import { OpusStreamDecoder } from '../../src/media/audio/opus.ts';
import { Resampler } from '../../src/media/audio/resampler.ts';
import type { SampleRateHz } from '../../src/media/audio/resampler.ts';
import { PcmToMulaw } from '../../src/pipeline/providers/openai/pcm.ts';

const BATCHES = 10;
const FRAMES_PER_BATCH = 10_000;
/** An object takes 16 bytes and more, so one a frame is far above this. */
const ALLOWED_BYTES_PER_FRAME = 1;
const FRAMES_PER_S = 50;

interface Measurement {
  /** CPU time, mean over all frames. */
  readonly usPerFrame: number;
  /** Growth of the heap, garbage included; undefined without --expose-gc. */
  readonly bytesPerFrame: number | undefined;
}

/** CPU time of this process: unlike the wall clock it does not count what else runs on the machine. */
function cpuTimeUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/**
 * The heap's growth is the median over the batches: what is allocated for each frame shows in all of them, while the
 * compiler's one-off work, or a collection in between, shows in few.
 */
function measure(frame: () => void, framesPerBatch = FRAMES_PER_BATCH): Measurement {
  const growth: number[] = [];
  let elapsedUs = 0;
  for (let index = 0; index < framesPerBatch; index++) frame();
  globalThis.gc?.();
  for (let batch = 0; batch < BATCHES; batch++) {
    const heapBefore = process.memoryUsage().heapUsed;
    const startUs = cpuTimeUs();
    for (let index = 0; index < framesPerBatch; index++) frame();
    elapsedUs += cpuTimeUs() - startUs;
    growth.push((process.memoryUsage().heapUsed - heapBefore) / framesPerBatch);
  }
  growth.sort((a, b) => a - b);
  const usPerFrame = elapsedUs / (BATCHES * framesPerBatch);
  return { usPerFrame, bytesPerFrame: globalThis.gc ? growth[BATCHES / 2] : undefined };
}

function print(name: string, { usPerFrame, bytesPerFrame }: Measurement): void {
  const bytes = bytesPerFrame === undefined ? 'not measured' : bytesPerFrame.toFixed(2);
  console.log(`${name.padEnd(24)} ${usPerFrame.toFixed(2).padStart(8)} µs/frame   heap bytes/frame ${bytes}`);
}

let allocating = 0;

function benchWithoutAllocation(name: string, frame: () => void): void {
  const measurement = measure(frame);
  print(name, measurement);
  if ((measurement.bytesPerFrame ?? 0) > ALLOWED_BYTES_PER_FRAME) allocating++;
}

/** Proves that the measurement sees an allocation where there is one. */
function benchControl(): void {
  const samples = noise(8000);
  let view = samples;
  const control = measure(() => {
    view = samples.subarray(view.length % 2);
  });
  print('(control: one view)', control);
  if (control.bytesPerFrame !== undefined && control.bytesPerFrame < 16) {
    throw new Error('The bench does not see an allocation for each frame.');
  }
}

function noise(rateHz: number): Int16Array {
  // A small linear congruential generator: the same input each time.
  let state = 1;
  return Int16Array.from({ length: rateHz / FRAMES_PER_S }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 17) - 16_384;
  });
}

function benchG711(): void {
  const samples = noise(8000);
  const codes = new Uint8Array(samples.length);
  benchWithoutAllocation('μ-law encode', () => encodeMulaw(samples, codes));
  benchWithoutAllocation('μ-law decode', () => decodeMulaw(codes, samples));
  benchWithoutAllocation('A-law encode', () => encodeAlaw(samples, codes));
  benchWithoutAllocation('A-law decode', () => decodeAlaw(codes, samples));
}

function benchResamplers(): void {
  const rates: readonly SampleRateHz[] = [8000, 16000, 24000, 48000];
  for (const from of rates) {
    for (const to of rates) {
      if (from === to) continue;
      const resampler = new Resampler(from, to);
      const input = noise(from);
      const out = new Int16Array(to / FRAMES_PER_S);
      benchWithoutAllocation(`resample ${from} → ${to}`, () => resampler.process(input, out));
    }
  }
}

async function benchOpus(): Promise<void> {
  const path = 'src/media/audio/golden/tone-mono.opus';
  const file = ['../../', '../../../'].map((up) => new URL(up + path, import.meta.url)).find((url) => existsSync(url));
  if (!file) throw new Error(`The golden file ${path} is missing.`);
  const bytes = readFileSync(file);
  const packets: Uint8Array[] = [];
  const demuxed: AsyncIterable<Uint8Array> = Readable.from([bytes]).pipe(new OggOpusDemuxer());
  for await (const packet of demuxed) packets.push(packet);

  const decoder = await OpusStreamDecoder.create({ clock: systemClock });
  const codes = new Uint8Array(160);
  let turn = 0;
  print(
    'Opus → μ-law',
    measure(() => encodeMulaw(decoder.decode(packets[turn++ % packets.length] ?? Uint8Array.of()), codes), 2000),
  );
  decoder.free();

  const rounds = 2000;
  const startUs = cpuTimeUs();
  for (let round = 0; round < rounds; round++) {
    const again: AsyncIterable<Uint8Array> = Readable.from([bytes]).pipe(new OggOpusDemuxer());
    for await (const packet of again) turn += packet.length;
  }
  const usPerFrame = (cpuTimeUs() - startUs) / rounds / packets.length;
  print('Ogg Opus demux', { usPerFrame, bytesPerFrame: undefined });
}

/** What Ogg Opus replaces where a voice may be had as either. */
function benchPcm(): void {
  const samples = noise(24_000);
  const bytes = new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
  const decoder = new PcmToMulaw();
  print(
    'PCM 24 kHz → μ-law',
    measure(() => void decoder.decode(bytes), 2000),
  );
}

benchControl();
benchG711();
benchResamplers();
benchPcm();
await benchOpus();
if (allocating > 0) {
  console.log(`${allocating} elements allocate for each frame.`);
  process.exitCode = 1;
}
