/**
 * Where the API runs. With Postgres in a thread of its own, so that no request holds up a frame; with the embedded database, which serves
 * one machine, in the thread of the calls (docs/decisions/0067-api-in-a-thread.md).
 */
import type { Logger } from 'pino';
import type { Config } from './config.ts';
import type { ApiDependencies } from './control/api.ts';
import { apiDependencies } from './control/api-settings.ts';
import type { ApiSettings } from './control/api-settings.ts';
import { ApiThread } from './control/api-thread/api-thread.ts';
import type { ApiDesk } from './control/calls/api-desk.ts';
import { EventFeed } from './control/calls/feed.ts';
import { quotasPerMinute } from './control/http/rate-limit.ts';
import type { Records } from './control/records.ts';
import type { TwilioRestOptions } from './control/twilio/rest.ts';

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
  /** In this thread; undefined: it has its own. */
  readonly here: ApiDependencies | undefined;
  /** Its owner closes it. */
  readonly thread: ApiThread | undefined;
}

/** Starts the thread if there is to be one. Rejects when it cannot. */
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
    return { here: apiDependencies(settings, { database: records.database, feed, desk }), thread: undefined };
  }
  const logLevel = log.level;
  const data = { settings, databaseUrl, poolSize: SESSIONS_OF_API, logLevel, corsOrigins, trustedProxies };
  const thread = await ApiThread.start({ data, desk, log });
  records.onWritten((orgIds) => thread.wake(orgIds));
  return { here: undefined, thread };
}

/** Undefined: calls are only taken. */
export function twilioAccount({ twilio, publicUrl }: Config): TwilioRestOptions | undefined {
  if (twilio?.accountSid === undefined || publicUrl === undefined) return undefined;
  const { accountSid, authToken, apiBaseUrl: baseUrl } = twilio;
  return { accountSid, authToken, baseUrl, publicUrl };
}
