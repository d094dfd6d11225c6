/** Is it worth beginning a reply before it is certain that the caller is done? */
import type { AgentConfig } from '../../ports.ts';
import { normaliseTranscript } from '../../text/normalise.ts';
import type { CallState } from '../state.ts';
import { assessCompleteness } from './completeness.ts';
import { takesLeave } from './end-call.ts';
import { turnText } from './endpointing.ts';

/**
 * With no voiced window for so long (one of 32 ms, and some margin) a caller who has ended a sentence has probably paused, long
 * before the detector is sure.
 */
const PAUSE_GUESS_MS = 40;
/**
 * While the detector still hears a voice, only a recogniser's full stop is taken for an end: many beginnings of sentences ("where
 * are you …") are sentences.
 */
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
  if (state.speculation && isSameTurn(state.speculation.reply.callerText, text)) return { type: 'none' };
  if (takesLeave(text, agent.endCallPhrases) || !soundsDone(text, agent)) return { type: 'none' };
  if (turn.modelTurn !== 'none') return turn.modelTurn === 'likely' ? { type: 'begin', text } : { type: 'none' };
  if (turn.voice.type !== 'speaking') return { type: 'begin', text };
  if (!SENTENCE_END.test(text)) return { type: 'none' };
  const untilMs = turn.voice.lastVoicedAtMs + PAUSE_GUESS_MS;
  return nowMs >= untilMs ? { type: 'begin', text } : { type: 'wait', untilMs };
}

/** Whether two transcripts say the same words. */
export function isSameTurn(guessed: string, said: string): boolean {
  return normaliseTranscript(guessed) === normaliseTranscript(said);
}

function mayGuess(state: CallState): boolean {
  const { enabled, maxTries, wastedTokenBudget } = state.agent.turnTaking.speculation;
  return enabled && state.guesses < maxTries && state.wastedTokens < wastedTokenBudget;
}

function soundsDone(text: string, agent: AgentConfig): boolean {
  const completeness = assessCompleteness(text, agent.language);
  return completeness === 'complete' || completeness === 'open';
}
