/** A few worker threads that do one job at a time each, for work that blocks its thread: speech synthesis and embeddings. */
import type { Worker } from 'node:worker_threads';
import type { Clock, Timer } from '../../../core/clock.ts';
import { BvraiError } from '../../../core/errors.ts';
import type { Log } from '../../../core/log.ts';

/** What the pool posts to a worker. */
export interface JobMessage<Job> {
  readonly jobId: number;
  readonly job: Job;
}

/** What a worker posts back. `ready` comes once, when its engine is loaded. */
export type JobReply<Result> =
  | { readonly type: 'ready' }
  | { readonly type: 'done'; readonly jobId: number; readonly result: Result }
  | { readonly type: 'failed'; readonly jobId: number; readonly reason: string };

export interface JobPoolOptions {
  /** For messages: what the workers do, e.g. `synthesiser`. */
  readonly name: string;
  readonly startWorker: () => Worker;
  readonly size: number;
  /** Jobs that wait for a worker; one more is refused with `capacity`. */
  readonly maxQueued: number;
  /** A job that takes longer (a cold start included) fails, and its worker is replaced. */
  readonly jobDeadlineMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

interface PendingJob<Job, Result> {
  readonly jobId: number;
  readonly job: Job;
  readonly signal: AbortSignal;
  readonly onAbort: () => void;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: BvraiError) => void;
}

interface Seat<Job, Result> {
  readonly worker: Worker;
  ready: boolean;
  current: PendingJob<Job, Result> | undefined;
  deadline: Timer | undefined;
  readonly whenReady: Promise<void>;
  readonly settleReady: (error?: BvraiError) => void;
}

/**
 * Runs jobs on up to `size` workers, started when first needed. Jobs start in the order given.
 * A worker that dies fails its job with `engine.failed` and is replaced at once if it had ever become ready
 * (else only when the next job comes, so that a broken installation does not spin).
 */
export class JobPool<Job, Result> {
  readonly #options: JobPoolOptions;
  readonly #seats = new Set<Seat<Job, Result>>();
  /** Bounded by `maxQueued`; an array because an aborted job is taken out of its middle. */
  readonly #queue: PendingJob<Job, Result>[] = [];
  readonly #terminations = new Set<Promise<unknown>>();
  #nextJobId = 1;
  #closed = false;

  constructor(options: JobPoolOptions) {
    this.#options = options;
  }

  /** Jobs that wait or run. */
  get load(): number {
    let running = 0;
    for (const seat of this.#seats) if (seat.current) running++;
    return running + this.#queue.length;
  }

  /** Starts every worker; resolves when all have loaded their engine. Rejects with `engine.unavailable`. */
  async warm(): Promise<void> {
    if (this.#closed) throw this.#closedError();
    while (this.#seats.size < this.#options.size) this.#startSeat();
    await Promise.all([...this.#seats].map((seat) => seat.whenReady));
  }

  /**
   * Does one job. Rejects with `aborted` (signal), `capacity` (queue full), `engine.failed` (the job failed or its
   * worker died) or `engine.unavailable` (the worker could not start, or the pool was closed). Aborting a running job gives up its result only.
   */
  run(job: Job, signal: AbortSignal): Promise<Result> {
    return new Promise((resolve, reject) => {
      const { name, maxQueued } = this.#options;
      if (this.#closed) return reject(this.#closedError());
      if (signal.aborted) return reject(new BvraiError('aborted', `The ${name} job was given up.`));
      if (this.#queue.length >= maxQueued) {
        return reject(new BvraiError('capacity', `The ${name} has ${maxQueued} jobs waiting and takes no more.`));
      }
      const onAbort = () => this.#abort(pending);
      const pending: PendingJob<Job, Result> = { jobId: this.#nextJobId++, job, signal, onAbort, resolve, reject };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#queue.push(pending);
      this.#dispatch();
    });
  }

  /** Gives up all jobs and ends the workers. */
  async close(): Promise<void> {
    this.#closed = true;
    const error = this.#closedError();
    for (const pending of this.#queue.splice(0)) this.#settle(pending, error);
    for (const seat of this.#seats) this.#endSeat(seat, error);
    await Promise.all(this.#terminations);
  }

  #closedError(): BvraiError {
    return new BvraiError('engine.unavailable', `The ${this.#options.name} was closed.`);
  }

  #dispatch(): void {
    while (this.#queue.length > 0 && !this.#closed) {
      const seat = this.#freeSeat();
      const pending = seat && this.#queue.shift();
      if (!seat || !pending) return;
      seat.current = pending;
      const { clock, jobDeadlineMs, name } = this.#options;
      seat.deadline = clock.after(jobDeadlineMs, () => {
        this.#loseSeat(
          seat,
          new BvraiError('engine.failed', `The ${name} did not finish a job within ${jobDeadlineMs} ms.`),
        );
      });
      const message: JobMessage<Job> = { jobId: pending.jobId, job: pending.job };
      seat.worker.postMessage(message);
    }
  }

  #freeSeat(): Seat<Job, Result> | undefined {
    let free: Seat<Job, Result> | undefined;
    for (const seat of this.#seats) if (!seat.current && (!free || (seat.ready && !free.ready))) free = seat;
    if (free?.ready || this.#seats.size >= this.#options.size) return free;
    return free ?? this.#startSeat();
  }

  #startSeat(): Seat<Job, Result> {
    const { name, startWorker } = this.#options;
    const { promise, settle } = promiseWithSettle();
    const worker = startWorker();
    const seat: Seat<Job, Result> = {
      worker,
      ready: false,
      current: undefined,
      deadline: undefined,
      whenReady: promise,
      settleReady: settle,
    };
    this.#seats.add(seat);
    worker.on('message', (reply: JobReply<Result>) => this.#receive(seat, reply));
    worker.on('error', (cause) => this.#loseSeat(seat, this.#lost(seat, `The ${name} worker failed`, cause)));
    worker.on('exit', (code) => this.#loseSeat(seat, this.#lost(seat, `The ${name} worker ended with code ${code}`)));
    return seat;
  }

  #lost(seat: Seat<Job, Result>, what: string, cause?: unknown): BvraiError {
    const reason = cause instanceof Error ? `: ${cause.message}` : '.';
    return new BvraiError(seat.ready ? 'engine.failed' : 'engine.unavailable', what + reason, { cause });
  }

  #receive(seat: Seat<Job, Result>, reply: JobReply<Result>): void {
    if (reply.type === 'ready') {
      seat.ready = true;
      seat.settleReady();
      return;
    }
    const pending = seat.current;
    if (!pending || pending.jobId !== reply.jobId) return;
    seat.current = undefined;
    seat.deadline?.cancel();
    if (reply.type === 'done') {
      pending.signal.removeEventListener('abort', pending.onAbort);
      pending.resolve(reply.result);
    } else {
      this.#settle(pending, new BvraiError('engine.failed', `The ${this.#options.name} failed: ${reply.reason}`));
    }
    this.#dispatch();
  }

  /** Ends a seat that failed, and puts another in its place. */
  #loseSeat(seat: Seat<Job, Result>, error: BvraiError): void {
    if (!this.#seats.has(seat)) return;
    this.#options.log.error({ code: error.code, reason: error.message }, `${this.#options.name} worker lost`);
    this.#endSeat(seat, error);
    if (this.#closed) return;
    if (seat.ready) this.#startSeat();
    this.#dispatch();
  }

  #endSeat(seat: Seat<Job, Result>, error: BvraiError): void {
    this.#seats.delete(seat);
    seat.deadline?.cancel();
    seat.settleReady(error);
    if (seat.current) this.#settle(seat.current, error);
    seat.current = undefined;
    const termination = seat.worker.terminate().finally(() => this.#terminations.delete(termination));
    this.#terminations.add(termination);
  }

  #abort(pending: PendingJob<Job, Result>): void {
    const index = this.#queue.indexOf(pending);
    if (index >= 0) this.#queue.splice(index, 1);
    pending.reject(new BvraiError('aborted', `The ${this.#options.name} job was given up.`));
  }

  #settle(pending: PendingJob<Job, Result>, error: BvraiError): void {
    pending.signal.removeEventListener('abort', pending.onAbort);
    pending.reject(error);
  }
}

function promiseWithSettle(): { promise: Promise<void>; settle: (error?: BvraiError) => void } {
  let settle: (error?: BvraiError) => void = () => {};
  const promise = new Promise<void>((resolve, reject) => {
    settle = (error) => (error ? reject(error) : resolve());
  });
  // Only warm() waits for it; without a waiter a failed start is reported through the job instead.
  promise.catch(() => {});
  return { promise, settle };
}
