/**
 * Vendors that say anything at all: recorded messages, mutated, by the hundred thousand. The same seed gives the same messages.
 *
 * A vendor's fuzz test gives its recorded messages and one function that hands a text to the adapter's message entry point and
 * asserts what came of it. {@link fuzz} counts what it fed, so that a test can say honestly how much that was, and a failure
 * names the message.
 */
import v8 from 'node:v8';
import vm from 'node:vm';
import { Random, seedOf } from '../simulation/random.ts';

/** What each adapter is fed in all, by its pure parser and its driver together. */
export const MESSAGES_PER_ADAPTER = 100_000;

const MAX_DEPTH = 6;
/** Now and then a string is this long: half of what a socket of ours takes in one message would slow the test, not harden it. */
const LONG_LENGTH = 20_000;

/** Values that no vendor sends where it sends them. `null` and absence are the commonest; the rest is what breaks parsers. */
const ODD_VALUES: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -0,
  -1,
  1.5,
  2,
  1e308,
  -1e308,
  2 ** 53,
  '',
  ' ',
  '0',
  '-1',
  'NaN',
  'null',
  '\u0000',
  '\uD800',
  '\u202E\u200B\uFEFF',
  '😀',
  '__proto__',
  'constructor',
  [],
  {},
  [[]],
  [null],
  [{}],
  { type: 'Error' },
  { error: 'x' },
  { toString: 1, valueOf: 1, length: -1 },
];
const ODD_KEYS: readonly string[] = ['__proto__', 'constructor', 'toString', 'length', 'type', 'error', '', '0'];
const ODD_TEXT: readonly string[] = [
  '"',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '\\',
  '\u0000',
  '\\u',
  '1e999',
  '-',
  'nul',
  '\n',
  '\uDFFF',
];

/** Endless mutations of the recorded messages (each a JSON text), one at a time. */
export class Mutator {
  readonly #texts: readonly string[];
  readonly #values: readonly unknown[];
  readonly #random: Random;

  constructor(recorded: readonly string[], seed: number | string) {
    this.#texts = recorded;
    this.#values = recorded.map((text): unknown => JSON.parse(text));
    this.#random = new Random(seedOf(seed));
  }

  /** As it was recorded (so that streams get beyond their first message), with some of its values changed, or broken as text. */
  next(): string {
    const random = this.#random;
    const dice = random.next();
    if (dice < 0.2) return this.#any(this.#texts, '');
    if (dice < 0.75) return JSON.stringify(this.#mutate(this.#any(this.#values, null), 0));
    if (dice < 0.8) return JSON.stringify(this.#anyOddValue());
    return this.#breakText(this.#any(this.#texts, ''));
  }

  /** A list of up to `maxLength`, as one socket may say them. */
  list(maxLength: number): string[] {
    return Array.from({ length: this.#random.int(0, maxLength) }, () => this.next());
  }

  pick<Item>(items: readonly [Item, ...Item[]]): Item {
    return this.#any(items, items[0]);
  }

  #any<Item>(items: readonly Item[], otherwise: Item): Item {
    return items[this.#random.int(0, items.length - 1)] ?? otherwise;
  }

  #anyOddValue(): unknown {
    const dice = this.#random.next();
    if (dice < 0.9) return this.#any(ODD_VALUES, null);
    // A part of another message, in the wrong place.
    if (dice < 0.98) return this.#any(this.#values, null);
    return dice < 0.982 ? 'x'.repeat(LONG_LENGTH) : Array.from({ length: 200 }, () => this.#any(ODD_VALUES, null));
  }

  #mutate(value: unknown, depth: number): unknown {
    const random = this.#random;
    if (depth > 0 && random.chance(0.07)) return this.#anyOddValue();
    if (depth > MAX_DEPTH) return value;
    if (Array.isArray(value)) return this.#mutateArray(value, depth);
    if (typeof value === 'object' && value !== null) return this.#mutateObject(value, depth);
    if (typeof value === 'string' && random.chance(0.05)) return this.#breakText(value);
    if (typeof value === 'number' && random.chance(0.05)) return value * this.#any([-1, 0.001, 1000, 1e300], 1);
    return value;
  }

  #mutateArray(value: readonly unknown[], depth: number): unknown[] {
    return value.flatMap((item: unknown) => {
      const dice = this.#random.next();
      if (dice < 0.05) return [];
      const mutated = this.#mutate(item, depth + 1);
      return dice < 0.08 ? [mutated, item] : [mutated];
    });
  }

  #mutateObject(value: object, depth: number): unknown {
    const entries: [string, unknown][] = [];
    for (const [key, item] of Object.entries(value)) {
      const dice = this.#random.next();
      if (dice < 0.04) continue;
      entries.push([dice < 0.06 ? this.#any(ODD_KEYS, '') : key, this.#mutate(item, depth + 1)]);
    }
    if (this.#random.chance(0.05)) entries.push([this.#any(ODD_KEYS, ''), this.#anyOddValue()]);
    return Object.fromEntries(entries);
  }

  #breakText(text: string): string {
    const random = this.#random;
    const at = random.int(0, text.length);
    switch (random.int(0, 6)) {
      case 0:
        return text.slice(0, at);
      case 1:
        return text.slice(at);
      case 2:
        return text.slice(0, at) + this.#any(ODD_TEXT, '') + text.slice(at);
      case 3:
        return text.slice(0, at) + text.slice(at + random.int(1, 8));
      case 4:
        return text + this.#any(this.#texts, '');
      case 5:
        return text.slice(0, at) + String.fromCodePoint(random.int(0, 0xffff)) + text.slice(at + 1);
      default:
        return random.chance(0.01) ? '['.repeat(LONG_LENGTH) : '';
    }
  }
}

/** Feeds `count` mutations, one after the other; whatever `feed` throws is told with the message and its number. Returns the count. */
export function fuzz(mutator: Mutator, count: number, feed: (text: string) => void): number {
  for (let n = 0; n < count; n++) {
    const text = mutator.next();
    try {
      feed(text);
    } catch (thrown) {
      throw new Error(`message ${n} broke the adapter: ${text.slice(0, 2_000)}`, { cause: thrown });
    }
  }
  return count;
}

let collectGarbage: (() => void) | undefined;

/** Bytes of the heap that are still in use after a full collection: the same before and after means that nothing grew. */
export function heapInUseBytes(): number {
  if (collectGarbage === undefined) {
    v8.setFlagsFromString('--expose-gc');
    collectGarbage = vm.runInNewContext('gc') as () => void;
  }
  collectGarbage();
  return process.memoryUsage().heapUsed;
}
