/** What the events of a call say about it: its messages, its turns and how it ended. */
import type { CallEvent, TurnStages } from '../../pipeline/ports.ts';

/** Something that was said. */
export interface CallMessage {
  readonly role: 'caller' | 'agent' | 'tool';
  readonly text: string;
  /** Of the agent's words those that the caller heard; a tool is not heard. */
  readonly heard_text: string;
  readonly at_ms: number;
}

export interface CallTurn {
  /** From the caller's end of speech to the first audio on the wire; the ear hears it a network delay later. */
  readonly voice_to_voice_ms: number | null;
  readonly stages: TurnStages;
}

const FAILED_REASONS: ReadonlySet<string> = new Set([
  'internal-error',
  'providers-down',
  'protocol-violation',
  'connection-lost',
  'connection-idle',
  'server-restarted',
  'server-lost',
]);

export function statusAfter(endReason: string): 'completed' | 'failed' {
  return FAILED_REASONS.has(endReason) ? 'failed' : 'completed';
}

export function messageOf(event: CallEvent): CallMessage | undefined {
  switch (event.type) {
    case 'caller-said':
      return { role: 'caller', text: event.text, heard_text: event.text, at_ms: event.at_ms };
    case 'agent-said':
      return { role: 'agent', text: event.text, heard_text: event.heard_text, at_ms: event.at_ms };
    case 'tool-finished':
      return { role: 'tool', text: event.result, heard_text: '', at_ms: event.at_ms };
    default:
      return undefined;
  }
}

/** What else is known of a message. */
export function messageDetails(event: CallEvent): Readonly<Record<string, unknown>> {
  if (event.type === 'agent-said') {
    return { kind: event.kind, heard_ms: event.heard_ms, interrupted: event.interrupted };
  }
  if (event.type === 'caller-said') return { turn: event.turn };
  return event.type === 'tool-finished' ? { name: event.name } : {};
}

export function turnOf(event: CallEvent): CallTurn | undefined {
  if (event.type !== 'turn-traced') return undefined;
  return { voice_to_voice_ms: event.stages.first_audio_ms ?? null, stages: event.stages };
}
