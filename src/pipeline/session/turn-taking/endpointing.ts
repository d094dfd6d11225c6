/** When is the caller done? First version: silence, and a transcript that covers everything up to it. */
import type { CallerTurn } from '../state.ts';

/** How long after the caller's pause the recogniser may take to answer for it. */
const TRANSCRIPT_DEADLINE_MS = 1_500;
/**
 * The same, when finals have come and no interim is open: the recogniser may have nothing more to say, and does not promise to
 * say so (Deepgram: Finalize is not always answered).
 */
const FINALISED_DEADLINE_MS = 700;
/** Speech that left no words is asked about only if it was longer than a cough. */
const WORTH_ASKING_MS = 500;

export interface EndpointingSettings {
  readonly endOfTurnSilenceMs: number;
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
  return [...turn.finals, turn.interim].filter((part) => part !== '').join(' ');
}

/**
 * Judges whether the caller's turn is over at `nowMs`.
 * A late transcript never stalls a turn: after a deadline what there is counts.
 */
export function judgeTurnEnd(turn: CallerTurn, settings: EndpointingSettings, nowMs: number): TurnEnd {
  const text = turnText(turn);
  const { voice } = turn;
  switch (voice.type) {
    case 'speaking':
      return { type: 'open' };
    case 'silent': {
      // The recogniser heard words where the detector heard nothing: the words count.
      if (text === '' || turn.transcriptAtMs === undefined) return { type: 'open' };
      const untilMs = turn.transcriptAtMs + waitMs(turn, settings);
      return nowMs >= untilMs ? { type: 'confirmed', text } : { type: 'wait', untilMs };
    }
    case 'paused': {
      const untilMs = voice.endedAtMs + waitMs(turn, settings);
      if (nowMs < untilMs) return { type: 'wait', untilMs };
      if (text !== '') return { type: 'confirmed', text };
      return { type: 'no-words', ask: voice.endedAtMs - voice.startedAtMs >= WORTH_ASKING_MS };
    }
  }
}

/** How long after the last speech the turn is over, given what the recogniser has said of it. */
function waitMs(turn: CallerTurn, settings: EndpointingSettings): number {
  if (turn.settled) return settings.endOfTurnSilenceMs;
  const finalised = turn.finals.length > 0 && turn.interim === '';
  return Math.max(settings.endOfTurnSilenceMs, finalised ? FINALISED_DEADLINE_MS : TRANSCRIPT_DEADLINE_MS);
}
