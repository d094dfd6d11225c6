/**
 * The port between a WebSocket and the protocol that is spoken over it. Two implementations: `ws-listener.ts` and
 * `uws-listener.ts`. Text in, text out; binary frames are only reported.
 */
import type { Clock } from '../../core/clock.ts';
import type { Log } from '../../core/log.ts';

/** What the HTTP request that asked for the upgrade said. */
export interface UpgradeRequest {
  /** Path and query as sent, e.g. `/media?x=1`. */
  readonly url: string;
  /** The path alone. */
  readonly path: string;
  /** By lower-case name; repeated headers are joined by `, `. */
  readonly headers: ReadonlyMap<string, string>;
  /** Address of the TCP peer (a proxy's, if there is one), or `unknown`. */
  readonly remoteAddress: string;
}

/** One open WebSocket. After it has closed every method does nothing. */
export interface MediaSocket {
  readonly upgrade: UpgradeRequest;
  readonly remoteAddress: string;
  sendText(text: string): void;
  ping(): void;
  /** Bytes handed to `sendText` that the kernel has not taken yet. */
  bufferedBytes(): number;
  /** Begins the closing handshake; the socket is torn down when the peer does not answer it in time. `reason` ≤ 123 bytes. */
  close(code: number, reason: string): void;
  /** Drops the connection without a close frame. */
  terminate(): void;
  /** The protocol above is content with the peer: the socket no longer counts against `maxUnstartedSockets`. Idempotent. */
  markStarted(): void;
}

/** What the protocol hears of its socket. What it throws is logged and ends that socket only. */
export interface MediaSocketHandler {
  onText(text: string): void;
  onBinary(byteLength: number): void;
  onPong(): void;
  /** The kernel took everything that was buffered. */
  onDrain?(): void;
  /**
   * Called exactly once, and nothing after it. `code` is the peer's close code, or the one that fits what it did wrong
   * (1007, 1009 …), or 1006 when it vanished; `detail` is the socket layer's complaint, empty when there was none.
   */
  onClose(code: number, detail: string): void;
}

export type UpgradeVerdict =
  | { readonly ok: true }
  | { readonly ok: false; readonly status: number; readonly reason: string };

/** One path that sockets may be opened on. */
export interface MediaRoute {
  /** E.g. `/media`; one trailing slash in the request is tolerated. */
  readonly path: string;
  /** Refuses the upgrade with an HTTP status; absent: every request is welcome. */
  readonly authoriseUpgrade?: ((request: UpgradeRequest) => UpgradeVerdict) | undefined;
  readonly onSocket: (socket: MediaSocket) => MediaSocketHandler;
}

export interface MediaListenerOptions {
  readonly routes: readonly MediaRoute[];
  readonly log: Log;
  readonly clock: Clock;
  /** A longer message closes its socket with 1009. */
  readonly maxFrameBytes?: number | undefined;
  /** Sockets that have not called `markStarted`, over all routes; one more is answered 503. */
  readonly maxUnstartedSockets?: number | undefined;
  /** How long a peer may take to answer a close frame before it is cut off. */
  readonly closeTimeoutMs?: number | undefined;
}

/** Something that accepts media sockets. */
export interface MediaListener {
  readonly implementation: 'ws' | 'uws';
  readonly openSockets: number;
  /** Takes no more sockets, closes the open ones with 1001 and resolves when they are gone (within `closeTimeoutMs`). Idempotent. */
  close(): Promise<void>;
}

export const DEFAULT_MAX_FRAME_BYTES = 64 * 1024;
export const DEFAULT_MAX_UNSTARTED_SOCKETS = 200;
export const DEFAULT_CLOSE_TIMEOUT_MS = 2000;
