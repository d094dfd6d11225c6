/** The life of what the agent says: begun, made audible, heard in full, or cut short. */
import type { Heard } from '../../media/playout.ts';
import type { CallEndReason, SpeechKind } from '../events.ts';
import { fixedPhrases } from '../fixed-phrases.ts';
import type { ToolCall } from '../providers/spec.ts';
import { countInterim, failure } from './caller.ts';
import { recordCaller, recordInFull } from './history.ts';
import { fallbackText, fixedClauses } from './phrases.ts';
import { buildMessages } from './prompt.ts';
import type { Action, CallState, Reply, Speculation } from './state.ts';
import { addClauses, collectRest, collectText, isAudible, speakAll, speakClauses } from './reply-text.ts';
import { currentReply, emptyTurn, newReply } from './state.ts';
import { END_CALL, TOOLS, resultOf } from './tools.ts';
import { beginTrace, confirmTrace, stages, waitedMs } from './trace.ts';
import { asksForNothing, isBackchannel } from './turn-taking/backchannel.ts';
import { turnText } from './turn-taking/endpointing.ts';

/** After this many turns in a row that no provider could answer, trying on would only keep the caller from help. */
const MAX_FAILED_TURNS = 2;
/** What is said so shortly before the agent ends is meant for its end. */
const ANSWER_AT_THE_END_MS = 1_500;

/** Says the first message, if the agent has one. */
export function greet(state: CallState, nowMs: number, actions: Action[]): CallState {
  const { firstMessage, turnTaking } = state.agent;
  if (firstMessage === '') return state;
  const greeting = { ...newReply(state, 'greeting', nowMs), interruptible: turnTaking.interruptibleFirstMessage };
  return sayFixed(state, greeting, firstMessage, nowMs, actions, state.greetsAlike);
}

/** The caller's turn is over: asks the model for a reply to `text`. */
export function answer(state: CallState, text: string, nowMs: number, actions: Action[]): CallState {
  const turn = state.turnNumber + 1;
  const reply: Reply = {
    ...newReply(state, 'reply', nowMs),
    callerText: text,
    trace: beginTrace(state, turn, nowMs),
  };
  actions.push({ type: 'emit', event: { type: 'turn-confirmed', turn, text, ...waitedMs(state, nowMs) } });
  actions.push(startModel(state, reply));
  const answered = turnTaken(state, turn, text, nowMs);
  return { ...answered, phase: { type: 'thinking', reply }, nextGeneration: reply.generation + 1 };
}

/** The caller has said just what was guessed: the reply begun then is let go. One that was taken back goes on where it was. */
export function releaseGuess(
  state: CallState,
  { reply, startedAtMs, takenBack }: Speculation,
  text: string,
  nowMs: number,
  actions: Action[],
): CallState {
  const turn = state.turnNumber + 1;
  actions.push({ type: 'emit', event: { type: 'turn-confirmed', turn, text, ...waitedMs(state, nowMs) } });
  if (!takenBack) {
    actions.push({ type: 'emit', event: { type: 'speculation-hit', lead_ms: Math.round(nowMs - startedAtMs) } });
  }
  if (reply.trace.firstTokenAtMs !== undefined && takenBack?.trace.firstTokenAtMs === undefined) {
    actions.push({ type: 'emit', event: { type: 'first-token', turn } });
  }
  const confirmed: Reply = takenBack
    ? { ...reply, callerText: text }
    : {
        ...reply,
        callerText: text,
        sinceMs: nowMs,
        deadlineAtMs: nowMs + state.agent.turnTaking.turnDeadlineMs,
        trace: confirmTrace(reply.trace, beginTrace(state, turn, nowMs)),
      };
  const taken: CallState = {
    ...turnTaken(state, turn, text, nowMs),
    speculation: undefined,
    phase: { type: 'thinking', reply: confirmed },
  };
  for (const { original } of reply.clauses.slice(takenBack?.clausesSpoken ?? 0, reply.clausesSpoken)) {
    actions.push({ type: 'emit', event: { type: 'agent-clause', kind: reply.kind, text: original } });
  }
  actions.push({ type: 'resume-reply', generation: reply.generation });
  const spoken = speakAll(confirmed, nowMs, actions);
  const isToClose = reply.modelFinished && takenBack?.modelFinished !== true;
  return isToClose ? close(taken, spoken, nowMs, actions) : withReply(taken, spoken);
}

/** The caller said one of the end-call phrases: says goodbye, then hangs up. */
export function sayGoodbye(state: CallState, text: string, nowMs: number, actions: Action[]): CallState {
  const turn = state.turnNumber + 1;
  actions.push({ type: 'emit', event: { type: 'turn-confirmed', turn, text, ...waitedMs(state, nowMs) } });
  const goodbye: Reply = {
    ...newReply(state, 'goodbye', nowMs),
    callerText: text,
    interruptible: false,
    afterwards: { type: 'hang-up', reason: 'agent-hung-up' },
    trace: beginTrace(state, turn, nowMs),
  };
  return sayFixed(turnTaken(state, turn, text, nowMs), goodbye, state.agent.goodbyeMessage, nowMs, actions);
}

/** Says a fixed phrase instead of whatever was going on. */
export function say(state: CallState, kind: SpeechKind, text: string, nowMs: number, actions: Action[]): CallState {
  const silent = cutCurrent(dropGuess(state, actions), actions);
  return sayFixed(silent, newReply(silent, kind, nowMs), text, nowMs, actions);
}

/** Says what somebody outside the call wants said in it, instead of whatever was going on. */
export function sayInThisCall(state: CallState, text: string, nowMs: number, actions: Action[]): CallState {
  const silent = cutCurrent(dropGuess(state, actions), actions);
  return sayFixed(silent, newReply(silent, 'reply', nowMs), text, nowMs, actions, false);
}

/** Says a last word, and hangs up when it was heard. To a caller who was silent it is a question as well: words of theirs stop it. */
export function takeLeave(
  state: CallState,
  text: string,
  reason: CallEndReason,
  nowMs: number,
  actions: Action[],
): CallState {
  const silent = cutCurrent(dropGuess(state, actions), actions);
  const goodbye = newReply(silent, 'goodbye', nowMs);
  const interruptible = reason === 'caller-silent';
  const last: Reply = { ...goodbye, interruptible, afterwards: { type: 'hang-up', reason } };
  return sayFixed(silent, last, text, nowMs, actions);
}

/** No provider can serve the call any more: the agent says so and takes its way out. */
export function fallBack(state: CallState, nowMs: number, actions: Action[]): CallState {
  const { fallback } = state.agent;
  const silent = cutCurrent(dropGuess(state, actions), actions);
  const afterwards: Reply['afterwards'] =
    fallback.action === 'transfer' && fallback.transferTo !== undefined
      ? { type: 'transfer', to: fallback.transferTo }
      : { type: 'hang-up', reason: 'providers-down' };
  const last: Reply = { ...newReply(silent, 'goodbye', nowMs), interruptible: false, afterwards };
  return sayFixed(silent, last, fallbackText(state.agent), nowMs, actions);
}

/** The request to the model for a reply. */
export function startModel(state: CallState, reply: Reply): Action {
  const messages = buildMessages(state.agent, state.history, reply.callerText);
  return { type: 'start-llm', generation: reply.generation, messages, tools: state.agent.endCallTool ? TOOLS : [] };
}

/** More text from the model, for the reply that the call is busy with. */
export function addText(state: CallState, reply: Reply, text: string, nowMs: number, actions: Action[]): CallState {
  return withReply(state, speakAll(collectText(state, reply, text, nowMs, actions), nowMs, actions));
}

/** The model wants a tool run: that waits until the model is done. */
export function addTool(state: CallState, reply: Reply, call: ToolCall): CallState {
  return withReply(state, { ...reply, toolCalls: [...reply.toolCalls, call] });
}

/** The model is done. */
export function finishText(state: CallState, reply: Reply, nowMs: number, actions: Action[]): CallState {
  if (reply.modelFinished) return state;
  return close(state, speakAll(collectRest(state, reply), nowMs, actions), nowMs, actions);
}

/** The model failed. What it said so far is finished; if that was nothing, the agent apologises. */
export function modelFailed(state: CallState, reply: Reply, code: string, nowMs: number, actions: Action[]): CallState {
  if (reply.modelFinished) return state;
  actions.push({ type: 'emit', event: failure(state, 'llm', code) });
  if (!reply.answered && reply.chunker.pending.trim() === '') return apologise(state, nowMs, actions);
  return finishText(state, { ...reply, toolCalls: [] }, nowMs, actions);
}

/** The synthesiser cannot go on with this reply: what was heard stands, and the floor goes back to the caller. */
export function voiceFailed(
  state: CallState,
  generation: number,
  code: string,
  nowMs: number,
  actions: Action[],
): CallState {
  const reply = currentReply(state);
  if (reply?.generation !== generation) return state;
  actions.push({ type: 'emit', event: failure(state, 'tts', code) });
  return mute(state, reply, nowMs, actions);
}

/** A reply that lets the caller wait: first a filler, at the deadline an apology, or at least the floor. */
export function settleWaiting(state: CallState, reply: Reply, nowMs: number, actions: Action[]): CallState {
  const current = currentReply(state);
  if (current?.generation !== reply.generation || state.phase.type === 'held' || current.answered) {
    return settleInaudible(state, nowMs, actions);
  }
  if (isOverdue(current, nowMs)) {
    actions.push({ type: 'emit', event: failure(state, 'llm', 'turn-deadline') });
    if (current.kind === 'reply') return apologise(state, nowMs, actions);
    return giveUp(state, current, nowMs, actions);
  }
  const fillerMs = fillerDueMs(current, state);
  if (fillerMs === undefined || nowMs < fillerMs) return state;
  const text = `${fixedPhrases(state.agent.language).filler} `;
  const filled = { ...addClauses(state, current, [text]), answered: false, fillerSpoken: true };
  return withReply(state, speakClauses(filled, { fixed: true }, nowMs, actions));
}

/** Whether the model has let the caller wait for too long. */
export function isOverdue(reply: Reply, nowMs: number): boolean {
  return !reply.answered && nowMs >= reply.deadlineAtMs;
}

/** When time alone would change something about a reply. */
export function wakes(reply: Reply, state: CallState): number[] {
  if (!reply.answered) return [reply.deadlineAtMs, fillerDueMs(reply, state)].filter((dueMs) => dueMs !== undefined);
  return state.phase.type === 'thinking' ? [reply.deadlineAtMs] : [];
}

/** The reply's first audio is on the wire: from now on the caller's words and this answer are part of the conversation. */
export function becameAudible(state: CallState, generation: number, nowMs: number, actions: Action[]): CallState {
  const { phase } = state;
  if (phase.type !== 'thinking' || phase.reply.generation !== generation) return state;
  const trace = { ...phase.reply.trace, firstAudioAtMs: nowMs };
  if (phase.reply.callerText !== '') {
    const { turn } = trace;
    actions.push({ type: 'emit', event: { type: 'first-audio', turn } });
    actions.push({ type: 'emit', event: { type: 'turn-traced', turn, stages: stages(state, trace) } });
  }
  const recorded = recordCaller(state, { ...phase.reply, trace }, actions);
  const failedTurns = phase.reply.kind === 'reply' && phase.reply.answered ? 0 : state.failedTurns;
  return {
    ...recorded.state,
    failedTurns,
    phase: { type: 'speaking', reply: recorded.reply },
    falseAlarm: undefined,
    heard: undefined,
    overlap: undefined,
    withdrawnText: '',
  };
}

/** All of the reply was heard: the floor is the caller's, or the call is over. */
export function heardInFull(state: CallState, heard: Heard, nowMs: number, actions: Action[]): CallState {
  const reply = currentReply(state);
  if (reply?.generation !== heard.generation) return state;
  if (heard.heardMs === 0) return voiceFailed(state, reply.generation, 'empty-audio', nowMs, actions);
  const recorded = recordCaller(state, reply, actions);
  const said = recordInFull(recorded.state, reply, heard.heardMs, actions);
  // After a filler only now: the answer itself was heard.
  if (reply.kind === 'reply' && reply.answered)
    return leaveOrListen({ ...said, failedTurns: 0 }, reply, nowMs, actions);
  return leaveOrListen(said, reply, nowMs, actions);
}

/** Stops the current reply, if there is one; the driver reports with `reply-cut` how much of it was heard. */
export function cutCurrent(state: CallState, actions: Action[]): CallState {
  const reply = currentReply(state);
  if (!reply) return state;
  actions.push({ type: 'cut-reply', generation: reply.generation });
  return { ...state, cut: reply };
}

/** Gives up the guess, if there is one. */
export function dropGuess(state: CallState, actions: Action[]): CallState {
  if (!state.speculation) return state;
  const { reply, takenBack } = state.speculation;
  actions.push({ type: 'cut-reply', generation: reply.generation });
  if (!takenBack) actions.push({ type: 'emit', event: { type: 'speculation-missed', wasted_tokens: reply.tokens } });
  return { ...state, speculation: undefined, wastedTokens: state.wastedTokens + reply.tokens };
}

/**
 * Puts a whole text that needs no model on its way; one without a word that could be said is over at once. `fixed`: other calls say
 * it too, so that its audio is worth keeping.
 */
function sayFixed(
  state: CallState,
  reply: Reply,
  text: string,
  nowMs: number,
  actions: Action[],
  fixed = true,
): CallState {
  const whole: Reply = { ...reply, clauses: fixedClauses(text, state.agent), answered: true };
  if (!whole.clauses.some(isAudible)) {
    return leaveOrListen(recordCaller(state, whole, actions).state, whole, nowMs, actions);
  }
  const spoken = speakClauses(whole, { fixed }, nowMs, actions);
  actions.push({ type: 'finish-speech', generation: reply.generation });
  return {
    ...state,
    phase: { type: 'thinking', reply: { ...spoken, modelFinished: true } },
    nextGeneration: reply.generation + 1,
  };
}

/** The model is done and all of its text is with the synthesiser: its tools are run, and a reply of no words is mended. */
function close(state: CallState, reply: Reply, nowMs: number, actions: Action[]): CallState {
  const ended: Reply = { ...reply, modelFinished: true };
  for (const { name } of reply.toolCalls) actions.push({ type: 'emit', event: { type: 'tool-called', name } });
  for (const call of reply.toolCalls) {
    actions.push({ type: 'emit', event: { type: 'tool-finished', name: call.name, result: resultOf(call) } });
  }
  const leaves = reply.toolCalls.some(({ name }) => name === END_CALL);
  if (!reply.answered && !leaves) {
    actions.push({ type: 'emit', event: failure(state, 'llm', 'empty-reply') });
    return apologise(withReply(state, ended), nowMs, actions);
  }
  const goodbye: Reply = leaves
    ? { ...ended, interruptible: false, afterwards: { type: 'hang-up', reason: 'agent-hung-up' } }
    : ended;
  const said = reply.answered ? goodbye : withGoodbye(state, goodbye, nowMs, actions);
  actions.push({ type: 'finish-speech', generation: reply.generation });
  return withReply(state, said);
}

/** The model ended the call without a word: the agent's own goodbye is said. */
function withGoodbye(state: CallState, reply: Reply, nowMs: number, actions: Action[]): Reply {
  return speakAll(addClauses(state, reply, [state.agent.goodbyeMessage]), nowMs, actions);
}

/** A reply that cannot be made: the caller's words stay in the history, and the agent says that something went wrong. */
function apologise(state: CallState, nowMs: number, actions: Action[]): CallState {
  const failed = { ...state, failedTurns: state.failedTurns + 1 };
  if (failed.failedTurns >= MAX_FAILED_TURNS) return fallBack(failed, nowMs, actions);
  return say(failed, 'apology', fixedPhrases(state.agent.language).trouble, nowMs, actions);
}

/**
 * No voice can say this reply. What was kept of other calls may still be sayable: an apology, or the words with which the agent
 * takes its leave. When not even those are, the floor goes back to the caller.
 */
function mute(state: CallState, reply: Reply, nowMs: number, actions: Action[]): CallState {
  // The turn for which an apology is made is counted already.
  if (reply.afterwards.type !== 'listen' || reply.kind === 'apology') return giveUp(state, reply, nowMs, actions);
  if (reply.kind === 'reply') return apologise(state, nowMs, actions);
  const failed = { ...state, failedTurns: state.failedTurns + 1 };
  return failed.failedTurns < MAX_FAILED_TURNS
    ? giveUp(failed, reply, nowMs, actions)
    : fallBack(failed, nowMs, actions);
}

/** Ends a reply that can get no more audio: what was heard of it stands. */
function giveUp(state: CallState, reply: Reply, nowMs: number, actions: Action[]): CallState {
  return leaveOrListen(cutCurrent(state, actions), reply, nowMs, actions);
}

/** Text was sent to the synthesiser, and nothing came of it in time. */
function settleInaudible(state: CallState, nowMs: number, actions: Action[]): CallState {
  const { phase } = state;
  if (phase.type !== 'thinking' || nowMs < phase.reply.deadlineAtMs) return state;
  actions.push({ type: 'emit', event: failure(state, 'tts', 'turn-deadline') });
  return mute(state, phase.reply, nowMs, actions);
}

function fillerDueMs(reply: Reply, state: CallState): number | undefined {
  if (reply.kind !== 'reply' || reply.fillerSpoken || reply.clauses.length > 0) return undefined;
  const { fillerAfterMs, turnDeadlineMs } = state.agent.turnTaking;
  return fillerAfterMs < turnDeadlineMs ? reply.sinceMs + fillerAfterMs : undefined;
}

function leaveOrListen(state: CallState, reply: Reply, nowMs: number, actions: Action[]): CallState {
  if (reply.afterwards.type === 'listen') {
    const turn = isOldBackchannel(state, nowMs) ? emptyTurn(state.modelDecides) : state.turn;
    return { ...state, phase: { type: 'listening' }, turn, guesses: 0, quietSinceMs: nowMs, ignoredVoiceMs: undefined };
  }
  if (reply.afterwards.type === 'transfer') {
    actions.push({ type: 'transfer', to: reply.afterwards.to });
    return { ...state, phase: { type: 'ended', reason: 'transferred' } };
  }
  actions.push({ type: 'hang-up' });
  return { ...state, phase: { type: 'ended', reason: reply.afterwards.reason } };
}

/** A "yeah" in the middle of what the agent said is no turn; one at its end may be the answer to it. */
function isOldBackchannel({ turn, agent }: CallState, nowMs: number): boolean {
  if (turn.voice.type === 'speaking' || turn.transcriptAtMs === undefined) return false;
  const text = turnText(turn);
  const { language, turnTaking } = agent;
  const asksNothing = isBackchannel(text, language, turnTaking.backchannels) || asksForNothing(text, language);
  return asksNothing && nowMs - turn.transcriptAtMs > ANSWER_AT_THE_END_MS;
}

function withReply(state: CallState, reply: Reply): CallState {
  const { phase } = state;
  if (phase.type === 'listening' || phase.type === 'ended') return state;
  return { ...state, phase: { ...phase, reply } };
}

/** The turn is the agent's now; what the caller says next is a new one. */
function turnTaken(state: CallState, turn: number, text: string, nowMs: number): CallState {
  return {
    ...state,
    ...countInterim(state, nowMs),
    turn: emptyTurn(state.modelDecides),
    turnNumber: turn,
    lastTurnText: text,
    misheardTurns: 0,
    reminders: 0,
    guesses: 0,
    ...ignoringNoise(state),
  };
}

/** A sound that goes on although the words have stopped is no voice; words that come with it later may still take the floor. */
function ignoringNoise({ turn }: CallState): Pick<CallState, 'ignoredVoiceMs'> | undefined {
  return turn.voice.type === 'speaking' && turn.modelTurn === 'none'
    ? { ignoredVoiceMs: turn.voice.startedAtMs }
    : undefined;
}
