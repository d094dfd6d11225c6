/**
 * "Modem speech": text as audio that a listener can turn back into exactly the characters that were heard.
 *
 * A character is one byte (Latin-1), sent as two tones at once: one of 16 low frequencies for its high nibble, one of
 * 16 high frequencies for its low nibble. All 32 are multiples of 100 Hz, from 300 to 3400 Hz, so any 10 ms window that
 * lies within a tone separates them exactly, wherever it begins: the decoder needs no sync. 45 ms of tone and 15 ms of
 * silence make 60 ms a character, about the pace of human speech; the silence tells "ll" from "l".
 */

const SAMPLE_RATE_HZ = 8_000;
const SAMPLES_PER_MS = SAMPLE_RATE_HZ / 1_000;
/** One character, its silence included. */
export const CHARACTER_MS = 60;
const TONE_MS = 45;
const RAMP_MS = 2.5;
/** Of each of the two tones: loud, yet far from clipping. */
const AMPLITUDE = 5_000;

const WINDOW = 80;
const HOP = 20;
const HOP_MS = HOP / SAMPLES_PER_MS;
const FIRST_BIN = 3;
const TONES = 16;
/** Root mean square below which a window counts as silence: tones come at about 5,000. */
const SILENCE_RMS = 150;
/** Share of a window's energy that the two tones must have, and the weaker one alone. */
const MIN_PAIR_SHARE = 0.8;
const MIN_TONE_SHARE = 0.15;
/** A character counts as heard when at least this much of its tone was. */
const MIN_HEARD_MS = TONE_MS / 2;
/** Two pieces of the same tone within this time that make up no more than one are one character, torn apart by silence. */
const MAX_TEAR_MS = 500;
/**
 * Longest sum of such pieces: each measures up to 4 ms too long, since windows that reach a little beyond it count too.
 * Half a tone and a whole one, a character cut off and the next, are longer.
 */
const MAX_TORN_MS = TONE_MS + 15;

/** Cosine of one turn in WINDOW steps; bin k at sample n is COSINE[k * n mod WINDOW]. */
const COSINE = Float64Array.from({ length: WINDOW }, (_, step) => Math.cos((2 * Math.PI * step) / WINDOW));
const SINE = Float64Array.from({ length: WINDOW }, (_, step) => Math.sin((2 * Math.PI * step) / WINDOW));

export interface HeardCharacter {
  readonly char: string;
  /** Where its tone begins, in milliseconds from the start of the audio. */
  readonly startMs: number;
}

/** The text as it will be heard: what Latin-1 lacks has a plain relative or becomes a question mark. */
export function speakable(text: string): string {
  const plain = text
    .normalize('NFC')
    .replaceAll(/[‘’]/g, "'")
    .replaceAll(/[“”]/g, '"')
    .replaceAll(/[–—]/g, '-')
    .replaceAll('…', '.');
  return Array.from(plain, (char) => ((char.codePointAt(0) ?? 0) > 0xff ? '?' : char)).join('');
}

/** Linear 16-bit audio, at 8 kHz or a multiple of it, {@link CHARACTER_MS} for each character of `speakable(text)`. */
export function encodeToneSpeech(text: string, sampleRateHz = SAMPLE_RATE_HZ): Int16Array {
  const plain = speakable(text);
  const samplesPerMs = sampleRateHz / 1_000;
  const samples = CHARACTER_MS * samplesPerMs;
  const pcm = new Int16Array(plain.length * samples);
  for (let index = 0; index < plain.length; index++) {
    const tone = pcm.subarray(index * samples, index * samples + TONE_MS * samplesPerMs);
    writeTone(tone, plain.charCodeAt(index), sampleRateHz / SAMPLE_RATE_HZ);
  }
  return pcm;
}

/** `oversampling`: samples for each one at 8 kHz. */
function writeTone(pcm: Int16Array, byte: number, oversampling: number): void {
  const low = FIRST_BIN + (byte >> 4);
  const high = FIRST_BIN + TONES + (byte & 0x0f);
  const ramp = RAMP_MS * SAMPLES_PER_MS * oversampling;
  const turn = (2 * Math.PI) / (WINDOW * oversampling);
  for (let n = 0; n < pcm.length; n++) {
    const edge = Math.min(n + 0.5, pcm.length - n - 0.5, ramp);
    const gain = AMPLITUDE * (0.5 - 0.5 * Math.cos((Math.PI * edge) / ramp));
    pcm[n] = Math.round(gain * (Math.sin(turn * low * n) + Math.sin(turn * high * n)));
  }
}

/** A stretch of one and the same tone pair. */
interface Run {
  readonly byte: number;
  readonly startMs: number;
  toneMs: number;
  endMs: number;
}

/** What was said in audio that may begin and end anywhere; anything that is not tone speech is passed over. */
export function decodeToneSpeech(pcm: Int16Array): { text: string; characters: HeardCharacter[] } {
  const characters = mergeTorn(findRuns(pcm))
    .filter((run) => run.toneMs >= MIN_HEARD_MS)
    .map((run): HeardCharacter => ({ char: String.fromCharCode(run.byte), startMs: run.startMs }));
  return { text: characters.map(({ char }) => char).join(''), characters };
}

function findRuns(pcm: Int16Array): Run[] {
  const runs: Run[] = [];
  let current: Run | undefined;
  for (let start = 0; start + WINDOW <= pcm.length; start += HOP) {
    const byte = classify(pcm, start);
    const startMs = start / SAMPLES_PER_MS;
    if (byte === undefined) {
      current = undefined;
    } else if (current?.byte === byte) {
      current.toneMs += HOP_MS;
      current.endMs = startMs + WINDOW / SAMPLES_PER_MS;
    } else {
      const windowMs = WINDOW / SAMPLES_PER_MS;
      current = { byte, startMs, toneMs: windowMs, endMs: startMs + windowMs };
      runs.push(current);
    }
  }
  return runs;
}

/** Joins the pieces of a character that silence has torn apart. Two whole ones are never joined: they are too long together. */
function mergeTorn(runs: readonly Run[]): Run[] {
  const merged: Run[] = [];
  for (const run of runs) {
    const last = merged.at(-1);
    const torn =
      last?.byte === run.byte && last.toneMs + run.toneMs <= MAX_TORN_MS && run.startMs - last.endMs <= MAX_TEAR_MS;
    if (last !== undefined && torn) {
      last.toneMs += run.toneMs;
      last.endMs = run.endMs;
    } else {
      merged.push({ ...run });
    }
  }
  return merged;
}

/** The byte whose two tones fill the window; undefined for silence, for an edge, for anything else. */
function classify(pcm: Int16Array, start: number): number | undefined {
  let energy = 0;
  for (let n = 0; n < WINDOW; n++) {
    const sample = pcm[start + n] ?? 0;
    energy += sample * sample;
  }
  if (energy < SILENCE_RMS * SILENCE_RMS * WINDOW) return undefined;
  const low = strongest(pcm, start, FIRST_BIN);
  const high = strongest(pcm, start, FIRST_BIN + TONES);
  const pair = low.energy + high.energy;
  if (pair < MIN_PAIR_SHARE * energy || Math.min(low.energy, high.energy) < MIN_TONE_SHARE * energy) return undefined;
  return (low.index << 4) | high.index;
}

/** The strongest of the 16 tones from `firstBin` on, with its share of the window's energy. */
function strongest(pcm: Int16Array, start: number, firstBin: number): { index: number; energy: number } {
  let best = { index: 0, energy: -1 };
  for (let index = 0; index < TONES; index++) {
    const bin = firstBin + index;
    let real = 0;
    let imaginary = 0;
    let step = 0;
    for (let n = 0; n < WINDOW; n++) {
      const sample = pcm[start + n] ?? 0;
      real += sample * (COSINE[step] ?? 0);
      imaginary += sample * (SINE[step] ?? 0);
      step += bin;
      if (step >= WINDOW) step -= WINDOW;
    }
    const energy = (2 / WINDOW) * (real * real + imaginary * imaginary);
    if (energy > best.energy) best = { index, energy };
  }
  return best;
}
