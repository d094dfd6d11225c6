/** What a Twilio stream is given, and what it tells of itself. */
import type { Clock } from '../../core/clock.ts';
import type { Log } from '../../core/log.ts';
import type { CallInfo, CallListener, CallPort, WireEndReason } from '../call-port.ts';
import type { StreamFault } from './faults.ts';
import type { InboundAudioStats } from './inbound-audio.ts';
import type { StreamLimits } from './limits.ts';
import type { OutboundStats } from './outbound.ts';

/** What the one-time token is checked against. */
export interface StartFacts extends CallInfo {
  readonly remoteAddress: string;
}

export type StartVerdict = { readonly ok: true } | { readonly ok: false; readonly reason: string };

/** What a stream did, told once when it is over. */
export interface StreamStats {
  /** `refused`: it never became a call. */
  readonly outcome: WireEndReason | 'refused';
  readonly info: CallInfo | undefined;
  readonly durationMs: number;
  readonly framesIn: number;
  readonly pings: number;
  /** Absent when the stream never started. */
  readonly inbound: Readonly<InboundAudioStats> | undefined;
  readonly outbound: Readonly<OutboundStats>;
  readonly faults: Readonly<Partial<Record<StreamFault, number>>>;
}

export interface TwilioStreamOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly limits?: Partial<StreamLimits> | undefined;
  /** Decides whether the `start` may become a call: the check of the stream token. */
  readonly authorise: (start: StartFacts) => StartVerdict;
  /** Takes the call. What it or its listener throws ends this call only. */
  readonly accept: (port: CallPort) => CallListener;
  readonly onStats?: ((stats: StreamStats) => void) | undefined;
}
