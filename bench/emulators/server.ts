/**
 * What the emulated vendors share: a loopback server that dispatches by path, connections and requests that can be counted,
 * faults and delays, and a door through which they are changed from outside (control.ts).
 *
 * A vendor's emulator is `VendorServer.listen(…)`, then one `onRequest` or `onSocket` for each path it serves.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { z } from 'zod';
import { CONTROL_PATH, serveControl } from './control.ts';
import { DelaySource } from './delays.ts';
import { VendorExchange, readBody } from './exchange.ts';
import type { Faults, Refusal } from './faults.ts';
import { VendorSocket } from './socket.ts';

export type { Faults, Refusal } from './faults.ts';
export type { VendorExchange } from './exchange.ts';
export type { VendorSocket } from './socket.ts';

/** What every emulator can be told. */
export interface EmulatorSettings {
  /** 0: any free one. Not to be changed. */
  port: number;
  apiKey: string;
  /** Of the delays that are drawn. To be set at the start. */
  seed: number;
  faults: Faults;
  /** Instead of `faults`, for requests that name the model (in their address or their JSON body). */
  modelFaults: Readonly<Record<string, Faults>>;
  /** Instead of `faults`, for requests whose path contains the key. A model's own come first. */
  pathFaults: Readonly<Record<string, Faults>>;
}

export const COMMON_DEFAULTS = { port: 0, seed: 1, faults: {}, modelFaults: {}, pathFaults: {} } as const;

/** A message that an emulator received, oldest first in its log. */
export interface ReceivedMessage {
  /** Which connection (or request) it came on, counted from 1. */
  readonly connection: number;
  readonly text: string;
}

/** A request or an upgrade, whether it was served or not. */
export interface ReceivedRequest {
  /** As in {@link ReceivedMessage}. */
  readonly connection: number;
  readonly method: string;
  /** Path and query. */
  readonly url: string;
}

/** One message as it passes an emulator; `atMs` is on `performance.now()`, when it was read or written. */
export interface Traffic {
  readonly direction: 'received' | 'sent';
  /** As in {@link ReceivedMessage}. */
  readonly connection: number;
  /** Path and query that the connection or request asked for. */
  readonly url: string;
  readonly atMs: number;
  /** Received: the text. Sent: the value that was sent as JSON, or the bytes. */
  readonly message: unknown;
}

/** A TCP connection to an emulator. */
export interface OpenConnection {
  /** Method and path of what it was last asked, e.g. `GET /v1/listen`; empty: nothing yet. */
  readonly asked: string;
  readonly openForMs: number;
  /** Its request has been answered, and it is kept alive for the next one. */
  readonly resting: boolean;
}

/** A running emulator. */
export interface Emulator<Settings extends EmulatorSettings = EmulatorSettings> {
  /** What to set as the vendor's base URL. */
  readonly url: string;
  readonly port: number;
  /** May be changed while it runs. */
  readonly settings: Settings;
  /** Checks what may be set from outside (control.ts). */
  readonly knobs: z.ZodType<Partial<Settings>>;
  /** Live TCP connections. */
  readonly connections: number;
  /** The same, each described; oldest first. */
  readonly openConnections: readonly OpenConnection[];
  /** Those of them that are WebSockets; the others may be kept alive for the next request. */
  readonly webSockets: number;
  /** HTTP requests whose response has not ended. */
  readonly activeRequests: number;
  /** Bytes of binary WebSocket messages received on all connections. */
  readonly audioBytes: number;
  /** The last thousand text messages or request bodies. */
  readonly received: readonly ReceivedMessage[];
  /** The last thousand requests and upgrades, without those that no TCP connection was had for. */
  readonly requests: readonly ReceivedRequest[];
  /** Tells of every message from now on; the result ends that. */
  watch(listener: (traffic: Traffic) => void): () => void;
  /** Closes every open WebSocket; 1006 cuts the connections. */
  disconnect(code: number, reason?: string): void;
  close(): Promise<void>;
}

/** What is served at a path: the path itself, or a pattern of it. */
interface RequestRoute {
  readonly method: 'GET' | 'POST';
  readonly path: string | RegExp;
  /** Why a request is refused, if it is. */
  readonly check?: (exchange: VendorExchange) => Refusal | undefined;
  readonly serve: (exchange: VendorExchange) => void | Promise<void>;
}

interface SocketRoute {
  readonly path: string | RegExp;
  /** Why an upgrade is refused, if it is. */
  readonly check: (request: IncomingMessage, url: URL) => Refusal | undefined;
  readonly serve: (socket: VendorSocket, url: URL) => void;
}

export interface VendorServerOptions<Settings extends EmulatorSettings> {
  readonly settings: Settings;
  /** What the base URL has after the origin; usually nothing. */
  readonly basePath?: string;
  /** Which settings can be changed from outside, and how. The common ones are always among them. */
  readonly knobs: z.ZodType<Partial<Settings>>;
  /** The vendor's usual error body of a status; `path` when nothing is served there. */
  readonly errorBody: (status: number, path?: string) => unknown;
}

const MAX_LOG = 1_000;

interface ConnectionUse {
  readonly openedAtMs: number;
  asked: string;
  resting: boolean;
}

/** The loopback server beneath an emulator. */
export class VendorServer<Settings extends EmulatorSettings> implements Emulator<Settings> {
  readonly settings: Settings;
  readonly delays: DelaySource;
  readonly received: ReceivedMessage[] = [];
  readonly requests: ReceivedRequest[] = [];
  readonly #options: VendorServerOptions<Settings>;
  readonly #server: Server;
  readonly #sockets = new Map<Socket, ConnectionUse>();
  readonly #webSockets = new Set<VendorSocket>();
  readonly #watchers = new Set<(traffic: Traffic) => void>();
  readonly #requestRoutes: RequestRoute[] = [];
  readonly #socketRoutes: SocketRoute[] = [];
  readonly #upgrader = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  #port = 0;
  #count = 0;
  #activeRequests = 0;
  #audioBytes = 0;
  #closed = false;

  private constructor(server: Server, options: VendorServerOptions<Settings>) {
    this.#server = server;
    this.#options = options;
    this.settings = options.settings;
    this.delays = new DelaySource(options.settings.seed);
    server.on('connection', (socket) => {
      this.#sockets.set(socket, { openedAtMs: performance.now(), asked: '', resting: false });
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => socket.destroy());
    });
    server.on('request', (request, response) => {
      this.#activeRequests++;
      response.on('close', () => {
        this.#activeRequests--;
        const use = this.#sockets.get(request.socket);
        if (use !== undefined) use.resting = true;
      });
      // A client that leaves mid-body; the response's close has been counted.
      this.#onRequest(request, response).catch(() => response.destroy());
    });
    server.on('upgrade', (request, socket, head) => this.#onUpgrade(request, socket, head));
  }

  static async listen<Settings extends EmulatorSettings>(
    options: VendorServerOptions<Settings>,
  ): Promise<VendorServer<Settings>> {
    const server = createServer();
    // Adapters keep connections alive for a minute; the emulator must not be the one that gives up.
    server.keepAliveTimeout = 120_000;
    const vendor = new VendorServer(server, options);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(options.settings.port, '127.0.0.1', resolve);
    });
    const address: AddressInfo | string | null = server.address();
    vendor.#port = typeof address === 'object' && address !== null ? address.port : 0;
    vendor.#watchFaults();
    return vendor;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}${this.#options.basePath ?? ''}`;
  }

  get port(): number {
    return this.#port;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  get openConnections(): readonly OpenConnection[] {
    const nowMs = performance.now();
    return Array.from(this.#sockets.values(), ({ openedAtMs, ...use }) => ({ ...use, openForMs: nowMs - openedAtMs }));
  }

  get webSockets(): number {
    return this.#webSockets.size;
  }

  get activeRequests(): number {
    return this.#activeRequests;
  }

  get audioBytes(): number {
    return this.#audioBytes;
  }

  get knobs(): z.ZodType<Partial<Settings>> {
    return this.#options.knobs;
  }

  /** Serves a path over HTTP; the first that fits serves a request. */
  onRequest(route: RequestRoute): void {
    this.#requestRoutes.push(route);
  }

  /** Serves WebSockets at a path. */
  onSocket(route: SocketRoute): void {
    this.#socketRoutes.push(route);
  }

  watch(listener: (traffic: Traffic) => void): () => void {
    this.#watchers.add(listener);
    return () => this.#watchers.delete(listener);
  }

  disconnect(code: number, reason?: string): void {
    for (const socket of this.#webSockets) socket.close(code, reason);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const closed = this.#server.listening ? new Promise((resolve) => this.#server.close(resolve)) : undefined;
    for (const socket of this.#sockets.keys()) socket.destroy();
    await closed;
  }

  /** Whether it listens is a fault that strikes before anybody asks: it must act when the faults are set. */
  #watchFaults(): void {
    let { faults } = this.settings;
    const apply = (): void => this.#refuseConnections(faults.refuseConnections === true);
    Object.defineProperty(this.settings, 'faults', {
      enumerable: true,
      get: () => faults,
      set: (next: Faults) => {
        faults = next;
        apply();
      },
    });
    apply();
  }

  #refuseConnections(refused: boolean): void {
    if (this.#closed || refused !== this.#server.listening) return;
    if (!refused) {
      this.#server.listen(this.#port, '127.0.0.1');
      return;
    }
    this.#server.close();
    for (const socket of this.#sockets.keys()) socket.resetAndDestroy();
  }

  #faultsOf(model: string | undefined, url: URL): () => Faults {
    return () => {
      const { faults, modelFaults, pathFaults } = this.settings;
      const ofPath = Object.entries(pathFaults).find(([part]) => url.pathname.includes(part))?.[1];
      return (model === undefined ? undefined : modelFaults[model]) ?? ofPath ?? faults;
    };
  }

  async #onRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://127.0.0.1');
    if (url.pathname.startsWith(CONTROL_PATH)) return serveControl(this, request, response);
    const id = this.#logRequest(request, url);
    const body = await readBody(request);
    const isJson = /json/u.test(request.headers['content-type'] ?? 'json');
    const text = isJson ? body.toString('utf8') : '';
    const model = modelInQuery(url) ?? /"model(?:_id)?"\s*:\s*"([^"]*)"/u.exec(text)?.[1];
    const faults = this.#faultsOf(model, url);
    if (text !== '') this.#logReceived(id, request.url ?? '/', text);
    const exchange = new VendorExchange(request, response, {
      id,
      url,
      body,
      faults,
      delays: this.delays,
      onSent: (message) => this.#tell('sent', id, request.url ?? '/', message),
      errorBody: this.#options.errorBody,
    });
    const { hang, refuse, refuseConnections } = faults();
    if (refuseConnections === true) return void request.socket.resetAndDestroy();
    if (hang === true) return;
    const route = this.#requestRoutes.find(({ method, path }) => method === request.method && fits(path, url));
    const refusal = refuse ?? (route === undefined ? this.#notFound(url) : route.check?.(exchange));
    if (refusal !== undefined) return exchange.refuse(refusal);
    await route?.serve(exchange);
  }

  #onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (!(socket instanceof Socket)) return void socket.destroy();
    const url = new URL(request.url ?? '/', 'http://127.0.0.1');
    const id = this.#logRequest(request, url);
    const faults = this.#faultsOf(modelInQuery(url), url);
    const { hang, refuse, refuseConnections } = faults();
    if (refuseConnections === true) return void socket.resetAndDestroy();
    if (hang === true) {
      // Read on, or the client's hanging up would go unnoticed.
      socket.on('end', () => socket.destroy()).resume();
      return;
    }
    const route = this.#socketRoutes.find(({ path }) => fits(path, url));
    const refusal = refuse ?? (route === undefined ? this.#notFound(url) : route.check(request, url));
    if (refusal !== undefined) return this.#refuseUpgrade(socket, refusal);
    this.#upgrader.handleUpgrade(request, socket, head, (webSocket) => {
      const vendorSocket = new VendorSocket(webSocket, socket, {
        id,
        url: url.pathname + url.search,
        faults,
        log: {
          delays: this.delays,
          text: (connection, at, text) => this.#logReceived(connection, at, text),
          bytes: (bytes) => (this.#audioBytes += bytes),
          sent: (connection, at, message) => this.#tell('sent', connection, at, message),
        },
      });
      this.#webSockets.add(vendorSocket);
      webSocket.on('close', () => this.#webSockets.delete(vendorSocket));
      route?.serve(vendorSocket, url);
      vendorSocket.begin();
    });
  }

  #notFound(url: URL): Refusal {
    return { status: 404, body: this.#options.errorBody(404, url.pathname) };
  }

  #refuseUpgrade(socket: Duplex, refusal: Refusal): void {
    const body = JSON.stringify(refusal.body ?? this.#options.errorBody(refusal.status));
    const retryAfter = refusal.retryAfterSeconds === undefined ? '' : `Retry-After: ${refusal.retryAfterSeconds}\r\n`;
    socket.end(
      `HTTP/1.1 ${refusal.status} Refused\r\nConnection: close\r\nContent-Type: application/json\r\n` +
        `${retryAfter}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
  }

  #logRequest(request: IncomingMessage, url: URL): number {
    const connection = ++this.#count;
    const use = this.#sockets.get(request.socket);
    if (use !== undefined) Object.assign(use, { asked: `${request.method} ${url.pathname}`, resting: false });
    if (this.requests.length === MAX_LOG) this.requests.shift();
    this.requests.push({ connection, method: request.method ?? '', url: url.pathname + url.search });
    return connection;
  }

  #logReceived(connection: number, url: string, text: string): void {
    if (this.received.length === MAX_LOG) this.received.shift();
    this.received.push({ connection, text });
    this.#tell('received', connection, url, text);
  }

  #tell(direction: Traffic['direction'], connection: number, url: string, message: unknown): void {
    if (this.#watchers.size === 0) return;
    const traffic = { direction, connection, url, atMs: performance.now(), message };
    for (const watcher of this.#watchers) watcher(traffic);
  }
}

function fits(path: string | RegExp, url: URL): boolean {
  return typeof path === 'string' ? path === url.pathname : path.test(url.pathname);
}

function modelInQuery(url: URL): string | undefined {
  return url.searchParams.get('model') ?? url.searchParams.get('model_id') ?? undefined;
}
