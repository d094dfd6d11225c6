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
  /** Absent: one may have as many as all. */
  readonly perOrganization?: { readonly maxCalls: number; readonly activeCalls: (orgId: string) => number } | undefined;
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

/** Whose call it is. */
export interface CallToCome {
  readonly channel: 'phone' | 'web';
  readonly orgId: string;
}

interface Ringing {
  readonly orgId: string;
  readonly timer: Timer;
}

/** Closed while as many calls run as may, while the event loop is late or memory short, and for good once the server drains. */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #loop = new LoopGate();
  /** Calls that were told to open their stream, and have not yet. */
  readonly #expected = new Map<Timer, CallToCome>();
  /** Calls that this server rings, by id. */
  readonly #ringing = new Map<string, Ringing>();
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

  /** Undefined: open to some organization at least. */
  get closedBecause(): string | undefined {
    const { maxCalls, activeCalls } = this.#options;
    if (this.#draining) return 'The server is shutting down.';
    if (activeCalls() + this.#expected.size + this.#ringing.size >= maxCalls)
      return `${maxCalls} calls are in progress (MAX_CALLS).`;
    if (this.#isLate) return TOO_LATE;
    return this.#memory.closed ? 'The server is short of memory.' : undefined;
  }

  /** Throws `capacity` while closed to this organization. */
  check(orgId: string): void {
    const reason = this.closedBecause ?? this.#closedTo(orgId);
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
  expect({ channel, orgId }: CallToCome): () => void {
    const { clock, maxCalls } = this.#options;
    const browsers = [...this.#expected.values()].filter((each) => each.channel === 'web').length;
    if (channel === 'web' && browsers >= Math.max(1, Math.floor(maxCalls * SHARE_FOR_BROWSERS)))
      throw new BvraiError('capacity', `${browsers} browsers have a token and have not opened their socket yet.`, {
        retryAfterMs: 5_000,
      });
    const timer = clock.after(PLACE_KEPT_MS, () => this.#giveUpPlace(timer));
    this.#expected.set(timer, { channel, orgId });
    return () => this.#giveUpPlace(timer);
  }

  /**
   * Keeps a place for a call that is being rung, for `forMs` at most: whoever picks up is not to hear that all lines are busy. Throws
   * `capacity`.
   */
  ring(call: { readonly id: string; readonly orgId: string }, forMs: number): void {
    this.endRinging(call.id);
    this.check(call.orgId);
    this.#keepPlace(call, forMs);
  }

  /** Keeps the place of a call that still rings for `forMs` from now; one that has none gets none. */
  keepRinging(callId: string, forMs: number): void {
    const ringing = this.#ringing.get(callId);
    if (!ringing) return;
    this.endRinging(callId);
    this.#keepPlace({ id: callId, orgId: ringing.orgId }, forMs);
  }

  /** It has been answered, or will not be. Idempotent. */
  endRinging(callId: string): void {
    this.#ringing.get(callId)?.timer.cancel();
    this.#ringing.delete(callId);
  }

  close(): void {
    this.#timer?.cancel();
    for (const callId of this.#ringing.keys()) this.endRinging(callId);
    for (const timer of this.#expected.keys()) this.#giveUpPlace(timer);
  }

  #closedTo(orgId: string): string | undefined {
    const { perOrganization } = this.#options;
    if (!perOrganization) return undefined;
    const { maxCalls, activeCalls } = perOrganization;
    const places = [...this.#expected.values(), ...this.#ringing.values()].filter((place) => place.orgId === orgId);
    return activeCalls(orgId) + places.length >= maxCalls
      ? `${maxCalls} calls of this organization are in progress (MAX_CALLS_PER_ORGANIZATION).`
      : undefined;
  }

  #keepPlace({ id, orgId }: { readonly id: string; readonly orgId: string }, forMs: number): void {
    const timer = this.#options.clock.after(forMs, () => this.endRinging(id));
    this.#ringing.set(id, { orgId, timer });
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
