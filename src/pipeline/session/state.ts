/** The state of a call as a pure value, the events that change it and the actions that a step asks for. No I/O, no clock. */
import type { Heard } from '../../media/playout.ts';
import type { CallEndReason, CallEventBody, SpeechKind } from '../events.ts';
import type { AgentConfig } from '../ports.ts';
import type { LlmMessage } from '../providers/spec.ts';
import { createChunker } from '../text/chunker.ts';
import type { ChunkerState } from '../text/chunker.ts';

/** A clause of a reply: as the model wrote it, and as it is read aloud. */
export interface Clause {
  readonly original: string;
  readonly spoken: string;
}

/** What the caller is saying and nobody has answered yet. Times are on the call's clock. */
export interface CallerTurn {
  /** The voice detector hears the caller now, since when; or heard them last, until when. */
  readonly voice:
    | { readonly type: 'silent' }
    | { readonly type: 'speaking'; readonly startedAtMs: number; readonly speechMs: number }
    | {
        readonly type: 'paused';
        readonly startedAtMs: number;
        readonly endedAtMs: number;
        readonly detectedAtMs: number;
      };
  /** Text that the recogniser will not change any more. */
  readonly finals: readonly string[];
  readonly interim: string;
  /** The recogniser has answered for all audio up to the pause. */
  readonly settled: boolean;
  /** When the newest transcript arrived. */
  readonly transcriptAtMs: number | undefined;
  /**
   * What a recogniser that decides turns itself (Flux) says of this one; `none`: the recogniser leaves that to us.
   * `open`: such a recogniser, and the caller is not done. `likely`: probably done. `ended`: done.
   */
  readonly modelTurn: 'none' | 'open' | 'likely' | 'ended';
}

/** Something the agent is about to say or is saying. */
export interface Reply {
  readonly generation: number;
  readonly kind: SpeechKind;
  /** The caller's words that this answers; empty for what the agent says of its own accord. */
  readonly callerText: string;
  /** `callerText` has been written to the history (when the reply became audible). */
  readonly callerTextInHistory: boolean;
  readonly clauses: readonly Clause[];
  readonly chunker: ChunkerState;
  /** All text has gone to the synthesiser. */
  readonly textFinished: boolean;
  readonly interruptible: boolean;
  /** Something must be audible by then. */
  readonly deadlineAtMs: number;
  readonly afterwards: { readonly type: 'listen' } | { readonly type: 'hang-up'; readonly reason: CallEndReason };
  readonly trace: TurnTrace;
}

/** Stamps of one turn, on the call's clock. */
export interface TurnTrace {
  readonly turn: number;
  readonly speechEndedAtMs?: number;
  readonly speechEndDetectedAtMs?: number;
  readonly transcriptAtMs?: number;
  readonly confirmedAtMs?: number;
  readonly firstTokenAtMs?: number;
  readonly firstClauseAtMs?: number;
  readonly firstAudioAtMs?: number;
}

/**
 * - `listening`: the floor is the caller's. Entered at the start, after a reply was heard, and after a barge-in.
 * - `thinking`: a reply is being made and nothing of it is audible; more speech of the caller withdraws it.
 * - `speaking`: audio of the reply is going to the caller; speech of the caller interrupts it.
 * - `ended`: nothing happens any more.
 */
export type Phase =
  | { readonly type: 'listening' }
  | { readonly type: 'thinking'; readonly reply: Reply }
  | { readonly type: 'speaking'; readonly reply: Reply }
  | { readonly type: 'ended'; readonly reason: CallEndReason };

/** What was said and, for the agent, what of it was heard. */
export type HistoryMessage =
  | { readonly role: 'caller'; readonly text: string }
  | { readonly role: 'agent'; readonly text: string; readonly heardText: string };

export interface CallState {
  readonly agent: AgentConfig;
  readonly startedAtMs: number;
  readonly phase: Phase;
  readonly turn: CallerTurn;
  readonly turnNumber: number;
  readonly nextGeneration: number;
  readonly history: readonly HistoryMessage[];
  /** A reply cut short whose heard part is about to be reported. */
  readonly cut: Reply | undefined;
  /** Turns in a row in which the caller spoke and nothing was understood. */
  readonly misheardTurns: number;
}

export type SessionEvent =
  | { readonly type: 'call-started' }
  /** The voice detector: the caller has been speaking since `startedAtMs`. */
  | { readonly type: 'voice-started'; readonly startedAtMs: number }
  /** The voice detector: the same speech goes on; `speechMs` of it was voiced. */
  | { readonly type: 'voice-continued'; readonly speechMs: number }
  /** The voice detector: the caller has been silent since `endedAtMs`. */
  | { readonly type: 'voice-ended'; readonly endedAtMs: number }
  | { readonly type: 'transcript-interim'; readonly text: string; readonly confidence: number }
  /** `settled`: the recogniser holds that the caller has paused, or has answered the local detector's hint that they have. */
  | { readonly type: 'transcript-final'; readonly text: string; readonly confidence: number; readonly settled: boolean }
  | { readonly type: 'stt-failed'; readonly code: string }
  | { readonly type: 'llm-text'; readonly generation: number; readonly text: string }
  | { readonly type: 'llm-finished'; readonly generation: number }
  | { readonly type: 'llm-failed'; readonly generation: number; readonly code: string }
  | { readonly type: 'tts-failed'; readonly generation: number; readonly code: string }
  /** The first audio of the reply went out on the wire. */
  | { readonly type: 'reply-audible'; readonly generation: number }
  /** All of the reply has been heard. */
  | { readonly type: 'reply-heard'; readonly heard: Heard }
  /** Answer to the action `cut-reply`: how much had been heard; undefined: no audio had been made. */
  | { readonly type: 'reply-cut'; readonly generation: number; readonly heard: Heard | undefined }
  | { readonly type: 'dtmf'; readonly digit: string }
  /** The server must stop: the agent says so and hangs up. */
  | { readonly type: 'leave' }
  | { readonly type: 'call-lost'; readonly reason: CallEndReason }
  | { readonly type: 'tick' };

export type Action =
  | { readonly type: 'start-llm'; readonly generation: number; readonly messages: readonly LlmMessage[] }
  /** The synthesiser is to say this; the first one of a generation makes it the reply being played. */
  | { readonly type: 'speak'; readonly generation: number; readonly text: string }
  | { readonly type: 'finish-speech'; readonly generation: number }
  /** Abort model and synthesiser, silence the caller's line; the driver answers with `reply-cut` before anything else. */
  | { readonly type: 'cut-reply'; readonly generation: number }
  | { readonly type: 'hang-up' }
  | { readonly type: 'emit'; readonly event: CallEventBody };

export const EMPTY_TURN: CallerTurn = {
  voice: { type: 'silent' },
  finals: [],
  interim: '',
  settled: false,
  transcriptAtMs: undefined,
  modelTurn: 'none',
};

export function newCall(agent: AgentConfig, nowMs: number): CallState {
  return {
    agent,
    startedAtMs: nowMs,
    phase: { type: 'listening' },
    turn: EMPTY_TURN,
    turnNumber: 0,
    nextGeneration: 1,
    history: [],
    cut: undefined,
    misheardTurns: 0,
  };
}

/** A reply with nothing in it yet. */
export function newReply(state: CallState, kind: SpeechKind, nowMs: number): Reply {
  return {
    generation: state.nextGeneration,
    kind,
    callerText: '',
    callerTextInHistory: false,
    clauses: [],
    chunker: createChunker({ language: state.agent.language }),
    textFinished: false,
    interruptible: true,
    deadlineAtMs: nowMs + state.agent.turnTaking.turnDeadlineMs,
    afterwards: { type: 'listen' },
    trace: { turn: state.turnNumber },
  };
}
