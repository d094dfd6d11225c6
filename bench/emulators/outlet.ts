/** Where an emulated vendor's messages leave, over whichever wire: in order, and as the faults have it. */
import { GARBAGE } from './faults.ts';
import type { Faults } from './faults.ts';

/** What an {@link Outlet} needs of the wire beneath it. */
export interface Wire {
  readonly isOpen: boolean;
  write(data: string | Uint8Array): void;
  /** Writes something in place of a message that cannot be read. */
  writeGarbage(garbage: string): void;
  /** Ends in good order after the last message. */
  end(): void;
  close(code: number, reason: string | undefined): void;
  /** Resets the TCP connection. */
  reset(): void;
  /** Runs something later unless the wire closes first. */
  after(delayMs: number, run: () => void): void;
}

interface Waiting {
  readonly data: string | Uint8Array;
  readonly onSent: () => void;
}

export class Outlet {
  readonly #wire: Wire;
  readonly #faults: () => Faults;
  /** Messages that a slow drip holds back. Bounded by what the vendor's code says in one answer. */
  readonly #waiting: Waiting[] = [];
  #sent = 0;
  #lastSentAtMs = -Infinity;
  #ending = false;
  /** A fault has ended it, or will at the end of this turn. */
  #broken = false;

  constructor(wire: Wire, faults: () => Faults) {
    this.#wire = wire;
    this.#faults = faults;
  }

  /** Nothing has been sent yet. */
  get isFresh(): boolean {
    return this.#sent === 0 && this.#waiting.length === 0;
  }

  /** Applies a fault that strikes before the first message. */
  begin(): void {
    this.#breakOff();
  }

  /** Sends a message as soon as the faults allow; `onSent` is told when it has been written. */
  send(data: string | Uint8Array, onSent: () => void = () => {}): void {
    this.#waiting.push({ data, onSent });
    if (this.#waiting.length === 1) this.#pump();
  }

  /** Ends once everything has been sent; never, if the vendor has stalled. */
  end(): void {
    this.#ending = true;
    if (this.#waiting.length === 0) this.#finish();
  }

  #pump(): void {
    for (;;) {
      const next = this.#waiting[0];
      if (next === undefined || !this.#wire.isOpen) break;
      const waitMs = this.#lastSentAtMs + (this.#faults().drip?.gapMs ?? 0) - performance.now();
      if (waitMs > 0) return this.#wire.after(waitMs, () => this.#pump());
      this.#write(next);
      this.#waiting.shift();
    }
    if (this.#waiting.length === 0 && this.#ending) this.#finish();
  }

  #write({ data, onSent }: Waiting): void {
    if (this.#isStalled()) return;
    if (this.#faults().garbageAfter === this.#sent) this.#wire.writeGarbage(GARBAGE);
    else this.#wire.write(data);
    this.#sent++;
    this.#lastSentAtMs = performance.now();
    onSent();
    this.#breakOff();
  }

  #breakOff(): void {
    const { closeAfter, resetAfter } = this.#faults();
    const resets = resetAfter !== undefined && this.#sent >= resetAfter;
    const closes = closeAfter !== undefined && this.#sent >= closeAfter.messages;
    if (this.#broken || (!resets && !closes)) return;
    this.#broken = true;
    // Not at once: Node holds what was written until the end of this turn of the event loop, and it is to arrive.
    setImmediate(() => {
      if (resets) this.#wire.reset();
      else if (closes) this.#wire.close(closeAfter.code, closeAfter.reason);
    });
  }

  #finish(): void {
    if (this.#wire.isOpen && !this.#isStalled()) this.#wire.end();
  }

  #isStalled(): boolean {
    const { stallAfter } = this.#faults();
    return this.#broken || (stallAfter !== undefined && this.#sent >= stallAfter);
  }
}
