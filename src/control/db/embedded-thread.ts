/** The embedded database's thread: requests and their replies, its start, its loss and its next start. */
import type { Worker } from 'node:worker_threads';
import pg from 'pg';
import { BvraiError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { startWorker } from '../../core/worker.ts';
import type { RawFault, RawResult, WorkerReply, WorkerRequest } from './embedded-protocol.ts';

type Question = {
  [T in WorkerRequest['type']]: Omit<Extract<WorkerRequest, { type: T }>, 'id'>;
}[WorkerRequest['type']];

interface Pending {
  readonly resolve: (result: RawResult | undefined) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

interface ThreadOptions {
  readonly log: Log;
  /** After each start: what the last thread listened to must be listened to again. */
  onOpened(): void;
  onNotification(channel: string, payload: string): void;
}

/** The first start unpacks a whole database. */
const OPEN_TIMEOUT_MS = 60_000;
const CLOSE_TIMEOUT_MS = 10_000;

/** Modes: absent, starting, running. A thread that is lost or stopped leaves the mode absent; `ready` starts the next. */
export class EmbeddedThread {
  readonly #path: string | undefined;
  readonly #options: ThreadOptions;
  readonly #pending = new Map<number, Pending>();
  #worker: Worker | undefined;
  #starting: Promise<void> | undefined;
  #nextId = 0;
  #isOpen = false;

  constructor(path: string | undefined, options: ThreadOptions) {
    this.#path = path;
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Resolves when the database is open, having started the thread if there is none. */
  ready(): Promise<void> {
    return (this.#starting ??= this.#start().catch(async (thrown: unknown) => {
      await this.stop();
      throw BvraiError.from(thrown, 'db.unavailable', `The embedded database${this.#where()} does not open`);
    }));
  }

  /** Asks the thread; rejects with Postgres's error, or with `db.unavailable` or `db.timeout`. */
  ask(question: Question, timeoutMs: number): Promise<RawResult | undefined> {
    return new Promise((resolve, reject) => {
      if (!this.#worker) {
        reject(new BvraiError('db.unavailable', 'The thread of the embedded database is not running.'));
        return;
      }
      const id = this.#nextId++;
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new BvraiError('db.timeout', `The embedded database did not answer within ${timeoutMs} ms.`));
      }, timeoutMs);
      this.#pending.set(id, { resolve, reject, timer });
      this.#worker.postMessage({ ...question, id } satisfies WorkerRequest);
    });
  }

  /** Closes the database and ends the thread. */
  async close(): Promise<void> {
    // A start under way is waited for; one that failed has been logged by whoever asked for it.
    await this.#starting?.catch(() => {});
    if (!this.#worker) return;
    await this.ask({ type: 'close' }, CLOSE_TIMEOUT_MS).catch((thrown: unknown) =>
      this.#options.log.warn(
        { err: thrown },
        'the embedded database did not close in time; it recovers at the next start',
      ),
    );
    await this.stop();
  }

  /** Ends the thread as it is; Postgres recovers from that as from a crash. */
  async stop(): Promise<void> {
    const worker = this.#worker;
    this.#lose('it was stopped');
    await worker?.terminate();
  }

  async #start(): Promise<void> {
    const worker = startWorker(import.meta.url, './embedded.worker');
    this.#worker = worker;
    worker.on('message', (reply: WorkerReply) => this.#receive(reply));
    worker.on('error', (error) => this.#lost(worker, error.message));
    worker.on('exit', (exitCode) => this.#lost(worker, `exit code ${exitCode}`));
    await this.ask({ type: 'open', path: this.#path }, OPEN_TIMEOUT_MS);
    this.#isOpen = true;
    this.#options.onOpened();
  }

  #receive(reply: WorkerReply): void {
    if (reply.type === 'notification') {
      this.#options.onNotification(reply.channel, reply.payload);
      return;
    }
    const pending = this.#pending.get(reply.id);
    if (!pending) return;
    this.#pending.delete(reply.id);
    clearTimeout(pending.timer);
    if (reply.type === 'done') pending.resolve(reply.result);
    else pending.reject(toError(reply.fault));
  }

  #lost(worker: Worker, reason: string): void {
    if (worker !== this.#worker) return;
    this.#options.log.error({ reason }, 'the thread of the embedded database ended; the next query starts another');
    this.#lose(reason);
  }

  #lose(reason: string): void {
    this.#worker = undefined;
    this.#starting = undefined;
    this.#isOpen = false;
    const error = new BvraiError('db.unavailable', `The thread of the embedded database ended: ${reason}.`);
    for (const { reject, timer } of this.#pending.values()) {
      clearTimeout(timer);
      reject(error);
    }
    this.#pending.clear();
  }

  #where(): string {
    return this.#path === undefined ? ' in memory' : ` in ${this.#path}`;
  }
}

/** The same error class as from a server, so that errors.ts reads both alike. */
function toError({ message, fields }: RawFault): Error {
  return fields['code'] === undefined
    ? new BvraiError('internal', message)
    : Object.assign(new pg.DatabaseError(message, message.length, 'error'), fields);
}
