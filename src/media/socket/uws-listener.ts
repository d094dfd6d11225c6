/**
 * The socket port over uWebSockets.js, on a port of its own: less CPU per frame than `ws`, for nodes that only carry media.
 * It is an optional dependency, a native binary that not every machine can load.
 *
 * Where it differs from `ws` on the wire: it cuts off a peer that breaks RFC 6455 without a close frame (the peer sees 1006
 * where `ws` says 1002 or 1007), and it takes an unmasked frame for a masked one, so that its content is garbage.
 */
import { STATUS_CODES } from 'node:http';
import { SocketAddress, isIPv6 } from 'node:net';
import type * as Uws from 'uWebSockets.js';
import { BvraiError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { DEFAULT_CLOSE_TIMEOUT_MS, DEFAULT_MAX_FRAME_BYTES } from './socket.ts';
import type {
  MediaListener,
  MediaListenerOptions,
  MediaRoute,
  MediaSocket,
  MediaSocketHandler,
  UpgradeRequest,
} from './socket.ts';
import { UpgradeGate } from './upgrade-gate.ts';
import type { Seat } from './upgrade-gate.ts';

/** The part of the native module that is used here. */
export type UwsModule = Pick<typeof Uws, 'App' | 'DISABLED' | 'us_listen_socket_close' | 'us_socket_local_port'>;

/** A peer whose frame is up to this many times too long is told 1009; beyond, uWebSockets.js cuts it off unread. */
const OVERSIZE_FACTOR = 4;
/** Sends beyond this are dropped by the library; the protocol above gives up on the peer long before. */
const MAX_BACKPRESSURE_BYTES = 16 * 1024 * 1024;
/** Without it two processes would silently share the port. */
const EXCLUSIVE_PORT = 1;

/** Loads the native module. Throws what the dynamic linker says when this machine cannot run it. */
export async function loadUws(): Promise<UwsModule> {
  const loaded = await import('uWebSockets.js');
  return loaded.default;
}

/** Listens on `port` (0: any free one). Rejects with a BvraiError when the port cannot be had. */
export function listenUws(
  uws: UwsModule,
  address: { readonly host: string; readonly port: number },
  options: MediaListenerOptions,
): Promise<MediaListener & { readonly port: number }> {
  const listener = new UwsListener(uws, options);
  return listener.listen(address.host, address.port);
}

interface SocketData {
  readonly request: UpgradeRequest;
  readonly route: MediaRoute;
  readonly seat: Seat;
  socket?: UwsSocket;
}

class UwsListener implements MediaListener {
  readonly implementation = 'uws';
  port = 0;
  readonly #uws: UwsModule;
  readonly #options: MediaListenerOptions;
  readonly #gate: UpgradeGate;
  readonly #app: Uws.TemplatedApp;
  readonly #sockets = new Set<UwsSocket>();
  #listenSocket: Uws.us_listen_socket | undefined;
  #closing: Promise<void> | undefined;

  constructor(uws: UwsModule, options: MediaListenerOptions) {
    this.#uws = uws;
    this.#options = options;
    this.#gate = new UpgradeGate(options);
    this.#app = uws.App();
    // One pattern for all paths: the gate knows the routes, and an upgrade of an unknown path gets its plain 404.
    this.#app.ws<SocketData>('/*', this.#behaviour());
    this.#app.any('/*', (response) => respond(response, 404, 'Only WebSockets are served here.'));
  }

  get openSockets(): number {
    return this.#sockets.size;
  }

  listen(host: string, port: number): Promise<this> {
    return new Promise((resolve, reject) => {
      const onListen = (listenSocket: Uws.us_listen_socket | false): void => {
        if (!listenSocket) {
          reject(new BvraiError('config.invalid', `The media port ${host}:${port} cannot be had: is it in use?`));
          return;
        }
        this.#listenSocket = listenSocket;
        this.port = this.#uws.us_socket_local_port(listenSocket);
        resolve(this);
      };
      // The declared overloads lack (host, port, options, callback), which the library takes.
      const listen: unknown = Reflect.get(this.#app, 'listen');
      if (typeof listen === 'function') Reflect.apply(listen, this.#app, [host, port, EXCLUSIVE_PORT, onListen]);
    });
  }

  /** The library does not report when a peer has answered a close frame, so those that are open get a fixed grace. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#gate.close();
    if (this.#listenSocket) this.#uws.us_listen_socket_close(this.#listenSocket);
    this.#listenSocket = undefined;
    const closing = Array.from(this.#sockets);
    for (const socket of closing) socket.close(1001, 'server closing');
    if (closing.length > 0) {
      const graceMs = Math.min(200, this.#options.closeTimeoutMs ?? DEFAULT_CLOSE_TIMEOUT_MS);
      await new Promise<void>((resolve) => this.#options.clock.after(graceMs, resolve));
    }
    this.#app.close();
  }

  #behaviour(): Uws.WebSocketBehavior<SocketData> {
    const { log } = this.#options;
    const maxFrameBytes = this.#options.maxFrameBytes ?? DEFAULT_MAX_FRAME_BYTES;
    return {
      compression: this.#uws.DISABLED,
      maxPayloadLength: maxFrameBytes * OVERSIZE_FACTOR,
      maxBackpressure: MAX_BACKPRESSURE_BYTES,
      // The protocol above has its own watchdog.
      idleTimeout: 0,
      sendPingsAutomatically: false,
      upgrade: (response, request, context) => this.#onUpgrade(response, request, context),
      open: (native) => {
        const data = native.getUserData();
        const socket = new UwsSocket(native, data.request, data.seat, log);
        data.socket = socket;
        this.#sockets.add(socket);
        socket.serve(data.route.onSocket);
      },
      message: (native, message, isBinary) => native.getUserData().socket?.receive(message, isBinary, maxFrameBytes),
      pong: (native) => native.getUserData().socket?.receivePong(),
      drain: (native) => native.getUserData().socket?.drained(),
      close: (native, code, message) => {
        const { socket, seat } = native.getUserData();
        seat.release();
        if (!socket) return;
        this.#sockets.delete(socket);
        socket.closed(code, Buffer.from(message).toString('utf8'));
      },
    };
  }

  #onUpgrade(response: Uws.HttpResponse, request: Uws.HttpRequest, context: Uws.us_socket_context_t): void {
    const facts = upgradeRequestOf(response, request);
    const verdict = this.#gate.decide(facts);
    if (!verdict.ok) {
      respond(response, verdict.status, verdict.reason);
      return;
    }
    response.upgrade<SocketData>(
      { request: facts, route: verdict.route, seat: verdict.seat },
      request.getHeader('sec-websocket-key'),
      request.getHeader('sec-websocket-protocol'),
      request.getHeader('sec-websocket-extensions'),
      context,
    );
  }
}

class UwsSocket implements MediaSocket {
  readonly upgrade: UpgradeRequest;
  readonly #seat: Seat;
  readonly #log: Log;
  /** Undefined once closed: the native object must not be touched any more. */
  #native: Uws.WebSocket<SocketData> | undefined;
  #handler: MediaSocketHandler | undefined;
  #oversized = false;

  constructor(native: Uws.WebSocket<SocketData>, upgrade: UpgradeRequest, seat: Seat, log: Log) {
    this.#native = native;
    this.upgrade = upgrade;
    this.#seat = seat;
    this.#log = log;
  }

  get remoteAddress(): string {
    return this.upgrade.remoteAddress;
  }

  serve(onSocket: (socket: MediaSocket) => MediaSocketHandler): void {
    this.#guard(() => {
      this.#handler = onSocket(this);
    });
  }

  receive(message: ArrayBuffer, isBinary: boolean, maxFrameBytes: number): void {
    const handler = this.#handler;
    if (!handler) return;
    if (message.byteLength > maxFrameBytes) {
      this.#oversized = true;
      this.close(1009, '');
      return;
    }
    try {
      if (isBinary) handler.onBinary(message.byteLength);
      else handler.onText(Buffer.from(message).toString('utf8'));
    } catch (thrown) {
      this.#crash(thrown);
    }
  }

  receivePong(): void {
    this.#guard(() => this.#handler?.onPong());
  }

  drained(): void {
    this.#guard(() => this.#handler?.onDrain?.());
  }

  /** The library calls this from within `end` and `close` too, so `#native` is given up before the handler hears of it. */
  closed(code: number, message: string): void {
    this.#native = undefined;
    const handler = this.#handler;
    this.#handler = undefined;
    const failure = this.#oversized ? TOO_BIG : NATIVE_FAILURES.get(message);
    this.#guard(() => handler?.onClose(failure?.code ?? code, failure?.detail ?? ''));
  }

  sendText(text: string): void {
    this.#native?.send(text, false, false);
  }

  ping(): void {
    this.#native?.ping();
  }

  bufferedBytes(): number {
    return this.#native?.getBufferedAmount() ?? 0;
  }

  close(code: number, reason: string): void {
    this.#native?.end(code, reason);
  }

  terminate(): void {
    this.#native?.close();
  }

  markStarted(): void {
    this.#seat.release();
  }

  #guard(call: () => void): void {
    try {
      call();
    } catch (thrown) {
      this.#crash(thrown);
    }
  }

  #crash(thrown: unknown): void {
    const error = BvraiError.from(thrown);
    this.#log.error({ error, remoteAddress: this.remoteAddress }, 'a media socket handler threw; its socket is closed');
    this.close(1011, 'internal error');
  }
}

const TOO_BIG = { code: 1009, detail: 'Received too big message' };

/** What the library says to its close handler when it cuts off a peer, and the close code that RFC 6455 has for that. */
const NATIVE_FAILURES: ReadonlyMap<string, { readonly code: number; readonly detail: string }> = new Map([
  [TOO_BIG.detail, TOO_BIG],
  ['Received invalid UTF-8', { code: 1007, detail: 'Received invalid UTF-8' }],
]);

function respond(response: Uws.HttpResponse, status: number, reason: string): void {
  response.writeStatus(`${status} ${STATUS_CODES[status] ?? 'Refused'}`).end(`${reason}\n`, true);
}

function upgradeRequestOf(response: Uws.HttpResponse, request: Uws.HttpRequest): UpgradeRequest {
  const headers = new Map<string, string>();
  request.forEach((name, value) => {
    const earlier = headers.get(name);
    headers.set(name, earlier === undefined ? value : `${earlier}, ${value}`);
  });
  const path = request.getUrl();
  const query = request.getQuery();
  const remoteAddress = addressOf(Buffer.from(response.getRemoteAddressAsText()).toString('latin1'));
  return { url: query ? `${path}?${query}` : path, path, headers, remoteAddress };
}

/** The library writes IPv6 in full; this gives the form that Node gives, e.g. `::1` and `::ffff:127.0.0.1`. */
function addressOf(text: string): string {
  if (isIPv6(text)) return new SocketAddress({ address: text, family: 'ipv6' }).address;
  return text || 'unknown';
}
