/** Whether the server may take one more call: the gate before a call is answered. */
import type { Clock, Timer } from '../core/clock.ts';
import { BvraiError } from '../core/errors.ts';
import type { Log } from '../core/log.ts';
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

/** A stream follows its webhook within a second; what takes longer has probably hung up. */
const PLACE_KEPT_MS = 10_000;
const PROBE_EVERY_MS = 50;
/** Over about a second; half of them late means that the process cannot keep up, one late probe is only a hiccup. */
const PROBES = 20;
/** A caller hears a frame that comes this late as a gap (reliability.md, fault 39). */
const MAX_LATENESS_MS = 100;
const READ_MEMORY_EVERY_MS = 1_000;

/** Closed while as many calls run as may, while the event loop is late or memory short, and for good once the server drains. */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #latenessMs: number[] = [];
  /** Calls that were told to open their stream, and have not yet. */
  readonly #expected = new Set<Timer>();
  readonly #memory = new MemoryGate();
  #timer: Timer | undefined;
  #memoryDueMs = 0;
  #late = false;
  #draining = false;
  #onNoneExpected: (() => void) | undefined;

  constructor(options: AdmissionOptions) {
    this.#options = options;
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
    if (activeCalls() + this.#expected.size >= maxCalls) return `${maxCalls} calls are in progress (MAX_CALLS).`;
    if (this.#late) return 'The server cannot keep up.';
    return this.#memory.closed ? 'The server is short of memory.' : undefined;
  }

  /** Throws `capacity` while closed. */
  check(): void {
    const reason = this.closedBecause;
    if (reason !== undefined)
      throw new BvraiError('capacity', `No further call can be taken now: ${reason}`, { retryAfterMs: 5_000 });
  }

  /** Keeps a place for a call that is about to come, for a moment; the result, called when it comes, gives the place up. Idempotent. */
  expect(): () => void {
    const timer = this.#options.clock.after(PLACE_KEPT_MS, () => this.#giveUpPlace(timer));
    this.#expected.add(timer);
    return () => this.#giveUpPlace(timer);
  }

  close(): void {
    this.#timer?.cancel();
    for (const timer of this.#expected) this.#giveUpPlace(timer);
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
      this.#noteLateness(nowMs - dueMs);
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

  #noteLateness(latenessMs: number): void {
    this.#latenessMs.push(latenessMs);
    if (this.#latenessMs.length > PROBES) this.#latenessMs.shift();
    const late = this.#latenessMs.filter((value) => value > MAX_LATENESS_MS).length * 2 > PROBES;
    if (late !== this.#late) {
      const fields = { latenessMs: Math.round(latenessMs), activeCalls: this.#options.activeCalls() };
      if (late) this.#options.log.error(fields, 'the event loop is late; no further call is taken');
      else this.#options.log.info(fields, 'the event loop keeps time again; calls are taken');
    }
    this.#late = late;
  }
}
