/** What a phone notices during a call, in the order of noticing. */
import type { Utterance } from './turn-meter.ts';

/** How a call ended: who closed the socket, with which WebSocket close code and reason. */
export interface CallEnd {
  readonly by: 'phone' | 'server';
  readonly code: number;
  readonly reason: string;
}

/** `atMs` counts from the stream's start, on the monotonic clock; for what was heard it is the moment at the ear. */
export type PhoneEvent = { readonly atMs: number } & (
  | { readonly type: 'started'; readonly callSid: string; readonly streamSid: string }
  | { readonly type: 'said'; readonly utterance: Utterance }
  | { readonly type: 'dtmf'; readonly digit: string }
  | { readonly type: 'media'; readonly bytes: number }
  | { readonly type: 'mark'; readonly name: string }
  | { readonly type: 'mark-echo'; readonly name: string; readonly cleared: boolean }
  | { readonly type: 'clear'; readonly droppedMs: number }
  /** The agent becomes audible after 400 ms or more of quiet. */
  | { readonly type: 'agent-audible' }
  /** The agent has been quiet for 400 ms; `atMs` is its last audible sample. */
  | { readonly type: 'agent-quiet' }
  /** The first audible sample of the answer to an utterance. */
  | { readonly type: 'reply'; readonly utterance: Utterance }
  /** Playback ran dry in the middle of agent speech. */
  | { readonly type: 'underrun'; readonly durationMs: number }
  /** What Twilio would have logged against the server. */
  | { readonly type: 'warning'; readonly code: number; readonly text: string }
  | ({ readonly type: 'ended' } & CallEnd)
);

type WithoutTime<T> = T extends unknown ? Omit<T, 'atMs'> : never;
/** An event before it is stamped. */
export type PhoneEventBody = WithoutTime<PhoneEvent>;
