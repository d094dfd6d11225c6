/** How long a provider takes to accept connections, learned from each of them. */
import type { Clock } from '../../core/clock.ts';
import type { Connecting, LearnedWait } from '../providers/spec.ts';
import { LatencyWindow } from './latency-window.ts';
import { CONNECT, deadlineMs } from './times.ts';

/** Of one provider: a second each until enough is known, then three times the usual, within bounds. */
export function learnedConnecting(clock: Clock): Connecting {
  return { clock, connection: learnedWait(clock), session: learnedWait(clock) };
}

function learnedWait(clock: Clock): LearnedWait {
  const window = new LatencyWindow();
  return {
    get limitMs() {
      return deadlineMs(CONNECT, window, clock.nowMs());
    },
    took: (waitMs) => window.add(waitMs, clock.nowMs()),
  };
}
