/** Gives clients' connections to the other process, in their order, one after the other: Node can have one under way. */
import type { Socket } from 'node:net';
import { detach } from './connections.ts';
import type { Detached } from './connections.ts';
import type { ConnectionMessage } from './protocol.ts';

export interface HandoverOptions {
  /** Sends it; calls back when the socket is no longer this process's, whether it got there or not. */
  readonly send: (message: ConnectionMessage, socket: Socket | undefined, onSent: () => void) => void;
  /** Serves what cannot be given away, `first` being what was read of it. */
  readonly serve: (socket: Socket, first: Buffer) => void;
  readonly maxWaiting?: number;
  /** How long the other process may take for one before it is thought to hang. */
  readonly takeWithinMs?: number;
}

const MAX_WAITING = 512;
const TAKE_WITHIN_MS = 15_000;

interface Waiting {
  readonly socket: Socket;
  readonly first: Buffer;
  readonly onGone: () => void;
}

/** Modes: nothing under way; one under way and others waiting; stalled, when that one was not taken in time; closed. */
export class Handover {
  readonly #options: HandoverOptions;
  readonly #maxWaiting: number;
  readonly #waiting = new Set<Waiting>();
  #number = 0;
  #underWay: number | undefined;
  /** Node keeps it open for ever when the other process is lost before it has taken it. */
  #lastSent: Detached | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isStalled = false;
  #isClosed = false;

  constructor(options: HandoverOptions) {
    this.#options = options;
    this.#maxWaiting = options.maxWaiting ?? MAX_WAITING;
  }

  /** False: the other process hangs, or has more to take than it does. */
  get isTaking(): boolean {
    return !this.#isClosed && !this.#isStalled && this.#waiting.size < this.#maxWaiting;
  }

  /** Takes charge of a connection that nobody reads; false: it cannot be given away now. */
  offer(socket: Socket, first: Buffer): boolean {
    if (!this.isTaking) return false;
    const waiting: Waiting = { socket, first, onGone: () => this.#waiting.delete(waiting) };
    this.#waiting.add(waiting);
    socket.once('close', waiting.onGone);
    this.#sendNext();
    return true;
  }

  /** The other process has this one, and so all before it. */
  taken(number: number): void {
    if (this.#underWay === undefined || number < this.#underWay) return;
    clearTimeout(this.#timer);
    this.#underWay = undefined;
    this.#lastSent = undefined;
    this.#isStalled = false;
    this.#sendNext();
  }

  /** The other process is gone, or about to go: what waits is served here. Idempotent. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#lastSent?.close();
    this.#serveWaiting();
  }

  #sendNext(): void {
    if (this.#underWay !== undefined || this.#isClosed) return;
    for (const waiting of this.#waiting) {
      const { socket, first } = this.#release(waiting);
      const detached = detach(socket);
      if (!detached) continue;
      this.#lastSent = detached;
      this.#send(Buffer.concat([first, detached.rest]), socket);
      this.#timer = setTimeout(() => this.#onLate(), this.#options.takeWithinMs ?? TAKE_WITHIN_MS);
      return;
    }
  }

  #send(first: Buffer, socket?: Socket): void {
    const number = ++this.#number;
    this.#underWay = number;
    this.#options.send({ type: 'connection', number, first }, socket, () => socket?.destroy());
  }

  #onLate(): void {
    this.#isStalled = true;
    this.#serveWaiting();
    // It may have been lost on the way, unbeknown to the other process; taken, this one says that it does not hang.
    this.#send(Buffer.alloc(0));
  }

  #serveWaiting(): void {
    for (const waiting of this.#waiting) {
      const { socket, first } = this.#release(waiting);
      this.#options.serve(socket, first);
    }
  }

  #release(waiting: Waiting): Waiting {
    this.#waiting.delete(waiting);
    waiting.socket.off('close', waiting.onGone);
    return waiting;
  }
}
