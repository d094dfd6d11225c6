/** The recogniser's worker threads, shared by all calls of the process. */
import type { Worker } from 'node:worker_threads';
import { BvraiError } from '../../../core/errors.ts';
import type { Log } from '../../../core/log.ts';
import { startWorker } from '../../../core/worker.ts';
import type { RecogniserReply, RecogniserRequest } from './recogniser-messages.ts';

/** A call's side of the pool. */
export interface PoolMember {
  readonly streamId: number;
  onReply(reply: RecogniserReply): void;
  /** The worker is gone, and everything this call had in it. Called once; the member is then detached. */
  onLost(error: BvraiError): void;
}

/** A member's place in a worker. After the worker is lost its methods do nothing. */
export interface Place {
  post(message: RecogniserRequest, transfer?: ArrayBuffer[]): void;
  /** Routes the replies about an utterance to the member until `final` or `utterance-failed`. */
  expect(utteranceId: number): void;
  /** Replies of the worker so far, to any call. */
  replies(): number;
  /** Gives the worker up, with every call on it: it does not answer. */
  condemn(reason: string): void;
  detach(): void;
}

interface Seat {
  readonly worker: Worker;
  ready: boolean;
  readonly members: Map<number, PoolMember>;
  /** Which member an utterance belongs to. */
  readonly utterances: Map<number, PoolMember>;
  replies: number;
  readonly whenReady: Promise<void>;
  readonly settleReady: (error?: BvraiError) => void;
}

export class RecogniserPool {
  readonly #size: number;
  readonly #log: Log;
  readonly #seats = new Set<Seat>();
  readonly #terminations = new Set<Promise<unknown>>();
  #nextId = 1;
  #closed = false;

  constructor(size: number, log: Log) {
    this.#size = size;
    this.#log = log;
  }

  /** A number nobody else has: for streams and utterances. */
  newId(): number {
    return this.#nextId++;
  }

  /** Starts every worker; resolves when all have their engine loaded. */
  async warm(): Promise<void> {
    if (this.#closed) throw closedError();
    while (this.#seats.size < this.#size) this.#startSeat();
    await Promise.all([...this.#seats].map((seat) => seat.whenReady));
  }

  /** Puts a call on the worker with the fewest calls. Undefined once closed. */
  attach(member: PoolMember): Place | undefined {
    if (this.#closed) return undefined;
    const seat = this.#leastBusySeat();
    seat.members.set(member.streamId, member);
    return {
      post: (message, transfer = []) => {
        if (this.#seats.has(seat)) seat.worker.postMessage(message, transfer);
      },
      expect: (utteranceId) => seat.utterances.set(utteranceId, member),
      replies: () => seat.replies,
      condemn: (reason) => this.#loseSeat(seat, new BvraiError('engine.failed', reason)),
      detach: () => {
        seat.members.delete(member.streamId);
        for (const [utteranceId, owner] of seat.utterances) if (owner === member) seat.utterances.delete(utteranceId);
        if (this.#seats.has(seat))
          seat.worker.postMessage({ type: 'forget', streamId: member.streamId } satisfies RecogniserRequest);
      },
    };
  }

  /** Ends the workers; calls that still use them hear `onLost`. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const seat of this.#seats) this.#endSeat(seat, closedError());
    await Promise.all(this.#terminations);
  }

  #leastBusySeat(): Seat {
    let best: Seat | undefined;
    for (const seat of this.#seats) if (!best || seat.members.size < best.members.size) best = seat;
    if (best && (best.members.size === 0 || this.#seats.size >= this.#size)) return best;
    return this.#startSeat();
  }

  #startSeat(): Seat {
    const { promise, settle } = promiseWithSettle();
    const worker = startWorker(import.meta.url, './recogniser.worker');
    const seat: Seat = {
      worker,
      ready: false,
      members: new Map(),
      utterances: new Map(),
      replies: 0,
      whenReady: promise,
      settleReady: settle,
    };
    this.#seats.add(seat);
    worker.on('message', (reply: RecogniserReply) => this.#receive(seat, reply));
    worker.on('error', (cause) => {
      const reason = cause instanceof Error ? cause.message : String(cause);
      this.#loseSeat(seat, this.#lost(seat, `The recogniser worker failed: ${reason}`, cause));
    });
    worker.on('exit', (code) =>
      this.#loseSeat(seat, this.#lost(seat, `The recogniser worker ended with code ${code}.`)),
    );
    return seat;
  }

  #lost(seat: Seat, message: string, cause?: unknown): BvraiError {
    return new BvraiError(seat.ready ? 'engine.failed' : 'engine.unavailable', message, { cause });
  }

  #receive(seat: Seat, reply: RecogniserReply): void {
    seat.replies++;
    switch (reply.type) {
      case 'progress':
        return;
      case 'ready':
        seat.ready = true;
        return seat.settleReady();
      case 'prepared':
        return seat.members.get(reply.streamId)?.onReply(reply);
      case 'interim':
        return seat.utterances.get(reply.utteranceId)?.onReply(reply);
      case 'final':
      case 'utterance-failed': {
        const member = seat.utterances.get(reply.utteranceId);
        seat.utterances.delete(reply.utteranceId);
        member?.onReply(reply);
      }
    }
  }

  /** A lost worker is replaced at once if it ever worked, else when the next call comes. */
  #loseSeat(seat: Seat, error: BvraiError): void {
    if (!this.#seats.has(seat)) return;
    this.#log.error({ code: error.code, reason: error.message, calls: seat.members.size }, 'recogniser worker lost');
    this.#endSeat(seat, error);
    if (seat.ready && !this.#closed) this.#startSeat();
  }

  #endSeat(seat: Seat, error: BvraiError): void {
    this.#seats.delete(seat);
    seat.settleReady(error);
    const members = [...seat.members.values()];
    seat.members.clear();
    seat.utterances.clear();
    for (const member of members) member.onLost(error);
    const termination = seat.worker.terminate().finally(() => this.#terminations.delete(termination));
    this.#terminations.add(termination);
  }
}

function closedError(): BvraiError {
  return new BvraiError('engine.unavailable', 'The recogniser was closed.');
}

function promiseWithSettle(): { promise: Promise<void>; settle: (error?: BvraiError) => void } {
  let settle: (error?: BvraiError) => void = () => {};
  const promise = new Promise<void>((resolve, reject) => {
    settle = (error) => (error ? reject(error) : resolve());
  });
  // Only warm() waits for it; calls hear of a failed start through onLost.
  promise.catch(() => {});
  return { promise, settle };
}
