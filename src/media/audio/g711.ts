/**
 * ITU-T G.711 μ-law and A-law by table lookup, bit-exact to the reference tool of ITU-T G.191 for each 16-bit input.
 * Linear samples are 16-bit, host order; G.711 itself counts in 14 bits (μ-law) and 13 (A-law, where no interval begins at
 * an odd value). So the encoders drop the low two and four bits, of the one's complement when the sample is negative
 * (golden/README.md has the differences to other encoders). A buffer's length in samples equals its length in codes.
 */
import { BvraiError } from '../../core/errors.ts';

/** Samples a second of G.711, and of all audio of a telephone call. */
export const TELEPHONE_RATE_HZ = 8_000;
/** The μ-law code of a zero sample (positive zero). */
export const MULAW_SILENCE = 0xff;
/** The A-law code nearest to a zero sample: A-law has no zero, this one decodes to +8. */
export const ALAW_SILENCE = 0xd5;

const LINEAR_VALUES = 0x1_0000;
const CODES = 0x100;

function encodeMulawSample(linear: number): number {
  const negative = linear < 0;
  const magnitude = Math.min(((negative ? ~linear : linear) >> 2) + 33, 0x1fff);
  const exponent = 26 - Math.clz32(magnitude);
  const mantissa = (magnitude >> (exponent + 1)) & 0x0f;
  return ~((negative ? 0x80 : 0) | (exponent << 4) | mantissa) & 0xff;
}

function decodeMulawCode(code: number): number {
  const bits = ~code & 0xff;
  const exponent = (bits >> 4) & 7;
  const magnitude = (((2 * (bits & 0x0f) + 33) << exponent) - 33) << 2;
  return bits & 0x80 ? -magnitude : magnitude;
}

function encodeAlawSample(linear: number): number {
  const negative = linear < 0;
  const magnitude = (negative ? ~linear : linear) >> 4;
  // The first two segments have the same step: there the magnitude is the code.
  const exponent = magnitude < 32 ? 0 : 28 - Math.clz32(magnitude);
  const bits = exponent === 0 ? magnitude : (exponent << 4) | ((magnitude >> (exponent - 1)) & 0x0f);
  return ((negative ? 0 : 0x80) | bits) ^ 0x55;
}

function decodeAlawCode(code: number): number {
  const bits = code ^ 0x55;
  const exponent = (bits >> 4) & 7;
  const step = 2 * (bits & 0x0f) + (exponent === 0 ? 1 : 33);
  const magnitude = step << (exponent === 0 ? 3 : exponent + 2);
  return bits & 0x80 ? magnitude : -magnitude;
}

/** Indexed by the sample's low 16 bits read as unsigned, so that a lookup needs no offset. */
function encodeTable(encodeSample: (linear: number) => number): Uint8Array {
  return Uint8Array.from({ length: LINEAR_VALUES }, (_, index) => encodeSample((index << 16) >> 16));
}

function decodeTable(decodeCode: (code: number) => number): Int16Array {
  return Int16Array.from({ length: CODES }, (_, code) => decodeCode(code));
}

const mulawToLinear = decodeTable(decodeMulawCode);
const alawToLinear = decodeTable(decodeAlawCode);
const linearToMulaw = encodeTable(encodeMulawSample);
const linearToAlaw = encodeTable(encodeAlawSample);

function decode(table: Int16Array, bytes: Uint8Array, out: Int16Array): void {
  requireRoom(bytes.length, out.length);
  for (let index = 0; index < bytes.length; index++) out[index] = table[bytes[index] as number] as number;
}

function encode(table: Uint8Array, samples: Int16Array, out: Uint8Array): void {
  requireRoom(samples.length, out.length);
  for (let index = 0; index < samples.length; index++) {
    out[index] = table[(samples[index] as number) & 0xffff] as number;
  }
}

function requireRoom(needed: number, available: number): void {
  if (available < needed) {
    throw new BvraiError('internal', `G.711: the output has room for ${available} samples, the input has ${needed}.`);
  }
}

/** Decodes μ-law codes into 16-bit samples at the start of `out`, which must be at least as long (else `internal`). */
export function decodeMulaw(bytes: Uint8Array, out: Int16Array): void {
  decode(mulawToLinear, bytes, out);
}

/** Encodes 16-bit samples into μ-law codes at the start of `out`, which must be at least as long (else `internal`). */
export function encodeMulaw(samples: Int16Array, out: Uint8Array): void {
  encode(linearToMulaw, samples, out);
}

/** Decodes A-law codes into 16-bit samples at the start of `out`, which must be at least as long (else `internal`). */
export function decodeAlaw(bytes: Uint8Array, out: Int16Array): void {
  decode(alawToLinear, bytes, out);
}

/** Encodes 16-bit samples into A-law codes at the start of `out`, which must be at least as long (else `internal`). */
export function encodeAlaw(samples: Int16Array, out: Uint8Array): void {
  encode(linearToAlaw, samples, out);
}
