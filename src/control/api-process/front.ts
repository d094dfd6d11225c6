/** The port of the server where the API is another process: it looks at the first request of each connection and says whose that is. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Log } from '../../core/log.ts';

export interface FrontOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly log: Log;
  /** Takes charge of a connection. `url`: of its first request, as far as that is known. `first`: what was read of it. */
  readonly route: (url: string | undefined, socket: Socket, first: Buffer) => void;
  /** Answers who does not say within its time what is asked for, and closes. */
  readonly refuse: (socket: Socket) => void;
  readonly decideWithinMs?: number;
  /** Connections that have said nothing yet; more are routed at once. */
  readonly maxUndecided?: number;
}

/** As long as the headers of a request may take (control/http.ts). */
const DECIDE_WITHIN_MS = 10_000;
const MAX_UNDECIDED = 1_024;
/** Of a request line that is looked at; what is longer is the main server's, which refuses it. */
const MAX_LINE_BYTES = 8_192;
const REQUEST_LINE = /^[A-Z]+ (?<url>[^ \r\n]+) /u;

/** Its owner closes it, and the connections it has routed are those of who took charge. */
export class Front {
  readonly #server: Server;
  readonly #options: FrontOptions;
  readonly #undecided = new Set<Socket>();

  private constructor(options: FrontOptions) {
    this.#options = options;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (socket) =>
      this.#onConnection(socket),
    );
  }

  /** Rejects with the system's error when it cannot listen there. */
  static async listen(options: FrontOptions): Promise<Front> {
    const front = new Front(options);
    front.#server.listen(options.port, options.host);
    await once(front.#server, 'listening');
    front.#server.on('error', (err) => options.log.error({ err }, 'a connection could not be accepted'));
    return front;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Accepts none any more, and drops those that have said nothing yet. */
  close(): void {
    if (this.#server.listening) this.#server.close();
    for (const socket of this.#undecided) socket.destroy();
  }

  #onConnection(socket: Socket): void {
    // Whoever takes charge later adds what more there is to do.
    socket.on('error', () => socket.destroy());
    const { route, refuse, decideWithinMs = DECIDE_WITHIN_MS, maxUndecided = MAX_UNDECIDED } = this.#options;
    if (this.#undecided.size >= maxUndecided) {
      route(undefined, socket, Buffer.alloc(0));
      return;
    }
    let first: Buffer = Buffer.alloc(0);
    const onData = (chunk: Buffer): void => {
      first = first.length === 0 ? chunk : Buffer.concat([first, chunk]);
      const url = REQUEST_LINE.exec(first.toString('latin1', 0, MAX_LINE_BYTES))?.groups?.['url'];
      if (url === undefined && first.length < MAX_LINE_BYTES && !first.includes('\n')) return;
      settle();
      socket.pause();
      route(url, socket, first);
    };
    const onGone = (): void => {
      settle();
      socket.destroy();
    };
    const timer = setTimeout(() => {
      settle();
      refuse(socket);
    }, decideWithinMs);
    const settle = (): void => {
      clearTimeout(timer);
      this.#undecided.delete(socket);
      socket.off('data', onData).off('end', onGone).off('close', onGone);
    };
    this.#undecided.add(socket);
    socket.on('data', onData).once('end', onGone).once('close', onGone);
    socket.resume();
  }
}
