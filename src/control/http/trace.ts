/** One id per request, and its place in the caller's trace (W3C Trace Context): in, out, and in every log line. */
import { randomBytes, randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';

/** Where a request stands in a trace. */
export interface Trace {
  /** 32 hex digits; the caller's, or new. */
  readonly traceId: string;
  /** 16 hex digits: this request's own. */
  readonly spanId: string;
  /** The caller's span. */
  readonly parentId: string | undefined;
  /** Two hex digits; bit 0: the trace is recorded. */
  readonly flags: string;
}

const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/u;
const SANE_REQUEST_ID = /^[\w.:~+/=-]{1,100}$/u;

/** The trace that a `traceparent` header continues, or a new one if it is absent or malformed. */
function traceOf(traceparent: string | undefined): Trace {
  const match = traceparent === undefined ? null : TRACEPARENT.exec(traceparent);
  const spanId = randomBytes(8).toString('hex');
  // Version 00 has exactly four parts; a later one may have more.
  const [, traceId, parentId, flags, extra] = match ?? [];
  if (traceId === undefined || flags === undefined || (extra !== undefined && traceparent?.startsWith('00')))
    return { traceId: randomBytes(16).toString('hex'), spanId, parentId: undefined, flags: '01' };
  return { traceId, spanId, parentId, flags };
}

/** The client's `x-request-id` where it is harmless in a log line and a header; else a new one. */
export function requestIdOf(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && SANE_REQUEST_ID.test(given) ? given : randomUUID();
}

const traces = new WeakMap<IncomingMessage, Trace>();

function traceOfRequest(request: IncomingMessage): Trace {
  const known = traces.get(request);
  if (known) return known;
  const header = request.headers['traceparent'];
  const trace = traceOf(typeof header === 'string' ? header : undefined);
  traces.set(request, trace);
  return trace;
}

/** The logger of one request: its lines carry the request's id (Fastify's binding) and the trace's. */
export function requestLogger(
  logger: FastifyBaseLogger,
  bindings: Record<string, unknown>,
  options: object,
  request: IncomingMessage,
): FastifyBaseLogger {
  const { traceId, spanId } = traceOfRequest(request);
  return logger.child({ ...bindings, trace_id: traceId, span_id: spanId }, options);
}

/** Answers with the ids, and writes one line per request of the API; the route's pattern, since a URL may hold a phone number. */
export function installTracing(app: FastifyInstance): void {
  app.addHook('onRequest', async (request, reply) => {
    const { traceId, spanId, flags } = traceOfRequest(request.raw);
    reply.header('x-request-id', request.id);
    reply.header('traceparent', `00-${traceId}-${spanId}-${flags}`);
  });
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url;
    if (route?.startsWith('/api/') !== true) return;
    request.log.info(
      {
        method: request.method,
        route,
        status: reply.statusCode,
        duration_ms: Math.round(reply.elapsedTime * 10) / 10,
      },
      'request',
    );
  });
}
