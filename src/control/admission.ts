/** Whether the server may take one more call: the gate before a call is answered. */
import type { Clock, Timer } from '../core/clock.ts';
import { BvraiError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
import { LoopGate } from './loop-gate.ts';
import { MemoryGate, readMemory } from './memory-gate.ts';
import type { MemoryReading } from './memory-gate.ts';

export interface AdmissionOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly maxCalls: number;
  readonly activeCalls: () => number;
  /** Called once, when memory is nearly used up and stays so: the process should drain and be started anew. */
  readonly onExhausted?: (() => void) | undefined;
  readonly readMemory?: () => MemoryReading;
}

/** A moment longer than the token of a stream is good (`StreamTokens`): whoever has one has a place, so that no more calls run than may. */
const PLACE_KEPT_MS = 61_000;
/** A telephone's stream follows in a second; a browser's may never come, and its token costs nothing. */
const SHARE_FOR_BROWSERS = 0.25;
const PROBE_EVERY_MS = 50;
const READ_MEMORY_EVERY_MS = 1_000;
/** Longer than a single stall keeps the gate closed (loop-gate.ts), far shorter than Twilio waits for an answer. */
const PATIENCE_MS = 2_500;
const TOO_LATE = 'The server cannot keep up.';

/** Closed while as many calls run as may, while the event loop is late or memory short, and for good once the server drains. */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #loop = new LoopGate();
  /** Calls that were told to open their stream, and have not yet. */
  readonly #expected = new Map<Timer, 'phone' | 'web'>();
  /** Calls that this server rings, by id. */
  readonly #ringing = new Map<string, Timer>();
  readonly #memory = new MemoryGate();
  #timer: Timer | undefined;
  #memoryDueMs = 0;
  #isLate = false;
  #draining = false;
  #onNoneExpected: (() => void) | undefined;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** Looks after the event loop and the memory from now on: what a server does before it listens holds up no call. Once. */
  watch(): void {
    this.#probe();
  }

  /** No more calls from now on. */
  drain(): void {
    this.#draining = true;
  }

  /** Resolves when all calls that were told to come have come, or after `limitMs`. For the one who drains. */
  async untilNoneExpected(limitMs: number): Promise<void> {
    if (this.#expected.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = this.#options.clock.after(limitMs, resolve);
      this.#onNoneExpected = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  /** Undefined: open. */
  get closedBecause(): string | undefined {
    const { maxCalls, activeCalls } = this.#options;
    if (this.#draining) return 'The server is shutting down.';
    if (activeCalls() + this.#expected.size + this.#ringing.size >= maxCalls)
      return `${maxCalls} calls are in progress (MAX_CALLS).`;
    if (this.#isLate) return TOO_LATE;
    return this.#memory.closed ? 'The server is short of memory.' : undefined;
  }

  /** Throws `capacity` while closed. */
  check(): void {
    const reason = this.closedBecause;
    if (reason !== undefined)
      throw new BvraiError('capacity', `No further call can be taken now: ${reason}`, { retryAfterMs: 5_000 });
  }

  /**
   * Waits a moment for what passes by itself, lateness: whoever phones would rather hear it ring for a second longer than be sent
   * away. {@link check} says afterwards whether it did.
   */
  async untilOnTime(): Promise<void> {
    const { clock } = this.#options;
    const untilMs = clock.nowMs() + PATIENCE_MS;
    while (this.closedBecause === TOO_LATE && clock.nowMs() < untilMs)
      await new Promise<void>((resolve) => clock.after(PROBE_EVERY_MS, resolve));
  }

  /**
   * Keeps a place for a call that is about to come; the result, called when it comes, gives the place up. Idempotent. Throws `capacity`
   * when so many browsers have a place that telephones might find none.
   */
  expect(channel: 'phone' | 'web'): () => void {
    const { clock, maxCalls } = this.#options;
    const browsers = [...this.#expected.values()].filter((each) => each === 'web').length;
    if (channel === 'web' && browsers >= Math.max(1, Math.floor(maxCalls * SHARE_FOR_BROWSERS)))
      throw new BvraiError('capacity', `${browsers} browsers have a token and have not opened their socket yet.`, {
        retryAfterMs: 5_000,
      });
    const timer = clock.after(PLACE_KEPT_MS, () => this.#giveUpPlace(timer));
    this.#expected.set(timer, channel);
    return () => this.#giveUpPlace(timer);
  }

  /**
   * Keeps a place for a call that is being rung, for `forMs` at most: whoever picks up is not to hear that all lines are busy. Throws
   * `capacity`.
   */
  ring(callId: string, forMs: number): void {
    this.endRinging(callId);
    this.check();
    this.#ringing.set(
      callId,
      this.#options.clock.after(forMs, () => this.endRinging(callId)),
    );
  }

  /** It has been answered, or will not be. Idempotent. */
  endRinging(callId: string): void {
    this.#ringing.get(callId)?.cancel();
    this.#ringing.delete(callId);
  }

  close(): void {
    this.#timer?.cancel();
    for (const callId of this.#ringing.keys()) this.endRinging(callId);
    for (const timer of this.#expected.keys()) this.#giveUpPlace(timer);
  }

  #giveUpPlace(timer: Timer): void {
    timer.cancel();
    if (this.#expected.delete(timer) && this.#expected.size === 0) this.#onNoneExpected?.();
  }

  #probe(): void {
    const { clock } = this.#options;
    const dueMs = clock.nowMs() + PROBE_EVERY_MS;
    this.#timer = clock.after(PROBE_EVERY_MS, () => {
      const nowMs = clock.nowMs();
      this.#noteLateness(nowMs - dueMs, nowMs);
      if (nowMs >= this.#memoryDueMs) {
        this.#memoryDueMs = nowMs + READ_MEMORY_EVERY_MS;
        this.#noteMemory((this.#options.readMemory ?? readMemory)());
      }
      this.#probe();
    });
  }

  #noteMemory(reading: MemoryReading): void {
    const { log, activeCalls, onExhausted } = this.#options;
    const before = { closed: this.#memory.closed, exhausted: this.#memory.exhausted };
    this.#memory.note(reading);
    const fields = { ...reading, activeCalls: activeCalls() };
    if (this.#memory.closed !== before.closed) {
      if (before.closed) log.info(fields, 'there is memory again; calls are taken');
      else log.error(fields, 'memory is short; no further call is taken');
    }
    if (!this.#memory.exhausted || before.exhausted) return;
    log.error(fields, 'memory is nearly used up and stays so; the server should be started anew');
    onExhausted?.();
  }

  #noteLateness(latenessMs: number, nowMs: number): void {
    const { log, activeCalls } = this.#options;
    this.#loop.note(latenessMs, nowMs);
    const report = this.#loop.takeReport(nowMs);
    if (report) log.warn({ ...report, activeCalls: activeCalls() }, 'the event loop stalled');
    const isLate = this.#loop.closedAt(nowMs);
    if (isLate === this.#isLate) return;
    this.#isLate = isLate;
    const fields = { latenessMs: Math.round(latenessMs), activeCalls: activeCalls() };
    if (isLate) log.error(fields, 'the event loop is late; no further call is taken');
    else log.info(fields, 'the event loop keeps time again; calls are taken');
  }
}
