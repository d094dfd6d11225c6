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

/** Further apart than this, what was sent and what the server had are not the same transcript. */
const SAME_TRANSCRIPT_MS = 45;

export interface TurnEvidence {
  /** The call's start; all on `performance.now()`. */
  readonly startedAtMs: number;
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
  const confirmed = events.findLast(({ type }) => type === 'turn-confirmed');
  const confirming = confirmed && transcriptOf(confirmed, turn, of('transcript-sent'));
  if (!request || !first || !last || !confirming) return undefined;

  const policyWaitMs = confirmed.waited_ms ?? 0;
  const isHit = events.some(({ type }) => type === 'speculation-hit');
  const guess = isHit ? guessHop(turn, of('transcript-sent'), request.atMs) : undefined;
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
  turn: TurnEvidence,
  sent: readonly Moment<'transcript-sent'>[],
  askedAtMs: number,
): number | undefined {
  const hitAt = turn.events.findIndex(({ type }) => type === 'speculation-hit');
  const started = turn.events.slice(0, hitAt).findLast(({ type }) => type === 'speculation-started');
  const transcript = started && transcriptOf(started, turn, sent);
  return transcript && askedAtMs - transcript.atMs - (started?.waited_ms ?? 0);
}

/**
 * The transcript that a decision of the server rests on: the one that left the recogniser nearest to the moment at which the
 * server says it had it. Transcripts lie 100 ms and more apart; the two clocks began together to a few milliseconds.
 */
function transcriptOf(
  decision: ServerEvent,
  { startedAtMs }: TurnEvidence,
  sent: readonly Moment<'transcript-sent'>[],
): Moment<'transcript-sent'> | undefined {
  const { at_ms: atMs, waited_ms: waitedMs } = decision;
  if (waitedMs === undefined) return undefined;
  const distance = (moment: Moment<'transcript-sent'>): number =>
    Math.abs(moment.atMs - startedAtMs - (atMs - waitedMs));
  const nearest = sent.toSorted((a, b) => distance(a) - distance(b))[0];
  return nearest && distance(nearest) < SAME_TRANSCRIPT_MS ? nearest : undefined;
}
