/** The caller speaks while the agent does, or is about to: silence first, then a judgement, then one of two ways on. */
import { countInterim, failure } from './caller.ts';
import * as replies from './reply.ts';
import type { HeardSpeech } from '../../media/playout.ts';
import type { Action, CallState, CallerTurn, Phase, Reply } from './state.ts';
import { emptyTurn } from './state.ts';
import { asksForNothing } from './turn-taking/backchannel.ts';
import { isAnswer, isProtected, judgeHeld, onlyWaited, silencesAgent, takesFloor } from './turn-taking/barge-in.ts';
import { asksToStay, takesLeave } from './turn-taking/end-call.ts';
import { isEcho, observeOverlap } from './turn-taking/echo.ts';
import { TRANSCRIPT_DEADLINE_MS, turnText } from './turn-taking/endpointing.ts';

/** A line that echoes goes on to: for so long only words silence the agent. */
const ECHOES_MS = 30_000;
/** How often it is looked whether a text that must be spoken to its end has been. */
const PROTECTED_LOOK_MS = 100;

/** More voiced audio of the caller: it may silence an agent that is speaking. */
export function onVoice(known: CallState, heard: HeardSpeech | undefined, nowMs: number, actions: Action[]): CallState {
  const { phase, turn, agent } = known;
  if (phase.type !== 'speaking' || turn.voice.type !== 'speaking') return { ...known, heard };
  const echoes = nowMs < known.echoesUntilMs;
  const state = {
    ...known,
    heard,
    overlap: observeOverlap(known.overlap, turn, heard, phase.reply.clauses, echoes, nowMs),
  };
  if (!phase.reply.interruptible || echoes) return state;
  if (state.ignoredVoiceMs === turn.voice.startedAtMs) return state;
  if (!silencesAgent(turn, agent.turnTaking, nowMs < state.coolDownUntilMs)) return state;
  if (isProtectedNow(state, phase.reply)) return state;
  actions.push({ type: 'hold-reply', generation: phase.reply.generation });
  actions.push({ type: 'emit', event: { type: 'interruption-suspected' } });
  return { ...state, phase: { type: 'held', reply: phase.reply, sinceMs: nowMs } };
}

/** Words and keys that come while the agent speaks take the floor, even if the sound alone had been a false alarm. */
export function settleSpeaking(state: CallState, reply: Reply, nowMs: number, actions: Action[]): CallState {
  if (!wantsFloor(state, reply) || isProtectedNow(state, reply)) return state;
  return bargeIn(state, nowMs, actions);
}

/** Whether the caller has said enough, or pressed a key, to stop an agent that is speaking. */
function wantsFloor(state: CallState, reply: Reply): boolean {
  const { turn, ignoredVoiceMs } = state;
  if (isLateAnswer(state, reply)) return true;
  const didSomething = turn.voice.type !== 'silent' || ignoredVoiceMs !== undefined || turn.keysUntilMs !== undefined;
  if (!didSomething) return false;
  return reply.interruptible ? takesFloor(state) : staysOn(turn, reply);
}

/** Words of a sound that was taken for a false alarm before they came, which answer what the caller was hearing then. */
function isLateAnswer({ falseAlarm, turn, overlap }: CallState, reply: Reply): boolean {
  if (falseAlarm === undefined || turn.transcriptAtMs === undefined || !reply.interruptible) return false;
  const afterMs = turn.transcriptAtMs - falseAlarm.atMs;
  if (afterMs < 0 || afterMs > TRANSCRIPT_DEADLINE_MS) return false;
  const text = turnText(turn);
  return text !== '' && isAnswered(falseAlarm.heard, reply) && !isEcho(text, overlap);
}

/** Whether the caller wants the call to go on that the agent is ending because they seemed to be done. */
function staysOn(turn: CallerTurn, { afterwards }: Reply): boolean {
  const seemedDone = afterwards.type === 'hang-up' && afterwards.reason === 'agent-hung-up';
  return seemedDone && asksToStay(turnText(turn));
}

/** When time alone would let the caller have the floor: when what must be spoken to its end has been. */
export function protectedWakes(state: CallState, reply: Reply, nowMs: number): number[] {
  return isProtectedNow(state, reply) && wantsFloor(state, reply) ? [nowMs + PROTECTED_LOOK_MS] : [];
}

/** The agent is silenced: was the caller speaking to it? */
export function settleHeld(
  state: CallState,
  phase: Extract<Phase, { type: 'held' }>,
  nowMs: number,
  actions: Action[],
): CallState {
  const { agent, turn } = state;
  const verdict = judgeHeld(state, phase.sinceMs, nowMs);
  if (verdict.type === 'wait') return state;
  if (verdict.type === 'barge-in') return bargeIn(state, nowMs, actions);
  const { cause, text } = verdict;
  const mayAnswer = text !== '' && cause !== 'echo' && !onlyWaited(state);
  if (mayAnswer && isAnswered(state.heard, phase.reply)) return bargeIn(state, nowMs, actions);
  actions.push({ type: 'emit', event: { type: 'false-interruption', cause, text } });
  const falseAlarms = state.falseAlarms + 1;
  const { coolDownAfter, coolDownMs } = agent.turnTaking;
  // An echo that goes on may yet turn out to be the beginning of something else.
  const isMeant = cause === 'echo' ? turn.voice.type === 'speaking' : turnText(turn) !== '' && cause !== 'backchannel';
  const goingOn: CallState = {
    ...state,
    ...(isMeant ? { turn: withoutPause(turn) } : withoutWords(state, nowMs)),
    phase: { type: 'speaking', reply: phase.reply },
    ignoredVoiceMs: turn.voice.type === 'silent' ? undefined : turn.voice.startedAtMs,
    falseAlarm: text === '' ? { atMs: nowMs, heard: state.heard } : undefined,
    falseAlarms,
    echoesUntilMs: cause === 'echo' ? nowMs + ECHOES_MS : state.echoesUntilMs,
    coolDownUntilMs: coolDownAfter > 0 && falseAlarms >= coolDownAfter ? nowMs + coolDownMs : state.coolDownUntilMs,
  };
  // Its time may have run out meanwhile: then there is nothing to go on with.
  if (replies.isOverdue(phase.reply, nowMs)) return replies.settleWaiting(goingOn, phase.reply, nowMs, actions);
  actions.push({ type: 'resume-reply', generation: phase.reply.generation });
  return goingOn;
}

/** Whether a "go on" is more than that: it answers what the agent was saying, or a caller is there who was thought to be gone. */
function isAnswered(heard: HeardSpeech | undefined, reply: Reply): boolean {
  return reply.afterwards.type !== 'listen' || isAnswer(heard, reply.clauses);
}

/** Words that are too few to take the floor stay part of what the caller is saying: they get their answer when it is theirs. */
function withoutPause(turn: CallerTurn): CallerTurn {
  return turn.voice.type === 'paused' ? { ...turn, voice: { type: 'silent' } } : turn;
}

/** The agent's own words, when they are final, are none of the caller's. While it is silenced they are still to be judged. */
export function forgetEcho(state: CallState, nowMs: number, actions: Action[]): CallState {
  const { turn, overlap, phase } = state;
  if (overlap === undefined || turn.finals.length === 0 || phase.type === 'held') return state;
  const finals = turn.finals.filter((text) => !isEcho(text, overlap));
  if (finals.length === turn.finals.length) return state;
  const left = { ...turn, finals };
  return turnText(left) === '' ? forgetTurn(state, nowMs, actions) : { ...state, turn: left };
}

/** All that was recognised of the turn is an echo and none of the caller's words, nor is the sound: the log says so. */
export function forgetTurn(state: CallState, nowMs: number, actions: Action[]): CallState {
  actions.push({ type: 'emit', event: failure(state, 'stt', 'echo') });
  const { voice } = state.turn;
  const ignoredVoiceMs = voice.type === 'speaking' ? voice.startedAtMs : state.ignoredVoiceMs;
  return { ...state, ...withoutWords(state, nowMs), ignoredVoiceMs };
}

/** A "go on" asks for nothing: what the recogniser makes of it later is known already. */
function withoutWords(state: CallState, nowMs: number): Partial<CallState> {
  const { turn, modelDecides } = state;
  const fresh = emptyTurn(modelDecides);
  return {
    ...countInterim(state, nowMs),
    turn: turn.voice.type === 'speaking' ? { ...fresh, voice: turn.voice } : fresh,
  };
}

/** When time alone would decide about a silenced agent. */
export function wakes(state: CallState, sinceMs: number, nowMs: number): number[] {
  const verdict = judgeHeld(state, sinceMs, nowMs);
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
  if (reply.callerText === '') return false;
  const text = turnText(turn);
  if (reply.kind === 'goodbye') return text !== '' && !takesLeave(text, agent.endCallPhrases);
  if (reply.kind !== 'reply' || reply.afterwards.type === 'hang-up') return false;
  if (text !== '') return true;
  if (turn.voice.type !== 'speaking' || turn.voice.speechMs < agent.turnTaking.bargeInMs) return false;
  // A sound may be the beginning of more words. Where none came of one, the next would keep the caller from the answer.
  return state.withdrawnText !== reply.callerText;
}

/**
 * Takes the reply back: the caller's words so far stay part of their turn. As long as they say nothing that it would not answer,
 * it stays in the making, as a guess.
 */
export function withdraw(state: CallState, reply: Reply, nowMs: number, actions: Action[]): CallState {
  const { turn, agent } = state;
  const text = turnText(turn);
  const goingOn: CallState = {
    ...state,
    phase: { type: 'listening' },
    withdrawnText: reply.callerText,
    turn: {
      ...turn,
      finals: [reply.callerText, ...turn.finals],
      transcriptAtMs: turn.transcriptAtMs ?? reply.trace.transcriptAtMs ?? nowMs,
    },
    turnNumber: state.turnNumber - 1,
    quietSinceMs: nowMs,
  };
  if (reply.kind === 'reply' && (text === '' || asksForNothing(text, agent.language))) {
    actions.push({ type: 'hold-reply', generation: reply.generation });
    return { ...goingOn, speculation: { reply, startedAtMs: nowMs, takenBack: reply } };
  }
  actions.push({ type: 'cut-reply', generation: reply.generation });
  return { ...goingOn, wastedTokens: state.wastedTokens + reply.tokens };
}

function isProtectedNow({ agent, heard }: CallState, { clauses }: Reply): boolean {
  return isProtected(clauses, heard, agent.turnTaking.neverInterrupt);
}

/** The caller has the floor: what they say opens a new turn. */
function bargeIn(state: CallState, nowMs: number, actions: Action[]): CallState {
  actions.push({ type: 'emit', event: { type: 'barge-in' } });
  const silent = replies.cutCurrent(state, actions);
  return {
    ...silent,
    phase: { type: 'listening' },
    falseAlarms: 0,
    falseAlarm: undefined,
    ignoredVoiceMs: undefined,
    guesses: 0,
    quietSinceMs: nowMs,
  };
}
