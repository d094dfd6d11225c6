/** What every check of a simulated call is given, and what it may be told. */
import type { AgentConfig } from '../../../src/pipeline/ports.ts';
import type { CallEvent } from '../../../src/pipeline/events.ts';
import type { LlmRequest, SttPart } from '../../../src/pipeline/providers/spec.ts';
import type { VadEvent } from '../../../src/media/vad/vad.ts';
import type { CallerVoice } from '../caller-voice.ts';
import type { FarSide, Speech } from '../far-side.ts';
import type { Profile } from '../profile.ts';
import type { Run } from '../sample-code.ts';
import type { TakeBook } from '../takes.ts';

export type Invariant =
  /** A caller who spoke gets a reply or a logged reason in time. */
  | 'reply'
  /** The line never falls silent for good. */
  | 'silence'
  /** The user messages are what was recognised: nothing lost, invented, repeated or moved. */
  | 'caller-words'
  /** The assistant messages, and what the log says was heard, are what the ear heard. */
  | 'heard-words'
  /** Nothing of an aborted generation on the wire after the clear; a clear whenever the agent is silenced. */
  | 'clear'
  /** A false alarm resumes: nothing lost, at most a clause repeated, at a word. */
  | 'resume'
  /** A held reply is judged in time. */
  | 'hold'
  /** The agent does not talk over its caller. */
  | 'talk-over'
  /** What must be spoken to its end is. */
  | 'protected'
  /** A "yes" to the end of what the agent said becomes a turn. */
  | 'answer'
  /** What was cut is aborted; one generation at a time. */
  | 'abort'
  /** Guesses: bounded, silent, without side effects. */
  | 'speculation'
  | 'tools'
  /** The far buffer is never filled beyond the lead. */
  | 'lead'
  /** One end with one reason, and nothing after it or left of it. */
  | 'end'
  | 'order'
  | 'exception';

export interface Violation {
  readonly invariant: Invariant;
  readonly message: string;
  readonly atMs: number;
}

/** One of the session's own requests to the route of models. */
export interface ModelRequest {
  readonly number: number;
  readonly startedAtMs: number;
  readonly request: LlmRequest;
  open: boolean;
}

export interface CheckContext {
  readonly agent: AgentConfig;
  readonly profile: Profile;
  readonly takes: TakeBook;
  readonly voice: CallerVoice;
  readonly far: FarSide;
  nowMs(): number;
  readonly fail: (invariant: Invariant, message: string) => void;
}

/** A check is told everything, as it happens. What it asserts of one moment it asserts in `settle`, when all of that moment has happened. */
export interface Check {
  onEvent?(event: CallEvent): void;
  onModelRequest?(request: ModelRequest): void;
  onTranscript?(part: SttPart): void;
  onVoice?(event: VadEvent): void;
  onRun?(run: Run, speech: Speech | undefined, kind: 'begins' | 'continues' | 'jumps'): void;
  onClear?(): void;
  /** Our side ends the call. */
  onHangUp?(): void;
  /** After each moment at which something happened, and every 20 ms. */
  settle?(nowMs: number): void;
  /** One second and a half after the end of the call. */
  finish?(nowMs: number): void;
}

/** How uncertain the session may be, for no fault of its own, of where the ear is: its news is this old. */
export function newsAgeMs({ network, marks }: Profile): number {
  const roundTripMs = network.toFarSideMs + network.fromFarSideMs + 2 * network.jitterMs;
  return roundTripMs + (marks === 'late' || marks === 'lossy' ? 1_500 : 0) + stallMs({ network });
}

/** How late the ear may be compared with what the session sent, without the session knowing. */
export function stallMs({ network }: Pick<Profile, 'network'>): number {
  return network.jitterMs + (network.stallChance > 0 ? network.stallMs : 0);
}
