/** Recorded callers: human speech and noise of the test fixtures, as μ-law, with where the speech truly lies in it. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FRAME_MS, mulawDecode, mulawEncode, SAMPLES_PER_MS, speechEdges } from '../phone/audio.ts';
import { readWavFile } from '../phone/wav.ts';

export interface Recording {
  readonly name: string;
  readonly mulaw: Uint8Array;
  /** From the first to the last sound of the speech. */
  readonly speechMs: number;
}

/** The nearest folder upwards with a package.json: the same from the source and from `dist/`. */
export function findProjectRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
}

/** A fixture by its name without `.wav`; `maxMs` cuts it off. */
export async function loadRecording(name: string, maxMs = Infinity): Promise<Recording> {
  const path = join(findProjectRoot(), 'tests', 'fixtures', 'speech', `${name}.wav`);
  const pcm = await readWavFile(path);
  return asRecording(name, pcm.subarray(0, Math.min(pcm.length, maxMs * SAMPLES_PER_MS)));
}

export function asRecording(name: string, pcm: Int16Array): Recording {
  const mulaw = mulawEncode(pcm);
  const edges = speechEdges(mulawDecode(mulaw));
  return { name, mulaw, speechMs: edges ? (edges.end - edges.start) / SAMPLES_PER_MS : 0 };
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
