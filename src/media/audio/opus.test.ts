import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { OpusDecoder } from 'opus-decoder';
import { describe, expect, it, vi } from 'vitest';
import { writeOpusHead } from '../../../bench/emulators/ogg-opus.ts';
import { opusAlphabet } from '../../../bench/emulators/opus-tones.ts';
import { VirtualClock, systemClock } from '../../core/clock.ts';
import { BvraiError } from '../../core/errors.ts';
import { TELEPHONE_RATE_HZ } from './g711.ts';
import { OggOpusDemuxer } from './ogg-opus.ts';
import { opusPacketSamples, readOpusHead } from './opus-packet.ts';
import { OpusDecoderPool, OpusStreamDecoder } from './opus.ts';
import type { OpusStreamOptions } from './opus.ts';

const context = { clock: systemClock };
/** Tones of the golden files: half of full scale, and the encoder's freedom. */
const AMPLITUDE = 32_768 * 10 ** (-6 / 20);

async function packetsOf(name: string): Promise<Uint8Array[]> {
  const demuxer = new OggOpusDemuxer();
  const packets: Uint8Array[] = [];
  const file = readFileSync(new URL(`golden/${name}`, import.meta.url));
  const demuxed: AsyncIterable<Uint8Array> = Readable.from([file]).pipe(demuxer);
  for await (const packet of demuxed) packets.push(packet);
  return packets;
}

/** 0: SILK, 1: both, 2: CELT (RFC 6716, table 2). */
function codecOf(packet: Uint8Array): number {
  const configuration = (packet[0] ?? 0) >> 3;
  return configuration < 12 ? 0 : configuration < 16 ? 1 : 2;
}

/** Streams of one codec each, of the characters that a vendor's emulator says. */
async function alphabets(): Promise<Uint8Array[][]> {
  const alphabet = await opusAlphabet();
  return [0, 1, 2].map((codec) => alphabet.filter((packet) => codecOf(packet) === codec).slice(0, 12));
}

async function withDecoder<T>(run: (decoder: OpusStreamDecoder) => T, options: OpusStreamOptions = {}): Promise<T> {
  const decoder = await OpusStreamDecoder.create(context);
  decoder.begin(options);
  const printed = vi.spyOn(console, 'error');
  try {
    const result = run(decoder);
    // The library prints what it refuses; nothing of ours may let it come to that.
    expect(printed).not.toHaveBeenCalled();
    return result;
  } finally {
    printed.mockRestore();
    decoder.free();
  }
}

function decodeAll(decoder: OpusStreamDecoder, packets: readonly Uint8Array[]): Int16Array {
  return Int16Array.from(packets.flatMap((packet) => [...decoder.decode(packet)]));
}

/** Amplitude of one frequency, by correlation over the middle of the samples. */
function amplitude(samples: Int16Array, frequencyHz: number): number {
  const middle = samples.subarray(0.1 * TELEPHONE_RATE_HZ, 0.5 * TELEPHONE_RATE_HZ);
  let [sine, cosine] = [0, 0];
  middle.forEach((sample, index) => {
    const angle = (2 * Math.PI * frequencyHz * index) / TELEPHONE_RATE_HZ;
    sine += sample * Math.sin(angle);
    cosine += sample * Math.cos(angle);
  });
  return (2 * Math.hypot(sine, cosine)) / middle.length;
}

function errorOf(run: () => unknown): BvraiError | undefined {
  try {
    run();
    return undefined;
  } catch (thrown) {
    if (thrown instanceof BvraiError) return thrown;
    throw thrown;
  }
}

describe('the Opus decoder', () => {
  it('decodes a tone, without the pre-skip', async () => {
    const packets = await packetsOf('tone-mono.opus');
    const whole = await withDecoder((decoder) => decodeAll(decoder, packets));
    expect(whole.length).toBe(packets.length * 160);
    expect(amplitude(whole, 440) / AMPLITUDE).toBeCloseTo(1, 1);
    expect(amplitude(whole, 1000) / AMPLITUDE).toBeLessThan(0.01);
    const skipped = await withDecoder((decoder) => decodeAll(decoder, packets), { preSkipSamples: 1500 });
    expect(skipped).toEqual(whole.slice(250));
  });

  it('mixes stereo to the mean of both channels', async () => {
    const packets = await packetsOf('tone-stereo.opus');
    const samples = await withDecoder((decoder) => decodeAll(decoder, packets));
    // 440 Hz is on the left only, 1000 Hz on the right only.
    expect(amplitude(samples, 440) / (AMPLITUDE / 2)).toBeCloseTo(1, 1);
    expect(amplitude(samples, 1000) / (AMPLITUDE / 2)).toBeCloseTo(1, 1);
  });

  it('applies the output gain, and saturates', async () => {
    const packets = await packetsOf('tone-mono.opus');
    const quieter = await withDecoder((decoder) => decodeAll(decoder, packets), { outputGainDb: -20 });
    expect(amplitude(quieter, 440) / (AMPLITUDE / 10)).toBeCloseTo(1, 1);
    const louder = await withDecoder((decoder) => decodeAll(decoder, packets), { outputGainDb: 12 });
    expect(Math.max(...louder)).toBe(32_767);
    expect(Math.min(...louder)).toBe(-32_768);
  });

  it('refuses bad packets and lives on', async () => {
    const packets = await packetsOf('tone-mono.opus');
    const expected = await withDecoder((decoder) => decodeAll(decoder, packets));
    const bad = {
      empty: Uint8Array.of(),
      'two unequal frames': Uint8Array.of(0x79, 1, 2, 3),
      'no frames': Uint8Array.of(0x7b, 0),
      'more than 120 ms': Uint8Array.of(0x7b, 49, ...new Uint8Array(49)),
      'cut off': Uint8Array.of(0x7a, 200, 1, 2),
      'a frame too long': new Uint8Array(1277).fill(0x78),
      'larger than any of 60 ms': Uint8Array.of(
        0x7b,
        0xc2,
        ...new Uint8Array(16).fill(255),
        1,
        1,
        ...new Uint8Array(5000),
      ),
    };
    await withDecoder((decoder) => {
      const actual: number[] = [];
      for (const packet of packets) {
        for (const [name, junk] of Object.entries(bad)) {
          expect([name, errorOf(() => decoder.decode(junk))?.code]).toEqual([name, 'audio.invalid']);
        }
        actual.push(...decoder.decode(packet));
      }
      expect(Int16Array.from(actual)).toEqual(expected);
    });
  });

  it('survives any bytes: it decodes them or says audio.invalid', async () => {
    await withDecoder((decoder) => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 400 }), (packet) => {
          const error = errorOf(() => expect(decoder.decode(packet).length).toBe(opusPacketSamples(packet) / 6));
          expect([undefined, 'audio.invalid']).toContain(error?.code);
        }),
        { numRuns: 2000 },
      );
    });
  });

  it('begins anew with each stream, whatever it decoded before', async () => {
    const streams = [await packetsOf('tone-mono.opus'), await packetsOf('tone-stereo.opus'), ...(await alphabets())];
    // SILK, CELT and both together.
    expect(new Set(streams.map(([first]) => codecOf(first ?? Uint8Array.of())))).toEqual(new Set([0, 1, 2]));
    const preSkip = { preSkipSamples: 312 };
    for (const packets of streams) {
      const expected = await withDecoder((decoder) => decodeAll(decoder, packets), preSkip);
      for (const before of streams) {
        const actual = await withDecoder((decoder) => {
          decodeAll(decoder, before.slice(0, -3));
          decoder.begin(preSkip);
          return decodeAll(decoder, packets);
        });
        expect(actual).toEqual(expected);
      }
    }
  });

  it('is freed once, and then refuses to decode', async () => {
    const decoder = await OpusStreamDecoder.create(context);
    decoder.free();
    decoder.free();
    expect(errorOf(() => decoder.decode(Uint8Array.of(0x78)))?.code).toBe('internal');
  });

  it('leaves no timer and no listener behind, and its start can be aborted', async () => {
    const clock = new VirtualClock();
    const abort = new AbortController();
    (await OpusStreamDecoder.create({ clock, signal: abort.signal })).free();
    expect(clock.pendingTimers).toBe(0);

    const starting = OpusStreamDecoder.create({ clock, signal: abort.signal });
    abort.abort();
    await expect(starting).rejects.toMatchObject({ code: 'aborted' });
    await expect(OpusStreamDecoder.create({ clock, signal: abort.signal })).rejects.toMatchObject({
      code: 'aborted',
    });
    expect(clock.pendingTimers).toBe(0);
  });

  it('gives up on a start that does not come', async () => {
    const clock = new VirtualClock();
    const starting = OpusStreamDecoder.create({ clock });
    clock.advance(10_000);
    await expect(starting).rejects.toMatchObject({ code: 'engine.failed' });
  });
});

describe('decoders that are used again', () => {
  it('are started when none is idle, and freed when too many are', async () => {
    const create = vi.spyOn(OpusStreamDecoder, 'create');
    const free = vi.spyOn(OpusStreamDecoder.prototype, 'free');
    const pool = new OpusDecoderPool();
    await pool.warm(context);
    await pool.warm(context);
    expect(create).toHaveBeenCalledTimes(1);
    const taken = await Promise.all(Array.from({ length: 66 }, () => pool.take(context)));
    expect(create).toHaveBeenCalledTimes(66);
    for (const decoder of taken) pool.giveBack(decoder);
    expect(free).toHaveBeenCalledTimes(2);
    vi.restoreAllMocks();
  });
});

/** A length as RFC 6716, section 3.2.1, writes it. */
function frameLength(length: number): number[] {
  return length < 252 ? [length] : [252 + (length & 3), (length - 252 - (length & 3)) / 4];
}

/** Packets with several frames, all fields set with care, then longer or shorter by up to two bytes: right at the limits. */
const almostValidPacket = fc
  .record({
    configuration: fc.nat(63),
    code: fc.constantFrom(1, 2, 3),
    frames: fc.oneof(fc.nat(12), fc.nat(63)),
    length: fc.oneof(fc.nat(20), fc.constantFrom(251, 252, 253, 1274, 1275, 1276)),
    variable: fc.boolean(),
    padding: fc.constantFrom(undefined, 0, 1, 253, 254, 255, 508, 600),
    excess: fc.constantFrom(0, 0, -2, -1, 1, 2),
  })
  .map(({ configuration, code, frames, length, variable, padding, excess }) => {
    const count = code === 3 ? frames : 2;
    const header = [(configuration << 2) | code];
    if (code === 3) {
      header.push(frames | (variable ? 0x80 : 0) | (padding === undefined ? 0 : 0x40));
      if (padding !== undefined) header.push(...Array<number>(Math.floor(padding / 254)).fill(255), padding % 254);
    }
    const lengths = code === 2 || (code === 3 && variable) ? Math.max(0, count - 1) : 0;
    for (let frame = 0; frame < lengths; frame++) header.push(...frameLength(length));
    const rest = count * length + (code === 3 ? (padding ?? 0) : 0) + excess;
    return Uint8Array.of(...header, ...new Uint8Array(Math.max(0, rest)));
  })
  // More than the library's input buffer takes.
  .filter((packet) => packet.length <= 3840);

describe('what a packet tells undecoded', () => {
  it('agrees with libopus on which packets are valid and how long they are', async () => {
    const printed = vi.spyOn(console, 'error').mockImplementation(() => {});
    const reference = new OpusDecoder({ channels: 1 });
    await reference.ready;
    const anything = fc.uint8Array({ minLength: 1, maxLength: 12 });
    let valid = 0;
    try {
      fc.assert(
        fc.property(fc.oneof(almostValidPacket, anything), (packet) => {
          const { samplesDecoded, errors } = reference.decodeFrame(packet);
          const error = errorOf(() => expect(opusPacketSamples(packet)).toBe(samplesDecoded));
          expect(error === undefined).toBe(errors.length === 0);
          valid += errors.length === 0 ? 1 : 0;
        }),
        { numRuns: 4000 },
      );
    } finally {
      reference.free();
      printed.mockRestore();
    }
    expect(valid).toBeGreaterThan(500);
  });

  it('reads the header that it writes', () => {
    const head = { channels: 2, preSkipSamples: 3840, inputRateHz: 24_000, outputGainDb: -3.5 } as const;
    expect(readOpusHead(writeOpusHead(head))).toEqual(head);
  });

  it('refuses a header of other codecs and of surround sound', () => {
    expect(errorOf(() => readOpusHead(Buffer.from('\x01vorbis0123456789abcdef')))?.code).toBe('audio.invalid');
    const surround = writeOpusHead({ channels: 2, preSkipSamples: 0, inputRateHz: 0, outputGainDb: 0 });
    surround[9] = 6;
    surround[18] = 1;
    expect(errorOf(() => readOpusHead(surround))?.code).toBe('wire.unsupported');
  });
});
