/** What the adapters' tests share: parts that were received, and waiting for conditions instead of for time. */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { systemClock } from '../../src/core/clock.ts';
import type { Clock, Timer } from '../../src/core/clock.ts';
import { BvraiError } from '../../src/core/errors.ts';
import type { ErrorCode } from '../../src/core/errors.ts';
import { memoryLog } from '../../src/core/log.ts';
import type { Sink, StreamContext } from '../../src/pipeline/providers/spec.ts';
import { UsageLedger } from '../../src/pipeline/usage.ts';

/** Generous: two cores, shared. */
const PATIENCE_MS = 10_000;

/** `what`, for the error, may be a function: then it is asked when the time is over. */
export async function until(what: string | (() => string), condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  while (!condition()) {
    if (performance.now() > deadlineMs) {
      throw new Error(`Waited in vain: ${typeof what === 'string' ? what : what()}`);
    }
    await sleep(2);
  }
}

export function sleep(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}

/** Beyond every wait that may follow the end of a stream, such as that for the other side's part of a close handshake. */
const LONG_MS = 1_000;

/** The process's clock, which knows what has been set on it and is still to come. */
class CountedClock implements Clock {
  readonly #pending = new Set<Timer>();
  #longTimersFired = 0;

  get pendingTimers(): number {
    return this.#pending.size;
  }

  /** Timers of more than a second that nobody cancelled. */
  get longTimersFired(): number {
    return this.#longTimersFired;
  }

  nowMs(): number {
    return systemClock.nowMs();
  }

  after(delayMs: number, callback: () => void): Timer {
    const running = systemClock.after(delayMs, () => {
      this.#pending.delete(timer);
      if (delayMs > LONG_MS) this.#longTimersFired++;
      callback();
    });
    const timer: Timer = {
      cancel: () => {
        this.#pending.delete(timer);
        running.cancel();
      },
    };
    this.#pending.add(timer);
    return timer;
  }
}

/** Throws twice: an adapter may catch what its sink throws, and take it for a failure of the vendor's. */
function failTheTest(message: string): never {
  const error = new assert.AssertionError({ message });
  queueMicrotask(() => {
    throw error;
  });
  throw error;
}

/** Takes a stream's parts, and asserts the rules that hold for every stream. */
export class Received<Part extends { readonly type: string }> {
  readonly parts: Part[] = [];
  readonly controller = new AbortController();
  readonly clock = new CountedClock();
  readonly usage = new UsageLedger();
  readonly log = memoryLog();
  readonly context: StreamContext = {
    log: this.log,
    clock: this.clock,
    signal: this.controller.signal,
    usage: this.usage,
  };
  /** Set while a stream is being opened: parts must not arrive. */
  opening = false;
  #closed = false;

  readonly sink: Sink<Part> = (part) => {
    if (this.opening) failTheTest(`a ${part.type} arrived synchronously`);
    if (this.#closed) failTheTest(`a ${part.type} arrived after the end`);
    this.parts.push(part);
    if (part.type === 'stream-failed' || part.type === 'generation-failed') this.#closed = true;
  };

  open<Stream>(open: () => Stream): Stream {
    this.opening = true;
    try {
      return open();
    } finally {
      this.opening = false;
    }
  }

  /** From now on nothing may arrive. */
  expectNoMore(): void {
    this.#closed = true;
  }

  /** Waits until the stream, which is over, has let go of the call: no timer is left, and no listener on its signal. */
  async released(): Promise<void> {
    const { signal } = this.controller;
    const firedBefore = this.clock.longTimersFired;
    await until('no timer of the stream', () => this.clock.pendingTimers === 0);
    assert.equal(this.clock.longTimersFired, firedBefore, 'a timer of the stream outlived it');
    await until('no listener on the signal', () => getEventListeners(signal, 'abort').length === 0);
  }

  of<Type extends Part['type']>(type: Type): Extract<Part, { readonly type: Type }>[] {
    return this.parts.filter((part): part is Extract<Part, { readonly type: Type }> => part.type === type);
  }

  async first<Type extends Part['type']>(type: Type, count = 1): Promise<Extract<Part, { readonly type: Type }>> {
    await until(
      () => `${count} × ${type}, not ${JSON.stringify(this.parts.map((part) => part.type))}`,
      () => this.of(type).length >= count,
    );
    const part = this.of(type)[count - 1];
    if (part === undefined) throw new Error('unreachable');
    return part;
  }

  /** The stream's one failure. */
  failure(): BvraiError {
    const errors = this.parts.flatMap((part) => ('error' in part ? [part.error] : []));
    assert.equal(errors.length, 1);
    const [error] = errors;
    if (!(error instanceof BvraiError)) throw new Error('not a BvraiError');
    return error;
  }

  async failedWith(type: Part['type'], code: ErrorCode): Promise<BvraiError> {
    await this.first(type);
    const error = this.failure();
    assert.equal(error.code, code, error.message);
    return error;
  }
}

/** A tone (speech, to an energy detector) or silence: μ-law, 8 kHz. */
export function speech(durationMs: number): Uint8Array {
  // Alternating large positive and negative samples: a 2 kHz tone, loud.
  return Uint8Array.from({ length: durationMs * 8 }, (_, n) => (n % 4 < 2 ? 0x90 : 0x10));
}

export function silence(durationMs: number): Uint8Array {
  return new Uint8Array(durationMs * 8).fill(0xff);
}
