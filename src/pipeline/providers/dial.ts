/** Where the adapters' sockets come from: dialled when they are needed, or opened ahead of need by somebody else. */
import { WebSocket } from 'ws';
import type { RawData } from 'ws';
import type { Connecting } from './spec.ts';

/** Largest message taken from a vendor. A second of base64 audio is 11 kB; the default of `ws` is 100 MiB. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

/** Sockets to the same address are as good as each other, until something has been sent on one. */
export interface SocketAddress {
  /** For errors and counts, e.g. `deepgram`. */
  readonly provider: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
}

export interface SocketMessage {
  readonly data: RawData;
  readonly isBinary: boolean;
}

/** The receiver owns the socket, which is connecting or open, and has no listeners yet. */
export interface DialledSocket {
  readonly socket: WebSocket;
  /** What the vendor has said on it already, oldest first. */
  readonly received: readonly SocketMessage[];
  /** For how long it has been connecting, if it still is. */
  readonly waitedMs: number;
}

export interface KeepWarm {
  /** For how long the vendor keeps a socket on which nobody says anything, with room. */
  readonly idleMs: number;
  /** Asked before each connection: false while callers are kept away from the vendor. */
  readonly wanted: () => boolean;
  readonly connecting?: Connecting | undefined;
}

/** Gives sockets to the adapters. */
export interface Dialler {
  /** Throws when the address or a header cannot be sent at all, e.g. an API key with a line break in it. */
  dial(address: SocketAddress): DialledSocket;
  /** From now on for a while, whoever dials this address should find a socket open. Never throws. */
  keepWarm(address: SocketAddress, how: KeepWarm): void;
}

/** Begins to connect, without compression: it costs time and shrinks neither audio nor short JSON. */
export function connect({ url, headers }: SocketAddress): WebSocket {
  return new WebSocket(url, { headers: { ...headers }, perMessageDeflate: false, maxPayload: MAX_MESSAGE_BYTES });
}

/** Every socket is dialled when it is needed. */
export const dialOnDemand: Dialler = {
  dial: (address) => ({ socket: connect(address), received: [], waitedMs: 0 }),
  keepWarm() {},
};
