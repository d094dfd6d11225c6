/** The record of the conversation: what the caller said and what of the agent's words was heard, written once each. */
import type { HeardSpeech } from '../../media/playout.ts';
import { heardText as textHeard } from '../text/heard-text.ts';
import { heardCharacters } from './heard.ts';
import type { Action, CallState, Reply } from './state.ts';
import { resultOf } from './tools.ts';

/** Writes into the history what the caller said, and what they had heard of the reply when it was cut. */
export function recordCut(
  state: CallState,
  generation: number,
  heard: HeardSpeech | undefined,
  actions: Action[],
): CallState {
  const { cut } = state;
  if (cut?.generation !== generation) return state;
  const recorded = recordCaller({ ...state, cut: undefined }, cut, actions);
  if (heard === undefined || heard.sentMs === 0) return recorded.state;
  const { heardText } = textHeard(cut.clauses, heardCharacters(heard, cut.clauses));
  return recordAgent(recorded.state, cut, heardText, heard.heardMs, true, actions);
}

/** Moves the caller's words of this turn into the history, once. */
export function recordCaller(state: CallState, reply: Reply, actions: Action[]): { state: CallState; reply: Reply } {
  if (reply.callerText === '' || reply.callerTextInHistory) return { state, reply };
  actions.push({ type: 'emit', event: { type: 'caller-said', turn: reply.trace.turn, text: reply.callerText } });
  const history = [...state.history, { role: 'caller', text: reply.callerText } as const];
  return { state: { ...state, history }, reply: { ...reply, callerTextInHistory: true } };
}

/** Writes a reply into the history that was heard to its end. */
export function recordInFull(state: CallState, reply: Reply, heardMs: number, actions: Action[]): CallState {
  return recordAgent(state, reply, fullText(reply), heardMs, false, actions);
}

/** Writes into the history what was heard of a reply, with its tools and their results. */
function recordAgent(
  state: CallState,
  reply: Reply,
  heardText: string,
  heardMs: number,
  interrupted: boolean,
  actions: Action[],
): CallState {
  const text = fullText(reply);
  const { kind } = reply;
  actions.push({
    type: 'emit',
    event: { type: 'agent-said', kind, text, heard_text: heardText, heard_ms: Math.round(heardMs), interrupted },
  });
  const tools = reply.modelFinished ? reply.toolCalls.map((call) => ({ call, result: resultOf(call) })) : [];
  return { ...state, history: [...state.history, { role: 'agent', text, heardText, tools }] };
}

function fullText(reply: Reply): string {
  return reply.clauses
    .map((clause) => clause.original)
    .join('')
    .trim();
}
