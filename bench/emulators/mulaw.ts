/** G.711 μ-law for the emulators and their listeners (ITU-T G.711; bench code imports nothing of src). */

const BIAS = 0x84;
const CLIP = 32_635;

/** 256 linear 16-bit values, by μ-law byte. */
const LINEAR = Int16Array.from({ length: 256 }, (_, byte) => {
  const inverted = ~byte & 0xff;
  const magnitude = ((((inverted & 0x0f) << 3) + BIAS) << ((inverted & 0x70) >> 4)) - BIAS;
  return inverted & 0x80 ? -magnitude : magnitude;
});

export function decodeMulaw(bytes: Uint8Array): Int16Array {
  const pcm = new Int16Array(bytes.length);
  for (let index = 0; index < bytes.length; index++) pcm[index] = LINEAR[bytes[index] ?? 0xff] ?? 0;
  return pcm;
}

export function encodeMulaw(pcm: Int16Array): Uint8Array {
  const bytes = new Uint8Array(pcm.length);
  for (let index = 0; index < pcm.length; index++) bytes[index] = encodeSample(pcm[index] ?? 0);
  return bytes;
}

function encodeSample(sample: number): number {
  const sign = sample < 0 ? 0x80 : 0;
  const biased = Math.min(Math.abs(sample), CLIP) + BIAS;
  // The segment is the position of the highest bit above bit 7; biased values lie in 0x84..0x7fff.
  const segment = 24 - Math.clz32(biased);
  return ~(sign | (segment << 4) | ((biased >> (segment + 3)) & 0x0f)) & 0xff;
}
