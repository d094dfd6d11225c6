/** The caller speaks while the agent does, or is about to: silence first, then a judgement, then one of two ways on. */
import * as replies from './reply.ts';
import type { HeardSpeech } from '../../media/playout.ts';
import { heardCharacters } from './heard.ts';
import type { Action, CallState, Phase, Reply } from './state.ts';
import { emptyTurn } from './state.ts';
import { isProtected, judgeHeld, silencesAgent, takesFloor } from './turn-taking/barge-in.ts';
import { turnText } from './turn-taking/endpointing.ts';

/** More voiced audio of the caller: it may silence an agent that is speaking. */
export function onVoice(known: CallState, heard: HeardSpeech | undefined, nowMs: number, actions: Action[]): CallState {
  const state = { ...known, heard };
  const { phase, turn, agent } = state;
  if (phase.type !== 'speaking' || turn.voice.type !== 'speaking' || !phase.reply.interruptible) return state;
  if (state.ignoredVoiceMs === turn.voice.startedAtMs) return state;
  if (!silencesAgent(turn, agent.turnTaking, nowMs < state.coolDownUntilMs)) return state;
  if (isProtectedNow(state, phase.reply)) return state;
  actions.push({ type: 'hold-reply', generation: phase.reply.generation });
  actions.push({ type: 'emit', event: { type: 'interruption-suspected' } });
  return { ...state, phase: { type: 'held', reply: phase.reply, sinceMs: nowMs } };
}

/** A key was pressed: nobody presses one by accident. */
export function onDigit(state: CallState, nowMs: number, actions: Action[]): CallState {
  const { phase } = state;
  if (phase.type === 'held' || (phase.type === 'speaking' && phase.reply.interruptible))
    return bargeIn(state, nowMs, actions);
  return state;
}

/** Words that are recognised while the agent speaks take the floor, even if the sound alone had been a false alarm. */
export function settleSpeaking(state: CallState, reply: Reply, nowMs: number, actions: Action[]): CallState {
  const { agent, turn } = state;
  const madeSound = turn.voice.type !== 'silent' || state.ignoredVoiceMs !== undefined;
  if (!reply.interruptible || !madeSound) return state;
  if (isProtectedNow(state, reply)) return state;
  return takesFloor(turn, agent.turnTaking, agent.language) ? bargeIn(state, nowMs, actions) : state;
}

/** The agent is silenced: was the caller speaking to it? */
export function settleHeld(
  state: CallState,
  phase: Extract<Phase, { type: 'held' }>,
  nowMs: number,
  actions: Action[],
): CallState {
  const { agent, turn } = state;
  const verdict = judgeHeld(turn, phase.sinceMs, agent.turnTaking, agent.language, nowMs);
  if (verdict.type === 'wait') return state;
  if (verdict.type === 'barge-in') return bargeIn(state, nowMs, actions);
  const { cause, text } = verdict;
  actions.push({ type: 'emit', event: { type: 'false-interruption', cause, text } });
  actions.push({ type: 'resume-reply', generation: phase.reply.generation });
  const falseAlarms = state.falseAlarms + 1;
  const { coolDownAfter, coolDownMs } = agent.turnTaking;
  const voiceGoesOn = turn.voice.type === 'speaking';
  return {
    ...state,
    phase: { type: 'speaking', reply: phase.reply },
    turn: voiceGoesOn ? { ...emptyTurn(state.modelDecides), voice: turn.voice } : emptyTurn(state.modelDecides),
    countedInterim: [state.countedInterim, turn.interim].filter((part) => part !== '').join(' '),
    ignoredVoiceMs: turn.voice.type === 'silent' ? undefined : turn.voice.startedAtMs,
    falseAlarms,
    coolDownUntilMs: coolDownAfter > 0 && falseAlarms >= coolDownAfter ? nowMs + coolDownMs : state.coolDownUntilMs,
  };
}

/** When time alone would decide about a silenced agent. */
export function wakes(state: CallState, sinceMs: number, nowMs: number): number[] {
  const verdict = judgeHeld(state.turn, sinceMs, state.agent.turnTaking, state.agent.language, nowMs);
  return [verdict.type === 'wait' ? verdict.untilMs : nowMs];
}

/** The driver has let the audio go on. */
export function resumed(state: CallState, generation: number, repeatedMs: number, actions: Action[]): CallState {
  if (state.phase.type === 'speaking' && state.phase.reply.generation === generation) {
    actions.push({ type: 'emit', event: { type: 'resumed', repeated_ms: Math.round(repeatedMs) } });
  }
  return state;
}

/** Whether the caller goes on with a turn that was taken for finished, before anything of the reply is audible. */
export function withdraws(state: CallState, reply: Reply): boolean {
  const { turn, agent } = state;
  // What the operator has the agent say is the answer to nothing.
  if (reply.kind !== 'reply' || reply.callerText === '' || reply.afterwards.type === 'hang-up') return false;
  if (turn.voice.type === 'speaking') return turn.voice.speechMs >= agent.turnTaking.bargeInMs;
  return turnText(turn) !== '';
}

/** Takes the reply back: the caller's words so far stay part of their turn. */
export function withdraw(state: CallState, reply: Reply, nowMs: number, actions: Action[]): CallState {
  actions.push({ type: 'cut-reply', generation: reply.generation });
  return {
    ...state,
    phase: { type: 'listening' },
    turn: {
      ...state.turn,
      finals: [reply.callerText, ...state.turn.finals],
      transcriptAtMs: state.turn.transcriptAtMs ?? reply.trace.transcriptAtMs ?? nowMs,
    },
    turnNumber: state.turnNumber - 1,
    wastedTokens: state.wastedTokens + reply.tokens,
    quietSinceMs: nowMs,
  };
}

function isProtectedNow({ agent, heard }: CallState, { clauses }: Reply): boolean {
  return isProtected(clauses, heardCharacters(heard, clauses), agent.turnTaking.neverInterrupt);
}

/** The caller has the floor: what they say opens a new turn. */
function bargeIn(state: CallState, nowMs: number, actions: Action[]): CallState {
  actions.push({ type: 'emit', event: { type: 'barge-in' } });
  const silent = replies.cutCurrent(state, actions);
  return {
    ...silent,
    phase: { type: 'listening' },
    falseAlarms: 0,
    ignoredVoiceMs: undefined,
    guesses: 0,
    quietSinceMs: nowMs,
  };
}
