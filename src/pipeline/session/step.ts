/**
 * The call as a pure function: `(state, event, nowMs) → { state, actions }`. Nothing here does I/O, reads a clock or knows a
 * provider. `nextWakeMs` says when time alone would change something; the driver then sends a `tick`.
 *
 * Every event first changes what is known (`absorb`), then `settle` draws the consequences of what is known at `nowMs`. So a
 * decision is made in one place, whether a transcript, a pause or the passing of time was the last thing it needed.
 */
import { unreachable } from '../../core/errors.ts';
import type { CallEndReason } from '../events.ts';
import * as caller from './caller.ts';
import { fixedPhrases } from './phrases.ts';
import * as replies from './reply.ts';
import type { Action, CallState, SessionEvent } from './state.ts';
import { EMPTY_TURN } from './state.ts';
import { isBargeIn } from './turn-taking/barge-in.ts';
import { takesLeave } from './turn-taking/end-call.ts';
import { judgeTurnEnd } from './turn-taking/endpointing.ts';

export interface Step {
  readonly state: CallState;
  readonly actions: readonly Action[];
}

/** How many times in a row the agent says that it did not catch anything before it waits in silence. */
const MAX_PARDONS = 2;

/** One step of the call. After the end no event changes anything or asks for anything. */
export function step(state: CallState, event: SessionEvent, nowMs: number): Step {
  const actions: Action[] = [];
  if (state.phase.type === 'ended') return { state: afterEnd(state, event, actions), actions };
  const absorbed = absorb(state, event, nowMs, actions);
  const settled = settle(absorbed, nowMs, actions);
  // A call that ended while something was being said closes its record when it is known how much of that was heard.
  if (settled.phase.type === 'ended' && settled.cut === undefined) closeRecord(settled, actions);
  return { state: settled, actions };
}

/**
 * The earliest moment at which `tick` would have a consequence, perhaps already past; undefined: only an event can. It may be
 * asked later than the last step was made: what has fallen due in between is due now, not forgotten.
 */
export function nextWakeMs(state: CallState, nowMs: number): number | undefined {
  const { phase } = state;
  if (phase.type === 'ended') return undefined;
  const wakes: number[] = [];
  if (!isLeaving(state)) wakes.push(state.startedAtMs + state.agent.maxDurationMs);
  if (phase.type === 'thinking') wakes.push(phase.reply.deadlineAtMs);
  if (phase.type === 'listening') {
    const judged = judgeTurnEnd(state.turn, state.agent.turnTaking, nowMs);
    if (judged.type === 'wait') wakes.push(judged.untilMs);
    else if (judged.type !== 'open') wakes.push(nowMs);
  }
  return wakes.length > 0 ? Math.min(...wakes) : undefined;
}

/** After the end only the report of what was heard last still counts: the call's record closes with it. */
function afterEnd(state: CallState, event: SessionEvent, actions: Action[]): CallState {
  if (event.type !== 'reply-cut' || state.cut?.generation !== event.generation) return state;
  const recorded = replies.recordCut(state, event.generation, event.heard, actions);
  return closeRecord(recorded, actions);
}

function closeRecord(state: CallState, actions: Action[]): CallState {
  if (state.phase.type === 'ended')
    actions.push({ type: 'emit', event: { type: 'call-ended', reason: state.phase.reason } });
  return state;
}

function absorb(state: CallState, event: SessionEvent, nowMs: number, actions: Action[]): CallState {
  switch (event.type) {
    case 'call-started':
      actions.push({ type: 'emit', event: { type: 'call-started' } });
      return replies.greet(state, nowMs, actions);
    case 'voice-started':
    case 'voice-continued':
    case 'voice-ended':
    case 'transcript-interim':
    case 'transcript-final':
      return caller.hear(state, event, nowMs, actions);
    case 'stt-failed':
      actions.push({ type: 'emit', event: caller.failure(state, 'stt', event.code) });
      return replies.sayInstead(
        state,
        'goodbye',
        fixedPhrases(state.agent.language).cannotHear,
        nowMs,
        actions,
        'internal-error',
      );
    case 'llm-text':
      return replies.addText(state, event.generation, event.text, nowMs, actions);
    case 'llm-finished':
      return replies.finishText(state, event.generation, nowMs, actions);
    case 'llm-failed':
      return replies.modelFailed(state, event.generation, event.code, nowMs, actions);
    case 'tts-failed':
      return replies.voiceFailed(state, event.generation, event.code, actions);
    case 'reply-audible':
      return replies.becameAudible(state, event.generation, nowMs, actions);
    case 'reply-heard':
      return replies.heardInFull(state, event.heard, actions);
    case 'reply-cut':
      return replies.recordCut(state, event.generation, event.heard, actions);
    case 'dtmf':
      actions.push({ type: 'emit', event: { type: 'dtmf', digit: event.digit } });
      return state;
    case 'leave':
      if (isLeaving(state)) return state;
      return replies.sayInstead(
        state,
        'goodbye',
        fixedPhrases(state.agent.language).leaving,
        nowMs,
        actions,
        'server-shutdown',
      );
    case 'call-lost':
      return end(state, event.reason, actions);
    case 'tick':
      return state;
    default:
      return unreachable(event);
  }
}

function settle(state: CallState, nowMs: number, actions: Action[]): CallState {
  if (state.phase.type === 'ended') return state;
  if (nowMs >= state.startedAtMs + state.agent.maxDurationMs && !isLeaving(state)) {
    return replies.sayInstead(
      state,
      'goodbye',
      fixedPhrases(state.agent.language).timeIsUp,
      nowMs,
      actions,
      'max-duration',
    );
  }
  switch (state.phase.type) {
    case 'listening':
      return settleListening(state, nowMs, actions);
    case 'thinking': {
      if (nowMs >= state.phase.reply.deadlineAtMs)
        return replies.missedDeadline(state, state.phase.reply, nowMs, actions);
      // The caller goes on talking before anything was audible: the turn was not over, so the reply is withdrawn.
      return callerTakesFloor(state) ? replies.withdraw(state, actions) : state;
    }
    case 'speaking':
      return callerTakesFloor(state) ? replies.interrupt(state, actions) : state;
  }
}

function settleListening(state: CallState, nowMs: number, actions: Action[]): CallState {
  const judged = judgeTurnEnd(state.turn, state.agent.turnTaking, nowMs);
  if (judged.type === 'confirmed') {
    const { text } = judged;
    if (takesLeave(text, state.agent.endCallPhrases)) return replies.sayGoodbye(state, text, nowMs, actions);
    return replies.answer(state, text, nowMs, actions);
  }
  if (judged.type === 'no-words') {
    // A sound that stopped the agent must not leave the line silent, however short it was.
    const worthAsking = judged.ask || wasCutShort(state);
    if (!worthAsking || state.misheardTurns >= MAX_PARDONS) return { ...state, turn: EMPTY_TURN };
    const asking = { ...state, turn: EMPTY_TURN, misheardTurns: state.misheardTurns + 1 };
    return replies.sayInstead(asking, 'apology', fixedPhrases(state.agent.language).pardon, nowMs, actions);
  }
  return state;
}

function callerTakesFloor(state: CallState): boolean {
  return mayInterrupt(state) && isBargeIn(state.turn, state.agent.turnTaking);
}

/** Whether more speech of the caller stops what the agent is doing now. */
function mayInterrupt(state: CallState): boolean {
  const { phase } = state;
  if (phase.type === 'speaking') return phase.reply.interruptible;
  return phase.type === 'thinking' && phase.reply.kind === 'reply';
}

/** Whether the last thing said was the agent's, and was interrupted. */
function wasCutShort(state: CallState): boolean {
  const last = state.history.at(-1);
  return last?.role === 'agent' && last.heardText !== last.text;
}

/** Whether the agent is already saying goodbye. */
function isLeaving(state: CallState): boolean {
  const { phase } = state;
  return (phase.type === 'thinking' || phase.type === 'speaking') && phase.reply.afterwards.type === 'hang-up';
}

/** The line is gone, or the server must stop: whatever was being said is cut, and the call has its one reason. */
function end(state: CallState, reason: CallEndReason, actions: Action[]): CallState {
  const cut = replies.cutCurrent(state, actions);
  return { ...cut, phase: { type: 'ended', reason } };
}
