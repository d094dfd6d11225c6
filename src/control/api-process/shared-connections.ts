/** Clients' connections in the API's process: it is given them by the main process, and what is not the API's goes back. */
import type { IncomingMessage, Server } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { adopt, isAdopted } from './connections.ts';
import { Forwarder, divert, isOfApi } from './forward.ts';
import { Handover } from './handover.ts';
import type { ConnectionMessage, FromApiProcess } from './protocol.ts';

export interface SharedConnectionsOptions {
  /** Where the main process answers the requests that are its. */
  readonly mainSocketPath: string;
  /** Tells the main process; calls back when the socket is no longer this process's. */
  readonly say: (message: FromApiProcess, socket?: Socket, onSent?: () => void) => void;
}

/** Its owner closes the server first, then this. */
export class SharedConnections {
  readonly #server: Server;
  readonly #say: SharedConnectionsOptions['say'];
  readonly #main: Forwarder;
  readonly #back: Handover;
  /** How many answers each connection is still owed. */
  readonly #owed = new WeakMap<Duplex, number>();

  /** From now on `server` answers the API's requests only. */
  constructor(server: Server, { mainSocketPath, say }: SharedConnectionsOptions) {
    this.#server = server;
    this.#say = say;
    // A main process that does not answer is going down, and says no more to anybody.
    this.#main = new Forwarder({ socketPath: mainSocketPath, refuse: (_request, response) => response.destroy() });
    this.#back = new Handover({ send: say, serve: (socket) => socket.destroy() });
    divert(
      server,
      (url) => !isOfApi(url),
      (request, response) => this.#main.forward(request, response),
    );
    server.prependListener('request', ({ socket, url = '' }, response) => {
      // The next could be the webhook of a call, which is not to wait for a process that steps back: it has to come over a new connection.
      if (isAdopted(socket) && !isOfApi(url)) response.shouldKeepAlive = false;
      this.#owed.set(socket, this.#owedTo(socket) + 1);
      response.once('close', () => this.#owed.set(socket, this.#owedTo(socket) - 1));
    });
    server.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) =>
      this.#onUpgrade(request, stream, head),
    );
  }

  /** `socket`: undefined if its client has gone, or there was none. */
  take({ number, first }: ConnectionMessage, socket: unknown): void {
    this.#say({ type: 'taken', number });
    if (socket instanceof Socket) adopt(this.#server, socket, first);
  }

  /** The main process has a connection that went back. */
  taken(number: number): void {
    this.#back.taken(number);
  }

  stopReturning(): void {
    this.#back.close();
  }

  close(): Promise<void> {
    return this.#main.close();
  }

  /** A connection that turns into a WebSocket is a call: whatever it carried before, the main process gets it, as if nobody had read of it. */
  #onUpgrade(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    stream.on('error', () => stream.destroy());
    // An answer that is still owed would come from here, into the midst of what the main process says: no client asks so.
    const isClear = this.#owedTo(stream) === 0;
    if (!isClear || !(stream instanceof Socket) || !this.#back.offer(stream, Buffer.concat([headOf(request), head])))
      stream.destroy();
  }

  #owedTo(stream: Duplex): number {
    return this.#owed.get(stream) ?? 0;
  }
}

/** The request's head as it was sent, but for space around values. */
function headOf({ method, url, httpVersion, rawHeaders }: IncomingMessage): Buffer {
  const lines = [`${method} ${url} HTTP/${httpVersion}`];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2)
    lines.push(`${rawHeaders[index]}: ${rawHeaders[index + 1]}`);
  // As Node reads them: a character is a byte.
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}
