/** Voice activity detection as the floors above see it: who makes detectors, what they take and what they tell. */

/**
 * What a detector says about its caller. All times are positions in the audio written so far, in milliseconds:
 * the first byte is at 0, each byte is an eighth of a millisecond. Order: started, continued or faded…, ended, started, …
 */
export type VadEvent =
  /** The caller has spoken for `minSpeechMs`. */
  | {
      readonly type: 'speech-started';
      /** Where the speech began, as best estimated. */
      readonly atMs: number;
      /** Where the audio ended that convinced the detector; `detectedAtMs - atMs` is its delay. */
      readonly detectedAtMs: number;
    }
  /** One more window of the same speech (every 32 ms, but not during its short pauses). `faded`: as `speech-faded` has it. */
  | {
      readonly type: 'speech-continued';
      readonly startedAtMs: number;
      /** How much of it was voiced, since `startedAtMs` and pauses left out: what a barge-in threshold compares with. */
      readonly speechMs: number;
      readonly faded: boolean;
      readonly detectedAtMs: number;
    }
  /**
   * By its energy the voice has been gone since `atMs`, for 40 ms or more: the end of speech, or a gap between words or within
   * one. An end shows so some 60 ms before the model is sure of it. Taken back by a `speech-continued` that is not `faded`.
   */
  | {
      readonly type: 'speech-faded';
      readonly startedAtMs: number;
      readonly atMs: number;
      readonly detectedAtMs: number;
    }
  /** The caller has been silent for `minSilenceMs`. Longer silences are the policy's to count, from `atMs`. */
  | {
      readonly type: 'speech-ended';
      readonly startedAtMs: number;
      readonly speechMs: number;
      /** Where the speech ended and the silence began, as best estimated. */
      readonly atMs: number;
      readonly detectedAtMs: number;
    };

/** Takes a detector's events. With Silero all but `speech-faded` come later than the `write` that caused them; none after `close`. */
export interface VadSink {
  onEvent(event: VadEvent): void;
}

/** How sure and how patient a detector is; per call. */
export interface VadSettings {
  /** A window with at least this probability of speech begins speech, or resumes it after a pause. */
  readonly onThreshold: number;
  /** A window below this one begins a pause. Between the two nothing changes. */
  readonly offThreshold: number;
  /** Windows that sound like speech before `speech-started`: whole ones of 32 ms (rounded up). */
  readonly minSpeechMs: number;
  /** Silence, from the estimated end of the speech, before `speech-ended`. */
  readonly minSilenceMs: number;
}

export const DEFAULT_VAD_SETTINGS: VadSettings = {
  onThreshold: 0.5,
  offThreshold: 0.35,
  minSpeechMs: 64,
  minSilenceMs: 200,
};

/** Listens to one call. */
export interface VadDetector {
  /** How much audio has been judged, in milliseconds: whole windows, and behind what was written. */
  readonly positionMs: number;
  /** Takes μ-law audio of any length and keeps no reference to it. After `close` it does nothing. */
  write(mulaw: Uint8Array): void;
  /** No event follows, not even one that is being computed. Idempotent. */
  close(): void;
}

/**
 * Makes detectors. One engine serves the whole process; whoever loaded it closes it.
 *
 * When judging falls behind (a burst after a network stall), a call keeps its last 64 windows (2 s) and drops the
 * oldest; a dropped window counts as one like its predecessor, so times stay true.
 */
export interface VadEngine {
  readonly name: 'silero' | 'energy';
  /** Windows of all calls dropped since the start. */
  readonly droppedWindows: number;
  createDetector(sink: VadSink, settings?: Partial<VadSettings>): VadDetector;
  /** Ends the engine and every detector; resolves when no inference runs any more. Idempotent. */
  close(): Promise<void>;
}

/** Samples (and μ-law bytes) that are judged at once: 32 ms, the only window that Silero takes at 8 kHz. */
export const WINDOW_SAMPLES = 256;
/** Length of that window. */
export const WINDOW_MS = 32;
