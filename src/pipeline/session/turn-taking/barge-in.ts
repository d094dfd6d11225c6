/**
 * Does the caller take the floor? In two steps: a sound silences the agent at once; what was said, or that nothing was, decides.
 */
import type { HeardSpeech } from '../../../media/playout.ts';
import type { TurnTakingSettings } from '../../ports.ts';
import { heardText } from '../../text/heard-text.ts';
import { heardCharacters } from '../heard.ts';
import type { CallState, CallerTurn, Clause } from '../state.ts';
import { asksForNothing, isBackchannel, meaningfulWords } from './backchannel.ts';
import { isEcho } from './echo.ts';
import { turnText } from './endpointing.ts';

/** During a cool-down a sound must be this many times as long. */
const COOL_DOWN_FACTOR = 3;

/** Whether the caller's sound is long enough to silence the agent. Only voiced audio counts, so that a click does not. */
export function silencesAgent(turn: CallerTurn, settings: TurnTakingSettings, coolingDown: boolean): boolean {
  const neededMs = settings.bargeInMs * (coolingDown ? COOL_DOWN_FACTOR : 1);
  return turn.voice.type === 'speaking' && turn.voice.speechMs >= neededMs;
}

/** What the caller is saying, and the agent was while they were. */
export type Interruption = Pick<CallState, 'turn' | 'overlap' | 'agent' | 'phase'>;

/**
 * Whether what was recognised is enough to take the floor. Keys always are: nobody presses one by accident. The agent's own words
 * never are.
 */
export function takesFloor(interruption: Interruption): boolean {
  const { turn, overlap, agent } = interruption;
  if (isOlder(interruption)) return false;
  if (turn.keysUntilMs !== undefined) return true;
  if (onlyWaited(interruption)) return false;
  const text = turnText(turn);
  const { backchannels, bargeInMinWords } = agent.turnTaking;
  return meaningfulWords(text, agent.language, backchannels) >= bargeInMinWords && !isEcho(text, overlap);
}

/** Whether all that the caller has said is from before the agent was told to say this: they get their answer to it after that. */
function isOlder({ turn, phase }: Interruption): boolean {
  return 'reply' in phase && turn.transcriptAtMs !== undefined && turn.transcriptAtMs < phase.reply.sinceMs;
}

/** Whoever begins to speak so soon after the agent does has not heard it yet. */
const UNHEARD_MS = 500;

/** Whether the caller asked where the agent was just as it began to speak: what it says is what they were waiting for. */
export function onlyWaited({ turn, agent, phase }: Interruption): boolean {
  if (turn.voice.type === 'silent' || !('reply' in phase)) return false;
  const { firstAudioAtMs } = phase.reply.trace;
  if (firstAudioAtMs === undefined || turn.voice.startedAtMs > firstAudioAtMs + UNHEARD_MS) return false;
  return asksForNothing(turnText(turn), agent.language);
}

/** So much audio of a reply is left when it is as good as over: who says "yes" then answers it. */
const NEARLY_OVER_MS = 1_000;
/** A question is just being heard from so many characters before its end (0.7 s) to so many after it (1.8 s). */
const BEFORE_QUESTION_MARK = 10;
const AFTER_QUESTION_MARK = 25;
const QUESTION_MARK = /[?？]/u;

/**
 * Whether a "yes" or an "okay" is the answer to what the caller was just hearing, and not a "go on": it came with the end of the
 * reply, or with a question in it.
 */
export function isAnswer(heard: HeardSpeech | undefined, clauses: readonly Clause[]): boolean {
  if (heard === undefined) return false;
  if (heard.finished && heard.pushedMs - heard.heardMs <= NEARLY_OVER_MS) return true;
  const text = clauses.map(({ original }) => original).join('');
  const at = heardText(clauses, heardCharacters(heard, clauses)).heardText.length;
  return QUESTION_MARK.test(text.slice(Math.max(0, at - AFTER_QUESTION_MARK), at + BEFORE_QUESTION_MARK));
}

export type HeldVerdict =
  | { readonly type: 'wait'; readonly untilMs: number }
  | { readonly type: 'barge-in' }
  | {
      readonly type: 'false-alarm';
      readonly cause: 'nothing-recognised' | 'backchannel' | 'echo';
      readonly text: string;
    };

/** The second step: the agent has been silent since `heldSinceMs`; was that right? */
export function judgeHeld(interruption: Interruption, heldSinceMs: number, nowMs: number): HeldVerdict {
  if (takesFloor(interruption)) return { type: 'barge-in' };
  const { turn, overlap, agent } = interruption;
  const text = isOlder(interruption) ? '' : turnText(turn);
  const untilMs = heldSinceMs + agent.turnTaking.falseAlarmMs;
  const answered = turn.voice.type === 'paused' && turn.settled;
  if (nowMs < untilMs && !answered) return { type: 'wait', untilMs };
  if (isEcho(text, overlap)) return { type: 'false-alarm', cause: 'echo', text };
  const isGoOn = isBackchannel(text, agent.language, agent.turnTaking.backchannels) || onlyWaited(interruption);
  const backchannel = text !== '' && isGoOn;
  return { type: 'false-alarm', cause: backchannel ? 'backchannel' : 'nothing-recognised', text };
}

/** Whether the caller is just hearing a text that must be spoken to its end. */
export function isProtected(
  clauses: readonly Clause[],
  heard: HeardSpeech | undefined,
  neverInterrupt: readonly string[],
): boolean {
  if (neverInterrupt.length === 0) return false;
  const text = clauses.map(({ original }) => original).join('');
  const heardLength = heardText(clauses, heardCharacters(heard, clauses)).heardText.length;
  return neverInterrupt.some((span) => {
    const at = startOf(span, text);
    // Its last word counts as heard from the middle on: only when the next one is being heard is it over.
    return at !== undefined && heardLength >= at && heardLength <= at + span.length;
  });
}

/** Where a text stands in another one, or begins at the end of it: the model may not have written the rest yet. */
function startOf(span: string, text: string): number | undefined {
  const at = text.indexOf(span);
  if (at >= 0) return at;
  for (let length = Math.min(span.length - 1, text.length); length > 0; length--) {
    if (text.endsWith(span.slice(0, length))) return text.length - length;
  }
  return undefined;
}
