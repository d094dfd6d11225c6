/**
 * Where the API runs. With Postgres in a process of its own, so that no request holds up a frame; with the embedded database, which serves
 * one machine, in the process of the calls (docs/decisions/0080-the-api-is-a-process.md).
 */
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Config } from './config.ts';
import type { ApiDependencies } from './control/api.ts';
import { apiDependencies } from './control/api-settings.ts';
import type { ApiSettings } from './control/api-settings.ts';
import { ApiProcess } from './control/api-process/api-process.ts';
import { Front } from './control/api-process/front.ts';
import type { ApiDesk } from './control/calls/api-desk.ts';
import { EventFeed } from './control/calls/feed.ts';
import { refuseSlow } from './control/http.ts';
import { quotasPerMinute } from './control/http/rate-limit.ts';
import type { Records } from './control/records.ts';
import type { TwilioRestOptions } from './control/twilio/rest.ts';
import type { Closers } from './core/closers.ts';
import { BvraiError } from './core/errors.ts';

/** Twenty sessions of Postgres for both: calls write one thing after the other, requests ask for many at once. */
export const SESSIONS_OF_CALLS = 6;
const SESSIONS_OF_API = 14;

export interface ApiPlaceParts {
  readonly config: Config;
  readonly log: Logger;
  readonly authSecret: string;
  readonly records: Records;
  readonly desk: ApiDesk;
  readonly mediaPort: number | undefined;
}

export interface ApiPlace {
  /** In this process; undefined: it has its own. */
  readonly here: ApiDependencies | undefined;
  /** Its owner closes it. */
  readonly elsewhere: ApiProcess | undefined;
}

/** Starts the process if there is to be one. Rejects when it cannot. */
export async function placeApi(parts: ApiPlaceParts): Promise<ApiPlace> {
  const { config, log, authSecret, records, desk, mediaPort } = parts;
  const { databaseUrl, publicUrl, registration, corsOrigins, trustedProxies, apiQuotas, twilioCallsPerSecond } = config;
  const { instanceId } = records;
  const quotas = quotasPerMinute(apiQuotas);
  const twilio = twilioAccount(config);
  const telephone = { twilio, callsPerSecond: twilioCallsPerSecond, mediaPort };
  const settings: ApiSettings = { authSecret, publicUrl, registration, quotas, instanceId, ...telephone };
  if (databaseUrl === undefined) {
    const feed = new EventFeed(records.door, log);
    records.onWritten((orgIds) => feed.wake(orgIds));
    return { here: apiDependencies(settings, { database: records.database, feed, desk }), elsewhere: undefined };
  }
  const logLevel = log.level;
  const data = { settings, databaseUrl, poolSize: SESSIONS_OF_API, logLevel, corsOrigins, trustedProxies };
  const elsewhere = await ApiProcess.start({ data, desk, log });
  records.onWritten((orgIds) => elsewhere.wake(orgIds));
  return { here: undefined, elsewhere };
}

export interface ListenParts {
  readonly http: FastifyInstance;
  /** Has been attached to the server of `http`. */
  readonly api: ApiProcess | undefined;
  readonly log: Logger;
  readonly config: Pick<Config, 'host' | 'port'>;
}

/** Listens on the port, which `http` has alone or shares with the API's process. Returns its number; throws `config.invalid`. */
export async function listenHttp({ http, api, log, config }: ListenParts, closers: Closers): Promise<number> {
  const { host, port } = config;
  try {
    if (api) {
      await http.listen({ path: api.mainSocketPath });
      const front = await Front.listen({ host, port, log, route: api.route, refuse: refuseSlow });
      closers.add(() => front.close());
      return front.port;
    }
    await http.listen({ host, port });
  } catch (thrown) {
    throw BvraiError.from(
      thrown,
      'config.invalid',
      `Cannot listen on ${host}:${port} (HOST, PORT; example: PORT=8080)`,
    );
  }
  const address = http.server.address();
  return typeof address === 'object' && address ? address.port : port;
}

/** Undefined: calls are only taken. */
export function twilioAccount({ twilio, publicUrl }: Config): TwilioRestOptions | undefined {
  if (twilio?.accountSid === undefined || publicUrl === undefined) return undefined;
  const { accountSid, authToken, apiBaseUrl: baseUrl } = twilio;
  return { accountSid, authToken, baseUrl, publicUrl };
}
