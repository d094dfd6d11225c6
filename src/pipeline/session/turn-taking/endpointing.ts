/**
 * When is the caller done? Decided from the silence since the last speech, what the words sound like, the caller's own rhythm, and
 * whether the recogniser has answered for all audio up to the pause. Everything is measured from the end of the speech, so waits
 * run side by side and never add up.
 */
import type { TurnTakingSettings } from '../../ports.ts';
import type { CallerTurn } from '../state.ts';
import { assessCompleteness } from './completeness.ts';
import { adaptSilenceMs, observePause } from './rhythm.ts';
import type { Rhythm } from './rhythm.ts';

/** How long after the caller's pause the recogniser may take to answer for it. */
export const TRANSCRIPT_DEADLINE_MS = 1_500;
/**
 * The same, when finals have come and no interim is open: the recogniser may have nothing more to say, and does not promise to
 * say so (Deepgram: Finalize is not always answered).
 */
export const FINALISED_DEADLINE_MS = 700;
/**
 * The recogniser is asked for its answer when the pause has been detected. However late that was, as on a machine with too much to
 * do, it may take this long from then.
 */
export const ASKED_DEADLINE_MS = 1_000;
/**
 * How long after the pause a recogniser that decides turns itself may take to decide. Flux ends a turn after its
 * `eot_timeout_ms`, which we set to 3 s, at the latest; later than that, its event was lost.
 */
export const MODEL_DEADLINE_MS = 3_500;
/** Speech that left no words is asked about only if it was longer than a cough. */
const WORTH_ASKING_MS = 500;

/** What the judgement rests on besides the turn. */
export interface EndpointingContext {
  readonly settings: TurnTakingSettings;
  readonly rhythm: Rhythm;
  /** BCP 47. */
  readonly language: string;
}

export type TurnEnd =
  /** Nothing said, or still talking: only an event can change that. */
  | { readonly type: 'open' }
  | { readonly type: 'wait'; readonly untilMs: number }
  | { readonly type: 'confirmed'; readonly text: string }
  /** The caller made a sound and no words came of it. `ask`: it was long enough to have been speech. */
  | { readonly type: 'no-words'; readonly ask: boolean };

/** Everything recognised in this turn so far. */
export function turnText(turn: CallerTurn): string {
  return [...turn.finals, turn.interim, turn.keys].filter((part) => part !== '').join(' ');
}

/**
 * Judges whether the caller's turn is over at `nowMs`.
 * A late transcript never stalls a turn: after a deadline what there is counts. Without a new event a later judgement never takes
 * an earlier `confirmed` back.
 */
export function judgeTurnEnd(turn: CallerTurn, context: EndpointingContext, nowMs: number): TurnEnd {
  const text = turnText(turn);
  const { voice } = turn;
  switch (voice.type) {
    case 'speaking':
      // The model hears the end of a turn before the voice detector is sure of the silence.
      return text !== '' && modelEnded(turn) ? { type: 'confirmed', text } : { type: 'open' };
    case 'silent': {
      // The recogniser heard words where the detector heard nothing: the words count, from when they came.
      if (text === '' || turn.transcriptAtMs === undefined) return { type: 'open' };
      const untilMs = turn.transcriptAtMs + waitMs(turn, text, context);
      return nowMs >= untilMs ? { type: 'confirmed', text } : { type: 'wait', untilMs };
    }
    case 'paused': {
      const untilMs = voice.endedAtMs + waitMs(turn, text, context);
      if (nowMs < untilMs) return { type: 'wait', untilMs };
      if (text !== '') return { type: 'confirmed', text };
      return { type: 'no-words', ask: voice.endedAtMs - voice.startedAtMs >= WORTH_ASKING_MS };
    }
  }
}

/**
 * The rhythm after the caller has gone on at `resumedAtMs` with a turn that had paused. Only pauses that the words do not explain
 * tell of the caller: after "my number is" everybody pauses, and the wait for that is long anyway.
 */
export function observeResumption(rhythm: Rhythm, turn: CallerTurn, resumedAtMs: number, language: string): Rhythm {
  if (turn.voice.type !== 'paused') return rhythm;
  const text = turnText(turn);
  if (text === '') return rhythm;
  const completeness = assessCompleteness(text, language);
  if (completeness === 'incomplete' || completeness === 'dictating') return rhythm;
  return observePause(rhythm, resumedAtMs - turn.voice.endedAtMs);
}

/** How long after the last speech the turn is over; 0 or less: at once. */
function waitMs(turn: CallerTurn, text: string, context: EndpointingContext): number {
  if (text === '') return modelEnded(turn) ? 0 : emptyWaitMs(turn, context.settings);
  if (modelEnded(turn)) return 0;
  // It has words to decide about. Of a sound without any after those that it has decided about it says nothing.
  if (turn.modelTurn !== 'none' && turn.interim !== '') return MODEL_DEADLINE_MS;
  return Math.max(silenceMs(text, context), transcriptWaitMs(turn));
}

/** No words so far: a model that has sent none will not end a turn that it has not noticed. */
function emptyWaitMs(turn: CallerTurn, settings: TurnTakingSettings): number {
  return Math.max(settings.endOfTurnSilenceMs, transcriptWaitMs(turn));
}

/** Whether the model has ended this turn, and the caller has not begun to speak again since. */
function modelEnded({ modelTurn, voice, transcriptAtMs }: CallerTurn): boolean {
  if (modelTurn !== 'ended') return false;
  return voice.type === 'silent' || transcriptAtMs === undefined || voice.startedAtMs <= transcriptAtMs;
}

/** How long what may still come from the recogniser is waited for. */
function transcriptWaitMs(turn: CallerTurn): number {
  if (turn.settled) return 0;
  if (turn.finals.length > 0 && turn.interim === '') return FINALISED_DEADLINE_MS;
  const lateMs = turn.voice.type === 'paused' ? turn.voice.detectedAtMs - turn.voice.endedAtMs : 0;
  return Math.max(TRANSCRIPT_DEADLINE_MS, lateMs + ASKED_DEADLINE_MS);
}

/** The silence that these words need, from this caller. */
function silenceMs(text: string, { settings, rhythm, language }: EndpointingContext): number {
  const shortMs = settings.endOfTurnSilenceMs;
  const longMs = Math.max(shortMs, settings.incompleteSilenceMs);
  switch (assessCompleteness(text, language)) {
    case 'complete':
      return adaptSilenceMs(shortMs, rhythm, { minMs: shortMs, maxMs: longMs });
    case 'open':
      return adaptSilenceMs(middleMs(shortMs, longMs), rhythm, { minMs: shortMs, maxMs: longMs });
    case 'incomplete':
      return longMs;
    case 'dictating':
      return Math.max(longMs, settings.dictationSilenceMs);
  }
}

/**
 * The wait when nobody can tell: the geometric mean of the short and the long one (490 ms for 200 and 1200). Pauses spread
 * evenly on a logarithmic scale rather than a linear one, so that this is as far from cutting off as from dawdling.
 */
function middleMs(shortMs: number, longMs: number): number {
  return Math.round(Math.sqrt(shortMs * longMs));
}
