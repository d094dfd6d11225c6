/** Answers of the database that are asked for with every request, kept for a moment and forgotten the moment they are told wrong. */
import type { Clock } from '../../core/clock.ts';

export interface RevocableCacheOptions {
  readonly clock: Clock;
  /** How long an answer is believed when nobody says otherwise. */
  readonly maxAgeMs: number;
  /** When full, the oldest answer makes room. */
  readonly maxEntries: number;
}

interface Entry<Value> {
  readonly answer: Promise<Value>;
  readonly expiresAtMs: number;
}

/**
 * Keeps the promise of an answer, not the answer: whoever asks meanwhile waits for the same, and a question that was under way when
 * its key was forgotten cannot bring the old answer back.
 */
export class RevocableCache<Value> {
  readonly #options: RevocableCacheOptions;
  readonly #entries = new Map<string, Entry<Value>>();

  constructor(options: RevocableCacheOptions) {
    this.#options = options;
  }

  /** The answer to `key`; `load` is asked when there is none. What it throws is not kept. */
  get(key: string, load: () => Promise<Value>): Promise<Value> {
    const nowMs = this.#options.clock.nowMs();
    const known = this.#entries.get(key);
    if (known && known.expiresAtMs > nowMs) return known.answer;
    const answer = load();
    const entry = { answer, expiresAtMs: nowMs + this.#options.maxAgeMs };
    this.#entries.delete(key);
    this.#makeRoom();
    this.#entries.set(key, entry);
    answer.catch(() => {
      if (this.#entries.get(key) === entry) this.#entries.delete(key);
    });
    return answer;
  }

  /** Forgets the keys that `isMeant`. */
  forget(isMeant: (key: string) => boolean): void {
    for (const key of this.#entries.keys()) if (isMeant(key)) this.#entries.delete(key);
  }

  forgetAll(): void {
    this.#entries.clear();
  }

  #makeRoom(): void {
    if (this.#entries.size < this.#options.maxEntries) return;
    const [oldest] = this.#entries.keys();
    if (oldest !== undefined) this.#entries.delete(oldest);
  }
}
