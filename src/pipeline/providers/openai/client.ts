/** The OpenAI SDK on connections of our own, and its errors in our codes. */
import { validateHeaderValue } from 'node:http';
import { Readable } from 'node:stream';
import type * as Sdk from 'openai';
import type * as Undici from 'undici';
import { BvraiError } from '../../../core/errors.ts';
import { MAX_GENERATION_MS } from '../generation.ts';
import { networkError, statusError } from '../http.ts';
import type { HeaderReader } from '../http.ts';
import type { HttpConnections } from '../http-connections.ts';
import { isJsonObject } from '../json.ts';
import { PROVIDER, codeBeyondStatus, codeOfVendorError, parseChunk } from './wire.ts';
import type { ChatBody } from './wire.ts';

export interface ClientSettings {
  readonly apiKey: string;
  /** With `/v1`. */
  readonly baseUrl: string;
  readonly connections: HttpConnections;
}

/** A loaded SDK with its connections. */
export interface ChatClient {
  /** Sends one request; resolves at the response's headers with its parsed events. Rejects, as the iteration does, with {@link chatError}'s errors. */
  stream(body: ChatBody, signal: AbortSignal): Promise<AsyncIterable<unknown>>;
  /** Any error of the two above as a BvraiError. */
  normalise(thrown: unknown): BvraiError;
}

/**
 * Loads the SDK and undici: 150 ms cold, which is why it happens once and not on a call's first turn. Rejects with
 * `provider.bad-request` when no header can carry the key.
 */
export async function loadChatClient(settings: ClientSettings): Promise<ChatClient> {
  checkKey(settings.apiKey);
  const [sdk, { undici, dispatcher }] = await Promise.all([import('openai'), settings.connections.loaded()]);
  const open = (fetch: Fetch) =>
    new sdk.OpenAI({
      apiKey: settings.apiKey,
      baseURL: settings.baseUrl,
      // Given, so that the SDK does not look for them in the environment.
      organization: null,
      project: null,
      webhookSecret: null,
      logLevel: 'off',
      maxRetries: 0,
      // Its own timer lies beyond ours and never decides anything.
      timeout: MAX_GENERATION_MS + 60_000,
      fetch,
    });
  const client = open(fetchThrough(undici, dispatcher));
  await rehearse(open(async () => new Response(REHEARSAL)));
  return {
    stream: (body, signal) => client.post<AsyncIterable<unknown>>('/chat/completions', { body, stream: true, signal }),
    normalise: (thrown) => chatError(sdk, undici, thrown),
  };
}

/** Before the SDK finds out: its error would quote the key. */
function checkKey(apiKey: string): void {
  try {
    validateHeaderValue('authorization', `Bearer ${apiKey}`);
  } catch (thrown) {
    throw networkError(PROVIDER, thrown);
  }
}

type Fetch = NonNullable<Sdk.ClientOptions['fetch']>;

/**
 * What the SDK needs of `fetch`, by undici's plain request: `fetch` itself costs 0.7 ms more on the way of every question to
 * the model. Follows no redirect: that would carry the key elsewhere.
 */
function fetchThrough(undici: typeof Undici, dispatcher: Undici.Dispatcher): Fetch {
  return async (url, init) => {
    const { statusCode, headers, body } = await undici.request(url instanceof Request ? url.url : url, {
      method: 'POST',
      headers: Object.fromEntries(new Headers(init?.headers)),
      // The SDK sends JSON text only; uploads would need more than this.
      body: typeof init?.body === 'string' ? init.body : null,
      signal: init?.signal ?? null,
      dispatcher,
    });
    const empty = EMPTY_STATUSES.has(statusCode);
    if (empty) await body.dump();
    return new undici.Response(empty ? null : Readable.toWeb(body), { status: statusCode, headers: plain(headers) });
  };
}

/** Statuses of which a `Response` refuses to have a body. */
const EMPTY_STATUSES: ReadonlySet<number> = new Set([204, 205, 304]);

function plain(headers: Readonly<Record<string, string | string[] | undefined>>): [string, string][] {
  return Object.entries(headers).flatMap(([name, values]) =>
    [values ?? []].flat().map((value): [string, string] => [name, value]),
  );
}

const REHEARSAL = 'data: {"choices":[{"index":0,"delta":{"content":"."}}]}\n\ndata: [DONE]\n\n';

/** One request that goes nowhere: the SDK's first one takes 15 ms to load and compile, which no caller should wait for. */
async function rehearse(client: Sdk.OpenAI): Promise<void> {
  const body = { model: '', messages: [] };
  const events = await client.post<AsyncIterable<unknown>>('/chat/completions', { body, stream: true });
  for await (const event of events) parseChunk(event);
}

function chatError(sdk: typeof Sdk, undici: typeof Undici, thrown: unknown): BvraiError {
  if (thrown instanceof BvraiError) return thrown;
  if (thrown instanceof sdk.APIConnectionTimeoutError) {
    // The SDK hides which wait ran out; all others are longer than our own deadline.
    return new BvraiError('provider.timeout-connect', 'openai did not accept the connection in time.', {
      cause: thrown,
      details: { provider: PROVIDER },
    });
  }
  if (thrown instanceof sdk.APIConnectionError) return networkError(PROVIDER, thrown);
  if (thrown instanceof sdk.APIError) {
    const headers: unknown = thrown.headers;
    const header = (name: string) => (headers instanceof undici.Headers ? headers.get(name) : null) ?? undefined;
    return vendorError(thrown.error, thrown.status, header);
  }
  if (thrown instanceof SyntaxError || thrown instanceof sdk.OpenAIError) {
    return new BvraiError('provider.protocol', 'openai sent a stream that cannot be read.', {
      cause: thrown,
      details: { provider: PROVIDER },
    });
  }
  return networkError(PROVIDER, thrown);
}

/** A refused request (with a status), or an error event in a running stream (without). */
function vendorError(body: unknown, status: unknown, header: HeaderReader): BvraiError {
  const text = (name: string): string | undefined => {
    const value = isJsonObject(body) ? body[name] : undefined;
    return typeof value === 'string' ? value : undefined;
  };
  const type = text('type');
  const code = text('code');
  if (typeof status === 'number') {
    const is = codeBeyondStatus(type, code);
    return statusError(PROVIDER, status, header, { code: code ?? type, message: text('message'), is });
  }
  const vendorCode = (code ?? type)?.slice(0, 80);
  const named = vendorCode ? ` (${vendorCode})` : '';
  return new BvraiError(codeOfVendorError(type, code), `openai gave the generation up${named}.`, {
    details: { provider: PROVIDER, ...(vendorCode ? { vendorCode } : {}) },
  });
}
