/** Deepgram's transcription of recordings as pure functions: what is asked of it, and what it answers. */
import { z } from 'zod';
import { BvraiError } from '../../../core/errors.ts';
import type { TranscribedWord } from '../spec.ts';
import { DEFAULT_MODEL, PROVIDER, confidence, keyTerms, seconds, wordShape, wordsOf } from './wire.ts';

/** A finished recording: its bytes in any format with a header (WAV, Ogg, MP3 …), or where the vendor can fetch it. */
export type Recording = { readonly bytes: Uint8Array } | { readonly url: string };

export interface RecordingRequest {
  readonly model?: string | undefined;
  /** BCP 47, e.g. `en`. */
  readonly language: string;
  readonly phrases: readonly string[];
  /** Each channel holds one party: they are transcribed apart. Otherwise they are mixed. */
  readonly multichannel: boolean;
  /** The vendor's own options, passed through. */
  readonly options?: Readonly<Record<string, unknown>> | undefined;
}

/** What was said without a pause on one channel. */
export interface RecordedUtterance {
  /** Counted from 0. */
  readonly channel: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly text: string;
  readonly confidence: number;
  readonly words: readonly TranscribedWord[];
}

/** Times are milliseconds from the start of the recording. */
export interface RecordingTranscript {
  readonly durationMs: number;
  readonly channelCount: number;
  /** By their beginnings, all channels together: a conversation in order. */
  readonly utterances: readonly RecordedUtterance[];
}

/** Query parameters: our defaults, then the route's options, then what the reading of the answer needs. */
export function recordingQuery(request: RecordingRequest): Readonly<Record<string, unknown>> {
  const model = request.model ?? DEFAULT_MODEL;
  const query: Record<string, unknown> = {
    language: request.language,
    smart_format: true,
    ...(model.startsWith('nova-3') ? { keyterm: keyTerms(request.phrases) } : {}),
    ...request.options,
    model,
    multichannel: request.multichannel,
    utterances: true,
    // With one the answer would go elsewhere.
    callback: null,
  };
  for (const [name, value] of Object.entries(query)) if (value === null || value === undefined) delete query[name];
  return query;
}

const utteranceShape = z.object({
  channel: z.int().min(0).catch(0),
  start: seconds,
  end: seconds,
  transcript: z.string(),
  confidence,
  words: z.array(wordShape).catch([]),
});

const transcriptShape = z.object({
  metadata: z.object({ duration: seconds, channels: z.int().min(1).catch(1) }),
  results: z.object({ utterances: z.array(utteranceShape) }),
});

/** Reads the answer's JSON; throws `provider.protocol` when it is not a transcript. */
export function parseRecordingTranscript(value: unknown): RecordingTranscript {
  const parsed = transcriptShape.safeParse(value);
  if (!parsed.success) {
    throw new BvraiError('provider.protocol', 'deepgram answered with something that is not a transcript.', {
      details: { provider: PROVIDER },
    });
  }
  const { metadata, results } = parsed.data;
  const utterances = results.utterances
    .map((each): RecordedUtterance => ({
      channel: each.channel,
      startMs: each.start * 1000,
      endMs: each.end * 1000,
      text: each.transcript,
      confidence: each.confidence,
      words: wordsOf(each.words),
    }))
    .sort((a, b) => a.startMs - b.startMs);
  return { durationMs: metadata.duration * 1000, channelCount: metadata.channels, utterances };
}
