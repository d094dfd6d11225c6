/**
 * The call as a pure function: `(state, event, nowMs) → { state, actions }`. Nothing here does I/O, reads a clock or knows a
 * provider. `nextWakeMs` says when time alone would change something; the driver then sends a `tick`.
 *
 * Every event first changes what is known (`absorb`), then `settle` draws the consequences of what is known at `nowMs`. So a
 * decision is made in one place, whether a transcript, a pause or the passing of time was the last thing it needed.
 */
import { unreachable } from '../../core/errors.ts';
import type { CallEndReason } from '../events.ts';
import { fixedPhrases } from '../fixed-phrases.ts';
import * as caller from './caller.ts';
import { recordCut } from './history.ts';
import * as interruption from './interruption.ts';
import * as listening from './listening.ts';
import * as replies from './reply.ts';
import type { Action, CallState, SessionEvent } from './state.ts';
import { currentReply } from './state.ts';

export interface Step {
  readonly state: CallState;
  readonly actions: readonly Action[];
}

/** One step of the call. After the end no event changes anything or asks for anything. */
export function step(state: CallState, event: SessionEvent, nowMs: number): Step {
  const actions: Action[] = [];
  if (state.phase.type === 'ended') return { state: afterEnd(state, event, actions), actions };
  const absorbed = event.type === 'tick' ? state : absorb(state, event, nowMs, actions);
  // What was heard of a reply that was just cut comes next, and belongs into the history before anything is built on that.
  const settled = absorbed.cut ? absorbed : settle(interruption.forgetEcho(absorbed, nowMs, actions), nowMs, actions);
  // A call that ended while something was being said closes its record when it is known how much of that was heard.
  if (settled.phase.type === 'ended' && settled.cut === undefined) closeRecord(settled, actions);
  return { state: settled, actions };
}

/**
 * The earliest moment at which `tick` would have a consequence, perhaps already past; undefined: only an event can. It may be
 * asked later than the last step was made: what has fallen due in between is due now, not forgotten.
 */
export function nextWakeMs(state: CallState, nowMs: number): number | undefined {
  if (state.phase.type === 'ended') return undefined;
  const wakes = [...phaseWakes(state, nowMs)];
  if (!isLeaving(state)) wakes.push(state.startedAtMs + state.agent.maxDurationMs);
  return wakes.length > 0 ? Math.min(...wakes) : undefined;
}

function phaseWakes(state: CallState, nowMs: number): readonly number[] {
  switch (state.phase.type) {
    case 'listening':
      return listening.wakes(state, nowMs);
    case 'thinking':
      return replies.wakes(state.phase.reply, state);
    case 'speaking':
      return [
        ...replies.wakes(state.phase.reply, state),
        ...interruption.protectedWakes(state, state.phase.reply, nowMs),
      ];
    case 'held':
      return interruption.wakes(state, state.phase.sinceMs, nowMs);
    case 'ended':
      return [];
  }
}

function settle(state: CallState, nowMs: number, actions: Action[]): CallState {
  const { phase } = state;
  if (phase.type === 'ended') return state;
  if (nowMs >= state.startedAtMs + state.agent.maxDurationMs && !isLeaving(state)) {
    return replies.takeLeave(state, fixedPhrases(state.agent.language).timeIsUp, 'max-duration', nowMs, actions);
  }
  switch (phase.type) {
    case 'listening':
      return listening.settle(state, nowMs, actions);
    case 'thinking':
      if (interruption.withdraws(state, phase.reply)) return interruption.withdraw(state, phase.reply, nowMs, actions);
      return replies.settleWaiting(state, phase.reply, nowMs, actions);
    case 'speaking':
      return replies.settleWaiting(
        interruption.settleSpeaking(state, phase.reply, nowMs, actions),
        phase.reply,
        nowMs,
        actions,
      );
    case 'held':
      return interruption.settleHeld(state, phase, nowMs, actions);
  }
}

type Occurrence = Exclude<SessionEvent, { type: 'tick' }>;

function absorb(state: CallState, event: Occurrence, nowMs: number, actions: Action[]): CallState {
  if (isOrder(event)) return obey(state, event, nowMs, actions);
  switch (event.type) {
    case 'voice-started':
    case 'voice-faded':
    case 'voice-ended':
    case 'voice-continued':
    case 'transcript-interim':
    case 'transcript-final':
    case 'turn-end-likely':
    case 'turn-resumed':
    case 'turn-ended':
    case 'dtmf':
      return absorbCaller(state, event, nowMs, actions);
    case 'recogniser-opened':
      return caller.meetRecogniser(state, event.hearsFromMs);
    case 'stt-failed':
      actions.push({ type: 'emit', event: caller.failure(state, 'stt', event.code) });
      return replies.fallBack(state, nowMs, actions);
    case 'llm-text':
    case 'llm-tool':
    case 'llm-finished':
    case 'llm-failed':
      return absorbModel(state, event, nowMs, actions);
    case 'tts-failed':
    case 'reply-audible':
    case 'reply-heard':
    case 'reply-cut':
    case 'reply-resumed':
    case 'reply-observed':
      return absorbPlayout(state, event, nowMs, actions);
    default:
      return unreachable(event);
  }
}

/** What comes from neither the caller nor the providers. */
type Order = Extract<SessionEvent, { type: 'call-started' | 'say' | 'leave' | 'call-lost' }>;

function isOrder(event: Occurrence): event is Order {
  return ['call-started', 'say', 'leave', 'call-lost'].includes(event.type);
}

function obey(state: CallState, event: Order, nowMs: number, actions: Action[]): CallState {
  switch (event.type) {
    case 'call-started':
      actions.push({ type: 'emit', event: { type: 'call-started' } });
      return replies.greet(state, nowMs, actions);
    case 'say':
      return say(state, event.text, nowMs, actions);
    case 'leave':
      return leave(state, nowMs, actions);
    case 'call-lost':
      return end(state, event.reason, actions);
    default:
      return unreachable(event);
  }
}

type CallerEvent =
  | Parameters<typeof caller.hearVoice>[1]
  | Parameters<typeof caller.hearWords>[1]
  | Extract<SessionEvent, { type: 'dtmf' }>;

/** What the caller does is added to what is known of their turn; sound and keys may also concern what the agent is saying. */
function absorbCaller(state: CallState, event: CallerEvent, nowMs: number, actions: Action[]): CallState {
  switch (event.type) {
    case 'voice-started':
    case 'voice-faded':
    case 'voice-ended':
      return caller.hearVoice(state, event, nowMs, actions);
    case 'voice-continued':
      return interruption.onVoice(caller.hearVoice(state, event, nowMs, actions), event.heard, nowMs, actions);
    case 'dtmf':
      return caller.hearDigit(state, event.digit, nowMs, actions);
    case 'transcript-interim':
    case 'transcript-final':
    case 'turn-end-likely':
    case 'turn-resumed':
    case 'turn-ended':
      return caller.hearWords(state, event, nowMs, actions);
    default:
      return unreachable(event);
  }
}

type PlayoutEvent = Extract<
  SessionEvent,
  { type: 'tts-failed' | 'reply-audible' | 'reply-heard' | 'reply-cut' | 'reply-resumed' | 'reply-observed' }
>;

/** What became of the audio of a reply. */
function absorbPlayout(state: CallState, event: PlayoutEvent, nowMs: number, actions: Action[]): CallState {
  switch (event.type) {
    case 'tts-failed':
      if (state.speculation?.reply.generation === event.generation) return replies.dropGuess(state, actions);
      return replies.voiceFailed(state, event.generation, event.code, nowMs, actions);
    case 'reply-audible':
      return replies.becameAudible(state, event.generation, nowMs, actions);
    case 'reply-heard':
      return replies.heardInFull(state, event.heard, nowMs, actions);
    case 'reply-cut':
      return recordCut(state, event.generation, event.heard, actions);
    case 'reply-resumed':
      return interruption.resumed(state, event.generation, event.repeatedMs, actions);
    case 'reply-observed':
      return { ...state, heard: event.heard };
    default:
      return unreachable(event);
  }
}

type ModelEvent = Extract<SessionEvent, { type: 'llm-text' | 'llm-tool' | 'llm-finished' | 'llm-failed' }>;

/** What the model says goes to the reply it belongs to: a guess, the current one, or none any more. */
function absorbModel(state: CallState, event: ModelEvent, nowMs: number, actions: Action[]): CallState {
  if (state.speculation?.reply.generation === event.generation) {
    return listening.absorbGuess(state, state.speculation, event, nowMs, actions);
  }
  const reply = currentReply(state);
  if (reply?.generation !== event.generation) return state;
  switch (event.type) {
    case 'llm-text':
      return replies.addText(state, reply, event.text, nowMs, actions);
    case 'llm-tool':
      return replies.addTool(state, reply, event.call);
    case 'llm-finished':
      return replies.finishText(state, reply, nowMs, actions);
    case 'llm-failed':
      return replies.modelFailed(state, reply, event.code, nowMs, actions);
    default:
      return unreachable(event);
  }
}

/** After the end only the report of what was heard last still counts: the call's record closes with it. */
function afterEnd(state: CallState, event: SessionEvent, actions: Action[]): CallState {
  if (event.type !== 'reply-cut' || state.cut?.generation !== event.generation) return state;
  return closeRecord(recordCut(state, event.generation, event.heard, actions), actions);
}

function closeRecord(state: CallState, actions: Action[]): CallState {
  if (state.phase.type === 'ended') {
    actions.push({ type: 'emit', event: { type: 'call-ended', reason: state.phase.reason } });
  }
  return state;
}

/** The server must stop; an agent that is saying goodbye already goes on with that. */
function leave(state: CallState, nowMs: number, actions: Action[]): CallState {
  if (isLeaving(state)) return state;
  return replies.takeLeave(state, fixedPhrases(state.agent.language).leaving, 'server-shutdown', nowMs, actions);
}

/** What it was saying is cut; an agent that is saying goodbye is not held up. */
function say(state: CallState, text: string, nowMs: number, actions: Action[]): CallState {
  if (isLeaving(state)) return state;
  return replies.sayInThisCall(state, text, nowMs, actions);
}

/** Whether the agent is already saying a goodbye that nothing takes back. */
function isLeaving(state: CallState): boolean {
  const reply = currentReply(state);
  return reply !== undefined && reply.afterwards.type !== 'listen' && !reply.interruptible;
}

/** The line is gone: whatever was being said is cut, and the call has its one reason. */
function end(state: CallState, reason: CallEndReason, actions: Action[]): CallState {
  const silent = replies.cutCurrent(replies.dropGuess(state, actions), actions);
  return { ...silent, phase: { type: 'ended', reason } };
}
