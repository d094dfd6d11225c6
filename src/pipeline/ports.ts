/** What the pipeline needs from outside, and tells the outside: the only module of the pipeline that `control` may import. */
import type { QuestionAndAnswer } from './providers/spec.ts';

export type { QuestionAndAnswer } from './providers/spec.ts';

/** One provider of a stage; the first healthy one of the list serves. */
export interface RouteEntry {
  readonly provider: string;
  readonly model?: string | undefined;
  readonly voice?: string | undefined;
  readonly options?: Readonly<Record<string, unknown>> | undefined;
}

/** When the agent speaks, waits and yields. */
export interface TurnTakingSettings {
  /** Whether the caller can talk over the first message. */
  readonly interruptibleFirstMessage: boolean;
  /** Caller speech of at least this length, while the agent is audible, interrupts it. */
  readonly bargeInMs: number;
  /** Silence after the caller's speech that ends a turn. */
  readonly endOfTurnSilenceMs: number;
  /** A turn without a reply for this long gets a spoken apology and a logged reason. */
  readonly turnDeadlineMs: number;
}

/** An agent as the pipeline runs it. Immutable during a call. */
export interface AgentConfig {
  readonly id: string;
  readonly version: number;
  readonly name: string;
  readonly systemPrompt: string;
  /** Spoken when the call begins; empty: the agent waits for the caller. */
  readonly firstMessage: string;
  readonly language: string;
  readonly stt: readonly RouteEntry[];
  readonly llm: readonly RouteEntry[];
  readonly tts: readonly RouteEntry[];
  readonly turnTaking: TurnTakingSettings;
  readonly questionsAndAnswers: readonly QuestionAndAnswer[];
  /** When the caller says one of these, the agent says goodbye and hangs up. */
  readonly endCallPhrases: readonly string[];
  /** Said before the agent hangs up. */
  readonly goodbyeMessage: string;
  readonly maxDurationMs: number;
}

export type { CallEndReason, CallEvent, CallEventBody, TurnStages } from './events.ts';
