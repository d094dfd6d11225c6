/** Sockets to the vendors that are open before a call needs them, so that its first turn pays no handshake. */
import type { WebSocket } from 'ws';
import type { RawData } from 'ws';
import type { Clock, Timer } from '../../core/clock.ts';
import { BvraiError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { connect } from '../providers/dial.ts';
import type { DialledSocket, Dialler, KeepWarm, SocketAddress, SocketMessage } from '../providers/dial.ts';
import type { LearnedWait } from '../providers/spec.ts';
import { CONNECT } from './times.ts';

/** One socket for each: a bound on addresses is one on sockets. The one unused for longest makes room. */
const MAX_ADDRESSES = 16;
/** How long an address is kept warm after somebody has asked for that, or has dialled it. */
const UNUSED_MS = 120_000;
/** No socket gets older than this, however patient the vendor: what lies between forgets connections too. */
const MAX_AGE_MS = 30_000;
/** A socket that was taken is replaced after this: the call that is just beginning goes first. */
const REFILL_AFTER_MS = 1_000;
/** After a socket that failed, or while the vendor is not wanted. */
const RETRY_AFTER_MS = 5_000;
/** Greetings of a vendor's, kept for whoever takes the socket. One that says more is no greeting. */
const MAX_RECEIVED_BYTES = 64 * 1024;

/** `aged`: too old to be sure of; `closed`: by the vendor; `unused`: nobody called for a while; `evicted`: too many addresses. */
export type DiscardReason = 'aged' | 'closed' | 'failed' | 'talkative' | 'unused' | 'evicted' | 'shutdown';

/** What became of a socket that was `opened` ahead, or (`missed`) of a wish for one. */
export interface WarmSocketEvent {
  readonly provider: string;
  readonly outcome: 'opened' | 'used' | 'missed' | DiscardReason;
}

export interface WarmSocketsDependencies {
  readonly clock: Clock;
  readonly log: Log;
  readonly onEvent?: ((event: WarmSocketEvent) => void) | undefined;
}

interface KeptAddress {
  readonly address: SocketAddress;
  readonly how: KeepWarm;
  usedAtMs: number;
  warm: WarmSocket | undefined;
  /** When there is to be another one, once this one has gone. */
  dialAtMs: number;
}

/**
 * Process-wide; whoever makes it closes it. Keeps one socket for each address that is in use, renewed before the vendor would
 * hang up, given away once and then replaced. One that dies is dropped without a word to any call, and counts for no breaker.
 * All its times hang on one timer.
 */
export class WarmSockets implements Dialler {
  readonly #deps: WarmSocketsDependencies;
  /** Least recently used first. */
  readonly #kept = new Map<string, KeptAddress>();
  #timer: Timer | undefined;
  #closed = false;

  constructor(deps: WarmSocketsDependencies) {
    this.#deps = deps;
  }

  /** A provider's sockets that are open or opening, and nobody's. */
  sizeOf(provider: string): number {
    return Array.from(this.#kept.values()).filter(({ warm, address }) => warm && address.provider === provider).length;
  }

  dial(address: SocketAddress): DialledSocket {
    const key = keyOf(address);
    const kept = this.#kept.get(key);
    const taken = kept && this.#take(key, kept);
    this.#tell(address, taken ? 'used' : 'missed');
    return taken ?? { socket: connect(address), received: [], waitedMs: 0 };
  }

  keepWarm(address: SocketAddress, how: KeepWarm): void {
    if (this.#closed) return;
    const key = keyOf(address);
    const known = this.#kept.get(key);
    const nowMs = this.#deps.clock.nowMs();
    this.#kept.delete(key);
    if (!known && this.#kept.size >= MAX_ADDRESSES) this.#evict();
    const fresh = { warm: undefined, dialAtMs: nowMs };
    this.#kept.set(key, { ...(known ?? fresh), address, how, usedAtMs: nowMs });
    this.#sweep();
  }

  /** Closes what nobody has taken; from now on every socket is dialled when it is needed. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    for (const kept of this.#kept.values()) this.#discard(kept, 'shutdown');
    this.#kept.clear();
  }

  #take(key: string, kept: KeptAddress): DialledSocket | undefined {
    const nowMs = this.#deps.clock.nowMs();
    const { warm } = kept;
    const isGood = warm !== undefined && !warm.isOver(nowMs);
    if (!isGood) this.#discard(kept, 'aged');
    kept.warm = undefined;
    kept.usedAtMs = nowMs;
    kept.dialAtMs = nowMs + REFILL_AFTER_MS;
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    this.#sweepLater();
    return isGood ? warm.handOver() : undefined;
  }

  /** Does what is due, and comes back when something else is. */
  #sweep(): void {
    const nowMs = this.#deps.clock.nowMs();
    for (const [key, kept] of this.#kept) {
      if (nowMs - kept.usedAtMs >= UNUSED_MS) {
        this.#discard(kept, 'unused');
        this.#kept.delete(key);
        continue;
      }
      if (kept.warm?.isOver(nowMs)) {
        const { isOpen } = kept.warm;
        this.#discard(kept, isOpen ? 'aged' : 'failed');
        kept.dialAtMs = isOpen ? nowMs : nowMs + RETRY_AFTER_MS;
      }
      if (!kept.warm && nowMs >= kept.dialAtMs) this.#dialAhead(key, kept);
    }
    this.#sweepLater();
  }

  #sweepLater(): void {
    this.#timer?.cancel();
    const dues = Array.from(this.#kept.values(), (kept) =>
      Math.min(kept.usedAtMs + UNUSED_MS, kept.warm?.overAtMs ?? kept.dialAtMs),
    );
    const delayMs = Math.min(...dues) - this.#deps.clock.nowMs();
    this.#timer = dues.length > 0 ? this.#deps.clock.after(delayMs, () => this.#sweep()) : undefined;
  }

  #dialAhead(key: string, kept: KeptAddress): void {
    const { clock } = this.#deps;
    kept.dialAtMs = clock.nowMs() + RETRY_AFTER_MS;
    if (!kept.how.wanted()) return;
    try {
      const warm = new WarmSocket(kept.address, kept.how, clock, {
        onOpen: () => {
          this.#tell(kept.address, 'opened');
          this.#sweepLater();
        },
        onLost: (reason, error) => this.#onLost(key, warm, reason, error),
      });
      kept.warm = warm;
    } catch (thrown) {
      // The address cannot be dialled at all: the call that tries will say so.
      const { code } = BvraiError.from(thrown, 'provider.bad-request');
      this.#deps.log.debug({ provider: kept.address.provider, code }, 'no socket can be opened ahead');
    }
  }

  #onLost(key: string, warm: WarmSocket, reason: DiscardReason, error: Error | undefined): void {
    const kept = this.#kept.get(key);
    if (kept?.warm !== warm) return;
    const { provider } = kept.address;
    this.#deps.log.debug({ provider, reason, err: error }, 'a socket that was opened ahead is gone');
    this.#discard(kept, reason);
    // A vendor that hangs up at once is not to be called again at once.
    kept.dialAtMs = this.#deps.clock.nowMs() + RETRY_AFTER_MS;
    this.#sweepLater();
  }

  #evict(): void {
    for (const [key, kept] of this.#kept) {
      this.#discard(kept, 'evicted');
      this.#kept.delete(key);
      return;
    }
  }

  #discard(kept: KeptAddress, reason: DiscardReason): void {
    if (!kept.warm) return;
    kept.warm.close();
    kept.warm = undefined;
    this.#tell(kept.address, reason);
  }

  #tell({ provider }: SocketAddress, outcome: WarmSocketEvent['outcome']): void {
    this.#deps.onEvent?.({ provider, outcome });
  }
}

interface WarmSocketListener {
  onOpen(): void;
  onLost(reason: DiscardReason, error?: Error): void;
}

/** A socket that waits for somebody to take it. */
class WarmSocket {
  readonly #socket: WebSocket;
  readonly #received: SocketMessage[] = [];
  #receivedBytes = 0;
  readonly #detach: () => void;
  readonly #clock: Clock;
  readonly #beganAtMs: number;
  readonly #connection: LearnedWait | undefined;
  /** When it is no good any more: not open by then, or open for too long. */
  overAtMs: number;

  constructor(address: SocketAddress, how: KeepWarm, clock: Clock, listener: WarmSocketListener) {
    this.#clock = clock;
    this.#connection = how.connecting?.connection;
    this.#beganAtMs = clock.nowMs();
    // Longer than a caller would wait: so a vendor that has become slow is known before a call meets it.
    this.overAtMs = this.#beganAtMs + CONNECT.maxMs;
    const socket = connect(address);
    this.#socket = socket;
    const onOpen = (): void => {
      this.#connection?.took(this.#ageMs);
      this.overAtMs = clock.nowMs() + Math.min(how.idleMs, MAX_AGE_MS);
      listener.onOpen();
    };
    const onMessage = (data: RawData, isBinary: boolean): void => {
      this.#receivedBytes += Array.isArray(data) ? Buffer.concat(data).length : data.byteLength;
      if (this.#receivedBytes > MAX_RECEIVED_BYTES) listener.onLost('talkative');
      else this.#received.push({ data, isBinary });
    };
    const onError = (error: Error): void => listener.onLost('failed', error);
    const onClose = (): void => listener.onLost('closed');
    socket.on('open', onOpen).on('message', onMessage).on('error', onError).on('close', onClose);
    this.#detach = () => {
      socket.off('open', onOpen).off('message', onMessage).off('error', onError).off('close', onClose);
    };
  }

  get isOpen(): boolean {
    return this.#socket.readyState === this.#socket.OPEN;
  }

  get #isConnecting(): boolean {
    return this.#socket.readyState === this.#socket.CONNECTING;
  }

  get #ageMs(): number {
    return this.#clock.nowMs() - this.#beganAtMs;
  }

  isOver(nowMs: number): boolean {
    return !(this.isOpen || this.#isConnecting) || nowMs >= this.overAtMs;
  }

  handOver(): DialledSocket {
    this.#detach();
    return { socket: this.#socket, received: this.#received, waitedMs: this.isOpen ? 0 : this.#ageMs };
  }

  /** Without a farewell: nothing was begun on it, and nobody waits for an answer. */
  close(): void {
    // One that has not connected by now has taken at least so long.
    if (this.#isConnecting && this.#clock.nowMs() >= this.overAtMs) this.#connection?.took(this.#ageMs);
    this.#detach();
    // What still fails of a socket that is being torn down concerns nobody; without a listener it would be an uncaught exception.
    this.#socket.on('error', () => {});
    this.#socket.terminate();
  }
}

function keyOf({ url, headers }: SocketAddress): string {
  return JSON.stringify([url.href, headers]);
}
