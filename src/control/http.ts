/** The HTTP side of the server on one Fastify instance: the API, Twilio's webhooks, health and metrics. */
import type { Socket } from 'node:net';
import formbody from '@fastify/formbody';
import Fastify, { LogController } from 'fastify';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { installApi } from './api.ts';
import type { ApiDependencies } from './api.ts';
import { healthRoutes } from './health/routes.ts';
import type { HealthDependencies } from './health/routes.ts';
import { installBrowserRules } from './http/browser.ts';
import { installDeprecation } from './http/deprecation.ts';
import { installOpenApi } from './http/openapi.ts';
import { PROBLEM_TYPE, installProblemHandlers, problemBody, sendProblem } from './http/problem.ts';
import { installTracing, requestIdOf, requestLogger } from './http/trace.ts';
import { installUnknownRouteHandler } from './http/unknown-routes.ts';
import { twilioRoutes } from './twilio/routes.ts';
import type { TwilioDependencies } from './twilio/routes.ts';

export interface HttpDependencies {
  readonly log: FastifyBaseLogger;
  /** Of the OpenAPI document. */
  readonly version?: string;
  /** Other origins whose pages may call the API (CORS_ORIGINS). */
  readonly corsOrigins?: readonly string[];
  /** How many reverse proxies stand before this server; they say whose request it is (TRUSTED_PROXIES). */
  readonly trustedProxies?: number;
  readonly health: HealthDependencies;
  /** Accounts and resources; they need the database. */
  readonly api?: Omit<ApiDependencies, 'corsOrigins'> | undefined;
  readonly twilio?: TwilioDependencies;
}

/** An agent with all its fields at their limits is larger, but no useful one; Twilio's forms are a few kilobytes. */
const BODY_LIMIT_BYTES = 512 * 1024;
const FORM_LIMIT_BYTES = 64 * 1024;
/** Slowloris (reliability.md, fault 47). */
const REQUEST_TIMEOUT_MS = 30_000;
const HEADERS_TIMEOUT_MS = 10_000;
/** How often these are looked at. */
const TIMEOUTS_CHECK_MS = 5_000;

/** Builds the instance; the composition root listens on it and closes it. Nothing in it needs the media side. */
export async function buildHttp(deps: HttpDependencies): Promise<FastifyInstance> {
  const app = createInstance(deps);
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  // The API takes JSON only; what is not JSON is told so.
  app.removeContentTypeParser('text/plain');
  installTracing(app);
  installProblemHandlers(app);
  installUnknownRouteHandler(app);
  await installBrowserRules(app, deps.corsOrigins ?? []);
  installDeprecation(app);
  await installOpenApi(app, deps.version ?? '0');
  healthRoutes(app, deps.health);
  const { api, corsOrigins = [], twilio } = deps;
  if (api) await installApi(app, { ...api, corsOrigins });
  if (twilio) {
    await app.register(async (scope) => {
      await scope.register(formbody, { bodyLimit: FORM_LIMIT_BYTES });
      twilioRoutes(scope, twilio);
    });
  }
  return app;
}

function createInstance({ log, trustedProxies = 0 }: HttpDependencies): FastifyInstance {
  return Fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    childLoggerFactory: requestLogger,
    genReqId: requestIdOf,
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    http: { headersTimeout: HEADERS_TIMEOUT_MS, connectionsCheckingInterval: TIMEOUTS_CHECK_MS },
    forceCloseConnections: true,
    trustProxy: (_address, hop) => hop < trustedProxies,
    frameworkErrors: (_error, _request, reply) => {
      sendProblem(reply, 400, 'bad-request', 'The path is not a valid URL path.');
    },
    clientErrorHandler: refuseConnection,
  });
}

/** Answers who takes too long to say what is asked for, and closes. */
export function refuseSlow(socket: Socket): void {
  refuseConnection({ code: 'ERR_HTTP_REQUEST_TIMEOUT' }, socket);
}

/** What is not even HTTP, or too slow to be, is answered on the socket itself. */
function refuseConnection(error: Pick<NodeJS.ErrnoException, 'code'>, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  const [status, reason, detail] = connectionFault(error.code);
  const body = JSON.stringify(problemBody('none', status, reason, detail));
  if (socket.writable) {
    socket.write(
      `HTTP/1.1 ${status} ${reason}\r\ncontent-type: ${PROBLEM_TYPE}\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
    );
  }
  socket.destroySoon();
}

function connectionFault(code: string | undefined): readonly [number, string, string] {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return [408, 'request-timeout', 'The request did not arrive in time.'];
  if (code === 'HPE_HEADER_OVERFLOW') return [431, 'headers-too-large', 'The headers are too large.'];
  return [400, 'bad-request', 'This is not a valid HTTP request.'];
}
