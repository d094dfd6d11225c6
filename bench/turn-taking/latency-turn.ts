/**
 * Where the time of one turn went, from what the emulated vendors wrote and read and what the phone heard, all on one
 * clock; the server's own stamps only give lengths of its waits, so that no two clocks are compared.
 *
 * The server's own share is everything on the way from the caller's last sound to the first sound at their ear that is
 * neither a vendor's emulated delay, nor a wait by policy (endpointing), nor playback. It is the sum of the hops:
 *
 * 1. the last transcript leaves the recogniser → the model is asked, less the wait between the transcript's arrival and
 *    the decision, by the server's own stamps;
 * 2. the token that completes the first clause leaves the model → the synthesiser is asked for the clause;
 * 3. the first audio leaves the synthesiser → it arrives at the phone.
 *
 * With a reply begun on a guess: when its audio was ready before the turn was confirmed, only the confirming transcript →
 * audio at the phone counts, less the wait between (the hops lay in its shadow); when not, the three hops, the first of
 * them from the transcript on which the guess was begun. Each hop crosses a socket and two event loops.
 */
import type { ServerEvent } from '../demo/server-events.ts';
import type { CloudMoment } from './rig.ts';

export interface TurnEvidence {
  /** On `performance.now()`. */
  readonly speechEndAtMs: number;
  readonly firstMediaAtMs: number;
  readonly firstAudibleAtMs: number;
  /** From the beginning of this utterance to the beginning of the next. */
  readonly moments: readonly CloudMoment[];
  readonly events: readonly ServerEvent[];
}

export interface TurnPath {
  readonly voiceToVoiceMs: number;
  /** After the end of speech. */
  readonly transcriptSentMs: number;
  readonly speculation: 'hit' | 'missed' | 'none';
  readonly wastedTokens: number;
  /** Times that the turn was taken for finished and the caller went on. */
  readonly withdrawals: number;
  /** The vendors' shares, as they were; with a hit partly in the shadow of the wait for the caller. */
  readonly modelMs: number;
  readonly clauseMs: number;
  readonly clauseTokens: number;
  readonly voiceMs: number;
  /** From the transcript that decided to the decision: the wait for more speech. */
  readonly policyWaitMs: number;
  readonly ownMs: number;
  readonly hopsMs: { readonly ask: number; readonly speak: number; readonly send: number };
  readonly playbackMs: number;
  readonly stages: NonNullable<ServerEvent['stages']>;
}

type Moment<Type extends CloudMoment['type']> = Extract<CloudMoment, { type: Type }>;

/** Undefined when the evidence is not complete: the turn was not answered, or not by the model. */
export function explainTurn(turn: TurnEvidence): TurnPath | undefined {
  const { moments, events, firstMediaAtMs } = turn;
  const of = <Type extends CloudMoment['type']>(type: Type): Moment<Type>[] =>
    moments.filter((moment): moment is Moment<Type> => moment.type === type && moment.atMs <= firstMediaAtMs);
  const asked = of('tts-asked').findLast(({ context }) => of('audio-sent').some((sent) => sent.context === context));
  const context = asked?.context;
  const clause = of('tts-asked').find((moment) => moment.context === context);
  const audio = of('audio-sent').find((moment) => moment.context === context);
  const stages = events.find(({ type }) => type === 'turn-traced')?.stages;
  if (!clause || !audio || !stages) return undefined;
  const request = of('llm-asked').findLast(({ atMs }) => atMs <= clause.atMs);
  const tokens = of('token-sent').filter((token) => token.request === request?.request && token.atMs <= clause.atMs);
  const [first, last] = [tokens[0], tokens.at(-1)];
  const confirmedAt = events.findLastIndex(({ type }) => type === 'turn-confirmed');
  const before = events.slice(0, Math.max(0, confirmedAt));
  const confirming = sentFor(before, of('transcript-sent'));
  if (!request || !first || !last || !confirming) return undefined;

  const policyWaitMs = (events[confirmedAt]?.at_ms ?? 0) - (before.findLast(isTranscript)?.at_ms ?? 0);
  const isHit = events.some(({ type }) => type === 'speculation-hit');
  const guess = isHit ? guessHop(events, of('transcript-sent'), request.atMs) : undefined;
  const hopsMs = {
    ask: guess ?? request.atMs - confirming.atMs - policyWaitMs,
    speak: clause.atMs - last.atMs,
    send: firstMediaAtMs - audio.atMs,
  };
  const wasReady = isHit && audio.atMs < confirming.atMs + policyWaitMs;
  return {
    voiceToVoiceMs: turn.firstAudibleAtMs - turn.speechEndAtMs,
    transcriptSentMs: confirming.atMs - turn.speechEndAtMs,
    speculation: isHit ? 'hit' : events.some(({ type }) => type === 'speculation-missed') ? 'missed' : 'none',
    wastedTokens: events.reduce((sum, event) => sum + (event.wasted_tokens ?? 0), 0),
    withdrawals: events.filter(({ type }) => type === 'turn-confirmed').length - 1,
    modelMs: first.atMs - request.atMs,
    clauseMs: last.atMs - first.atMs,
    clauseTokens: tokens.length,
    voiceMs: audio.atMs - clause.atMs,
    policyWaitMs,
    ownMs: wasReady ? firstMediaAtMs - confirming.atMs - policyWaitMs : hopsMs.ask + hopsMs.speak + hopsMs.send,
    hopsMs,
    playbackMs: turn.firstAudibleAtMs - firstMediaAtMs,
    stages,
  };
}

/** From the transcript on which the guess was begun to the model's being asked, less the server's wait between them. */
function guessHop(
  events: readonly ServerEvent[],
  sent: readonly Moment<'transcript-sent'>[],
  askedAtMs: number,
): number | undefined {
  const hitAt = events.findIndex(({ type }) => type === 'speculation-hit');
  const startedAt = events.slice(0, hitAt).findLastIndex(({ type }) => type === 'speculation-started');
  const started = events[startedAt];
  const before = events.slice(0, startedAt);
  const arrived = before.findLast(isTranscript);
  const transcript = sentFor(
    before,
    sent.filter(({ atMs }) => atMs <= askedAtMs),
  );
  if (!started || !arrived || !transcript) return undefined;
  return askedAtMs - transcript.atMs - (started.at_ms - arrived.at_ms);
}

/** When the last transcript among the server's events left the recogniser; the same text may have come several times. */
function sentFor(
  events: readonly ServerEvent[],
  sent: readonly Moment<'transcript-sent'>[],
): Moment<'transcript-sent'> | undefined {
  const arrivals = events.filter(isTranscript);
  const last = arrivals.at(-1);
  const times = arrivals.filter(({ text, final }) => text === last?.text && final === last?.final).length;
  return sent.filter(({ text, final }) => text === last?.text && final === last?.final)[times - 1];
}

function isTranscript({ type, text }: ServerEvent): boolean {
  return type === 'transcript' && text !== undefined && text !== '';
}
