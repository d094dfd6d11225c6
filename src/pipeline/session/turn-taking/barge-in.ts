/**
 * Does the caller take the floor? In two steps: a sound silences the agent at once; what was said, or that nothing was, decides.
 */
import type { TurnTakingSettings } from '../../ports.ts';
import { heardText } from '../../text/heard-text.ts';
import type { CallerTurn, Clause } from '../state.ts';
import { isBackchannel, meaningfulWords } from './backchannel.ts';
import { turnText } from './endpointing.ts';

/** During a cool-down a sound must be this many times as long. */
const COOL_DOWN_FACTOR = 3;

/** Whether the caller's sound is long enough to silence the agent. Only voiced audio counts, so that a click does not. */
export function silencesAgent(turn: CallerTurn, settings: TurnTakingSettings, coolingDown: boolean): boolean {
  const neededMs = settings.bargeInMs * (coolingDown ? COOL_DOWN_FACTOR : 1);
  return turn.voice.type === 'speaking' && turn.voice.speechMs >= neededMs;
}

/** Whether what was recognised is enough to take the floor. Keys always are: nobody presses one by accident. */
export function takesFloor(turn: CallerTurn, settings: TurnTakingSettings, language: string): boolean {
  if (turn.keysUntilMs !== undefined) return true;
  return meaningfulWords(turnText(turn), language, settings.backchannels) >= settings.bargeInMinWords;
}

export type HeldVerdict =
  | { readonly type: 'wait'; readonly untilMs: number }
  | { readonly type: 'barge-in' }
  | { readonly type: 'false-alarm'; readonly cause: 'nothing-recognised' | 'backchannel'; readonly text: string };

/** The second step: the agent has been silent since `heldSinceMs`; was that right? */
export function judgeHeld(
  turn: CallerTurn,
  heldSinceMs: number,
  settings: TurnTakingSettings,
  language: string,
  nowMs: number,
): HeldVerdict {
  if (takesFloor(turn, settings, language)) return { type: 'barge-in' };
  const text = turnText(turn);
  const untilMs = heldSinceMs + settings.falseAlarmMs;
  const answered = turn.voice.type === 'paused' && turn.settled;
  if (nowMs < untilMs && !answered) return { type: 'wait', untilMs };
  const backchannel = text !== '' && isBackchannel(text, language, settings.backchannels);
  return { type: 'false-alarm', cause: backchannel ? 'backchannel' : 'nothing-recognised', text };
}

/** Whether the caller is just hearing a text that must be spoken to its end. */
export function isProtected(
  clauses: readonly Clause[],
  heardCharacters: number,
  neverInterrupt: readonly string[],
): boolean {
  if (neverInterrupt.length === 0) return false;
  const text = clauses.map(({ original }) => original).join('');
  const heardLength = heardText(clauses, heardCharacters).heardText.length;
  return neverInterrupt.some((span) => {
    const at = text.indexOf(span);
    return at >= 0 && heardLength >= at && heardLength < at + span.length;
  });
}
