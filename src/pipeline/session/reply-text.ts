/** From the model's text to what the synthesiser is given: clauses, made speakable, in order. */
import { endText, pushText } from '../text/chunker.ts';
import { makeSpeakable } from '../text/speakable.ts';
import type { Action, CallState, Clause, Reply } from './state.ts';

interface SpeakingOptions {
  /** Only as far as this many clauses of the reply; all by default. */
  readonly upTo?: number;
  /** The audio waits for `resume-reply`. */
  readonly held?: boolean;
  /** The text is said in many calls: its audio may be kept. */
  readonly fixed?: boolean;
}

/** Folds the model's text into a reply's clauses. Nothing is spoken by this. */
export function collectText(state: CallState, reply: Reply, text: string, nowMs: number, actions: Action[]): Reply {
  if (reply.modelFinished || text === '') return reply;
  const pushed = pushText(reply.chunker, text);
  const collected = addClauses(state, { ...reply, chunker: pushed.state, tokens: reply.tokens + 1 }, pushed.clauses);
  if (reply.trace.firstTokenAtMs !== undefined) return collected;
  // Of a guess nobody knows yet that it belongs to a turn.
  if (state.speculation?.reply.generation !== reply.generation) {
    actions.push({ type: 'emit', event: { type: 'first-token', turn: reply.trace.turn } });
  }
  return { ...collected, trace: { ...collected.trace, firstTokenAtMs: nowMs } };
}

/** The model writes no more: what is left of its text becomes the last clauses. */
export function collectRest(state: CallState, reply: Reply): Reply {
  const { clauses } = endText(reply.chunker);
  return { ...addClauses(state, reply, clauses), chunker: endText(reply.chunker).state, modelFinished: true };
}

/** Of a guess only the first clause is synthesised, and its audio is held. */
export function speakGuess(reply: Reply, nowMs: number, actions: Action[]): Reply {
  return speakClauses(reply, { upTo: 1, held: true }, nowMs, actions);
}

/** Everything that the reply has is synthesised, and played as soon as it can be. */
export function speakAll(reply: Reply, nowMs: number, actions: Action[]): Reply {
  return speakClauses(reply, {}, nowMs, actions);
}

/** Sends the clauses that have not been sent to the synthesiser, in order. */
export function speakClauses(
  reply: Reply,
  { upTo = Number.POSITIVE_INFINITY, held = false, fixed = false }: SpeakingOptions,
  nowMs: number,
  actions: Action[],
): Reply {
  const { generation, kind } = reply;
  const due = reply.clauses.slice(reply.clausesSpoken, upTo);
  let firstClauseAtMs = reply.trace.firstClauseAtMs;
  for (const { original, spoken } of due) {
    if (!held) actions.push({ type: 'emit', event: { type: 'agent-clause', kind, text: original } });
    if (!isAudible({ original, spoken })) continue;
    actions.push({ type: 'speak', generation, text: spoken, held, fixed });
    firstClauseAtMs ??= nowMs;
  }
  const trace = firstClauseAtMs === undefined ? reply.trace : { ...reply.trace, firstClauseAtMs };
  return { ...reply, clausesSpoken: reply.clausesSpoken + due.length, trace };
}

/** Whether there is anything to hear of it: a smiley, say, leaves nothing to say. */
export function isAudible({ spoken }: Clause): boolean {
  return spoken.trim() !== '';
}

/** Whole clauses join the reply. It counts as answered once there is something to hear of it. */
export function addClauses(state: CallState, reply: Reply, originals: readonly string[]): Reply {
  if (originals.length === 0) return reply;
  const added = originals.map((original) => ({ original, spoken: makeSpeakable(original, state.agent) }));
  return { ...reply, clauses: [...reply.clauses, ...added], answered: reply.answered || added.some(isAudible) };
}
