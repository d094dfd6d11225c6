import { BvraiError } from './errors.ts';

/** What a full queue does with one more item. */
export type OverflowPolicy = 'drop-oldest' | 'drop-newest' | 'refuse';

/**
 * First in, first out, never longer than `capacity`; a ring buffer, so push and shift are O(1).
 * `dropped` counts what the overflow policy threw away: loss is never silent.
 */
export class BoundedQueue<T> {
  readonly capacity: number;
  readonly policy: OverflowPolicy;
  readonly #items: (T | undefined)[];
  #head = 0;
  #length = 0;
  #dropped = 0;

  constructor(capacity: number, policy: OverflowPolicy) {
    if (!Number.isInteger(capacity) || capacity < 1) {
      throw new BvraiError('internal', `A queue needs a capacity of at least 1, not ${capacity}.`);
    }
    this.capacity = capacity;
    this.policy = policy;
    this.#items = Array.from<T | undefined>({ length: capacity });
  }

  get length(): number {
    return this.#length;
  }

  get dropped(): number {
    return this.#dropped;
  }

  /** Adds an item at the end. False: this item was not taken (policies drop-newest and refuse). */
  push(item: T): boolean {
    if (this.#length === this.capacity) {
      if (this.policy !== 'refuse') this.#dropped++;
      if (this.policy !== 'drop-oldest') return false;
      this.shift();
    }
    this.#items[(this.#head + this.#length) % this.capacity] = item;
    this.#length++;
    return true;
  }

  /** Takes the oldest item, or undefined when empty. */
  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    this.#head = (this.#head + 1) % this.capacity;
    this.#length--;
    return item;
  }

  /** Takes everything, oldest first. */
  drain(): T[] {
    const items: T[] = [];
    while (this.#length > 0) items.push(this.shift() as T);
    return items;
  }
}
