/** One live phone call, as the floors above the wire see it. Audio on it is always G.711 μ-law, 8 kHz, mono. */

/** Bytes (= samples) of one millisecond of 8 kHz μ-law audio. */
export const BYTES_PER_MS = 8;
/** Bytes (= samples) of the 20 ms frame that telephony counts in. */
export const FRAME_BYTES = 160;
/** Length of that frame. */
export const FRAME_MS = 20;

/** Who is on the line, as the wire's start message says. */
export interface CallInfo {
  readonly streamSid: string;
  readonly callSid: string;
  readonly accountSid: string;
  /** The `<Parameter>` children of `<Stream>`; untrusted text. */
  readonly customParameters: Readonly<Record<string, string>>;
}

/**
 * Why the wire ended.
 * `stop`: the far side said so. `socket-closed`: it vanished. `idle`: nothing came for too long.
 * `protocol`: it broke the rules. `overrun`: it sent more audio than real time allows.
 * `backpressure`: it does not take our audio. `local`: we hung up.
 */
export type WireEndReason = 'stop' | 'socket-closed' | 'idle' | 'protocol' | 'overrun' | 'backpressure' | 'local';

/** What a conversation may do to its call. After the end every method does nothing. */
export interface CallPort {
  readonly info: CallInfo;
  /** Sends μ-law audio of any length; the far side buffers it and plays it in order. */
  sendMedia(payload: Uint8Array): void;
  /** Asks the far side to echo `name` once everything sent before it has been played (or cleared). */
  sendMark(name: string): void;
  /** Empties the far side's playback buffer; it echoes every pending mark. */
  sendClear(): void;
  /** The far side takes our audio more slowly than real time: hold it back until this is false again. */
  isCongested(): boolean;
  /** Ends the call from our side; `onEnd('local')` follows. */
  hangUp(): void;
}

/** What a conversation hears of its call. After `onEnd` nothing more is called. */
export interface CallListener {
  /**
   * Continuous caller audio: gaps on the wire have been filled with silence, duplicates dropped.
   * `payload` is μ-law and is only valid during the call-back: copy what you keep.
   */
  onAudio(payload: Uint8Array): void;
  /** A mark came back: played, or cleared; the wire does not say which. */
  onMark(name: string): void;
  onDtmf(digit: string): void;
  onEnd(reason: WireEndReason): void;
}
