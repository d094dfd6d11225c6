/** Is it worth beginning a reply before it is certain that the caller is done? */
import type { AgentConfig } from '../../ports.ts';
import { normaliseTranscript } from '../../text/normalise.ts';
import type { CallState } from '../state.ts';
import { asksForNothing } from './backchannel.ts';
import { assessCompleteness } from './completeness.ts';
import { takesLeave } from './end-call.ts';
import { turnText } from './endpointing.ts';

/**
 * With no voiced window for so long a caller who has ended a sentence has probably paused, long before the detector is sure.
 * Windows of 32 ms come with frames of 20 ms, up to 40 ms apart; the rest is margin.
 */
const PAUSE_GUESS_MS = 60;
/** The last try of a turn is not spent on words without a full stop before they have been followed by so much silence. */
const LAST_TRY_PAUSE_MS = 160;
/** A recogniser's full stop is the better sign of an end: many beginnings of sentences ("where are you …") are sentences. */
const SENTENCE_END = /[.?!…。！？]["'”’)]*\s*$/u;

export type Guess =
  | { readonly type: 'none' }
  | { readonly type: 'wait'; readonly untilMs: number }
  | { readonly type: 'begin'; readonly text: string };

/** Judges, while listening, whether to begin a reply to what the caller has said so far. */
export function judgeGuess(state: CallState, nowMs: number): Guess {
  const { agent, turn } = state;
  const text = turnText(turn);
  if (text === '' || turn.keysUntilMs !== undefined || !mayGuess(state)) return { type: 'none' };
  if (state.speculation && isSameTurn(state.speculation.reply.callerText, text, agent.language))
    return { type: 'none' };
  if (takesLeave(text, agent.endCallPhrases) || !soundsDone(text, agent)) return { type: 'none' };
  if (turn.modelTurn !== 'none') return turn.modelTurn === 'likely' ? { type: 'begin', text } : { type: 'none' };
  const fromMs = guessFromMs(state, SENTENCE_END.test(text));
  if (fromMs === undefined) return { type: 'none' };
  return nowMs >= fromMs ? { type: 'begin', text } : { type: 'wait', untilMs: fromMs };
}

/** From when on the caller's silence is worth a guess; undefined: not before they pause. `marked`: a full stop ends their words. */
function guessFromMs({ turn, agent, guesses }: CallState, marked: boolean): number | undefined {
  const { voice } = turn;
  const { maxTries } = agent.turnTaking.speculation;
  switch (voice.type) {
    case 'silent':
      return Number.NEGATIVE_INFINITY;
    case 'paused':
      return marked || guesses + 1 < maxTries || maxTries === 1
        ? Number.NEGATIVE_INFINITY
        : voice.endedAtMs + LAST_TRY_PAUSE_MS;
    case 'speaking':
      if (!marked) return undefined;
      return voice.faded ? Number.NEGATIVE_INFINITY : voice.lastVoicedAtMs + PAUSE_GUESS_MS;
  }
}

/** Whether a reply to what was guessed answers what was said: the same words, and nothing after them that asks for anything. */
export function isSameTurn(guessed: string, said: string, language: string): boolean {
  const first = normaliseTranscript(guessed);
  const whole = normaliseTranscript(said);
  return whole === first || (whole.startsWith(`${first} `) && asksForNothing(whole.slice(first.length), language));
}

function mayGuess(state: CallState): boolean {
  const { enabled, maxTries, wastedTokenBudget } = state.agent.turnTaking.speculation;
  return enabled && state.guesses < maxTries && state.wastedTokens < wastedTokenBudget;
}

function soundsDone(text: string, agent: AgentConfig): boolean {
  const completeness = assessCompleteness(text, agent.language);
  return completeness === 'complete' || completeness === 'open';
}
