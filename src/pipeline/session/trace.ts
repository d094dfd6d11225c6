/** The stamps of one turn, and the durations that are told of them. */
import type { TurnStages } from '../events.ts';
import type { CallState, TurnTrace } from './state.ts';

/** The stamps of a turn that was just confirmed. */
export function beginTrace(state: CallState, turn: number, nowMs: number): TurnTrace {
  const { voice, transcriptAtMs } = state.turn;
  return {
    turn,
    confirmedAtMs: nowMs,
    ...(transcriptAtMs === undefined ? {} : { transcriptAtMs }),
    ...(voice.type === 'paused' ? { speechEndedAtMs: voice.endedAtMs, speechEndDetectedAtMs: voice.detectedAtMs } : {}),
  };
}

/** How long the newest transcript had to wait for what is decided now. */
export function waitedMs({ turn }: CallState, nowMs: number): { readonly waited_ms?: number } {
  if (turn.transcriptAtMs === undefined) return {};
  return { waited_ms: Math.round((nowMs - turn.transcriptAtMs) * 10) / 10 };
}

/** A guess has become the reply to a confirmed turn: its own stamps, and the turn's. */
export function confirmTrace(guess: TurnTrace, turn: TurnTrace): TurnTrace {
  return { ...guess, ...turn };
}

/** The turn's stamps as durations since the caller's true end of speech (or, unheard by the detector, the transcript). */
export function stages(state: CallState, trace: TurnTrace): TurnStages {
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
