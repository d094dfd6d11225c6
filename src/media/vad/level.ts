import { decodeMulaw, MULAW_SILENCE } from '../audio/g711.ts';

const MULAW_TO_FLOAT = Float32Array.from(linearCodes(), (linear) => linear / 32_768);

const MULAW_TO_POWER = Float64Array.from(linearCodes(), (linear) => (linear / 32_768) ** 2);

function linearCodes(): Int16Array {
  const codes = Uint8Array.from({ length: 256 }, (_, code) => code);
  const linear = new Int16Array(256);
  decodeMulaw(codes, linear);
  return linear;
}

/** A μ-law code as a float from -1 to 1. A missing code is silence. */
export function floatOf(code: number | undefined): number {
  return MULAW_TO_FLOAT[code ?? MULAW_SILENCE] ?? 0;
}

/** The mean power of μ-law audio, where 1 is a full-scale square wave. */
export function meanPower(mulaw: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < mulaw.length; i++) sum += MULAW_TO_POWER[mulaw[i] ?? MULAW_SILENCE] ?? 0;
  return sum / mulaw.length;
}

/** Power as a level in dBFS; silence is -120. */
export function levelDb(power: number): number {
  return 10 * Math.log10(power + 1e-12);
}
