/** What the main process and the API's say to each other. */
import { BvraiError } from '../../core/errors.ts';
import type { ErrorCode } from '../../core/errors.ts';
import type { ApiSettings } from '../api-settings.ts';
import type { ApiDesk } from '../calls/api-desk.ts';

/** What the process is given; by message, since other users of the machine see arguments. */
export interface ApiProcessData {
  /** Where it listens for requests of connections that the main process has: a path of the file system, which only this user may use. */
  readonly socketPath: string;
  /** Where the main process listens for the others: requests of connections that the API's process has, but that are not the API's. */
  readonly mainSocketPath: string;
  readonly settings: ApiSettings;
  readonly databaseUrl: string;
  /** Sessions of the database at most. */
  readonly poolSize: number;
  readonly logLevel: string;
  readonly corsOrigins: readonly string[];
  readonly trustedProxies: number;
}

/** A call of one method of the desk. */
export type DeskQuestion = {
  [Method in keyof ApiDesk]: { readonly method: Method; readonly args: Readonly<Parameters<ApiDesk[Method]>> };
}[keyof ApiDesk];

/** Goes with a client's connection; without one when that has been lost on the way. Either side says so when it has got there. */
export interface ConnectionMessage {
  readonly type: 'connection';
  readonly number: number;
  /** What was read of it already. */
  readonly first: Uint8Array;
}

interface TakenMessage {
  readonly type: 'taken';
  /** Of the connection. */
  readonly number: number;
}

export type FromApiProcess =
  | { readonly type: 'listening' }
  | { readonly type: 'ask'; readonly id: number; readonly question: DeskQuestion }
  | ConnectionMessage
  | TakenMessage;

export type ToApiProcess =
  | { readonly type: 'start'; readonly data: ApiProcessData }
  | { readonly type: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly type: 'fault'; readonly id: number; readonly fault: DeskFault }
  /** Events of these organizations have been written. */
  | { readonly type: 'wake'; readonly orgIds: readonly string[] }
  | { readonly type: 'close' }
  | ConnectionMessage
  | TakenMessage;

/** An error, as it goes from process to process: the class would be lost. */
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
