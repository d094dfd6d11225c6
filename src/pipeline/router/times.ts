/** What each stage may take: bounds from which the live deadlines are drawn. All in milliseconds. */
import { DEFAULT_CONNECT_TIMEOUT_MS } from '../providers/socket.ts';
import type { LatencyWindow } from './latency-window.ts';

/** A deadline that follows the provider's own latency, within bounds. */
export interface AdaptiveDeadline {
  readonly minMs: number;
  /** Until enough is known of the provider. */
  readonly initialMs: number;
  readonly maxMs: number;
}

export interface StageTimes {
  /** Until the first token or the first byte. */
  readonly first: AdaptiveDeadline;
  /** Between two of them. */
  readonly gap: AdaptiveDeadline;
  /** A first byte later than this counts against the provider, although it came. */
  readonly slowMs: number;
}

/** The stages of an answer, in the order in which they serve it. */
export type Stage = 'stt' | 'llm' | 'tts';

export const STAGE_TIMES: Readonly<Record<Stage, StageTimes>> = {
  // First: from the end of speech to the transcript; with the replay to a successor it must fit into what the session waits for words. A recogniser has no gaps of its own: callers pause.
  stt: {
    first: { minMs: 700, initialMs: 900, maxMs: 1_200 },
    gap: { minMs: 2_000, initialMs: 3_000, maxMs: 3_000 },
    slowMs: 1_000,
  },
  llm: {
    first: { minMs: 1_000, initialMs: 2_500, maxMs: 3_500 },
    gap: { minMs: 1_500, initialMs: 2_500, maxMs: 3_000 },
    slowMs: 2_000,
  },
  tts: {
    first: { minMs: 600, initialMs: 1_500, maxMs: 2_000 },
    gap: { minMs: 1_000, initialMs: 2_000, maxMs: 2_500 },
    slowMs: 1_000,
  },
};

/**
 * Until a vendor has taken a connection, or begun a session; the same for all stages. At least a handshake with one lost packet
 * in it (Linux repeats one after 200 ms and a round trip); at most what is kept of the caller's audio for whoever serves next.
 * Decision 0056.
 */
export const CONNECT: AdaptiveDeadline = { minMs: 400, initialMs: DEFAULT_CONNECT_TIMEOUT_MS, maxMs: 3_000 };

/** Percentiles of fewer samples are noise. */
const ENOUGH_SAMPLES = 20;
/** Later than three times what nineteen of twenty take is not slow but stuck. */
const DEADLINE_FACTOR = 3;
/** When a tail is so fat that the p95 lies in it, the p90 still says what is normal. */
const TAIL_FACTOR = 1.5;
/** A provider that is always equally fast is not late at its usual time. */
const LATE_FACTOR = 1.15;

/** The deadline as of now. */
export function deadlineMs({ minMs, initialMs, maxMs }: AdaptiveDeadline, live: LatencyWindow, nowMs: number): number {
  const usual = usualMs(live, nowMs);
  return usual === undefined ? initialMs : Math.min(maxMs, Math.max(minMs, usual.mostMs * DEADLINE_FACTOR));
}

/** When a request is so late that another provider is asked as well. Undefined: not enough is known. */
export function hedgeDelayMs(live: LatencyWindow, nowMs: number): number | undefined {
  const usual = usualMs(live, nowMs);
  return usual && Math.max(usual.p50Ms * LATE_FACTOR, usual.mostMs);
}

/** `mostMs`: what nineteen of twenty take, the live p95, but not in a tail that makes up the p95 itself. */
function usualMs(live: LatencyWindow, nowMs: number): { p50Ms: number; mostMs: number } | undefined {
  const [p50Ms, p90Ms, p95Ms] = [0.5, 0.9, 0.95].map((q) => live.quantile(q, nowMs));
  if (p50Ms === undefined || p90Ms === undefined || p95Ms === undefined) return undefined;
  if (live.count(nowMs) < ENOUGH_SAMPLES) return undefined;
  return { p50Ms, mostMs: Math.min(p95Ms, p90Ms * TAIL_FACTOR) };
}
