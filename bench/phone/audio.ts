/**
 * The little audio arithmetic a caller needs: G.711 μ-law, loudness, and where speech begins and ends.
 * Duplicated from the server on purpose: a test instrument must not share the code it tests.
 */

/** Everything on the phone's wire is 8 kHz mono; one byte of μ-law is one sample. */
export const SAMPLES_PER_MS = 8;
/** Telephony's frame: 20 ms. */
export const FRAME_MS = 20;
export const FRAME_SAMPLES = FRAME_MS * SAMPLES_PER_MS;
/** μ-law code of digital silence (positive zero). */
export const MULAW_SILENCE = 0xff;
/** What is quieter than this is not heard as speech. */
export const AUDIBLE_DBFS = -45;

const AUDIBLE_AMPLITUDE = 32768 * 10 ** (AUDIBLE_DBFS / 20);

const MULAW_TO_PCM = Int16Array.from({ length: 256 }, (_, code) => {
  const inverted = ~code & 0xff;
  const magnitude = (((inverted & 0x0f) << 3) + 0x84) << ((inverted & 0x70) >> 4);
  return inverted & 0x80 ? 0x84 - magnitude : magnitude - 0x84;
});

/** Per μ-law code: 1 when its sample is louder than {@link AUDIBLE_DBFS}. */
const AUDIBLE_CODE = Uint8Array.from(MULAW_TO_PCM, (sample) => (Math.abs(sample) > AUDIBLE_AMPLITUDE ? 1 : 0));

/** μ-law bytes → PCM16 samples. */
export function mulawDecode(mulaw: Uint8Array): Int16Array {
  const pcm = new Int16Array(mulaw.length);
  for (let i = 0; i < mulaw.length; i++) pcm[i] = MULAW_TO_PCM[mulaw[i] ?? MULAW_SILENCE] ?? 0;
  return pcm;
}

/** PCM16 samples → μ-law bytes (ITU-T G.711, bias 0x84, clip 32635). */
export function mulawEncode(pcm: Int16Array): Uint8Array {
  const mulaw = new Uint8Array(pcm.length);
  for (let i = 0; i < pcm.length; i++) {
    const sample = pcm[i] ?? 0;
    const biased = Math.min(Math.abs(sample), 32635) + 0x84;
    const exponent = 24 - Math.clz32(biased);
    const mantissa = (biased >> (exponent + 3)) & 0x0f;
    mulaw[i] = ~((sample < 0 ? 0x80 : 0) | (exponent << 4) | mantissa) & 0xff;
  }
  return mulaw;
}

/** How many of the samples are audible. */
export function countAudible(mulaw: Uint8Array): number {
  let count = 0;
  for (const code of mulaw) count += AUDIBLE_CODE[code] ?? 0;
  return count;
}

/** Index of the first audible sample, or -1. */
export function firstAudible(mulaw: Uint8Array): number {
  for (let i = 0; i < mulaw.length; i++) if (AUDIBLE_CODE[mulaw[i] ?? MULAW_SILENCE]) return i;
  return -1;
}

/** Index of the last audible sample, or -1. */
export function lastAudible(mulaw: Uint8Array): number {
  for (let i = mulaw.length - 1; i >= 0; i--) if (AUDIBLE_CODE[mulaw[i] ?? MULAW_SILENCE]) return i;
  return -1;
}

/** Loudness of PCM16 as RMS in dB relative to full scale; silence is -Infinity. */
export function energyDbfs(pcm: Int16Array): number {
  let sum = 0;
  for (const sample of pcm) sum += sample * sample;
  return sum === 0 ? -Infinity : 10 * Math.log10(sum / pcm.length) - 20 * Math.log10(32768);
}

/** Where speech lies in a recording, in samples; `end` is exclusive. */
export interface SpeechEdges {
  readonly start: number;
  readonly end: number;
}

const WINDOW_SAMPLES = 10 * SAMPLES_PER_MS;

/**
 * Finds the true start and end of speech in 8 kHz PCM16 by energy, to 10 ms.
 *
 * A window counts as speech when it is audible, within 35 dB of the loudest window, and clear of the recording's own
 * noise floor; two in a row are needed, so that a click is not an edge. Returns undefined when nothing is audible.
 */
export function speechEdges(pcm: Int16Array): SpeechEdges | undefined {
  const levels: number[] = [];
  for (let at = 0; at < pcm.length; at += WINDOW_SAMPLES)
    levels.push(energyDbfs(pcm.subarray(at, at + WINDOW_SAMPLES)));
  const sorted = levels.toSorted((a, b) => a - b);
  const loudest = sorted.at(-1) ?? -Infinity;
  const noiseFloor = sorted[Math.floor(sorted.length / 10)] ?? -Infinity;
  // A recording without pauses has no floor to speak of: never let it hide speech within 20 dB of the loudest.
  const threshold = Math.max(AUDIBLE_DBFS, loudest - 35, Math.min(noiseFloor + 8, loudest - 20));
  const isSpeech = (window: number): boolean => (levels[window] ?? -Infinity) > threshold;

  let first = 0;
  while (first < levels.length && !(isSpeech(first) && isSpeech(first + 1))) first++;
  if (first === levels.length) return undefined;
  let last = levels.length - 1;
  while (!(isSpeech(last) && isSpeech(last - 1))) last--;
  return { start: first * WINDOW_SAMPLES, end: Math.min(pcm.length, (last + 1) * WINDOW_SAMPLES) };
}
