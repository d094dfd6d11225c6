/** Whether the event loop keeps time: a decision without a clock, a log or an I/O of its own. */

/** Over about a second; half of them late means that the process cannot keep up, one late probe is only a hiccup. */
const PROBES = 20;
/** A caller hears a frame that comes this late as a gap (reliability.md, fault 39). */
const LATE_MS = 100;
/** One stall as long as this is heard in every call, and what has piled up meanwhile is worked off first. */
const LONG_STALL_MS = 500;
const CLOSED_AFTER_STALL_MS = 1_000;
const REPORT_EVERY_MS = 1_000;

export interface StallReport {
  /** Probes that were over 100 ms late since the report before. */
  readonly stalls: number;
  readonly worstMs: number;
}

export class LoopGate {
  readonly #latenessMs: number[] = [];
  #isSlow = false;
  #closedUntilMs = Number.NEGATIVE_INFINITY;
  #reportDueMs = Number.NEGATIVE_INFINITY;
  #stalls = 0;
  #worstMs = 0;

  /** A probe came so much later than it was due. */
  note(latenessMs: number, nowMs: number): void {
    this.#latenessMs.push(latenessMs);
    if (this.#latenessMs.length > PROBES) this.#latenessMs.shift();
    this.#isSlow = this.#latenessMs.filter((value) => value > LATE_MS).length * 2 > PROBES;
    if (latenessMs > LONG_STALL_MS) this.#closedUntilMs = nowMs + CLOSED_AFTER_STALL_MS;
    if (latenessMs <= LATE_MS) return;
    this.#stalls++;
    this.#worstMs = Math.max(this.#worstMs, latenessMs);
  }

  closedAt(nowMs: number): boolean {
    return this.#isSlow || nowMs < this.#closedUntilMs;
  }

  /** What an operator should hear of now: all stalls, in one line a second at most. */
  takeReport(nowMs: number): StallReport | undefined {
    if (this.#stalls === 0 || nowMs < this.#reportDueMs) return undefined;
    const report = { stalls: this.#stalls, worstMs: Math.round(this.#worstMs) };
    this.#reportDueMs = nowMs + REPORT_EVERY_MS;
    this.#stalls = 0;
    this.#worstMs = 0;
    return report;
  }
}
