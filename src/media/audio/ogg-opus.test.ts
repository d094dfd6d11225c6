import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import fc from 'fast-check';
import { opus } from 'prism-media';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../core/clock.ts';
import { OggOpusDemuxer, OggOpusMuxer } from './ogg-opus.ts';
import { OggPageWriter } from './ogg-page.ts';
import { readOpusHead } from './opus-packet.ts';
import { OpusStreamDecoder } from './opus.ts';

const golden = (name: string): Buffer => readFileSync(new URL(`golden/${name}`, import.meta.url));

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

interface Page {
  flags: number;
  granule: number;
  serial: number;
  sequence: number;
  segments: number[];
  body: Buffer;
}

/** The checksum bit by bit, as RFC 3533 defines it: nothing in common with the table in production. */
function checksum(bytes: Buffer): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 24;
    for (let bit = 0; bit < 8; bit++) crc = crc < 0 ? (crc << 1) ^ 0x04c1_1db7 : crc << 1;
  }
  return crc >>> 0;
}

/** Reads whole pages straight from RFC 3533, section 6. */
function readPages(bytes: Buffer): Page[] {
  const pages: Page[] = [];
  for (let offset = 0; offset < bytes.length;) {
    const page = bytes.subarray(offset);
    expect(page.toString('latin1', 0, 5)).toBe('OggS\0');
    const segments = [...page.subarray(27, 27 + page.readUInt8(26))];
    const start = 27 + segments.length;
    const end = start + segments.reduce((sum, length) => sum + length, 0);
    const unsigned = Buffer.from(page.subarray(0, end));
    unsigned.writeUInt32LE(0, 22);
    expect(page.readUInt32LE(22)).toBe(checksum(unsigned));
    pages.push({
      flags: page.readUInt8(5),
      granule: Number(page.readBigInt64LE(6)),
      serial: page.readUInt32LE(14),
      sequence: page.readUInt32LE(18),
      segments,
      body: Buffer.from(page.subarray(start, end)),
    });
    offset += end;
  }
  return pages;
}

/** Joins segments to packets across pages, and checks each page's continuation flag on the way. */
function readPackets(pages: readonly Page[]): Buffer[] {
  const packets: Buffer[] = [];
  let open: Buffer[] = [];
  for (const page of pages) {
    expect(page.flags & 1).toBe(open.length > 0 ? 1 : 0);
    let offset = 0;
    for (const length of page.segments) {
      open.push(page.body.subarray(offset, offset + length));
      offset += length;
      if (length === 255) continue;
      packets.push(Buffer.concat(open));
      open = [];
    }
  }
  expect(open).toEqual([]);
  return packets;
}

async function goldenPackets(name: string): Promise<Buffer[]> {
  return through(new OggOpusDemuxer(), [golden(name)]);
}

describe('the Ogg page writer', () => {
  it('writes pages from which every packet comes back, whatever its length', () => {
    const length = fc.oneof(
      fc.nat(600),
      fc.constantFrom(0, 254, 255, 256, 510, 64_770, 65_024, 65_025, 65_026, 140_000),
    );
    fc.assert(
      fc.property(fc.array(length, { minLength: 1, maxLength: 12 }), fc.array(fc.boolean()), (lengths, finishes) => {
        const written: Uint8Array[] = [];
        const writer = new OggPageWriter(0xdead_beef, (page) => written.push(page));
        const packets = lengths.map((bytes, index) => Buffer.alloc(bytes, index + 1));
        packets.forEach((packet, index) => {
          writer.add(packet, index + 1);
          if (finishes[index]) writer.finishPage();
        });
        writer.finishPage(packets.length);
        const pages = readPages(Buffer.concat(written));
        const read = readPackets(pages);
        expect(read.map((packet) => packet.length)).toEqual(lengths);
        expect(Buffer.concat(read).equals(Buffer.concat(packets))).toBe(true);
        expect(pages.map((page) => page.sequence)).toEqual(pages.map((_, index) => index));
        expect(pages.every((page) => page.serial === 0xdead_beef)).toBe(true);
        // First and last page carry their flags, no other does.
        expect(pages.map((page) => (page.flags & 2) !== 0)).toEqual(pages.map((_, index) => index === 0));
        expect(pages.map((page) => (page.flags & 4) !== 0)).toEqual(
          pages.map((_, index) => index === pages.length - 1),
        );
        // A page's position is that of the last packet that ends on it; where none ends, there is none.
        let ended = 0;
        for (const page of pages.slice(0, -1)) {
          const ends = page.segments.filter((segment) => segment < 255).length;
          ended += ends;
          expect(page.granule).toBe(ends > 0 ? ended : -1);
        }
      }),
      { numRuns: 40 },
    );
  });

  it('splits no packet that fits a page', () => {
    const written: Uint8Array[] = [];
    const writer = new OggPageWriter(1, (page) => written.push(page));
    for (let index = 0; index < 400; index++) writer.add(Buffer.alloc(300), index);
    writer.finishPage(400);
    expect(readPages(Buffer.concat(written)).every((page) => (page.flags & 1) === 0)).toBe(true);
    expect(written.length).toBe(Math.ceil(400 / 127));
  });
});

describe('the Ogg Opus demuxer', () => {
  it.each([
    ['tone-mono.opus', 1, 51, 48_000],
    ['tone-stereo.opus', 2, 26, 24_000],
    ['tone-ffmpeg.opus', 1, 26, 24_000],
  ])('takes %s apart', async (name, channels, packets, samples) => {
    const demuxer = new OggOpusDemuxer();
    const out = await through(demuxer, [golden(name)]);
    expect(out).toEqual(readPackets(readPages(golden(name))).slice(2));
    expect(out.length).toBe(packets);
    expect(demuxer.head).toMatchObject({ channels, preSkipSamples: 312 });
    expect(demuxer.playableSamples).toBe(samples);
    expect(demuxer.truncated).toBe(false);
  });

  it('gives the same packets however the bytes are cut', async () => {
    const expected = await goldenPackets('tone-mono.opus');
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 20 }), async (lengths) => {
        const demuxer = new OggOpusDemuxer();
        expect(await through(demuxer, cut(golden('tone-mono.opus'), lengths))).toEqual(expected);
        expect(demuxer.truncated).toBe(false);
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
        const demuxer = new OggOpusDemuxer();
        const outcome = await through(demuxer, [damaged]).then(
          () => (demuxer.truncated ? 'truncated' : 'whole'),
          (thrown: unknown) => (thrown instanceof Error && 'code' in thrown ? thrown.code : thrown),
        );
        expect(['audio.invalid', 'wire.unsupported', 'truncated']).toContain(outcome);
      }),
      { numRuns: 150 },
    );
  });

  it('delivers what came of a stream that stopped, and says so', async () => {
    const file = golden('tone-mono.opus');
    const lastPage = file.lastIndexOf('OggS');
    for (const end of [file.length - 1, lastPage, lastPage + 5]) {
      const demuxer = new OggOpusDemuxer();
      expect((await through(demuxer, [file.subarray(0, end)])).length).toBe(50);
      expect(demuxer.truncated).toBe(true);
    }
  });

  it.each([
    ['bytes that are no Ogg', 'audio.invalid', () => Buffer.from('RIFF, and nothing of Ogg in it at all')],
    ['another codec', 'wire.unsupported', () => pagesOf([Buffer.from('\x01vorbis and so on')])],
    ['a stream after the stream', 'wire.unsupported', () => [golden('tone-ffmpeg.opus'), golden('tone-mono.opus')]],
    [
      'a packet over two pages',
      'wire.unsupported',
      () => pagesOf([readPackets(readPages(golden('tone-mono.opus')))[0] ?? Buffer.of(), Buffer.alloc(70_000)]),
    ],
  ])('refuses %s', async (_, code, make) => {
    await expect(through(new OggOpusDemuxer(), [make()].flat())).rejects.toMatchObject({ name: 'BvraiError', code });
  });
});

function pagesOf(packets: readonly Buffer[]): Buffer {
  const pages: Uint8Array[] = [];
  const writer = new OggPageWriter(7, (page) => pages.push(page));
  for (const packet of packets) writer.add(packet, 0);
  writer.finishPage(0);
  return Buffer.concat(pages);
}

describe('the Ogg Opus muxer', () => {
  it('writes what prism-media takes apart again', async () => {
    const packets = await goldenPackets('tone-mono.opus');
    for (const pageMs of [20, 100, 1000]) {
      const bytes = Buffer.concat(await through(new OggOpusMuxer({ pageMs }), packets));
      expect(await through(new opus.OggDemuxer(), [bytes])).toEqual(packets);
    }
  });

  it('lays out headers, positions and the end as RFC 7845 says', async () => {
    const packets = await goldenPackets('tone-mono.opus');
    const muxer = new OggOpusMuxer({ pageMs: 100, serial: 99, inputRateHz: 16_000, comments: ['TITLE=Tön'] });
    // 51 packets of 960 samples hold 48,000 and the pre-skip of 312; the rest is the encoder's padding.
    muxer.trimEnd(51 * 960 - 312 - 48_000);
    const pages = readPages(Buffer.concat(await through(muxer, packets)));
    const [head, tags, ...audio] = pages;
    expect(readOpusHead(head?.body ?? Buffer.of())).toEqual({
      channels: 1,
      preSkipSamples: 312,
      inputRateHz: 16_000,
      outputGainDb: 0,
    });
    expect([head?.granule, tags?.granule]).toEqual([0, 0]);
    expect(tags?.body.toString()).toBe('OpusTags\x05\0\0\0bvrai\x01\0\0\0\x0a\0\0\0TITLE=Tön');
    expect(audio.map((page) => page.segments.length)).toEqual([5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 1]);
    expect(audio.map((page) => page.granule)).toEqual([
      ...Array.from({ length: 10 }, (_, n) => 4800 * (n + 1)),
      48_312,
    ]);
    expect(pages.map((page) => page.flags)).toEqual([2, ...Array.from({ length: 11 }, () => 0), 4]);
    expect(muxer.playableSamples).toBe(51 * 960 - 312);
  });

  it('never trims more than the last page holds', async () => {
    const packets = await goldenPackets('tone-mono.opus');
    const muxer = new OggOpusMuxer({ pageMs: 100 });
    muxer.trimEnd(1_000_000);
    const pages = readPages(Buffer.concat(await through(muxer, packets)));
    expect(pages.at(-1)?.granule).toBe(50 * 960);
  });

  it('sends a page at once when asked to, and still ends well', async () => {
    const packets = await goldenPackets('tone-ffmpeg.opus');
    const muxer = new OggOpusMuxer();
    const bytes: Buffer[] = [];
    muxer.on('data', (page: Buffer) => bytes.push(page));
    for (const packet of packets) {
      await new Promise<unknown>((resolve) => muxer.write(packet, resolve));
      muxer.finishPage();
    }
    muxer.finishPage();
    await new Promise<unknown>((resolve) => muxer.once('end', resolve).end());
    const pages = readPages(Buffer.concat(bytes));
    expect(pages.length).toBe(2 + packets.length + 1);
    expect(pages.at(-1)).toMatchObject({ flags: 4, segments: [], granule: -1 });
    const demuxer = new OggOpusDemuxer();
    expect(await through(demuxer, bytes)).toEqual(packets);
    expect(demuxer.truncated).toBe(false);
  });

  it('goes through the demuxer and the decoder to the same samples as the packets alone', async () => {
    const packets = await goldenPackets('tone-stereo.opus');
    const bytes = Buffer.concat(await through(new OggOpusMuxer({ channels: 2, pageMs: 60 }), packets));
    const again = await through(new OggOpusDemuxer(), cut(bytes, [100, 33]));
    expect(await decode(again)).toEqual(await decode(packets));
  });

  it('continues comments of any size on further pages', async () => {
    const comment = `NOTE=${'x'.repeat(200_000)}`;
    const packets = await goldenPackets('tone-mono.opus');
    const pages = readPages(Buffer.concat(await through(new OggOpusMuxer({ comments: [comment] }), packets)));
    const [, tags, ...audio] = readPackets(pages);
    expect(tags?.includes(comment)).toBe(true);
    expect(audio).toEqual(packets);
  });

  it('is a valid stream even without audio', async () => {
    const demuxer = new OggOpusDemuxer();
    expect(await through(demuxer, await through(new OggOpusMuxer(), []))).toEqual([]);
    expect(demuxer.head?.channels).toBe(1);
    expect(demuxer.playableSamples).toBeUndefined();
    expect(demuxer.truncated).toBe(false);
  });

  it('refuses a packet that is not Opus', async () => {
    await expect(through(new OggOpusMuxer(), [Uint8Array.of(0x7b, 0)])).rejects.toMatchObject({
      code: 'audio.invalid',
    });
  });
});

async function decode(packets: readonly Uint8Array[]): Promise<number[]> {
  const decoder = await OpusStreamDecoder.create({ clock: systemClock });
  try {
    const out = new Int16Array(OpusStreamDecoder.maxPacketSamples);
    return packets.flatMap((packet) => [...out.subarray(0, decoder.decode(packet, out))]);
  } finally {
    decoder.free();
  }
}
