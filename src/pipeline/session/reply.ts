/** The life of what the agent says: begun, made audible, heard in full, or cut short. */
import type { Heard } from '../../media/playout.ts';
import type { CallEndReason, SpeechKind, TurnStages } from '../events.ts';
import { endText, pushText } from '../text/chunker.ts';
import { heardText as textHeard } from '../text/heard-text.ts';
import { makeSpeakable } from '../text/speakable.ts';
import { failure } from './caller.ts';
import { fixedPhrases } from './phrases.ts';
import { buildMessages } from './prompt.ts';
import type { Action, CallState, Reply, TurnTrace } from './state.ts';
import { EMPTY_TURN, newReply } from './state.ts';

/** Says the first message, if the agent has one. */
export function greet(state: CallState, nowMs: number, actions: Action[]): CallState {
  const { firstMessage, turnTaking } = state.agent;
  if (firstMessage === '') return state;
  const greeting = { ...newReply(state, 'greeting', nowMs), interruptible: turnTaking.interruptibleFirstMessage };
  return sayFixed(state, greeting, firstMessage, nowMs, actions);
}

/** The caller's turn is over: asks the model for a reply to `text`. */
export function answer(state: CallState, text: string, nowMs: number, actions: Action[]): CallState {
  const turn = state.turnNumber + 1;
  const reply: Reply = {
    ...newReply(state, 'reply', nowMs),
    callerText: text,
    trace: beginTrace(state, turn, nowMs),
  };
  actions.push({ type: 'emit', event: { type: 'turn-confirmed', turn, text } });
  const messages = buildMessages(state.agent, state.history, text);
  actions.push({ type: 'start-llm', generation: reply.generation, messages });
  return {
    ...state,
    phase: { type: 'thinking', reply },
    turn: EMPTY_TURN,
    turnNumber: turn,
    nextGeneration: reply.generation + 1,
    misheardTurns: 0,
  };
}

/** The caller said one of the end-call phrases: says goodbye, then hangs up. */
export function sayGoodbye(state: CallState, text: string, nowMs: number, actions: Action[]): CallState {
  const turn = state.turnNumber + 1;
  actions.push({ type: 'emit', event: { type: 'turn-confirmed', turn, text } });
  const goodbye: Reply = {
    ...newReply(state, 'goodbye', nowMs),
    callerText: text,
    interruptible: false,
    afterwards: { type: 'hang-up', reason: 'agent-hung-up' },
    trace: beginTrace(state, turn, nowMs),
  };
  return sayFixed(
    { ...state, turn: EMPTY_TURN, turnNumber: turn },
    goodbye,
    state.agent.goodbyeMessage,
    nowMs,
    actions,
  );
}

/** Says a fixed phrase instead of whatever was going on; with `hangUpReason` the call ends once it was heard. */
export function sayInstead(
  state: CallState,
  kind: SpeechKind,
  text: string,
  nowMs: number,
  actions: Action[],
  hangUpReason?: CallEndReason,
): CallState {
  const silent = cutCurrent(state, actions);
  const reply = newReply(silent, kind, nowMs);
  if (!hangUpReason) return sayFixed(silent, reply, text, nowMs, actions);
  return sayFixed(
    silent,
    { ...reply, interruptible: false, afterwards: { type: 'hang-up', reason: hangUpReason } },
    text,
    nowMs,
    actions,
  );
}

/** More text from the model. */
export function addText(
  state: CallState,
  generation: number,
  text: string,
  nowMs: number,
  actions: Action[],
): CallState {
  const reply = current(state, generation);
  if (!reply || reply.textFinished || text === '') return state;
  const pushed = pushText(reply.chunker, text);
  let next: Reply = { ...reply, chunker: pushed.state };
  if (reply.trace.firstTokenAtMs === undefined) {
    next = { ...next, trace: { ...next.trace, firstTokenAtMs: nowMs } };
    actions.push({ type: 'emit', event: { type: 'first-token', turn: reply.trace.turn } });
  }
  return withReply(state, speakClauses(state, next, pushed.clauses, nowMs, actions));
}

/** The model is done. A reply of no words at all is a failure of the model: the caller must not be left in silence. */
export function finishText(state: CallState, generation: number, nowMs: number, actions: Action[]): CallState {
  const reply = current(state, generation);
  if (!reply || reply.textFinished) return state;
  const { clauses } = endText(reply.chunker);
  const spoken = speakClauses(state, reply, clauses, nowMs, actions);
  if (spoken.clauses.length === 0) return apologise(state, 'llm', 'empty-reply', nowMs, actions);
  actions.push({ type: 'finish-speech', generation });
  return withReply(state, { ...spoken, textFinished: true });
}

/** The model failed. What it said so far is finished; if that was nothing, the agent apologises. */
export function modelFailed(
  state: CallState,
  generation: number,
  code: string,
  nowMs: number,
  actions: Action[],
): CallState {
  const reply = current(state, generation);
  if (!reply || reply.textFinished) return state;
  if (reply.clauses.length === 0) return apologise(state, 'llm', code, nowMs, actions);
  actions.push({ type: 'emit', event: failure(state, 'llm', code) });
  return finishText(state, generation, nowMs, actions);
}

/** The synthesiser cannot go on with this reply: what was heard stands, and the floor goes back to the caller. */
export function voiceFailed(state: CallState, generation: number, code: string, actions: Action[]): CallState {
  const reply = current(state, generation);
  if (!reply) return state;
  actions.push({ type: 'emit', event: failure(state, 'tts', code) });
  return giveUp(state, reply, actions);
}

/** Nothing was audible in time. */
export function missedDeadline(state: CallState, reply: Reply, nowMs: number, actions: Action[]): CallState {
  const stage = reply.clauses.length === 0 ? 'llm' : 'tts';
  if (reply.kind === 'reply' && stage === 'llm') return apologise(state, stage, 'turn-deadline', nowMs, actions);
  actions.push({ type: 'emit', event: failure(state, stage, 'turn-deadline') });
  return giveUp(state, reply, actions);
}

/** The reply's first audio is on the wire: from now on the caller's words and this answer are part of the conversation. */
export function becameAudible(state: CallState, generation: number, nowMs: number, actions: Action[]): CallState {
  const reply = current(state, generation);
  if (!reply || state.phase.type !== 'thinking') return state;
  const trace = { ...reply.trace, firstAudioAtMs: nowMs };
  if (reply.callerText !== '') {
    const { turn } = trace;
    actions.push({ type: 'emit', event: { type: 'first-audio', turn } });
    actions.push({ type: 'emit', event: { type: 'turn-traced', turn, stages: stages(state, trace) } });
  }
  const recorded = recordCaller(state, { ...reply, trace }, actions);
  return { ...recorded.state, phase: { type: 'speaking', reply: recorded.reply } };
}

/** All of the reply was heard: the floor is the caller's, or the call is over. */
export function heardInFull(state: CallState, heard: Heard, actions: Action[]): CallState {
  const reply = current(state, heard.generation);
  if (!reply) return state;
  if (heard.heardMs === 0) return voiceFailed(state, reply.generation, 'empty-audio', actions);
  const text = fullText(reply);
  const recorded = recordCaller(state, reply, actions);
  emitSaid(reply, text, text, heard.heardMs, false, actions);
  const history = [...recorded.state.history, { role: 'agent', text, heardText: text } as const];
  return leaveOrListen({ ...recorded.state, history }, reply, actions);
}

/** The caller talked over the agent: silence at once; the caller has the floor and what they say opens a new turn. */
export function interrupt(state: CallState, actions: Action[]): CallState {
  actions.push({ type: 'emit', event: { type: 'barge-in' } });
  return { ...cutCurrent(state, actions), phase: { type: 'listening' } };
}

/** The caller went on talking before the reply was audible: it is withdrawn, and their words so far stay part of the turn. */
export function withdraw(state: CallState, actions: Action[]): CallState {
  if (state.phase.type !== 'thinking') return state;
  const { reply } = state.phase;
  actions.push({ type: 'cut-reply', generation: reply.generation });
  const turn = { ...state.turn, finals: [reply.callerText, ...state.turn.finals] };
  return { ...state, phase: { type: 'listening' }, turn, turnNumber: state.turnNumber - 1 };
}

/** Stops the current reply, if there is one; the driver reports with `reply-cut` how much of it was heard. */
export function cutCurrent(state: CallState, actions: Action[]): CallState {
  const { phase } = state;
  if (phase.type !== 'thinking' && phase.type !== 'speaking') return state;
  actions.push({ type: 'cut-reply', generation: phase.reply.generation });
  return { ...state, cut: phase.reply };
}

/** Writes into the history what the caller said, and what they had heard of the reply when it was cut. */
export function recordCut(
  state: CallState,
  generation: number,
  heard: Heard | undefined,
  actions: Action[],
): CallState {
  const { cut } = state;
  if (cut?.generation !== generation) return state;
  const recorded = recordCaller({ ...state, cut: undefined }, cut, actions);
  const { heardText } = textHeard(cut.clauses, heard?.heardCharacters ?? 0);
  if (heard === undefined || heard.sentMs === 0) return recorded.state;
  const text = fullText(cut);
  emitSaid(cut, text, heardText, heard.heardMs, true, actions);
  return { ...recorded.state, history: [...recorded.state.history, { role: 'agent', text, heardText }] };
}

/** Puts a whole text that needs no model on its way. */
function sayFixed(state: CallState, reply: Reply, text: string, nowMs: number, actions: Action[]): CallState {
  const pushed = pushText(reply.chunker, text);
  const clauses = [...pushed.clauses, ...endText(pushed.state).clauses];
  const speaking = speakClauses(state, reply, clauses, nowMs, actions);
  actions.push({ type: 'finish-speech', generation: reply.generation });
  return {
    ...state,
    phase: { type: 'thinking', reply: { ...speaking, textFinished: true } },
    nextGeneration: reply.generation + 1,
  };
}

function speakClauses(
  state: CallState,
  reply: Reply,
  originals: readonly string[],
  nowMs: number,
  actions: Action[],
): Reply {
  let next = reply;
  for (const original of originals) {
    const spoken = makeSpeakable(original, state.agent);
    next = { ...next, clauses: [...next.clauses, { original, spoken }] };
    if (spoken.trim() === '') continue;
    actions.push({ type: 'speak', generation: reply.generation, text: spoken });
    actions.push({ type: 'emit', event: { type: 'agent-clause', kind: reply.kind, text: original } });
    if (next.trace.firstClauseAtMs === undefined) next = { ...next, trace: { ...next.trace, firstClauseAtMs: nowMs } };
  }
  return next;
}

/** A reply that cannot be made: the caller's words stay in the history, and the agent says that something went wrong. */
function apologise(state: CallState, stage: 'llm' | 'tts', code: string, nowMs: number, actions: Action[]): CallState {
  actions.push({ type: 'emit', event: failure(state, stage, code) });
  return sayInstead(state, 'apology', fixedPhrases(state.agent.language).trouble, nowMs, actions);
}

/** Ends a reply that can get no more audio: what was heard of it stands. */
function giveUp(state: CallState, reply: Reply, actions: Action[]): CallState {
  return leaveOrListen(cutCurrent(state, actions), reply, actions);
}

function leaveOrListen(state: CallState, reply: Reply, actions: Action[]): CallState {
  if (reply.afterwards.type === 'listen') return { ...state, phase: { type: 'listening' } };
  actions.push({ type: 'hang-up' });
  return { ...state, phase: { type: 'ended', reason: reply.afterwards.reason } };
}

function current(state: CallState, generation: number): Reply | undefined {
  const { phase } = state;
  if (phase.type !== 'thinking' && phase.type !== 'speaking') return undefined;
  return phase.reply.generation === generation ? phase.reply : undefined;
}

function withReply(state: CallState, reply: Reply): CallState {
  const { phase } = state;
  if (phase.type !== 'thinking' && phase.type !== 'speaking') return state;
  return { ...state, phase: { type: phase.type, reply } };
}

/** Moves the caller's words of this turn into the history, once. */
function recordCaller(state: CallState, reply: Reply, actions: Action[]): { state: CallState; reply: Reply } {
  if (reply.callerText === '' || reply.callerTextInHistory) return { state, reply };
  actions.push({ type: 'emit', event: { type: 'caller-said', turn: reply.trace.turn, text: reply.callerText } });
  const history = [...state.history, { role: 'caller', text: reply.callerText } as const];
  return { state: { ...state, history }, reply: { ...reply, callerTextInHistory: true } };
}

function emitSaid(
  reply: Reply,
  text: string,
  heardText: string,
  heardMs: number,
  interrupted: boolean,
  actions: Action[],
): void {
  const { kind } = reply;
  actions.push({
    type: 'emit',
    event: { type: 'agent-said', kind, text, heard_text: heardText, heard_ms: Math.round(heardMs), interrupted },
  });
}

function fullText(reply: Reply): string {
  return reply.clauses
    .map((clause) => clause.original)
    .join('')
    .trim();
}

function beginTrace(state: CallState, turn: number, nowMs: number): TurnTrace {
  const { voice, transcriptAtMs } = state.turn;
  return {
    turn,
    confirmedAtMs: nowMs,
    ...(transcriptAtMs === undefined ? {} : { transcriptAtMs }),
    ...(voice.type === 'paused' ? { speechEndedAtMs: voice.endedAtMs, speechEndDetectedAtMs: voice.detectedAtMs } : {}),
  };
}

/** The turn's stamps as durations since the caller's true end of speech (or, unheard by the detector, the transcript). */
function stages(state: CallState, trace: TurnTrace): TurnStages {
  const originMs = trace.speechEndedAtMs ?? trace.transcriptAtMs ?? state.startedAtMs;
  const since = (atMs: number | undefined) =>
    atMs === undefined ? undefined : Math.round((atMs - originMs) * 10) / 10;
  const all = {
    speech_end_detected_ms: since(trace.speechEndDetectedAtMs),
    transcript_ms: since(trace.transcriptAtMs),
    turn_confirmed_ms: since(trace.confirmedAtMs),
    first_token_ms: since(trace.firstTokenAtMs),
    first_clause_ms: since(trace.firstClauseAtMs),
    first_audio_ms: since(trace.firstAudioAtMs),
  };
  const reached = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
  return { speech_ended_at_ms: Math.round(originMs - state.startedAtMs), ...reached };
}
