/** HTTP to the vendors over connections that stay open between requests: one pool serves all adapters of a process. */
import type * as Undici from 'undici';
import { DEFAULT_CONNECT_TIMEOUT_MS } from './socket.ts';
import type { HeaderReader } from './http.ts';

/** The vendors' load balancers keep idle connections for minutes; undici's own default of 4 s costs a handshake a turn. */
const KEEP_ALIVE_MS = 60_000;
/** undici's own timers lie beyond every deadline of the adapters and never decide anything. */
const BEYOND_MS = 600_000;
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

  constructor(connectTimeoutMs: number = DEFAULT_CONNECT_TIMEOUT_MS) {
    this.#loading = load(connectTimeoutMs);
    // Whoever asks is told of a failure to load; until then it is nobody's unhandled rejection.
    this.#loading.catch(() => {});
  }

  loaded(): Promise<LoadedHttp> {
    return this.#loading;
  }

  /** Resolves at the response's headers, whatever the status. Follows no redirect: that would carry the key elsewhere. */
  async post({ url, headers, body }: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    const { undici, dispatcher } = await this.#loading;
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
  prewarm(url: URL): void {
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

async function load(connectTimeoutMs: number): Promise<LoadedHttp & { readonly dispatcher: Undici.Agent }> {
  const undici = await import('undici');
  const dispatcher = new undici.Agent({
    keepAliveTimeout: KEEP_ALIVE_MS,
    connect: { timeout: connectTimeoutMs },
    headersTimeout: BEYOND_MS,
    bodyTimeout: BEYOND_MS,
    maxResponseSize: MAX_RESPONSE_BYTES,
  });
  return { undici, dispatcher };
}
