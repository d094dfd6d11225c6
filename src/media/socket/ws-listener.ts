/** The socket port over the `ws` package, on an HTTP server that exists already. */
import { STATUS_CODES } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';
import type { Clock, Timer } from '../../core/clock.ts';
import { BvraiError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { DEFAULT_CLOSE_TIMEOUT_MS, DEFAULT_MAX_FRAME_BYTES } from './socket.ts';
import type { MediaListener, MediaListenerOptions, MediaSocket, MediaSocketHandler, UpgradeRequest } from './socket.ts';
import { UpgradeGate } from './upgrade-gate.ts';
import type { Seat } from './upgrade-gate.ts';

/**
 * Serves the routes on `server`'s upgrade requests and answers 404 to every other upgrade: a server may have one such
 * listener only. Closing it leaves the HTTP server open.
 */
export function attachWsListener(server: Server, options: MediaListenerOptions): MediaListener {
  const gate = new UpgradeGate(options);
  const closeTimeoutMs = options.closeTimeoutMs ?? DEFAULT_CLOSE_TIMEOUT_MS;
  const sockets = new Set<WsSocket>();
  const wsOptions = {
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: options.maxFrameBytes ?? DEFAULT_MAX_FRAME_BYTES,
    // Validation stays on (fault 3 wants 1007): on Node it is the native `buffer.isUtf8`, under 0.1 µs for a media frame.
    skipUTF8Validation: false,
    // Known to ws 8.23, not yet to its types.
    closeTimeout: closeTimeoutMs,
  };
  const handshaker = new WebSocketServer(wsOptions);

  const onUpgrade = (request: IncomingMessage, stream: Duplex, head: Buffer): void => {
    // Until `ws` has its own listener in place, a reset of this connection would be an uncaught exception.
    stream.on('error', () => stream.destroy());
    const facts = upgradeRequestOf(request);
    const verdict = gate.decide(facts);
    if (!verdict.ok) {
      refuse(stream, verdict.status, verdict.reason);
      return;
    }
    // The callback is not called when `ws` refuses the handshake: the seat must not leak with the connection.
    stream.once('close', () => verdict.seat.release());
    handshaker.handleUpgrade(request, stream, head, (webSocket) => {
      const socket = new WsSocket(webSocket, stream, facts, verdict.seat, options.log, options.clock);
      sockets.add(socket);
      webSocket.once('close', () => sockets.delete(socket));
      socket.serve(verdict.route.onSocket);
    });
  };
  server.on('upgrade', onUpgrade);

  return {
    implementation: 'ws',
    get openSockets() {
      return sockets.size;
    },
    async close() {
      gate.close();
      server.off('upgrade', onUpgrade);
      await Promise.all(Array.from(sockets, (socket) => socket.closeAndWait(1001, 'server closing', closeTimeoutMs)));
    },
  };
}

class WsSocket implements MediaSocket {
  readonly upgrade: UpgradeRequest;
  readonly #webSocket: WebSocket;
  readonly #stream: Duplex;
  readonly #seat: Seat;
  readonly #log: Log;
  readonly #clock: Clock;
  /** The complaint of `ws` about the peer's frames, and the close code it answered them with. */
  #failure: { readonly code: number; readonly detail: string } | undefined;

  constructor(webSocket: WebSocket, stream: Duplex, upgrade: UpgradeRequest, seat: Seat, log: Log, clock: Clock) {
    this.upgrade = upgrade;
    this.#webSocket = webSocket;
    this.#stream = stream;
    this.#seat = seat;
    this.#log = log;
    this.#clock = clock;
  }

  get remoteAddress(): string {
    return this.upgrade.remoteAddress;
  }

  /** Connects the socket with its protocol. Everything the handler throws stops here. */
  serve(onSocket: (socket: MediaSocket) => MediaSocketHandler): void {
    const webSocket = this.#webSocket;
    webSocket.on('error', (error) => {
      this.#failure ??= { code: closeCodeOf(error), detail: error.message };
    });
    let handler: MediaSocketHandler;
    try {
      handler = onSocket(this);
    } catch (thrown) {
      this.#seat.release();
      this.#crash(thrown);
      return;
    }
    webSocket.on('message', (data, isBinary) => {
      if (webSocket.readyState !== WebSocket.OPEN) return;
      try {
        if (isBinary || !Buffer.isBuffer(data)) handler.onBinary(byteLengthOf(data));
        else handler.onText(data.toString('utf8'));
      } catch (thrown) {
        this.#crash(thrown);
      }
    });
    webSocket.on('pong', () => this.#guard(() => handler.onPong()));
    this.#stream.on('drain', () => this.#guard(() => handler.onDrain?.()));
    webSocket.on('close', (code) => {
      this.#seat.release();
      const failure = this.#failure;
      this.#guard(() => handler.onClose(failure?.code ?? code, failure?.detail ?? ''));
    });
  }

  sendText(text: string): void {
    if (this.#webSocket.readyState === WebSocket.OPEN) this.#webSocket.send(text);
  }

  ping(): void {
    if (this.#webSocket.readyState === WebSocket.OPEN) this.#webSocket.ping();
  }

  bufferedBytes(): number {
    return this.#webSocket.bufferedAmount;
  }

  close(code: number, reason: string): void {
    this.#webSocket.close(code, reason);
  }

  terminate(): void {
    this.#webSocket.terminate();
  }

  markStarted(): void {
    this.#seat.release();
  }

  /** Closes and resolves once the socket is gone, by force if the peer takes longer than `timeoutMs`. */
  closeAndWait(code: number, reason: string, timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer: Timer = this.#clock.after(timeoutMs, () => this.terminate());
      this.#webSocket.once('close', () => {
        timer.cancel();
        resolve();
      });
      this.close(code, reason);
    });
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

/** Answers in plain HTTP and closes the connection, whatever the peer does next. */
function refuse(stream: Duplex, status: number, reason: string): void {
  const body = `${reason}\n`;
  stream.once('finish', () => stream.destroy());
  stream.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Refused'}\r\nConnection: close\r\nContent-Type: text/plain\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

function upgradeRequestOf(request: IncomingMessage): UpgradeRequest {
  const headers = new Map<string, string>();
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(', ') : value);
  }
  const url = request.url ?? '/';
  const queryAt = url.indexOf('?');
  const path = queryAt < 0 ? url : url.slice(0, queryAt);
  return { url, path, headers, remoteAddress: request.socket.remoteAddress ?? 'unknown' };
}

/** The close code that `ws` sends for an error of its receiver; 1006 for an error of the connection. */
function closeCodeOf(error: Error & { code?: unknown }): number {
  switch (error.code) {
    case 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH':
    case 'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH':
      return 1009;
    case 'WS_ERR_TOO_MANY_BUFFERED_PARTS':
      return 1008;
    case 'WS_ERR_INVALID_UTF8':
      return 1007;
    default:
      return typeof error.code === 'string' && error.code.startsWith('WS_ERR_') ? 1002 : 1006;
  }
}

function byteLengthOf(data: Buffer | ArrayBuffer | Buffer[]): number {
  return Array.isArray(data) ? data.reduce((sum, part) => sum + part.byteLength, 0) : data.byteLength;
}
