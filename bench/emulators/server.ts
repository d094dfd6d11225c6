/** What the emulated vendors share: a loopback server, connections that can be counted, and faults. */
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';

/** Ways to misbehave. All may be changed while the emulator runs; they hold for what happens from then on. */
export interface Faults {
  /** Refuses every request and upgrade. */
  refuse?: Refusal | undefined;
  /** Takes the TCP connection and never answers. */
  hang?: boolean | undefined;
  /** Says this many messages (or events), then nothing more. 0: accepts and stays silent. */
  stallAfter?: number | undefined;
  /** Says this many messages, then closes with the code; 1006, and any code over HTTP, cuts the connection. */
  closeAfter?: { readonly messages: number; readonly code: number; readonly reason?: string } | undefined;
  /** Says this many messages, then one that is not JSON. */
  garbageAfter?: number | undefined;
}

export interface Refusal {
  readonly status: number;
  readonly retryAfterSeconds?: number | undefined;
  /** JSON; the vendor's usual error when absent. */
  readonly body?: unknown;
}

export const GARBAGE = '{"type": "half a messa';

/** A message that an emulator received, oldest first in its log. */
export interface ReceivedMessage {
  /** Which connection (or request) it came on, counted from 1. */
  readonly connection: number;
  readonly text: string;
}

/** One message as it passes an emulator; `atMs` is on `performance.now()`, when it was read or written. */
export interface Traffic {
  readonly direction: 'received' | 'sent';
  /** As in {@link ReceivedMessage}. */
  readonly connection: number;
  /** Path and query that the connection or request asked for. */
  readonly url: string;
  readonly atMs: number;
  /** Received: the text. Sent: the value that was sent as JSON. */
  readonly message: unknown;
}

/** A running emulator. */
export interface Emulator<Settings> {
  /** What to set as the vendor's base URL. */
  readonly url: string;
  readonly port: number;
  /** May be changed while it runs. */
  readonly settings: Settings;
  /** Live TCP connections. */
  readonly connections: number;
  /** The last thousand text messages or request bodies. */
  readonly received: readonly ReceivedMessage[];
  /** Tells of every text message from now on; the result ends that. */
  watch(listener: (traffic: Traffic) => void): () => void;
  /** Closes every open WebSocket; 1006 cuts the connections. */
  disconnect(code: number, reason?: string): void;
  close(): Promise<void>;
}

const MAX_LOG = 1_000;

/** The loopback server beneath an emulator. */
export class VendorServer {
  readonly received: ReceivedMessage[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #webSockets = new Set<VendorSocket>();
  readonly #watchers = new Set<(traffic: Traffic) => void>();
  #count = 0;

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => socket.destroy());
    });
  }

  static async listen(port: number): Promise<VendorServer> {
    const server = createServer();
    // Adapters keep connections alive for a minute; the emulator must not be the one that gives up.
    server.keepAliveTimeout = 120_000;
    const vendor = new VendorServer(server);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
    return vendor;
  }

  get port(): number {
    const address: AddressInfo | string | null = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  log(connection: number, url: string, text: string): void {
    if (this.received.length === MAX_LOG) this.received.shift();
    this.received.push({ connection, text });
    this.#tell('received', connection, url, text);
  }

  /** To be called when a message has been written. */
  logSent(connection: number, url: string, message: unknown): void {
    this.#tell('sent', connection, url, message);
  }

  watch(listener: (traffic: Traffic) => void): () => void {
    this.#watchers.add(listener);
    return () => this.#watchers.delete(listener);
  }

  #tell(direction: Traffic['direction'], connection: number, url: string, message: unknown): void {
    if (this.#watchers.size === 0) return;
    const traffic = { direction, connection, url, atMs: performance.now(), message };
    for (const watcher of this.#watchers) watcher(traffic);
  }

  nextId(): number {
    return ++this.#count;
  }

  onRequest(handle: (request: IncomingMessage, response: ServerResponse) => void): void {
    this.#server.on('request', handle);
  }

  /** Serves WebSockets. `check` says why an upgrade is refused, if it is; `serve` gets each one that is not. */
  onSocket(
    faults: () => Faults,
    check: (request: IncomingMessage, url: URL) => Refusal | undefined,
    serve: (socket: VendorSocket, url: URL) => void,
  ): void {
    const upgrader = new WebSocketServer({ noServer: true, perMessageDeflate: false });
    this.#server.on('upgrade', (request, socket: Duplex, head: Buffer) => {
      const { hang, refuse } = faults();
      if (hang === true) {
        // Read on, or the client's hanging up would go unnoticed.
        socket.on('end', () => socket.destroy()).resume();
        return;
      }
      const url = new URL(request.url ?? '/', 'http://127.0.0.1');
      const refusal = refuse ?? check(request, url);
      if (refusal !== undefined) return refuseUpgrade(socket, refusal);
      upgrader.handleUpgrade(request, socket, head, (webSocket) => {
        const vendorSocket = new VendorSocket(this, webSocket, faults, {
          id: this.nextId(),
          url: url.pathname + url.search,
        });
        this.#webSockets.add(vendorSocket);
        webSocket.on('close', () => this.#webSockets.delete(vendorSocket));
        serve(vendorSocket, url);
        vendorSocket.begin();
      });
    });
  }

  disconnect(code: number, reason?: string): void {
    for (const socket of this.#webSockets) socket.close(code, reason);
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

function refuseUpgrade(socket: Duplex, refusal: Refusal): void {
  const body = JSON.stringify(refusal.body ?? { error: 'refused' });
  const retryAfter = refusal.retryAfterSeconds === undefined ? '' : `Retry-After: ${refusal.retryAfterSeconds}\r\n`;
  socket.end(
    `HTTP/1.1 ${refusal.status} Refused\r\nConnection: close\r\nContent-Type: application/json\r\n` +
      `${retryAfter}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

/** The vendor's end of one WebSocket: sends with faults, timers that end with it. */
export class VendorSocket {
  readonly id: number;
  /** Set by the vendor's code before the first message can arrive. */
  onText: (text: string) => void = () => {};
  onBinary: (bytes: Uint8Array) => void = () => {};
  readonly #server: VendorServer;
  readonly #url: string;
  readonly #socket: WebSocket;
  readonly #faults: () => Faults;
  readonly #timers = new Set<NodeJS.Timeout>();
  #sent = 0;
  #lastDueMs = 0;

  constructor(
    server: VendorServer,
    socket: WebSocket,
    faults: () => Faults,
    { id, url }: { readonly id: number; readonly url: string },
  ) {
    this.#server = server;
    this.#url = url;
    this.#socket = socket;
    this.#faults = faults;
    this.id = id;
    socket.on('message', (data, isBinary) => {
      const bytes = Array.isArray(data) ? Buffer.concat(data) : data instanceof ArrayBuffer ? Buffer.from(data) : data;
      if (isBinary) return this.onBinary(bytes);
      const text = bytes.toString('utf8');
      server.log(id, url, text);
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
    const { closeAfter } = this.#faults();
    if (closeAfter?.messages === 0) this.close(closeAfter.code, closeAfter.reason);
  }

  get isOpen(): boolean {
    return this.#socket.readyState === this.#socket.OPEN;
  }

  /** Sends a message now, unless a fault has it otherwise. */
  send(message: unknown): void {
    const { stallAfter, closeAfter, garbageAfter } = this.#faults();
    if (!this.isOpen || (stallAfter !== undefined && this.#sent >= stallAfter)) return;
    const garbled = garbageAfter !== undefined && this.#sent === garbageAfter;
    this.#socket.send(garbled ? GARBAGE : JSON.stringify(message));
    this.#sent++;
    this.#server.logSent(this.id, this.#url, message);
    if (closeAfter !== undefined && this.#sent >= closeAfter.messages) this.close(closeAfter.code, closeAfter.reason);
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
