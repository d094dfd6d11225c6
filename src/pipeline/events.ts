/** The ordered, typed event log of a call, which transcripts, metrics and the console read. */

/** Why a call ended; every call has exactly one. */
export type CallEndReason =
  | 'caller-hung-up'
  | 'agent-hung-up'
  | 'max-duration'
  | 'caller-silent'
  | 'connection-lost'
  | 'connection-idle'
  | 'protocol-violation'
  | 'server-shutdown'
  /** No provider could serve, and the agent's fallback was to take leave. */
  | 'providers-down'
  /** No provider could serve, and the caller was connected to a person. */
  | 'transferred'
  | 'internal-error';

/** What the agent was saying. */
export type SpeechKind = 'greeting' | 'reply' | 'filler' | 'apology' | 'reminder' | 'warning' | 'goodbye';

/** Stages of one turn in ms after the caller's true end of speech; absent: the stage was not reached. */
export interface TurnStages {
  /** Where the caller's speech ended, in ms since the call began. */
  readonly speech_ended_at_ms: number;
  readonly speech_end_detected_ms?: number;
  readonly transcript_ms?: number;
  readonly turn_confirmed_ms?: number;
  readonly first_token_ms?: number;
  /** The first clause went to the synthesiser. */
  readonly first_clause_ms?: number;
  /** The first audio of the reply went out on the phone's wire. */
  readonly first_audio_ms?: number;
}

/** What a call has asked of providers so far, by provider and model; null: the provider has no models. */
export interface CallUsage {
  readonly stt: readonly { readonly provider: string; readonly model: string | null; readonly audio_ms: number }[];
  readonly llm: readonly {
    readonly provider: string;
    readonly model: string | null;
    readonly requests: number;
    /** Of these, the ones whose tokens are not known, or not all. */
    readonly unreported_requests: number;
    readonly input_tokens: number;
    readonly output_tokens: number;
  }[];
  readonly tts: readonly { readonly provider: string; readonly model: string | null; readonly characters: number }[];
}

/** `at_ms` counts from the start of the call; the field names are those of the HTTP API. */
export type CallEvent = { readonly at_ms: number } & CallEventBody;

export type CallEventBody =
  | { readonly type: 'call-started' }
  | { readonly type: 'caller-speech-started' }
  | { readonly type: 'caller-speech-ended' }
  | { readonly type: 'transcript'; readonly text: string; readonly final: boolean; readonly confidence: number }
  /** `waited_ms`: how long after the newest transcript the turn was taken for finished; absent when there was none (keys). */
  | { readonly type: 'turn-confirmed'; readonly turn: number; readonly text: string; readonly waited_ms?: number }
  /** The caller's words as they went into the history; unlike a confirmed turn they are final. */
  | { readonly type: 'caller-said'; readonly turn: number; readonly text: string }
  | { readonly type: 'first-token'; readonly turn: number }
  | { readonly type: 'first-audio'; readonly turn: number }
  | { readonly type: 'agent-clause'; readonly kind: SpeechKind; readonly text: string }
  /** A reply was begun on what the caller had said so far, `waited_ms` after the newest transcript. */
  | { readonly type: 'speculation-started'; readonly text: string; readonly waited_ms?: number }
  /** The caller had indeed said just that: the reply was released. `lead_ms`: how long before it was begun. */
  | { readonly type: 'speculation-hit'; readonly lead_ms: number }
  | { readonly type: 'speculation-missed'; readonly wasted_tokens: number }
  /** The caller made a sound while the agent spoke: the agent is silenced until it is known what was said. */
  | { readonly type: 'interruption-suspected' }
  /** It was nothing, or only a "go on". */
  | {
      readonly type: 'false-interruption';
      readonly cause: 'nothing-recognised' | 'backchannel' | 'echo';
      readonly text: string;
    }
  /** The agent goes on; `repeated_ms` of what had been heard is said again, to begin at a word. */
  | { readonly type: 'resumed'; readonly repeated_ms: number }
  /** The caller took the floor. */
  | { readonly type: 'barge-in' }
  | { readonly type: 'tool-called'; readonly name: string }
  | { readonly type: 'tool-finished'; readonly name: string; readonly result: string }
  | {
      readonly type: 'agent-said';
      readonly kind: SpeechKind;
      readonly text: string;
      readonly heard_text: string;
      readonly heard_ms: number;
      readonly interrupted: boolean;
    }
  | { readonly type: 'turn-traced'; readonly turn: number; readonly stages: TurnStages }
  | {
      readonly type: 'turn-failed';
      readonly turn: number;
      readonly stage: 'stt' | 'llm' | 'tts';
      readonly code: string;
    }
  /** Another provider serves this stage of the call; `code`: what was wrong with the one before. */
  | {
      readonly type: 'provider-switched';
      readonly stage: 'stt' | 'llm' | 'tts';
      readonly from: string;
      readonly to: string;
      readonly code: string;
    }
  /**
   * Comes now and then, and `final` just before the end. Counts from the start of the stream that carries the call, `stream` by its
   * number among those of this process: of one call there may be two.
   */
  | {
      readonly type: 'usage-counted';
      readonly stream: number;
      readonly final: boolean;
      readonly usage: CallUsage;
    }
  | { readonly type: 'dtmf'; readonly digit: string }
  | { readonly type: 'call-ended'; readonly reason: CallEndReason };
