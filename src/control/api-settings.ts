/** What the API is configured with, as plain values that can go to another process. */
import { systemClock } from '../core/clock.ts';
import type { ApiDependencies } from './api.ts';
import type { ApiDesk } from './calls/api-desk.ts';
import { DialTurns } from './calls/dial-turns.ts';
import type { EventFeed } from './calls/feed.ts';
import type { Database } from './db/database.ts';
import { TwilioRest } from './twilio/rest.ts';
import type { TwilioRestOptions } from './twilio/rest.ts';
import { WEB_PATH, socketUrl } from './twilio/socket-url.ts';

export interface ApiSettings extends Required<Pick<ApiDependencies, 'authSecret' | 'registration' | 'quotas'>> {
  readonly publicUrl: string | undefined;
  /** This start of this server, which closes the calls that it began. */
  readonly instanceId: string;
  /** Absent: no telephone can be rung. */
  readonly twilio: TwilioRestOptions | undefined;
  /** How many a second are rung, at most. */
  readonly callsPerSecond: number;
  /** Of media sockets that have a port of their own. */
  readonly mediaPort: number | undefined;
}

/** What lives in the process that the API runs in. */
export interface ApiParts {
  readonly database: Database;
  readonly feed: EventFeed;
  readonly desk: ApiDesk;
}

export function apiDependencies(settings: ApiSettings, { database, feed, desk }: ApiParts): ApiDependencies {
  const { authSecret, publicUrl, registration, quotas, instanceId, twilio, callsPerSecond, mediaPort } = settings;
  const rest = twilio && new TwilioRest(twilio);
  return {
    database,
    authSecret,
    clock: systemClock,
    publicUrl,
    registration,
    quotas,
    calls: {
      desk,
      feed,
      instanceId,
      twilio: rest,
      turns: new DialTurns({ clock: systemClock, callsPerSecond }),
      webSocketUrl: (requestHost) => socketUrl({ publicUrl, requestHost, mediaPort, path: WEB_PATH }),
    },
    phoneNumbers: { twilio: rest },
  };
}
