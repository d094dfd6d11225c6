/** What the main thread and the API's say to each other. */
import { BvraiError } from '../../core/errors.ts';
import type { ErrorCode } from '../../core/errors.ts';
import type { ApiSettings } from '../api-settings.ts';
import type { ApiDesk } from '../calls/api-desk.ts';

/** What the thread is made with. */
export interface ApiThreadData {
  /** A path of the file system, which only this user may use. */
  readonly socketPath: string;
  readonly settings: ApiSettings;
  readonly databaseUrl: string;
  /** Sessions of the database at most. */
  readonly poolSize: number;
  readonly logLevel: string;
  readonly corsOrigins: readonly string[];
  /** Those before this server, whose main thread is one more. */
  readonly trustedProxies: number;
}

/** A call of one method of the desk. */
export type DeskQuestion = {
  [Method in keyof ApiDesk]: { readonly method: Method; readonly args: Readonly<Parameters<ApiDesk[Method]>> };
}[keyof ApiDesk];

export type FromApiThread =
  | { readonly type: 'listening' }
  | { readonly type: 'ask'; readonly id: number; readonly question: DeskQuestion };

export type ToApiThread =
  | { readonly type: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly type: 'fault'; readonly id: number; readonly fault: DeskFault }
  /** Events of these organizations have been written. */
  | { readonly type: 'wake'; readonly orgIds: readonly string[] }
  | { readonly type: 'close' };

/** An error, as it goes from thread to thread: the class would be lost. */
export interface DeskFault {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryAfterMs: number | undefined;
  /** Twilio's number of its error, by which a field is found at fault. */
  readonly twilioCode: unknown;
}

export function toFault(thrown: unknown): DeskFault {
  const { code, message, retryAfterMs, details } = BvraiError.from(thrown);
  return { code, message, retryAfterMs, twilioCode: details['twilioCode'] };
}

export function fromFault({ code, message, retryAfterMs, twilioCode }: DeskFault): BvraiError {
  return new BvraiError(code, message, {
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(twilioCode === undefined ? {} : { details: { twilioCode } }),
  });
}
