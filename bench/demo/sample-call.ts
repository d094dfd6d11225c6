/** A recorded call for the tests: what the phone measured and what the server told, as of the first working version. */
import type { Utterance } from '../phone/turn-meter.ts';
import type { ScriptedTurn } from './script.ts';
import type { ServerEvent } from './server-events.ts';

export const SAMPLE_SCRIPT: readonly ScriptedTurn[] = [
  { topic: 'hours', file: 'hours.wav', transcript: /hours/, answer: /open/ },
  { topic: 'price', file: 'price.wav', transcript: /room/, answer: /night/, isBargeIn: true },
  { topic: 'goodbye', file: 'bye.wav', transcript: /bye/, answer: /bye/i, endsCall: true },
];

export const SAMPLE_UTTERANCES: readonly Utterance[] = [
  { index: 0, label: 'hours', startMs: 4000, endMs: 6000, replyMs: 6620, voiceToVoiceMs: 620 },
  { index: 1, label: 'price', startMs: 8000, endMs: 9500, bargeInStopMs: 180, replyMs: 10_100, voiceToVoiceMs: 600 },
  { index: 2, label: 'goodbye', startMs: 14_000, endMs: 15_000, replyMs: 15_580, voiceToVoiceMs: 580 },
];

const trace = (turn: number, endedAtMs: number, atMs: number): ServerEvent => ({
  type: 'turn-traced',
  at_ms: atMs,
  turn,
  stages: {
    speech_ended_at_ms: endedAtMs,
    speech_end_detected_ms: 420,
    transcript_ms: 460,
    first_token_ms: 500,
    first_audio_ms: 560 + turn,
  },
});

/** The trace of the first turn comes after the second has begun: the barge-in cut it short. */
export const SAMPLE_EVENTS: readonly ServerEvent[] = [
  { type: 'call-started', at_ms: 0 },
  { type: 'agent-clause', at_ms: 40, kind: 'greeting', text: 'Hello,' },
  { type: 'agent-clause', at_ms: 60, kind: 'greeting', text: 'how can I help?' },
  {
    type: 'agent-said',
    at_ms: 3000,
    kind: 'greeting',
    text: 'Hello, how can I help?',
    heard_text: 'Hello, how can I help?',
    interrupted: false,
  },
  { type: 'caller-speech-started', at_ms: 4080 },
  { type: 'transcript', at_ms: 5000, text: 'what are', final: false },
  { type: 'turn-confirmed', at_ms: 6460, turn: 1, text: 'what are your hours' },
  { type: 'first-token', at_ms: 6500, turn: 1 },
  { type: 'agent-clause', at_ms: 6510, kind: 'reply', text: 'We are open from seven to eleven.' },
  { type: 'first-audio', at_ms: 6561, turn: 1 },
  { type: 'barge-in', at_ms: 8150 },
  {
    type: 'agent-said',
    at_ms: 8160,
    kind: 'reply',
    text: 'We are open from seven to eleven.',
    heard_text: 'We are open',
    interrupted: true,
  },
  trace(1, 6000, 8165),
  { type: 'turn-confirmed', at_ms: 9960, turn: 2, text: 'how much is a' },
  { type: 'caller-said', at_ms: 9970, turn: 2, text: 'how much is a room' },
  { type: 'agent-clause', at_ms: 10_010, kind: 'reply', text: 'It is ninety a night.' },
  {
    type: 'agent-said',
    at_ms: 13_000,
    kind: 'reply',
    text: 'It is ninety a night.',
    heard_text: 'It is ninety a night.',
    interrupted: false,
  },
  trace(2, 9500, 13_001),
  { type: 'turn-confirmed', at_ms: 15_460, turn: 3, text: 'goodbye' },
  { type: 'agent-clause', at_ms: 15_500, kind: 'goodbye', text: 'Goodbye!' },
  { type: 'agent-said', at_ms: 16_500, kind: 'goodbye', text: 'Goodbye!', heard_text: 'Goodbye!', interrupted: false },
  trace(3, 15_000, 16_501),
  { type: 'call-ended', at_ms: 16_600, reason: 'agent-hung-up' },
];
