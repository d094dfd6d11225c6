import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ALAW_SILENCE, MULAW_SILENCE, decodeAlaw, decodeMulaw, encodeAlaw, encodeMulaw } from './g711.ts';

/**
 * The norm, transcribed from ITU-T G.711 tables 1a and 2a: decision values x(n) in units of the uniform code (12 bits
 * for A-law, 13 for μ-law, without the sign), as first value and step of each segment of 16 intervals. Production
 * computes logarithms; here a sample looks for its interval, so the two share nothing.
 */
const ALAW_SEGMENTS = [
  [0, 2],
  [32, 2],
  [64, 4],
  [128, 8],
  [256, 16],
  [512, 32],
  [1024, 64],
  [2048, 128],
] as const;
const MULAW_SEGMENTS = [
  [-1, 2],
  [31, 4],
  [95, 8],
  [223, 16],
  [479, 32],
  [991, 64],
  [2015, 128],
  [4063, 256],
] as const;

type Segments = typeof ALAW_SEGMENTS | typeof MULAW_SEGMENTS;

function decisionValues(segments: Segments): number[] {
  return segments.flatMap(([first, step]) => Array.from({ length: 16 }, (_, index) => first + index * step));
}

/** Interval (0 to 127) of a magnitude: the last decision value not above it. */
function interval(decisions: readonly number[], magnitude: number): number {
  return decisions.findLastIndex((decision) => decision <= magnitude);
}

/** Tables 1a/2a, column "character signal": μ-law inverts all bits, A-law each second; the first bit is 1 for positive. */
const lawSpecs = {
  mulaw: {
    decisions: decisionValues(MULAW_SEGMENTS),
    // Reconstruction: y(0) = 0, else the middle of the interval; the last one ends at 8159.
    reconstruct: (n: number) => (n === 0 ? 0 : middle(decisionValues(MULAW_SEGMENTS), n, 8159)),
    uniformBits: 14,
    character: (n: number, negative: boolean) => (negative ? 0x7f : 0xff) - n,
    encode: encodeMulaw,
    decode: decodeMulaw,
  },
  alaw: {
    decisions: decisionValues(ALAW_SEGMENTS),
    reconstruct: (n: number) => middle(decisionValues(ALAW_SEGMENTS), n, 4096),
    uniformBits: 13,
    character: (n: number, negative: boolean) => ((negative ? 0 : 0x80) | n) ^ 0x55,
    encode: encodeAlaw,
    decode: decodeAlaw,
  },
};

function middle(decisions: readonly number[], n: number, end: number): number {
  return ((decisions[n] ?? Number.NaN) + (decisions[n + 1] ?? end)) / 2;
}

const allLinear = Int16Array.from({ length: 65_536 }, (_, index) => index - 32_768);
const allCodes = Uint8Array.from({ length: 256 }, (_, code) => code);

function encodeAll(encode: (samples: Int16Array, out: Uint8Array) => void): Uint8Array {
  const codes = new Uint8Array(allLinear.length);
  encode(allLinear, codes);
  return codes;
}

function decodeAll(decode: (bytes: Uint8Array, out: Int16Array) => void): Int16Array {
  const samples = new Int16Array(256);
  decode(allCodes, samples);
  return samples;
}

function golden(name: string): Buffer {
  return readFileSync(new URL(`golden/${name}`, import.meta.url));
}

const runs = z.array(z.tuple([z.number(), z.number()]));
const encodeRuns = z
  .object({ ffmpeg: z.object({ mulaw: runs, alaw: runs }), sox: z.object({ mulaw: runs, alaw: runs }) })
  .parse(JSON.parse(golden('encode-runs.json').toString()));

function expandRuns(list: z.infer<typeof runs>): Uint8Array {
  const codes = new Uint8Array(allLinear.length);
  for (const [firstLinear, code] of list) codes.fill(code, firstLinear + 32_768);
  return codes;
}

describe.each(['mulaw', 'alaw'] as const)('G.711 %s', (law) => {
  const spec = lawSpecs[law];

  it('encodes all 65,536 samples as the tables of G.711 say', () => {
    const encoded = encodeAll(spec.encode);
    // A-law's 13-bit magnitudes count half the units of table 1a, which has 4096 as its end.
    const shift = law === 'mulaw' ? 2 : 4;
    const unit = law === 'mulaw' ? 1 : 2;
    const expected = Uint8Array.from(allLinear, (linear) => {
      const magnitude = (linear < 0 ? ~linear : linear) >> shift;
      return spec.character(interval(spec.decisions, magnitude * unit), linear < 0);
    });
    expect(Buffer.from(encoded).equals(Buffer.from(expected))).toBe(true);
  });

  it('decodes all 256 codes as the tables of G.711 say', () => {
    const expected = new Int16Array(256);
    const scale = 2 ** (16 - spec.uniformBits);
    for (let n = 0; n < 128; n++) {
      const value = spec.reconstruct(n) * scale;
      expected[spec.character(n, false)] = value;
      expected[spec.character(n, true)] = -value;
    }
    expect(decodeAll(spec.decode)).toEqual(expected);
  });

  it('decodes as ffmpeg and sox do', () => {
    const bytes = golden(`${law}-decode.s16le`);
    const expected = Int16Array.from({ length: 256 }, (_, code) => bytes.readInt16LE(2 * code));
    expect(decodeAll(spec.decode)).toEqual(expected);
  });

  // SHA-256 of the 65,536 codes for -32768 … 32767 that ITU's own reference tool (G.191, module G711) gives.
  const referenceHash = {
    mulaw: '90c29de505fb68e766118303bd552a16005dcf810873698bee1d8f3b247ce28c',
    alaw: '38488f6fd710f4686360edc4d38639f96c491595ef93f8eb8d62d5e07ca6ce7b',
  };
  it('encodes bit-exactly as the reference tool of ITU-T G.191', () => {
    expect(createHash('sha256').update(encodeAll(spec.encode)).digest('hex')).toBe(referenceHash[law]);
  });

  const differences = { ffmpeg: { mulaw: 964, alaw: 964 }, sox: { mulaw: 510, alaw: 1020 } };
  it.each(['ffmpeg', 'sox'] as const)(
    'differs from %s only at the known interval edges, and by one interval',
    (tool) => {
      const ours = encodeAll(spec.encode);
      const theirs = expandRuns(encodeRuns[tool][law]);
      // Rank of a code by the sample that it stands for; the two zeros of μ-law are neighbours.
      const rank = new Map<number, number>();
      for (const code of ours) if (!rank.has(code)) rank.set(code, rank.size);
      let differing = 0;
      for (let index = 0; index < ours.length; index++) {
        if (ours[index] === theirs[index]) continue;
        differing++;
        const apart = (rank.get(ours[index] ?? -1) ?? Number.NaN) - (rank.get(theirs[index] ?? -1) ?? Number.NaN);
        expect(Math.abs(apart)).toBe(1);
      }
      expect(differing).toBe(differences[tool][law]);
    },
  );

  it('gives each code back after decoding and encoding, but for the negative zero of μ-law', () => {
    const roundTrip = new Uint8Array(256);
    spec.encode(decodeAll(spec.decode), roundTrip);
    const expected = Uint8Array.from(allCodes);
    // 0x7f and 0xff both decode to 0, and 0 is encoded as the positive zero.
    if (law === 'mulaw') expected[0x7f] = 0xff;
    expect(roundTrip).toEqual(expected);
  });

  it('writes only as much as it read, and refuses an output that is too short', () => {
    const out = new Uint8Array(3).fill(0x11);
    spec.encode(new Int16Array(2), out);
    expect(out[2]).toBe(0x11);
    expect(() => spec.encode(new Int16Array(4), out)).toThrow(expect.objectContaining({ code: 'internal' }));
    expect(() => spec.decode(new Uint8Array(4), new Int16Array(3))).toThrow(
      expect.objectContaining({ code: 'internal' }),
    );
  });
});

it('names the codes of silence', () => {
  const zero = new Int16Array(1);
  const code = new Uint8Array(1);
  encodeMulaw(zero, code);
  expect(code[0]).toBe(MULAW_SILENCE);
  encodeAlaw(zero, code);
  expect(code[0]).toBe(ALAW_SILENCE);
});
