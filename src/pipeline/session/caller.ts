/** What is known of the caller's turn: voice and transcripts, folded in as they come. */
import { unreachable } from '../../core/errors.ts';
import type { CallEventBody } from '../events.ts';
import type { Action, CallState, CallerTurn, SessionEvent } from './state.ts';

type CallerEvent = Extract<
  SessionEvent,
  { type: 'voice-started' | 'voice-continued' | 'voice-ended' | 'transcript-interim' | 'transcript-final' }
>;

/** Adds what the voice detector or the recogniser heard. Draws no consequence: that is `settle`'s. */
export function hear(state: CallState, event: CallerEvent, nowMs: number, actions: Action[]): CallState {
  switch (event.type) {
    case 'voice-started':
      actions.push({ type: 'emit', event: { type: 'caller-speech-started' } });
      return { ...state, turn: { ...state.turn, voice: startVoice(state.turn, event.startedAtMs), settled: false } };
    case 'voice-continued':
      return { ...state, turn: { ...state.turn, voice: continueVoice(state.turn.voice, event.speechMs) } };
    case 'voice-ended':
      actions.push({ type: 'emit', event: { type: 'caller-speech-ended' } });
      return { ...state, turn: endVoice(state.turn, event.endedAtMs, nowMs) };
    case 'transcript-interim':
      if (event.text === '') return state;
      emitTranscript(event.text, false, event.confidence, actions);
      return { ...state, turn: { ...state.turn, interim: event.text, transcriptAtMs: nowMs } };
    case 'transcript-final': {
      const { turn } = state;
      const settled = turn.settled || event.settled;
      if (event.text === '') return { ...state, turn: { ...turn, settled } };
      emitTranscript(event.text, true, event.confidence, actions);
      const finals = [...turn.finals, event.text];
      return { ...state, turn: { ...turn, finals, interim: '', settled, transcriptAtMs: nowMs } };
    }
    default:
      return unreachable(event);
  }
}

/** The log's line for a stage that failed this turn. */
export function failure(state: CallState, stage: 'stt' | 'llm' | 'tts', code: string): CallEventBody {
  return { type: 'turn-failed', turn: state.turnNumber, stage, code };
}

function startVoice(turn: CallerTurn, startedAtMs: number): CallerTurn['voice'] {
  return {
    type: 'speaking',
    startedAtMs: turn.voice.type === 'speaking' ? turn.voice.startedAtMs : startedAtMs,
    speechMs: 0,
  };
}

function continueVoice(voice: CallerTurn['voice'], speechMs: number): CallerTurn['voice'] {
  return voice.type === 'speaking' ? { ...voice, speechMs } : voice;
}

function endVoice(turn: CallerTurn, endedAtMs: number, nowMs: number): CallerTurn {
  if (turn.voice.type !== 'speaking') return turn;
  // A final that came after the true end of speech already covers the pause (the recogniser saw it before our detector did).
  const settled = turn.settled && turn.transcriptAtMs !== undefined && turn.transcriptAtMs >= endedAtMs;
  const voice = { type: 'paused', startedAtMs: turn.voice.startedAtMs, endedAtMs, detectedAtMs: nowMs } as const;
  return { ...turn, voice, settled };
}

function emitTranscript(text: string, final: boolean, confidence: number, actions: Action[]): void {
  actions.push({ type: 'emit', event: { type: 'transcript', text, final, confidence } });
}
