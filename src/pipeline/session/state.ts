/** The state of a call as a pure value, the events that change it and the actions that a step asks for. No I/O, no clock. */
import type { Heard, HeardSpeech } from '../../media/playout.ts';
import type { CallEndReason, CallEventBody, SpeechKind } from '../events.ts';
import type { AgentConfig } from '../ports.ts';
import type { LlmMessage, LlmTool, ToolCall } from '../providers/spec.ts';
import { createChunker } from '../text/chunker.ts';
import type { ChunkerState } from '../text/chunker.ts';
import { NOTHING_TOLD } from './known-words.ts';
import type { TimedWords } from './known-words.ts';
import type { Overlap } from './turn-taking/echo.ts';
import { NEW_RHYTHM } from './turn-taking/rhythm.ts';
import type { Rhythm } from './turn-taking/rhythm.ts';

/** A clause of a reply: as the model wrote it, and as it is read aloud. */
export interface Clause {
  readonly original: string;
  readonly spoken: string;
}

/** What the voice detector hears. Times are on the call's clock. */
export type Voice =
  | { readonly type: 'silent' }
  /** `speechMs` of it was voiced so far, `lastVoicedAtMs` for the last time. `faded`: by its energy it has gone quiet. */
  | {
      readonly type: 'speaking';
      readonly startedAtMs: number;
      readonly speechMs: number;
      readonly lastVoicedAtMs: number;
      readonly faded: boolean;
    }
  | {
      readonly type: 'paused';
      readonly startedAtMs: number;
      readonly endedAtMs: number;
      readonly detectedAtMs: number;
    };

/** What the caller is saying and nobody has answered yet. */
export interface CallerTurn {
  readonly voice: Voice;
  /** Text that the recogniser will not change any more. */
  readonly finals: readonly string[];
  readonly interim: string;
  /** The newest guess that was one, and when each word of it was first told; kept beside finals that say nothing of it. */
  readonly guessTold: TimedWords;
  /** What a recogniser that was lost had guessed: its successor may hear the end of it only, and make that final. */
  readonly lostGuess: string;
  /** The same with the times, and kept: the successor may have more to say before it comes to those words. */
  readonly lostTold: TimedWords;
  /** The successor has said words of it: one that then says none has gone on to others. */
  readonly lostGuessMet: boolean;
  /** The guess as it was when the recogniser answered for all audio without a word: it has taken that back, or lost its final. */
  readonly leftOut: string;
  /** The recogniser has answered for all audio up to the pause. */
  readonly settled: boolean;
  /** When the newest transcript arrived. */
  readonly transcriptAtMs: number | undefined;
  /**
   * What a recogniser that decides turns itself (Flux) says of this one; `none`: the recogniser leaves that to us.
   * `open`: such a recogniser, and the caller is not done. `likely`: probably done. `ended`: done.
   */
  readonly modelTurn: 'none' | 'open' | 'likely' | 'ended';
  /** Keys were pressed: until when another one may follow. */
  readonly keysUntilMs: number | undefined;
  /** Keys that were pressed after words that are not final yet. */
  readonly keys: string;
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
  /** How many of the clauses have gone to the synthesiser; of a guess only the first does. */
  readonly clausesSpoken: number;
  /** The model's own words have begun; before, there can only be a filler. */
  readonly answered: boolean;
  readonly fillerSpoken: boolean;
  readonly chunker: ChunkerState;
  /** The model will write no more. */
  readonly modelFinished: boolean;
  readonly toolCalls: readonly ToolCall[];
  /** Pieces of text received from the model: about as many tokens. */
  readonly tokens: number;
  readonly interruptible: boolean;
  /** When the caller's turn was over, or the agent decided to speak. */
  readonly sinceMs: number;
  /** Something must be audible by then. */
  readonly deadlineAtMs: number;
  readonly afterwards:
    | { readonly type: 'listen' }
    | { readonly type: 'hang-up'; readonly reason: CallEndReason }
    | { readonly type: 'transfer'; readonly to: string };
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
 * - `speaking`: audio of the reply is going to the caller.
 * - `held`: the caller made a sound, so the agent is silent until it is known whether that was meant. Left by a barge-in
 *   (`listening`) or by resuming (`speaking`); never for longer than `falseAlarmMs`.
 * - `ended`: nothing happens any more.
 */
export type Phase =
  | { readonly type: 'listening' }
  | { readonly type: 'thinking'; readonly reply: Reply }
  | { readonly type: 'speaking'; readonly reply: Reply }
  | { readonly type: 'held'; readonly reply: Reply; readonly sinceMs: number }
  | { readonly type: 'ended'; readonly reason: CallEndReason };

/** A reply begun on what the caller had said so far, in case that was all. Only while listening. */
export interface Speculation {
  readonly reply: Reply;
  readonly startedAtMs: number;
  /** It was the answer to a whole turn, and had come so far, when the caller made another sound. */
  readonly takenBack: Reply | undefined;
}

/** What was said and, for the agent, what of it was heard. */
export type HistoryMessage =
  | { readonly role: 'caller'; readonly text: string }
  | {
      readonly role: 'agent';
      readonly text: string;
      readonly heardText: string;
      readonly tools: readonly { readonly call: ToolCall; readonly result: string }[];
    };

export interface CallState {
  readonly agent: AgentConfig;
  /** The first message is the same in every call of the agent. */
  readonly greetsAlike: boolean;
  readonly startedAtMs: number;
  readonly phase: Phase;
  readonly turn: CallerTurn;
  readonly turnNumber: number;
  readonly nextGeneration: number;
  readonly history: readonly HistoryMessage[];
  /** A reply cut short whose heard part is about to be reported. */
  readonly cut: Reply | undefined;
  readonly speculation: Speculation | undefined;
  /** Guesses made in this turn. */
  readonly guesses: number;
  /** Tokens spent in this call on guesses that were wrong. */
  readonly wastedTokens: number;
  /** The caller's own pauses. */
  readonly rhythm: Rhythm;
  /** The recogniser decides turns itself. */
  readonly modelDecides: boolean;
  /** The recogniser tells words while they are being said; some tell them only at a pause. */
  readonly hasGuessed: boolean;
  /**
   * Words that have been counted though they were not final: the transcripts that follow say them again before they say
   * anything new.
   */
  readonly countedInterim: string;
  /** When the last of them had been told at the latest. */
  readonly countedAtMs: number;
  /** The recogniser has answered for all audio since, without a final of them. */
  readonly countedIsSettled: boolean;
  /** A recogniser has just begun: it may have heard the counted words from the middle on only. */
  readonly recogniserIsNew: boolean;
  /** What was last taken for the caller's whole turn: a transcript of it that comes late is no new turn. */
  readonly lastTurnText: string;
  /** The caller's words whose answer was taken back last, before it was audible. */
  readonly withdrawnText: string;
  /** False alarms in a row, and until when barge-ins are harder for that. */
  readonly falseAlarms: number;
  readonly coolDownUntilMs: number;
  /** The last sound, if it was taken for a false alarm before any words of it came: those may still come. */
  readonly falseAlarm: { readonly atMs: number; readonly heard: HeardSpeech | undefined } | undefined;
  /** When the sound began that was a false alarm: it silences the agent no more, but words of it still make a barge-in. */
  readonly ignoredVoiceMs: number | undefined;
  /** What the agent was saying while the caller's line sounded last. */
  readonly overlap: Overlap | undefined;
  /** The line has been found to echo: until then sounds alone do not silence the agent. */
  readonly echoesUntilMs: number;
  /** How much of the current reply was heard when that last mattered: while the caller speaks, and while it must not be cut. */
  readonly heard: HeardSpeech | undefined;
  /** Turns in a row in which the caller spoke and nothing was understood. */
  readonly misheardTurns: number;
  /** Turns in a row that no provider could answer. */
  readonly failedTurns: number;
  /** Since when nobody has said anything. */
  readonly quietSinceMs: number;
  readonly reminders: number;
  readonly durationWarned: boolean;
}

export type SessionEvent =
  | { readonly type: 'call-started' }
  /** The voice detector: the caller has been speaking since `startedAtMs`. */
  | { readonly type: 'voice-started'; readonly startedAtMs: number }
  /** The voice detector: the same speech goes on. `heard`: how much of the current reply was heard by now. */
  | {
      readonly type: 'voice-continued';
      readonly speechMs: number;
      readonly voicedAtMs: number;
      readonly faded: boolean;
      readonly heard: HeardSpeech | undefined;
    }
  /** How much of the current reply was heard by now; told before every other event where some texts must be spoken to their end. */
  | { readonly type: 'reply-observed'; readonly heard: HeardSpeech | undefined }
  /** The same speech has gone quiet, by its energy: perhaps its end. */
  | { readonly type: 'voice-faded' }
  /** The voice detector: the caller has been silent since `endedAtMs`. */
  | { readonly type: 'voice-ended'; readonly endedAtMs: number }
  /**
   * A recogniser is there, perhaps in place of one that was lost: it begins with what had not become final of the audio, or with
   * the end of that: what came in since `hearsFromMs`.
   */
  | { readonly type: 'recogniser-opened'; readonly hearsFromMs: number }
  | { readonly type: 'transcript-interim'; readonly text: string; readonly confidence: number }
  /** `settled`: the recogniser holds that the caller has paused, or has answered the local detector's hint that they have. */
  | {
      readonly type: 'transcript-final';
      readonly text: string;
      readonly confidence: number;
      readonly settled: boolean;
    }
  /** From a recogniser that decides turns itself; the texts are the whole turn's. */
  | { readonly type: 'turn-end-likely'; readonly text: string }
  | { readonly type: 'turn-resumed' }
  | { readonly type: 'turn-ended'; readonly text: string; readonly confidence: number }
  | { readonly type: 'stt-failed'; readonly code: string }
  | { readonly type: 'llm-text'; readonly generation: number; readonly text: string }
  | { readonly type: 'llm-tool'; readonly generation: number; readonly call: ToolCall }
  | { readonly type: 'llm-finished'; readonly generation: number }
  | { readonly type: 'llm-failed'; readonly generation: number; readonly code: string }
  | { readonly type: 'tts-failed'; readonly generation: number; readonly code: string }
  /** The first audio of the reply went out on the wire. */
  | { readonly type: 'reply-audible'; readonly generation: number }
  /** All of the reply has been heard. */
  | { readonly type: 'reply-heard'; readonly heard: Heard }
  /** Answer to the action `cut-reply`: how much had been heard; undefined: no audio had been made. */
  | { readonly type: 'reply-cut'; readonly generation: number; readonly heard: HeardSpeech | undefined }
  /** Answer to the action `resume-reply`. */
  | { readonly type: 'reply-resumed'; readonly generation: number; readonly repeatedMs: number }
  | { readonly type: 'dtmf'; readonly digit: string }
  /** The server must stop: the agent says so and hangs up. */
  | { readonly type: 'leave' }
  /** Somebody outside has the agent say this. */
  | { readonly type: 'say'; readonly text: string }
  | { readonly type: 'call-lost'; readonly reason: CallEndReason }
  | { readonly type: 'tick' };

export type Action =
  | {
      readonly type: 'start-llm';
      readonly generation: number;
      readonly messages: readonly LlmMessage[];
      readonly tools: readonly LlmTool[];
    }
  /**
   * The synthesiser is to say this; the first one of a generation makes it the reply being played. `held`: its audio waits
   * for `resume-reply`. `fixed`: the same text is spoken in other calls too.
   */
  | {
      readonly type: 'speak';
      readonly generation: number;
      readonly text: string;
      readonly held: boolean;
      readonly fixed: boolean;
    }
  | { readonly type: 'finish-speech'; readonly generation: number }
  /** Silence the caller's line, but keep the reply. */
  | { readonly type: 'hold-reply'; readonly generation: number }
  /** Let the audio of a held reply go; the driver answers with `reply-resumed`. */
  | { readonly type: 'resume-reply'; readonly generation: number }
  /** Abort model and synthesiser, silence the caller's line; the driver answers with `reply-cut` before anything else. */
  | { readonly type: 'cut-reply'; readonly generation: number }
  | { readonly type: 'hang-up' }
  /** Connect the caller to another number, then let the line go. */
  | { readonly type: 'transfer'; readonly to: string }
  | { readonly type: 'emit'; readonly event: CallEventBody };

/** A turn in which nothing has been said. */
export function emptyTurn(modelDecides: boolean): CallerTurn {
  return {
    voice: { type: 'silent' },
    finals: [],
    interim: '',
    guessTold: NOTHING_TOLD,
    leftOut: '',
    lostGuess: '',
    lostTold: NOTHING_TOLD,
    lostGuessMet: false,
    settled: false,
    transcriptAtMs: undefined,
    modelTurn: modelDecides ? 'open' : 'none',
    keysUntilMs: undefined,
    keys: '',
  };
}

export function newCall(agent: AgentConfig, nowMs: number, greetsAlike = true): CallState {
  return {
    agent,
    greetsAlike,
    startedAtMs: nowMs,
    phase: { type: 'listening' },
    turn: emptyTurn(false),
    turnNumber: 0,
    nextGeneration: 1,
    history: [],
    cut: undefined,
    speculation: undefined,
    guesses: 0,
    wastedTokens: 0,
    rhythm: NEW_RHYTHM,
    modelDecides: false,
    hasGuessed: false,
    countedInterim: '',
    countedAtMs: nowMs,
    countedIsSettled: false,
    recogniserIsNew: false,
    lastTurnText: '',
    withdrawnText: '',
    falseAlarms: 0,
    coolDownUntilMs: 0,
    falseAlarm: undefined,
    ignoredVoiceMs: undefined,
    overlap: undefined,
    echoesUntilMs: 0,
    heard: undefined,
    misheardTurns: 0,
    failedTurns: 0,
    quietSinceMs: nowMs,
    reminders: 0,
    durationWarned: false,
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
    clausesSpoken: 0,
    answered: false,
    fillerSpoken: false,
    chunker: createChunker({ language: state.agent.language }),
    modelFinished: false,
    toolCalls: [],
    tokens: 0,
    interruptible: true,
    sinceMs: nowMs,
    deadlineAtMs: nowMs + state.agent.turnTaking.turnDeadlineMs,
    afterwards: { type: 'listen' },
    trace: { turn: state.turnNumber },
  };
}

/** The reply that the call is busy with, if any. */
export function currentReply(state: CallState): Reply | undefined {
  const { phase } = state;
  return phase.type === 'listening' || phase.type === 'ended' ? undefined : phase.reply;
}
