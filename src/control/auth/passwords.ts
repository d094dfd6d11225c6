/** Passwords: argon2id, at most two at once, so that a burst of log-ins takes neither the memory nor the cores from calls. */
import { hash, verify } from '@node-rs/argon2';
import type { Clock } from '../../core/clock.ts';
import { BvraiError } from '../../core/errors.ts';

/** OWASP's first choice for argon2id: 19 MiB, two passes, one lane. */
const OPTIONS = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };
const CONCURRENT = 2;
/** A full queue is worth about this long of waiting; beyond, the client had better come back. */
const MAX_WAITING = 32;
const WAIT_DEADLINE_MS = 5_000;

export interface PasswordsOptions {
  readonly clock: Clock;
  readonly maxWaiting?: number;
  readonly waitDeadlineMs?: number;
}

/** Hashes and checks passwords. Throws `capacity` when too many wait, or one has waited too long. */
export class Passwords {
  readonly #clock: Clock;
  readonly #maxWaiting: number;
  readonly #waitDeadlineMs: number;
  readonly #waiting = new Set<() => void>();
  #running = 0;
  /** The hash of no password, made once: checking against it takes as long as against a real one. */
  #decoy: Promise<string> | undefined;

  constructor({ clock, maxWaiting = MAX_WAITING, waitDeadlineMs = WAIT_DEADLINE_MS }: PasswordsOptions) {
    this.#clock = clock;
    this.#maxWaiting = maxWaiting;
    this.#waitDeadlineMs = waitDeadlineMs;
  }

  /** A hash in PHC form, with its parameters and a salt of its own. */
  hash(password: string): Promise<string> {
    return this.#run(() => hash(password, OPTIONS));
  }

  /**
   * Whether a password belongs to a hash. Without a hash (nobody has this account, or it has no password) the answer is no,
   * after the same work, so that the time tells nothing.
   */
  async verify(passwordHash: string | undefined, password: string): Promise<boolean> {
    const against = passwordHash ?? (await this.#decoyHash());
    const matches = await this.#run(() => verify(against, password));
    return matches && passwordHash !== undefined;
  }

  /** To be called at the start, so that not even the first unknown account takes longer. */
  async prepare(): Promise<void> {
    await this.#decoyHash();
  }

  #decoyHash(): Promise<string> {
    return (this.#decoy ??= hash('nobody has this password', OPTIONS));
  }

  async #run<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#running >= CONCURRENT) await this.#turn();
    else this.#running++;
    try {
      return await work();
    } finally {
      const [next] = this.#waiting;
      // The place is handed on: `running` stays.
      if (next) next();
      else this.#running--;
    }
  }

  #turn(): Promise<void> {
    if (this.#waiting.size >= this.#maxWaiting) throw busy();
    return new Promise((resolve, reject) => {
      const proceed = (): void => {
        timer.cancel();
        this.#waiting.delete(proceed);
        resolve();
      };
      const timer = this.#clock.after(this.#waitDeadlineMs, () => {
        this.#waiting.delete(proceed);
        reject(busy());
      });
      this.#waiting.add(proceed);
    });
  }
}

function busy(): BvraiError {
  return new BvraiError('capacity', 'Too many log-ins at once; try again in a moment.', { retryAfterMs: 2_000 });
}
