/** For this folder's tests: WAV fixtures, callers made of them, and streams whose parts can be awaited. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { systemClock } from '../../../core/clock.ts';
import { memoryLog } from '../../../core/log.ts';
import type { SttPart, SttProvider, SttStream, StreamContext, TtsPart, TtsProvider, TtsStream } from '../spec.ts';

const SPEECH_FOLDER = new URL('../../../../tests/fixtures/speech/', import.meta.url);
const FRAME_BYTES = 160;

const fixtures = z.array(
  z.object({ file: z.string(), kind: z.enum(['speech', 'noise']), transcript: z.string().optional() }),
);

export interface Recording {
  readonly file: string;
  readonly kind: 'speech' | 'noise';
  readonly transcript: string;
  /** μ-law, 8 kHz. */
  readonly audio: Uint8Array;
}

/**
 * For tests that decode or speak minutes of speech: seconds of work for a core, of which the other test files leave a share. It is
 * no claim about speed; a worker that hangs is given up, and told, long before.
 */
export const LONG_WORK = { timeout: 240_000 } as const;

/** The recordings of people and noises. */
export async function loadRecordings(): Promise<Recording[]> {
  const manifest = fixtures.parse(JSON.parse(await readFile(new URL('manifest.json', SPEECH_FOLDER), 'utf8')));
  return Promise.all(
    manifest.map(async ({ file, kind, transcript = '' }) => {
      const wav = await readFile(new URL(file, SPEECH_FOLDER));
      return { file, kind, transcript, audio: wav.subarray(wav.indexOf('data') + 8) };
    }),
  );
}

/** A test's own context; `abort` ends its streams. */
export function testContext(): StreamContext & { abort(): void; readonly log: ReturnType<typeof memoryLog> } {
  const controller = new AbortController();
  return { log: memoryLog(), clock: systemClock, signal: controller.signal, abort: () => controller.abort() };
}

/** Collects parts; `until` waits for one. */
export class Collector<Part extends { readonly type: string }> {
  readonly parts: Part[] = [];
  readonly #waiting = new Set<() => void>();

  readonly sink = (part: Part): void => {
    this.parts.push(part);
    for (const check of this.#waiting) check();
  };

  /** The first part, from `from` on, that matches. The test's timeout is the deadline; a stream that fails instead rejects. */
  until<Wanted extends Part>(matches: (part: Part) => part is Wanted, from = 0): Promise<Wanted> {
    return new Promise((resolve, reject) => {
      const check = () => {
        const parts = this.parts.slice(from);
        const found = parts.find(matches);
        const failed = parts.find(({ type }) => type === 'stream-failed');
        if (!found && !failed) return;
        this.#waiting.delete(check);
        if (found) resolve(found);
        else reject(new Error('The stream has failed.', { cause: failed }));
      };
      this.#waiting.add(check);
      check();
    });
  }
}

export type Final = Extract<SttPart, { type: 'transcript-final' }>;
export const isFinal = (part: SttPart): part is Final => part.type === 'transcript-final';
export const isSttFailure = (part: SttPart): part is Extract<SttPart, { type: 'stream-failed' }> =>
  part.type === 'stream-failed';

export interface Listening {
  readonly stream: SttStream;
  readonly heard: Collector<SttPart>;
}

export function listen(stt: SttProvider, phrases: readonly string[], context: StreamContext): Listening {
  const heard = new Collector<SttPart>();
  return { stream: stt.open({ language: 'en', phrases }, heard.sink, context), heard };
}

const silence = (ms: number) => new Uint8Array(ms * 8).fill(0xff);

/** What a telephone line with a voice detector brings: quiet, speech with hints, quiet. Faster than real time. */
export function say({ stream }: Listening, audio: Uint8Array): void {
  const write = (bytes: Uint8Array) => {
    for (let at = 0; at < bytes.length; at += FRAME_BYTES) stream.write(bytes.subarray(at, at + FRAME_BYTES));
  };
  write(silence(700));
  write(audio.subarray(0, 1600));
  stream.hint('speech-started');
  write(audio.subarray(1600));
  write(silence(300));
  stream.hint('speech-ended');
}

/** Says it and waits for the final transcript. */
export async function recognise(listening: Listening, audio: Uint8Array): Promise<Final> {
  const from = listening.heard.parts.length;
  say(listening, audio);
  return listening.heard.until(isFinal, from);
}

export type AudioChunk = Extract<TtsPart, { type: 'audio-chunk' }>;
export const isAudio = (part: TtsPart): part is AudioChunk => part.type === 'audio-chunk';
export const isFinished = (part: TtsPart): part is Extract<TtsPart, { type: 'utterance-finished' }> =>
  part.type === 'utterance-finished';

export interface Speaking {
  readonly stream: TtsStream;
  readonly spoken: Collector<TtsPart>;
}

export function openSpeaker(tts: TtsProvider, voice: string, context: StreamContext): Speaking {
  const spoken = new Collector<TtsPart>();
  return { stream: tts.open({ voice, language: 'en' }, spoken.sink, context), spoken };
}

/** Speaks clauses as one utterance; all its audio. */
export async function speak({ stream, spoken }: Speaking, id: string, ...clauses: string[]): Promise<Uint8Array> {
  for (const clause of clauses) stream.speak(id, clause);
  stream.finish(id);
  await spoken.until(
    (part): part is TtsPart => part.type !== 'audio-chunk' && 'utteranceId' in part && part.utteranceId === id,
  );
  return Buffer.concat(
    spoken.parts
      .filter(isAudio)
      .filter(({ utteranceId }) => utteranceId === id)
      .map(({ audio }) => audio),
  );
}
