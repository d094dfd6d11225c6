/** Bounds of one Twilio stream. Each is an option so that tests need not wait, with the default that production uses. */
export interface StreamLimits {
  /** A socket that has not sent a valid `start` by then is closed (fault 4). */
  readonly startWithinMs: number;
  /** Frames that are binary, not JSON, or not messages; this many close the socket (fault 1). */
  readonly maxBadFrames: number;
  /** With no frame for so long the peer is pinged (fault 13) … */
  readonly idleAfterMs: number;
  /** … and given up when no frame and no pong follows within this. */
  readonly pongWithinMs: number;
  /** How long a frame whose predecessor is missing waits for it (fault 7). */
  readonly reorderWithinMs: number;
  /** Silence that one jump of the timestamp is worth at most. */
  readonly maxGapMs: number;
  /** With no audio for so long, silence is delivered in its place. */
  readonly silenceAfterMs: number;
  /** Audio that may arrive at once, ahead of real time (fault 9); a stall adds its own length, see `AudioBudget`. */
  readonly burstMs: number;
  /** The most that stalls may add: as long as a silent peer is kept. */
  readonly maxStallBurstMs: number;
  /** Long-term rate of inbound audio, as a multiple of real time. */
  readonly maxRate: number;
  /** Outbound bytes that wait in this process: with more the call is congested, and for `backpressureWithinMs` it ends (fault 14) … */
  readonly maxBufferedBytes: number;
  readonly backpressureWithinMs: number;
  /** … and more than this ends it at once. */
  readonly hardMaxBufferedBytes: number;
}

export const DEFAULT_STREAM_LIMITS: StreamLimits = {
  startWithinMs: 5000,
  maxBadFrames: 20,
  idleAfterMs: 10_000,
  pongWithinMs: 5000,
  reorderWithinMs: 60,
  maxGapMs: 2000,
  silenceAfterMs: 200,
  burstMs: 5000,
  maxStallBurstMs: 15_000,
  maxRate: 1.2,
  // A second and a half of audio as JSON. Longer than any lead, so that only a peer that does not read gets here.
  maxBufferedBytes: 16 * 1024,
  backpressureWithinMs: 5000,
  hardMaxBufferedBytes: 2 * 1024 * 1024,
};
