/** What the recogniser and its worker threads say to each other. */
import type { TranscribedWord } from '../spec.ts';
import type { SkippedPhrase } from './grammar.ts';

/** To the worker. Utterance ids are unique in the process. */
export type RecogniserRequest =
  /** Builds the grammar ahead of the first utterance. */
  | { readonly type: 'prepare'; readonly streamId: number; readonly phrases: readonly string[] }
  /** `audio`: what was kept from before the voice detector noticed. */
  | {
      readonly type: 'utterance-start';
      readonly utteranceId: number;
      readonly streamId: number;
      readonly audio: Uint8Array;
    }
  | { readonly type: 'audio'; readonly utteranceId: number; readonly audio: Uint8Array }
  | { readonly type: 'utterance-end'; readonly utteranceId: number }
  /** The call is over: its grammar and unfinished utterances are dropped. */
  | { readonly type: 'forget'; readonly streamId: number };

/** From the worker. Times of words count from the start of the utterance's audio. */
export type RecogniserReply =
  | { readonly type: 'ready' }
  /** The worker is busy, but alive. */
  | { readonly type: 'progress' }
  | {
      readonly type: 'prepared';
      readonly streamId: number;
      readonly phrases: number;
      readonly skipped: readonly SkippedPhrase[];
    }
  | { readonly type: 'interim'; readonly utteranceId: number; readonly text: string; readonly confidence: number }
  | {
      readonly type: 'final';
      readonly utteranceId: number;
      /** Empty: no words, or none that can be believed. */
      readonly text: string;
      readonly confidence: number;
      readonly words: readonly TranscribedWord[];
      /** For the log and for measurements: what was recognised before the rejection, and its score. */
      readonly rejectedText: string;
      readonly score: number;
    }
  | { readonly type: 'utterance-failed'; readonly utteranceId: number; readonly reason: string };
