/** What the pipeline needs from outside, and tells the outside: the only module of the pipeline that `control` may import. */
import type { QuestionAndAnswer } from './providers/spec.ts';

export { fixedPhrases } from './fixed-phrases.ts';
export type { QuestionAndAnswer } from './providers/spec.ts';

/** One provider of a stage; the first healthy one of the list serves. */
export interface RouteEntry {
  readonly provider: string;
  readonly model?: string | undefined;
  readonly voice?: string | undefined;
  /** Of a route's entries with a weight one is drawn to be the first, in proportion to it; without weights the order counts. */
  readonly weight?: number | undefined;
  /** The vendor's own options; `region` also tells apart what is known of the provider's health. */
  readonly options?: Readonly<Record<string, unknown>> | undefined;
}

/** When the agent speaks, waits and yields. */
export interface TurnTakingSettings {
  /** Whether the caller can talk over the first message. */
  readonly interruptibleFirstMessage: boolean;
  /** Voiced caller audio of at least this length, while the agent is audible, silences it until it is known what was said. */
  readonly bargeInMs: number;
  /** The caller must have said this many words, backchannels not counted, to take the floor. */
  readonly bargeInMinWords: number;
  /** The agent goes on when nothing was recognised for this long after it was silenced. */
  readonly falseAlarmMs: number;
  /** After this many false alarms in a row a barge-in needs three times `bargeInMs`, for `coolDownMs`; 0: never. */
  readonly coolDownAfter: number;
  readonly coolDownMs: number;
  /** Words by which a listener says "go on"; undefined: the language's own list. */
  readonly backchannels: readonly string[] | undefined;
  /** Texts (legal ones, say) that are always spoken to their end. */
  readonly neverInterrupt: readonly string[];
  /** Wait after a complete sentence or a plain yes or no. */
  readonly endOfTurnSilenceMs: number;
  /** Wait after what is clearly not finished ("my number is", "and um"). */
  readonly incompleteSilenceMs: number;
  /** Wait while the caller dictates a number, an address or a spelled name. */
  readonly dictationSilenceMs: number;
  /** The caller waits this long for a reply, and hears a filler. */
  readonly fillerAfterMs: number;
  /** A turn without a reply for this long gets a spoken apology and a logged reason. */
  readonly turnDeadlineMs: number;
  readonly speculation: SpeculationSettings;
}

/** Beginning a reply before it is certain that the caller is done. */
export interface SpeculationSettings {
  readonly enabled: boolean;
  /** Replies begun on a guess, per turn. */
  readonly maxTries: number;
  /** Tokens that a call may spend on guesses that were wrong; then it guesses no more. */
  readonly wastedTokenBudget: number;
}

/** What the agent does when nobody says anything. */
export interface SilenceSettings {
  readonly reminderAfterMs: number;
  readonly reminderMessage: string;
  /** Reminders before the agent takes its leave; 0: it never hangs up for silence. */
  readonly maxReminders: number;
}

/** What the agent does when no provider can serve the call any more, after saying so. */
export interface FallbackSettings {
  readonly action: 'hang-up' | 'message' | 'transfer';
  /** Said before it; empty: a phrase in the agent's language. */
  readonly message: string;
  /** E.164; with `transfer`. */
  readonly transferTo: string | undefined;
}

/** What only the telephone's operator can do with a call. */
export interface CallControl {
  /** Connects the caller to another number; the media stream ends by that. Rejects when the operator refuses. */
  transfer(callSid: string, to: string): Promise<void>;
}

/** What may be done to a live call of this process; false: there is none of this name. */
export interface LiveCallControl {
  /** Ends the call at once. */
  hangUp(callSid: string): boolean;
  /** The agent says this now, instead of what it may be saying. */
  say(callSid: string, text: string): boolean;
  /** Connects the caller to another number; the call ends by that. Rejects when the operator refuses, and the call goes on. */
  transfer(callSid: string, to: string): Promise<boolean>;
}

/** An agent as the pipeline runs it. Immutable during a call. */
export interface AgentConfig {
  readonly id: string;
  readonly version: number;
  readonly name: string;
  /** `{{name}}` stands for a variable, here and in the first message, until a call fills it. */
  readonly systemPrompt: string;
  /** Spoken when the call begins; empty: the agent waits for the caller. */
  readonly firstMessage: string;
  /** What `{{name}}` stands for unless a call says otherwise. */
  readonly variables: Readonly<Record<string, string>>;
  readonly language: string;
  readonly stt: readonly RouteEntry[];
  readonly llm: readonly RouteEntry[];
  readonly tts: readonly RouteEntry[];
  readonly turnTaking: TurnTakingSettings;
  readonly questionsAndAnswers: readonly QuestionAndAnswer[];
  /** When the caller says one of these, the agent says goodbye and hangs up. */
  readonly endCallPhrases: readonly string[];
  /** Whether the model may end the call itself, by a tool; some small models cannot be offered tools. */
  readonly endCallTool: boolean;
  /** Said before the agent hangs up. */
  readonly goodbyeMessage: string;
  readonly silence: SilenceSettings;
  readonly fallback: FallbackSettings;
  readonly maxDurationMs: number;
  /** How long before `maxDurationMs` the caller is told; 0: not. */
  readonly durationWarningMs: number;
}

export type { CallEndReason, CallEvent, CallEventBody, CallUsage, TurnStages } from './events.ts';
