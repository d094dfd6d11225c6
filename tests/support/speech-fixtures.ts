import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { readWav } from './wav.ts';
import type { Wav } from './wav.ts';

const folder = new URL('../fixtures/speech/', import.meta.url);

const speech = z.object({
  kind: z.literal('speech'),
  file: z.string(),
  transcript: z.string(),
  /** First and last audible moment of the voice, in milliseconds from the file's start. */
  speechStartMs: z.number(),
  speechEndMs: z.number(),
  note: z.string().optional(),
  source: z.string(),
  licence: z.string(),
});

const noise = z.object({
  kind: z.literal('noise'),
  file: z.string(),
  description: z.string(),
  source: z.string(),
  licence: z.string(),
});

export type SpeechFixture = z.infer<typeof speech>;
export type NoiseFixture = z.infer<typeof noise>;

const manifest = z
  .array(z.discriminatedUnion('kind', [speech, noise]))
  .parse(JSON.parse(readFileSync(new URL('manifest.json', folder), 'utf8')));

/** Recorded human speech with transcripts and true times. */
export const speechFixtures: readonly SpeechFixture[] = manifest.filter((entry) => entry.kind === 'speech');
/** What is on telephone lines without being speech. */
export const noiseFixtures: readonly NoiseFixture[] = manifest.filter((entry) => entry.kind === 'noise');

/** The audio of a fixture by its file name, e.g. `goforward.wav`. */
export function fixtureAudio(file: string): Wav {
  return readWav(new URL(file, folder));
}
