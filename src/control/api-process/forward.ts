/** Passes requests on to the other process, and its answers back. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { PassThrough } from 'node:stream';
import { Pool } from 'undici';
import type { Dispatcher } from 'undici';
import { PROBLEM_TYPE, problemBody } from '../http/problem.ts';
import { requestIdOf } from '../http/trace.ts';
import { PEER_HEADER, believePeer } from './connections.ts';

/** Of one connection, not of the request (RFC 9110, 7.6.1); the client's `expect` has been answered already. */
const HOP_BY_HOP = new Set([
  'connection',
  'expect',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
const KEEP_ALIVE_MS = 30_000;
const CONNECT_TIMEOUT_MS = 3_000;
/** The bounds of those who answer are shorter, but for answers that last. */
const HEADERS_TIMEOUT_MS = 45_000;
const RETRY_AFTER_S = '2';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** Requests that the API's process answers: all that clients of the API ask for. */
export function isOfApi(url: string): boolean {
  return /^\/(?:api\/|docs(?:[/?]|$)|openapi\.json(?:\?|$))/u.test(url);
}

/** From now on the server's requests whose URL is `theirs` go to `forward`, and all others where all went before. */
export function divert(server: Server, theirs: (url: string) => boolean, forward: Handler): void {
  const own = server.listeners('request');
  server.removeAllListeners('request');
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    believePeer(server, request);
    if (theirs(request.url ?? '')) forward(request, response);
    else for (const listener of own) listener.call(server, request, response);
  });
}

export interface ForwarderOptions {
  readonly socketPath: string;
  /** Answers when nobody else does. */
  readonly refuse: Handler;
}

/** To one socket. Its owner closes it. */
export class Forwarder {
  readonly #pool: Pool;
  readonly #refuse: Handler;

  constructor({ socketPath, refuse }: ForwarderOptions) {
    this.#refuse = refuse;
    this.#pool = new Pool('http://other', {
      socketPath,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectTimeout: CONNECT_TIMEOUT_MS,
      headersTimeout: HEADERS_TIMEOUT_MS,
      // Events may be far apart.
      bodyTimeout: 0,
    });
  }

  forward(request: IncomingMessage, response: ServerResponse): void {
    this.#pool.dispatch(
      {
        path: request.url ?? '/',
        method: request.method as Dispatcher.HttpMethod,
        headers: headersOf(request),
        body: bodyOf(request),
      },
      new Answer(request, response, this.#refuse),
    );
  }

  /** Cuts off what is still being answered. */
  close(): Promise<void> {
    return this.#pool.destroy();
  }
}

function headersOf(request: IncomingMessage): string[] {
  const headers: string[] = [];
  const named = connectionOptions(request);
  const { rawHeaders } = request;
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]?.toLowerCase() ?? '';
    if (HOP_BY_HOP.has(name) || name === PEER_HEADER || named?.has(name)) continue;
    headers.push(name, rawHeaders[index + 1] ?? '');
  }
  headers.push(PEER_HEADER, request.socket.remoteAddress ?? '');
  return headers;
}

/** Headers that `Connection` declares to be of this connection only. */
function connectionOptions({ headers: { connection } }: IncomingMessage): ReadonlySet<string> | undefined {
  if (connection === undefined || /^(?:close|keep-alive)$/iu.test(connection)) return undefined;
  return new Set(connection.split(',').map((name) => name.trim().toLowerCase()));
}

/** Through a stream between, as one that is given up early is destroyed, and with the request itself its connection would be. */
function bodyOf(request: IncomingMessage): PassThrough | null {
  const { 'content-length': length, 'transfer-encoding': encoding } = request.headers;
  if (encoding === undefined && (length === undefined || Number(length) === 0)) return null;
  const body = new PassThrough();
  request.once('error', (error) => body.destroy(error));
  return request.pipe(body);
}

/** Writes to the client what comes from the other process. */
class Answer implements Dispatcher.DispatchHandler {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #refuse: Handler;
  #controller: Dispatcher.DispatchController | undefined;

  constructor(request: IncomingMessage, response: ServerResponse, refuse: Handler) {
    this.#request = request;
    this.#response = response;
    this.#refuse = refuse;
    // The client has gone: nobody waits for the rest.
    response.once('close', () => {
      if (!response.writableFinished) this.#controller?.abort(new Error('the client has gone'));
    });
    response.on('drain', () => this.#controller?.resume());
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#response.destroyed) controller.abort(new Error('the client has gone'));
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    statusCode: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): void {
    const kept: string[] = [];
    for (const [name, value] of Object.entries(headers)) {
      if (value === undefined || HOP_BY_HOP.has(name)) continue;
      if (typeof value === 'string') kept.push(name, value);
      else for (const one of value) kept.push(name, one);
    }
    // In one piece: set one by one, some twenty headers cost as much as all the rest.
    this.#response.writeHead(statusCode, kept);
    // The client of a stream waits for these; whoever waits for a body gets both at once.
    if (headers['content-length'] === undefined) this.#response.flushHeaders();
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#response.write(chunk)) controller.pause();
  }

  onResponseEnd(): void {
    this.#response.end();
  }

  onResponseError(): void {
    if (this.#response.headersSent) this.#response.destroy();
    else this.#refuse(this.#request, this.#response);
  }
}

/** The API's process is not there, has just been lost, or hangs. The next request comes over a connection that it may be given. */
export function refuseForNow(request: IncomingMessage, response: ServerResponse): void {
  const requestId = requestIdOf(request);
  const detail = 'The API is starting; try again in a moment. Calls go on meanwhile.';
  const body = JSON.stringify(problemBody(requestId, 503, 'api-unavailable', detail));
  response.writeHead(503, {
    'content-type': PROBLEM_TYPE,
    'content-length': Buffer.byteLength(body),
    connection: 'close',
    'retry-after': RETRY_AFTER_S,
    'x-request-id': requestId,
  });
  response.end(body);
}
