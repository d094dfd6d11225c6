/** The floor is the caller's: is their turn over, is a guess worth it, has everybody fallen silent? */
import { unreachable } from '../../core/errors.ts';
import { fixedPhrases } from '../fixed-phrases.ts';
import { failure } from './caller.ts';
import { forgetTurn } from './interruption.ts';
import * as replies from './reply.ts';
import { collectRest, collectText, speakGuess } from './reply-text.ts';
import type { Action, CallState, SessionEvent, Speculation } from './state.ts';
import { emptyTurn, newReply } from './state.ts';
import { waitedMs } from './trace.ts';
import { takesLeave } from './turn-taking/end-call.ts';
import { isEcho } from './turn-taking/echo.ts';
import { judgeTurnEnd, turnText } from './turn-taking/endpointing.ts';
import type { TurnEnd } from './turn-taking/endpointing.ts';
import { isSameTurn, judgeGuess } from './turn-taking/speculation.ts';

/** How many times in a row the agent says that it did not catch anything before it waits in silence. */
const MAX_PARDONS = 2;
/** Words, and then so much sound without any: whatever still sounds, the caller is not speaking. */
const WORDLESS_VOICE_MS = 3_500;
/** The same with a recogniser that says nothing before a sentence is over: most people have paused for breath by then. */
const WORDLESS_SENTENCE_MS = 6_000;
/** A guess spoils with time: what the caller did not confirm by then they have probably not finished. */
const MAX_GUESS_AGE_MS = 4_000;

/** Draws the consequences, while listening, of what is known at `nowMs`. */
export function settle(state: CallState, nowMs: number, actions: Action[]): CallState {
  const judged = judge(state, nowMs);
  if (isEcho(turnText(state.turn), state.overlap))
    return judged.type === 'confirmed' ? forgetTurn(state, nowMs, actions) : state;
  if (judged.type === 'confirmed') return confirm(state, judged.text, nowMs, actions);
  if (judged.type === 'no-words') return pardon(replies.dropGuess(state, actions), judged.ask, nowMs, actions);
  const kept = isSpoiled(state, nowMs) ? replies.dropGuess(state, actions) : state;
  const guess = judgeGuess(kept, nowMs);
  if (guess.type === 'begin') return beginGuess(kept, guess.text, nowMs, actions);
  return settleQuiet(kept, nowMs, actions);
}

/** When time alone would change something. */
export function wakes(state: CallState, nowMs: number): number[] {
  const due: number[] = [];
  const judged = judge(state, nowMs);
  if (judged.type === 'wait') due.push(judged.untilMs);
  else if (judged.type !== 'open') due.push(nowMs);
  const guess = judgeGuess(state, nowMs);
  if (guess.type === 'wait') due.push(guess.untilMs);
  if (state.speculation) due.push(state.speculation.startedAtMs + MAX_GUESS_AGE_MS);
  const quiet = [reminderDueMs(state), warningDueMs(state)];
  return [...due, ...quiet.filter((dueMs) => dueMs !== undefined)];
}

/** What the model says for a reply that nobody may hear yet: only its first clause is synthesised, and no tool is run. */
export function absorbGuess(
  state: CallState,
  speculation: Speculation,
  event: Extract<SessionEvent, { type: 'llm-text' | 'llm-tool' | 'llm-finished' | 'llm-failed' }>,
  nowMs: number,
  actions: Action[],
): CallState {
  const { reply } = speculation;
  const withReply = (changed: Speculation['reply']): CallState => ({
    ...state,
    speculation: { ...speculation, reply: changed },
  });
  switch (event.type) {
    case 'llm-text':
      return withReply(speakGuess(collectText(state, reply, event.text, nowMs, actions), nowMs, actions));
    case 'llm-tool':
      return withReply({ ...reply, toolCalls: [...reply.toolCalls, event.call] });
    case 'llm-finished':
      return withReply(speakGuess(collectRest(state, reply), nowMs, actions));
    case 'llm-failed':
      return replies.dropGuess(state, actions);
    default:
      return unreachable(event);
  }
}

function judge(state: CallState, nowMs: number): TurnEnd {
  const { agent, rhythm, turn } = state;
  if (turn.keysUntilMs !== undefined && turn.voice.type !== 'speaking') {
    if (nowMs < turn.keysUntilMs) return { type: 'wait', untilMs: turn.keysUntilMs };
    // Who has spoken after the keys is done when speech is, not in their first pause.
    if (turn.voice.type === 'silent') return { type: 'confirmed', text: turnText(turn) };
  }
  if (turn.voice.type === 'speaking' && turn.transcriptAtMs !== undefined && turnText(turn) !== '') {
    // Steady noise that passes for a voice: the words have stopped coming, and they get their answer.
    // What had been taken for a whole turn before needs no more words.
    const isNoise = state.hasGuessed || state.withdrawnText !== '';
    const untilMs = turn.transcriptAtMs + (isNoise ? WORDLESS_VOICE_MS : WORDLESS_SENTENCE_MS);
    return nowMs < untilMs ? { type: 'wait', untilMs } : { type: 'confirmed', text: turnText(turn) };
  }
  return judgeTurnEnd(state.turn, { settings: agent.turnTaking, rhythm, language: agent.language }, nowMs);
}

/** The caller's turn is over. */
function confirm(state: CallState, text: string, nowMs: number, actions: Action[]): CallState {
  const { speculation } = state;
  if (speculation && isSameTurn(speculation.reply.callerText, text, state.agent.language)) {
    return replies.releaseGuess(state, speculation, text, nowMs, actions);
  }
  const dropped = replies.dropGuess(state, actions);
  if (takesLeave(text, state.agent.endCallPhrases)) return replies.sayGoodbye(dropped, text, nowMs, actions);
  return replies.answer(dropped, text, nowMs, actions);
}

/** The caller made a sound and no words came of it. */
function pardon(state: CallState, ask: boolean, nowMs: number, actions: Action[]): CallState {
  // A sound that stopped the agent must not leave the line silent, however short it was.
  const last = state.history.at(-1);
  const wasCutShort = last?.role === 'agent' && last.heardText !== last.text;
  const fresh = { ...state, turn: emptyTurn(state.modelDecides) };
  if (!(ask || wasCutShort)) return fresh;
  actions.push({ type: 'emit', event: failure(state, 'stt', 'no-words') });
  if (state.misheardTurns >= MAX_PARDONS) return fresh;
  const asking = { ...fresh, misheardTurns: state.misheardTurns + 1 };
  return replies.say(asking, 'apology', fixedPhrases(state.agent.language).pardon, nowMs, actions);
}

function beginGuess(state: CallState, text: string, nowMs: number, actions: Action[]): CallState {
  const dropped = replies.dropGuess(state, actions);
  const reply = { ...newReply(dropped, 'reply', nowMs), callerText: text };
  actions.push({ type: 'emit', event: { type: 'speculation-started', text, ...waitedMs(state, nowMs) } });
  actions.push(replies.startModel(dropped, reply));
  return {
    ...dropped,
    speculation: { reply, startedAtMs: nowMs, takenBack: undefined },
    guesses: dropped.guesses + 1,
    nextGeneration: reply.generation + 1,
  };
}

/** The caller has said something else since, goes on talking, or never confirms. */
function isSpoiled(state: CallState, nowMs: number): boolean {
  const { speculation, turn, agent } = state;
  if (!speculation) return false;
  if (!isSameTurn(speculation.reply.callerText, turnText(turn), agent.language)) return true;
  return nowMs >= speculation.startedAtMs + MAX_GUESS_AGE_MS;
}

/** Nobody speaks: the caller is reminded, told that time runs out, or bid goodbye. */
function settleQuiet(state: CallState, nowMs: number, actions: Action[]): CallState {
  const warnMs = warningDueMs(state);
  if (warnMs !== undefined && nowMs >= warnMs) {
    const warned = { ...state, durationWarned: true };
    return replies.say(warned, 'warning', fixedPhrases(state.agent.language).timeRunsOut, nowMs, actions);
  }
  const remindMs = reminderDueMs(state);
  if (remindMs === undefined || nowMs < remindMs) return state;
  const { silence, goodbyeMessage } = state.agent;
  if (state.reminders >= silence.maxReminders)
    return replies.takeLeave(state, goodbyeMessage, 'caller-silent', nowMs, actions);
  const reminded = { ...state, reminders: state.reminders + 1 };
  return replies.say(reminded, 'reminder', silence.reminderMessage, nowMs, actions);
}

function reminderDueMs(state: CallState): number | undefined {
  const quietMs = quietSinceMs(state);
  if (state.agent.silence.maxReminders === 0 || quietMs === undefined) return undefined;
  return quietMs + state.agent.silence.reminderAfterMs;
}

function warningDueMs(state: CallState): number | undefined {
  const { maxDurationMs, durationWarningMs, silence } = state.agent;
  const quietMs = quietSinceMs(state);
  if (durationWarningMs === 0 || durationWarningMs >= maxDurationMs || state.durationWarned || quietMs === undefined)
    return undefined;
  const dueMs = state.startedAtMs + maxDurationMs - durationWarningMs;
  return state.turn.voice.type === 'silent' ? dueMs : Math.max(dueMs, quietMs + silence.reminderAfterMs);
}

/**
 * Since when nobody says anything. A sound may be the beginning of words, and puts the reminder off, but only once: sounds that no
 * words ever come of, a phone beside a television say, are nothing said.
 */
function quietSinceMs({ turn, agent, speculation, quietSinceMs: sinceMs }: CallState): number | undefined {
  if (turnText(turn) !== '' || speculation) return undefined;
  const atMostMs = sinceMs + agent.silence.reminderAfterMs;
  switch (turn.voice.type) {
    case 'silent':
      return sinceMs;
    case 'speaking':
      return Math.max(sinceMs, Math.min(turn.voice.startedAtMs, atMostMs));
    case 'paused':
      return atMostMs;
  }
}
