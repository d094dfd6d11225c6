/** The vendor's end of one WebSocket: sends with faults, timers that end with it. */
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import type { DelaySource } from './delays.ts';
import type { Faults } from './faults.ts';
import { Outlet } from './outlet.ts';

/** What a socket reports to the server it belongs to. */
export interface SocketLog {
  readonly delays: DelaySource;
  text(connection: number, url: string, text: string): void;
  bytes(count: number): void;
  sent(connection: number, url: string, message: unknown): void;
}

export interface SocketOptions {
  readonly id: number;
  /** Path and query. */
  readonly url: string;
  readonly faults: () => Faults;
  readonly log: SocketLog;
}

export class VendorSocket {
  readonly id: number;
  /** As they are set now. */
  readonly faults: () => Faults;
  readonly delays: DelaySource;
  /** Set by the vendor's code before the first message can arrive. */
  onText: (text: string) => void = () => {};
  onBinary: (bytes: Uint8Array) => void = () => {};
  readonly #options: SocketOptions;
  readonly #socket: WebSocket;
  readonly #outlet: Outlet;
  readonly #timers = new Set<NodeJS.Timeout>();
  #lastDueMs = 0;

  constructor(socket: WebSocket, connection: Socket, options: SocketOptions) {
    const { log, id, url } = options;
    this.#options = options;
    this.#socket = socket;
    this.id = id;
    this.faults = options.faults;
    this.delays = log.delays;
    this.#outlet = new Outlet(
      {
        get isOpen() {
          return socket.readyState === socket.OPEN;
        },
        write: (data) => socket.send(data),
        writeGarbage: (garbage) => socket.send(garbage),
        end: () => socket.close(1000),
        close: (code, reason) => this.close(code, reason),
        reset: () => connection.resetAndDestroy(),
        after: (delayMs, run) => this.after(delayMs, run),
      },
      options.faults,
    );
    socket.on('message', (data, isBinary) => {
      const bytes = Array.isArray(data) ? Buffer.concat(data) : data instanceof ArrayBuffer ? Buffer.from(data) : data;
      if (isBinary) {
        log.bytes(bytes.length);
        return this.onBinary(bytes);
      }
      const text = bytes.toString('utf8');
      log.text(id, url, text);
      this.onText(text);
    });
    socket.on('error', () => socket.terminate());
    socket.on('close', () => {
      for (const timer of this.#timers) clearTimeout(timer);
      this.#timers.clear();
    });
  }

  /** Applies a fault that strikes before the first message. */
  begin(): void {
    this.#outlet.begin();
  }

  get isOpen(): boolean {
    return this.#socket.readyState === this.#socket.OPEN;
  }

  /** Sends a message now, unless a fault has it otherwise: bytes as they are, anything else as JSON. */
  send(message: unknown): void {
    if (!this.isOpen) return;
    const { log, id, url } = this.#options;
    const data = message instanceof Uint8Array ? message : JSON.stringify(message);
    this.#outlet.send(data, () => log.sent(id, url, message));
  }

  /** Sends after a delay, and never before what was to be sent earlier. */
  sendLater(delayMs: number, message: unknown): void {
    const nowMs = performance.now();
    this.#lastDueMs = Math.max(this.#lastDueMs, nowMs + delayMs);
    this.after(this.#lastDueMs - nowMs, () => this.send(message));
  }

  /** Runs something later, unless the socket closes first; the result calls it off. */
  after(delayMs: number, run: () => void): () => void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      run();
    }, delayMs);
    this.#timers.add(timer);
    return () => {
      clearTimeout(timer);
      this.#timers.delete(timer);
    };
  }

  close(code: number, reason?: string): void {
    if (code === 1006) this.#socket.terminate();
    else this.#socket.close(code, reason);
  }
}
