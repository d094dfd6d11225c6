/** Recorded callers: human speech and noise of the test fixtures, as μ-law, with where the speech truly lies in it. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { SpeechDetector } from '../emulators/speech-detector.ts';
import { FRAME_MS, mulawDecode, mulawEncode, SAMPLES_PER_MS, speechEdges } from '../phone/audio.ts';
import { readWavFile } from '../phone/wav.ts';

/** RMS of 16-bit samples; at this level the emulated recogniser and the phone nearly agree about where speech begins. */
export const SPEECH_THRESHOLD = 350;

export interface Recording {
  readonly name: string;
  readonly mulaw: Uint8Array;
  /** From the first sound that an emulated recogniser finds to the last that the phone's ear does. */
  readonly speechMs: number;
  /** Where in it the phone's ear finds the first sound, by energy alone. */
  readonly earOnsetMs: number;
  /** Where whoever listened to it says that the voice begins; the ear's onset when nobody did. */
  readonly onsetMs: number;
}

const manifest = z.array(z.looseObject({ file: z.string(), speechStartMs: z.number().optional() }));

/** The nearest folder upwards with a package.json: the same from the source and from `dist/`. */
export function findProjectRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
}

/** A fixture by its name without `.wav`; `maxMs` cuts it off. */
export async function loadRecording(name: string, maxMs = Infinity): Promise<Recording> {
  const folder = join(findProjectRoot(), 'tests', 'fixtures', 'speech');
  const pcm = await readWavFile(join(folder, `${name}.wav`));
  const labels = manifest.parse(JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')));
  const recording = asRecording(name, pcm.subarray(0, Math.min(pcm.length, maxMs * SAMPLES_PER_MS)));
  const onsetMs = labels.find(({ file }) => file === `${name}.wav`)?.speechStartMs;
  return { ...recording, onsetMs: onsetMs ?? recording.onsetMs };
}

export function asRecording(name: string, pcm: Int16Array): Recording {
  const mulaw = mulawEncode(pcm);
  const edges = speechEdges(mulawDecode(mulaw));
  const earOnsetMs = (edges?.start ?? 0) / SAMPLES_PER_MS;
  const speechMs = edges ? Math.max(0, edges.end / SAMPLES_PER_MS - (recogniserOnsetMs(mulaw) ?? earOnsetMs)) : 0;
  return { name, mulaw, speechMs, earOnsetMs, onsetMs: earOnsetMs };
}

function recogniserOnsetMs(mulaw: Uint8Array): number | undefined {
  for (const { onsetMs } of new SpeechDetector(SPEECH_THRESHOLD).push(mulaw, () => false)) {
    if (onsetMs !== undefined) return onsetMs;
  }
  return undefined;
}

/** Several sounds at once, each over and over, for `durationMs`; `gain` is linear. */
export function mix(
  name: string,
  durationMs: number,
  parts: readonly { readonly of: Recording; readonly gain: number }[],
): Recording {
  const sum = new Float64Array(Math.ceil(durationMs / FRAME_MS) * FRAME_MS * SAMPLES_PER_MS);
  for (const { of, gain } of parts) {
    const pcm = mulawDecode(of.mulaw);
    for (let at = 0; at < sum.length; at++) sum[at] = (sum[at] ?? 0) + gain * (pcm[at % pcm.length] ?? 0);
  }
  return asRecording(
    name,
    Int16Array.from(sum, (value) => Math.max(-32_768, Math.min(32_767, Math.round(value)))),
  );
}
