/** The HTTP side of the server: webhooks, call records, health and metrics, on one Fastify instance. */
import formbody from '@fastify/formbody';
import Fastify, { LogController } from 'fastify';
import type { FastifyBaseLogger, FastifyInstance } from 'fastify';
import { callRoutes } from './calls/routes.ts';
import type { CallRecords } from './calls/records.ts';
import { healthRoutes } from './health/routes.ts';
import type { HealthDependencies } from './health/routes.ts';
import { installProblemHandlers } from './problem.ts';
import { twilioRoutes } from './twilio/routes.ts';
import type { TwilioDependencies } from './twilio/routes.ts';

export interface HttpDependencies {
  readonly log: FastifyBaseLogger;
  readonly health: HealthDependencies;
  readonly twilio: TwilioDependencies;
  readonly records: CallRecords;
}

/** Twilio's forms are a few kilobytes; nothing here takes more. */
const BODY_LIMIT_BYTES = 64 * 1024;
/** Slowloris (reliability.md, fault 47). */
const REQUEST_TIMEOUT_MS = 30_000;
const HEADERS_TIMEOUT_MS = 10_000;

/** Builds the instance; the composition root listens on it and closes it. */
export async function buildHttp({ log, health, twilio, records }: HttpDependencies): Promise<FastifyInstance> {
  const app = Fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    http: { headersTimeout: HEADERS_TIMEOUT_MS },
    forceCloseConnections: true,
  });
  installProblemHandlers(app);
  await app.register(formbody, { bodyLimit: BODY_LIMIT_BYTES });
  healthRoutes(app, health);
  await app.register(async (scope) => twilioRoutes(scope, twilio));
  await app.register(async (scope) => callRoutes(scope, { records, localMode: twilio.authToken === undefined }));
  return app;
}
