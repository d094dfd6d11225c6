/** What the adapters share about HTTP: addresses, refusals and network errors, told in the project's own error codes. */
import { BvraiError } from '../../core/errors.ts';
import type { ErrorCode } from '../../core/errors.ts';

/** Longest wait that a Retry-After may ask of us; anything beyond is as good as "down". */
const MAX_RETRY_AFTER_MS = 3_600_000;

/** A header by its lower-case name; undefined when absent. */
export type HeaderReader = (name: string) => string | undefined;

/** What a vendor's error body says, once its `wire.ts` has read it. Both are the vendor's words: for the log, not for the caller. */
export interface VendorError {
  readonly code?: string | undefined;
  readonly message?: string | undefined;
  /** When the vendor's words say more than the status. */
  readonly is?: ErrorCode | undefined;
}

/** The vendor's base URL and a path beneath it, as an HTTP address; throws `config.invalid`. */
export function httpUrl(provider: string, baseUrl: string, path: string): URL {
  if (!URL.canParse(baseUrl)) {
    throw new BvraiError('config.invalid', `The base URL of ${provider} is not a URL. Give one like https://host.`, {
      details: { provider, baseUrl },
    });
  }
  const url = new URL(baseUrl);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new BvraiError('config.invalid', `The base URL of ${provider} must begin with http:// or https://.`, {
      details: { provider, baseUrl },
    });
  }
  url.pathname = `${url.pathname.replace(/\/+$/, '')}${path}`;
  return url;
}

/** As {@link httpUrl}, as a WebSocket address: http becomes ws, https becomes wss. */
export function socketUrl(provider: string, baseUrl: string, path: string): URL {
  const url = httpUrl(provider, baseUrl, path);
  return new URL(url.href.replace(/^http/, 'ws'));
}

/**
 * Sets one query parameter per entry; an array repeats the parameter. Only strings, finite numbers and booleans are
 * passed on: `null`, `undefined` and objects are left out, so an option of `null` removes a default.
 */
export function setQuery(url: URL, parameters: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(parameters)) {
    url.searchParams.delete(name);
    for (const item of Array.isArray(value) ? value : [value]) {
      const text = queryText(item);
      if (text !== undefined) url.searchParams.append(name, text);
    }
  }
  // A space as %20: the form encoding's plus is not understood by everybody.
  url.search = url.searchParams.toString().replaceAll('+', '%20');
}

function queryText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return String(value);
  return typeof value === 'number' && Number.isFinite(value) ? String(value) : undefined;
}

/**
 * How long the vendor asks us to stay away: `retry-after-ms`, or `retry-after` in seconds (RFC 9110, 10.2.3). Its date
 * form is ignored: none of our vendors sends it, and it would need the wall clock.
 */
export function retryAfterMs(header: HeaderReader): number | undefined {
  const milliseconds = positiveNumber(header('retry-after-ms'));
  const seconds = positiveNumber(header('retry-after'));
  const waitMs = milliseconds ?? (seconds === undefined ? undefined : seconds * 1000);
  return waitMs === undefined ? undefined : Math.min(waitMs, MAX_RETRY_AFTER_MS);
}

function positiveNumber(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d+(\.\d+)?$/.test(text.trim())) return undefined;
  return Number(text);
}

/** The code of an HTTP status that is not a success (RFC 9110, 15; 529 is the vendors' own "overloaded"). */
export function codeOfStatus(status: number): ErrorCode {
  if (status === 401) return 'provider.auth';
  if (status === 402) return 'provider.no-credit';
  // A 403 is a bad request like the others: the key is known, and may not have what this one asks for.
  if (status === 429) return 'provider.rate-limited';
  if (status === 408 || status >= 500) return 'provider.overloaded';
  if (status >= 400) return 'provider.bad-request';
  // A success or a redirect where neither belongs: we never follow one, it could carry the key elsewhere.
  return 'provider.protocol';
}

/** The error for a request or an upgrade that the vendor refused. `vendor.message` stays out: it may quote the key. */
export function statusError(
  provider: string,
  status: number,
  header: HeaderReader = () => undefined,
  vendor: VendorError = {},
): BvraiError {
  const code = vendor.is ?? codeOfStatus(status);
  const waitMs = retryAfterMs(header);
  const said = vendor.code === undefined ? '' : ` (${vendor.code})`;
  // A message explains a bad request; with authentication errors vendors like to echo parts of the key.
  const explains = vendor.message !== undefined && code === 'provider.bad-request';
  return new BvraiError(code, `${provider} refused the request with status ${status}${said}.${ADVICE[code] ?? ''}`, {
    details: {
      provider,
      status,
      ...(vendor.code === undefined ? {} : { vendorCode: vendor.code }),
      ...(explains ? { vendorMessage: vendor.message?.slice(0, 300) } : {}),
    },
    ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }),
  });
}

const ADVICE: Partial<Record<ErrorCode, string>> = {
  'provider.auth': ' Check the API key and its permissions.',
  'provider.no-credit': ' Check the credit of the account.',
  'provider.bad-request': ' Check model, voice and options of the route, and whether the account may use them.',
  'provider.protocol': ' Check the base URL.',
};

/** Errors of Node's net, tls and dns and of undici that say which wait ran out (their `code`). */
const TIMEOUT_CODES: Readonly<Record<string, ErrorCode>> = {
  UND_ERR_CONNECT_TIMEOUT: 'provider.timeout-connect',
  ETIMEDOUT: 'provider.timeout-connect',
  UND_ERR_HEADERS_TIMEOUT: 'provider.timeout-first',
  UND_ERR_BODY_TIMEOUT: 'provider.timeout-gap',
};

/** Codes of a connection that was there and went away, as against one that never came about. */
const CLOSED_CODES: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET', 'UND_ERR_ABORTED']);

/** Codes of a request that cannot be sent as it is, e.g. for an API key with a line break in it. */
const UNSENDABLE_CODES: ReadonlySet<string> = new Set(['UND_ERR_INVALID_ARG', 'ERR_INVALID_CHAR']);

/** Codes of a peer that does not speak HTTP as it should, or says far too much. */
const PROTOCOL_CODE = /^(HPE_|UND_ERR_RES_|UND_ERR_RESPONSE|WS_ERR_)/;

/** The error for a connection that failed, from whatever Node or undici threw. */
export function networkError(provider: string, thrown: unknown): BvraiError {
  if (thrown instanceof BvraiError) return thrown;
  const reason = systemCode(thrown);
  const code = codeOfNetwork(reason);
  const why = reason ? ` (${reason})` : '';
  const message =
    code === 'provider.bad-request'
      ? `The request to ${provider} cannot be sent${why}. Check the API key.`
      : `The connection to ${provider} failed${why}.`;
  return new BvraiError(code, message, {
    cause: thrown,
    details: { provider, ...(reason === undefined ? {} : { reason }) },
  });
}

function codeOfNetwork(reason: string | undefined): ErrorCode {
  if (reason === undefined) return 'provider.unavailable';
  const timeout = TIMEOUT_CODES[reason];
  if (timeout !== undefined) return timeout;
  if (CLOSED_CODES.has(reason)) return 'provider.closed';
  if (UNSENDABLE_CODES.has(reason)) return 'provider.bad-request';
  return PROTOCOL_CODE.test(reason) ? 'provider.protocol' : 'provider.unavailable';
}

/** The `code` of a Node error, looked for down the chain of causes (fetch wraps the one that tells). */
function systemCode(thrown: unknown): string | undefined {
  let found: string | undefined;
  let error = thrown;
  for (let depth = 0; depth < 5 && error instanceof Error; depth++) {
    if ('code' in error && typeof error.code === 'string') found = error.code;
    error = error.cause;
  }
  return found;
}
