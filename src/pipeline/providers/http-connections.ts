/** HTTP to the vendors over connections that stay open between requests: one pool serves all adapters of a process. */
import type * as Undici from 'undici';
import { DEFAULT_CONNECT_TIMEOUT_MS } from './socket.ts';
import type { HeaderReader } from './http.ts';
import type { Connecting } from './spec.ts';

/** The vendors' load balancers keep idle connections for minutes; undici's own default of 4 s costs a handshake a turn. */
const KEEP_ALIVE_MS = 60_000;
/** undici's own timers lie beyond every deadline of the adapters and never decide anything. */
const BEYOND_MS = 600_000;
/** When an attempt to connect that nobody waits for any more is ended; beyond every limit that is learned. */
const GIVE_UP_MS = 4_000;
/** For the answer to a request that only opens a connection. */
const PREWARM_TIMEOUT_MS = 2_000;
/** Of one response. A reply of 4,000 tokens, a chunk each with all its wrapping, is about 1 MB; a minute of 24 kHz PCM is 3 MB. */
const MAX_RESPONSE_BYTES = 8 * 1024 * 1024;

export interface HttpRequest {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface HttpResponse {
  readonly status: number;
  readonly header: HeaderReader;
  /** Fails with whatever undici says, as the request itself does: for `networkError`. */
  readonly body: AsyncIterable<Uint8Array>;
}

/** undici, loaded, with the pool. */
export interface LoadedHttp {
  readonly undici: typeof Undici;
  readonly dispatcher: Undici.Dispatcher;
}

export class HttpConnections {
  readonly #loading: Promise<LoadedHttp & { readonly dispatcher: Undici.Agent }>;
  /** By origin: of whoever asked it last. */
  readonly #connecting = new Map<string, Connecting>();

  constructor(connectTimeoutMs: number = DEFAULT_CONNECT_TIMEOUT_MS) {
    this.#loading = load(connectTimeoutMs, (origin) => this.#connecting.get(origin));
    // Whoever asks is told of a failure to load; until then it is nobody's unhandled rejection.
    this.#loading.catch(() => {});
  }

  loaded(): Promise<LoadedHttp> {
    return this.#loading;
  }

  /**
   * From now on connections to the address's origin are opened within these limits, and tell how long they took. A connection
   * serves whoever asks next, so it is counted for whoever asked last.
   */
  heed({ origin }: URL, connecting: Connecting | undefined): void {
    if (connecting !== undefined) this.#connecting.set(origin, connecting);
  }

  /** Resolves at the response's headers, whatever the status. Follows no redirect: that would carry the key elsewhere. */
  async post({ url, headers, body }: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    const { undici, dispatcher } = await this.loaded();
    const response = await undici.request(url, { method: 'POST', headers, body, signal, dispatcher });
    // A response may break off before anybody reads it; without a listener that would be an uncaught exception.
    response.body.on('error', () => {});
    return {
      status: response.statusCode,
      header: (name) => [response.headers[name] ?? []].flat()[0],
      body: response.body,
    };
  }

  /**
   * Has a connection ready for the next request to the origin: asks for the origin's root, without the key, and forgets the
   * answer. (undici opens none without a request, and keeps none that a HEAD was sent on.) Within two seconds it has one or not.
   */
  prewarm(url: URL, connecting?: Connecting): void {
    this.heed(url, connecting);
    // Nothing was asked for; whoever asks for something will be told what is wrong.
    this.#touch(url).catch(() => {});
  }

  async #touch({ origin }: URL): Promise<void> {
    const { undici, dispatcher } = await this.#loading;
    const limits = { headersTimeout: PREWARM_TIMEOUT_MS, bodyTimeout: PREWARM_TIMEOUT_MS };
    const { body } = await undici.request(origin, { method: 'GET', dispatcher, ...limits });
    await body.dump();
  }

  /** Drops every connection. */
  async close(): Promise<void> {
    await this.#loading.then(
      ({ dispatcher }) => dispatcher.destroy(),
      () => {},
    );
  }
}

async function load(
  connectTimeoutMs: number,
  connectingOf: (origin: string) => Connecting | undefined,
): Promise<LoadedHttp & { readonly dispatcher: Undici.Agent }> {
  const undici = await import('undici');
  const dispatcher = new undici.Agent({
    keepAliveTimeout: KEEP_ALIVE_MS,
    connect: learningConnector(undici, connectTimeoutMs, connectingOf),
    headersTimeout: BEYOND_MS,
    bodyTimeout: BEYOND_MS,
    maxResponseSize: MAX_RESPONSE_BYTES,
  });
  return { undici, dispatcher };
}

/** undici's own connector, with a limit for each connection: undici's is one for all, and half a second coarse. */
function learningConnector(
  undici: typeof Undici,
  connectTimeoutMs: number,
  connectingOf: (origin: string) => Connecting | undefined,
): Undici.buildConnector.connector {
  const connect = undici.buildConnector({ timeout: connectTimeoutMs });
  const connectPatiently = undici.buildConnector({ timeout: GIVE_UP_MS });
  return (options, callback) => {
    const { protocol, host, hostname } = options;
    const connecting = connectingOf(`${protocol}//${host ?? hostname}`);
    if (connecting === undefined) return connect(options, callback);
    const { clock, connection } = connecting;
    const { limitMs } = connection;
    const beganAtMs = clock.nowMs();
    let over = false;
    const giveUp = (): void => {
      over = true;
      connection.took(clock.nowMs() - beganAtMs);
      callback(new undici.errors.ConnectTimeoutError(`no connection in ${Math.round(limitMs)} ms`), null);
    };
    // One more turn of the event loop: after a stall of ours, timers run before the answer that waits in the kernel.
    let timer = clock.after(limitMs, () => (timer = clock.after(0, giveUp)));
    connectPatiently(options, (...[error, socket]) => {
      if (over) return void socket?.destroy();
      timer.cancel();
      if (error !== null) return callback(error, null);
      connection.took(clock.nowMs() - beganAtMs);
      callback(null, socket);
    });
  };
}
