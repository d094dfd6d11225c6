import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  FLAG_BEGIN,
  FLAG_END,
  OggOpusWriter,
  segmentsOf,
  writeOpusHead,
  writePage,
} from '../../../bench/emulators/ogg-opus.ts';
import { VirtualClock, systemClock } from '../../core/clock.ts';
import { TELEPHONE_RATE_HZ } from './g711.ts';
import { OggOpusDemuxer, decodeOggOpus } from './ogg-opus.ts';
import { OpusDecoderPool, OpusStreamDecoder } from './opus.ts';

const golden = (name: string): Buffer => readFileSync(new URL(`golden/${name}`, import.meta.url));
const NEVER = new AbortController().signal;

async function through(stream: Duplex, chunks: Iterable<Uint8Array>): Promise<Buffer[]> {
  const out: Buffer[] = [];
  await pipeline(Readable.from(chunks), stream, async (source: AsyncIterable<Buffer>) => {
    for await (const item of source) out.push(Buffer.from(item));
  });
  return out;
}

function cut(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let start = 0, turn = 0; start < bytes.length; turn++) {
    const length = lengths[turn % Math.max(1, lengths.length)] ?? bytes.length;
    chunks.push(bytes.subarray(start, start + length));
    start += length;
  }
  return chunks;
}

/** Packets straight from RFC 3533, section 6, the two headers left out. */
function readPackets(bytes: Buffer): Buffer[] {
  const packets: Buffer[] = [];
  let open: Buffer[] = [];
  for (let offset = 0; offset < bytes.length;) {
    expect(bytes.toString('latin1', offset, offset + 4)).toBe('OggS');
    const segments = bytes.subarray(offset + 27, offset + 27 + bytes.readUInt8(offset + 26));
    offset += 27 + segments.length;
    for (const length of segments) {
      open.push(bytes.subarray(offset, offset + length));
      offset += length;
      if (length === 255) continue;
      packets.push(Buffer.concat(open));
      open = [];
    }
  }
  return packets.slice(2);
}

async function goldenPackets(name: string): Promise<Buffer[]> {
  return through(new OggOpusDemuxer(), [golden(name)]);
}

describe('the Ogg Opus demuxer', () => {
  it.each([
    ['tone-mono.opus', 1, 51, 48_000],
    ['tone-stereo.opus', 2, 26, 24_000],
    ['tone-ffmpeg.opus', 1, 26, 24_000],
  ])('takes %s apart', async (name, channels, packets, samples) => {
    const demuxer = new OggOpusDemuxer();
    const out = await through(demuxer, [golden(name)]);
    expect(out).toEqual(readPackets(golden(name)));
    expect(out.length).toBe(packets);
    expect(demuxer.head).toMatchObject({ channels, preSkipSamples: 312 });
    expect(demuxer.playableSamples).toBe(samples);
  });

  it('gives the same packets however the bytes are cut', async () => {
    const expected = await goldenPackets('tone-mono.opus');
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 20 }), async (lengths) => {
        expect(await through(new OggOpusDemuxer(), cut(golden('tone-mono.opus'), lengths))).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });

  it('never takes a damaged stream for a whole one', async () => {
    const whole = golden('tone-stereo.opus');
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), async (position, flips) => {
        const damaged = Buffer.from(whole);
        damaged[position] = (damaged[position] ?? 0) ^ flips;
        const outcome = await through(new OggOpusDemuxer(), [damaged]).then(
          () => 'whole',
          (thrown: unknown) => (thrown instanceof Error && 'code' in thrown ? thrown.code : thrown),
        );
        expect(['audio.invalid', 'wire.unsupported']).toContain(outcome);
      }),
      { numRuns: 150 },
    );
  });

  it('takes a stream that stops between pages as it is', async () => {
    const file = golden('tone-mono.opus');
    const demuxer = new OggOpusDemuxer();
    expect((await through(demuxer, [file.subarray(0, file.lastIndexOf('OggS'))])).length).toBe(50);
    expect(demuxer.playableSamples).toBeUndefined();
  });

  const packet = readPackets(golden('tone-mono.opus'))[0] ?? Buffer.of();

  it.each([
    ['bytes that are no Ogg', 'audio.invalid', [Buffer.from('RIFF, and nothing of Ogg in it at all')]],
    ['another codec', 'wire.unsupported', [pageOf(Buffer.from('\x01vorbis and so on'))]],
    ['a stream after the stream', 'wire.unsupported', [golden('tone-ffmpeg.opus'), golden('tone-mono.opus')]],
    ['a stream that stops within a page', 'audio.invalid', [golden('tone-mono.opus').subarray(0, -1)]],
    [
      'a packet over two pages',
      'wire.unsupported',
      [
        new OggOpusWriter(960).head(),
        writePage({ ...page, sequence: 2, segments: Array<number>(255).fill(255), body: Buffer.alloc(65_025) }),
        writePage({ ...page, sequence: 3, segments: segmentsOf(packet), body: packet }),
      ],
    ],
  ])('refuses %s', async (_, code, chunks) => {
    await expect(through(new OggOpusDemuxer(), chunks)).rejects.toMatchObject({ name: 'BvraiError', code });
  });

  it('is content without audio', async () => {
    const demuxer = new OggOpusDemuxer();
    const writer = new OggOpusWriter(960);
    expect(await through(demuxer, [writer.head(), writer.audio([], true)])).toEqual([]);
    expect(demuxer.head?.channels).toBe(1);
    expect(demuxer.playableSamples).toBeUndefined();
  });
});

const page = { flags: 0, granule: 0, serial: 1, sequence: 0, segments: [], body: Buffer.of() };

function pageOf(packet: Buffer): Buffer {
  return writePage({ ...page, flags: FLAG_BEGIN | FLAG_END, segments: segmentsOf(packet), body: packet });
}

async function* inTurn(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

async function decode(chunks: AsyncIterable<Uint8Array>, pool: OpusDecoderPool): Promise<Int16Array> {
  const pieces: Int16Array[] = [];
  for await (const samples of decodeOggOpus(chunks, pool, { clock: systemClock, signal: NEVER })) pieces.push(samples);
  return Int16Array.from(pieces.flatMap((piece) => [...piece]));
}

/** The samples of the packets alone. */
async function decodePackets(packets: readonly Uint8Array[]): Promise<Int16Array> {
  const decoder = await OpusStreamDecoder.create({ clock: systemClock });
  decoder.begin({ preSkipSamples: 312 });
  const samples = packets.flatMap((each) => [...decoder.decode(each)]);
  decoder.free();
  return Int16Array.from(samples);
}

describe('samples of Ogg Opus', () => {
  it('are those of its packets, without pre-skip and padding', async () => {
    const pool = new OpusDecoderPool();
    for (const name of ['tone-mono.opus', 'tone-stereo.opus', 'tone-ffmpeg.opus']) {
      const whole = await decodePackets(await goldenPackets(name));
      const seconds = name === 'tone-mono.opus' ? 1 : 0.5;
      expect(whole.length).toBeGreaterThan(seconds * TELEPHONE_RATE_HZ);
      expect(await decode(inTurn([golden(name)]), pool)).toEqual(whole.slice(0, seconds * TELEPHONE_RATE_HZ));
      expect(await decode(inTurn(cut(golden(name), [100, 33, 1])), pool)).toEqual(
        whole.slice(0, seconds * TELEPHONE_RATE_HZ),
      );
    }
  });

  it('come as soon as their packet has', async () => {
    const packets = await goldenPackets('tone-mono.opus');
    const writer = new OggOpusWriter(960);
    const heard: number[] = [];
    async function* vendor(): AsyncGenerator<Uint8Array> {
      yield writer.head();
      for (const [index, each] of packets.slice(0, 5).entries()) {
        yield writer.audio([each], false);
        // Says no more until that has been heard.
        await expect.poll(() => heard.length).toBe(index + 1);
      }
    }
    const context = { clock: systemClock, signal: NEVER };
    for await (const samples of decodeOggOpus(vendor(), new OpusDecoderPool(), context)) heard.push(samples.length);
    expect(heard).toEqual([108, 160, 160, 160, 160]);
  });

  it('leave time for others when much comes at once', async () => {
    const packets = await goldenPackets('tone-mono.opus');
    const writer = new OggOpusWriter(960);
    const bytes = Buffer.concat([writer.head(), writer.audio(packets.slice(0, 45), true)]);
    const clock = new VirtualClock();
    const pool = new OpusDecoderPool();
    await pool.warm({ clock: systemClock });
    let count = 0;
    const reading = (async (): Promise<void> => {
      for await (const samples of decodeOggOpus(inTurn([bytes]), pool, { clock, signal: NEVER }))
        count += samples.length;
    })();
    for (let turn = 1; turn <= 4; turn++) {
      await expect.poll(() => clock.pendingTimers).toBe(1);
      expect(count).toBe(108 + turn * 1_600);
      clock.advance(0);
    }
    await reading;
    expect(count).toBe(45 * 160 - 52);
    expect(clock.pendingTimers).toBe(0);
  });

  it('end with the source’s own error, and give the decoder back', async () => {
    const pool = new OpusDecoderPool();
    const failure = new Error('the line was cut');
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield golden('tone-mono.opus').subarray(0, 3_000);
      throw failure;
    }
    await expect(decode(broken(), pool)).rejects.toBe(failure);
    await expect(decode(inTurn([golden('tone-mono.opus'), Buffer.from('junk')]), pool)).rejects.toMatchObject({
      code: 'audio.invalid',
    });
    const taken = await pool.take({ clock: systemClock });
    pool.giveBack(taken);
    expect((await decode(inTurn([golden('tone-mono.opus')]), pool)).length).toBe(8_000);
    expect(await pool.take({ clock: systemClock })).toBe(taken);
  });

  it('stop the source when nobody wants more', async () => {
    const pool = new OpusDecoderPool();
    let stopped = false;
    async function* endless(): AsyncGenerator<Uint8Array> {
      const writer = new OggOpusWriter(960);
      const packets = await goldenPackets('tone-mono.opus');
      try {
        yield writer.head();
        for (;;) yield writer.audio(packets, false);
      } finally {
        stopped = true;
      }
    }
    for await (const samples of decodeOggOpus(endless(), pool, { clock: systemClock, signal: NEVER })) {
      expect(samples.length).toBe(108);
      break;
    }
    await expect.poll(() => stopped).toBe(true);
    const decoder = await pool.take({ clock: systemClock });
    expect(await pool.take({ clock: systemClock })).not.toBe(decoder);
  });

  it('apply the gain of the header', async () => {
    const writer = new OggOpusWriter(960);
    writer.head();
    const head = (outputGainDb: number): Buffer => {
      const body = writeOpusHead({ channels: 1, preSkipSamples: 312, inputRateHz: 0, outputGainDb });
      return writePage({ ...page, flags: FLAG_BEGIN, segments: segmentsOf(body), body });
    };
    const audio = writer.audio(await goldenPackets('tone-mono.opus'), true);
    const pool = new OpusDecoderPool();
    const [usual, quiet] = [
      await decode(inTurn([head(0), audio]), pool),
      await decode(inTurn([head(-20), audio]), pool),
    ];
    expect(Math.max(...quiet) / Math.max(...usual)).toBeCloseTo(0.1, 2);
  });
});
