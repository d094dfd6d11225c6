import type { Log, LogFields } from '../../core/log.ts';

/** What can be wrong with a stream, as counted and logged. */
export type StreamFault =
  | 'bad-frame'
  | 'binary-frame'
  | 'bad-media'
  | 'before-start'
  | 'no-start'
  | 'second-start'
  | 'start-refused'
  | 'wrong-stream'
  | 'old-frame'
  | 'outbound-track'
  | 'unknown-event'
  | 'overrun'
  | 'idle'
  | 'backpressure'
  | 'socket-failed'
  | 'listener-threw';

/** Counts the faults of one stream and logs the first of each kind; the rest show in the summary at its end. */
export class FaultLog {
  readonly counts: Partial<Record<StreamFault, number>> = {};
  #log: Log;

  /** `log` is bound to who the peer is. */
  constructor(log: Log) {
    this.#log = log;
  }

  /** From now on more is known of the peer. */
  bind(log: Log): void {
    this.#log = log;
  }

  /** True if it was the first of its kind. */
  report(fault: StreamFault, message: string, fields: LogFields = {}): boolean {
    const count = (this.counts[fault] ?? 0) + 1;
    this.counts[fault] = count;
    if (count > 1) return false;
    this.#log[fault === 'listener-threw' ? 'error' : 'warn']({ fault, ...fields }, message);
    return true;
  }
}
