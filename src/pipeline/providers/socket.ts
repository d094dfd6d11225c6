/** A vendor's WebSocket as the adapters use it: one failure at most, told once; bounded; gone when closed. */
import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import type { RawData } from 'ws';
import type { Clock, Timer } from '../../core/clock.ts';
import { BvraiError } from '../../core/errors.ts';
import type { ErrorCode } from '../../core/errors.ts';
import { dialOnDemand } from './dial.ts';
import type { Dialler, SocketAddress, SocketMessage } from './dial.ts';
import { networkError, statusError } from './http.ts';
import type { VendorError } from './http.ts';
import type { Connecting, StreamContext } from './spec.ts';

/** reliability.md, fault 19: a vendor that does not answer within a second is passed over, unless more is known of it. */
export const DEFAULT_CONNECT_TIMEOUT_MS = 1_000;
/** How long a farewell may take before the socket is torn down. */
const LINGER_MS = 250;
/** Of a refusal's body, enough for every vendor's error JSON. */
const MAX_REFUSAL_BYTES = 4 * 1024;
const REFUSAL_BODY_TIMEOUT_MS = 250;

/** Where a vendor is reached. */
export interface VendorSettings {
  readonly apiKey: string;
  /** http(s); the WebSocket address derives from it. */
  readonly baseUrl?: string | undefined;
  readonly connectTimeoutMs?: number | undefined;
  /** Whose owner closes it. Absent: every socket is dialled when it is needed. */
  readonly dialler?: Dialler | undefined;
}

/** How to reach a vendor, and how much may wait for it. */
export interface SocketSettings extends SocketAddress {
  /** Absent: the socket is dialled here and now. */
  readonly dialler?: Dialler | undefined;
  readonly clock: Clock;
  /** Goes before what has been learned. */
  readonly connectTimeoutMs?: number | undefined;
  readonly connecting?: Connecting | undefined;
  /**
   * Bytes that may wait, before the socket is open or because the vendor does not read. One more and the socket fails
   * with `provider.overloaded`: dropping a part silently would corrupt the stream's sense of time.
   */
  readonly maxQueuedBytes: number;
  /** Reads the body of a refused upgrade. */
  readonly parseRefusal?: ((body: string) => VendorError) | undefined;
  /** A vendor's own meaning of a close code; undefined: the usual one. */
  readonly codeOfClose?: ((closeCode: number, reason: string) => ErrorCode | undefined) | undefined;
}

/** What an adapter says of the socket that a stream of its speaks over. */
export interface StreamSocketSettings extends Pick<
  SocketSettings,
  'provider' | 'dialler' | 'connectTimeoutMs' | 'maxQueuedBytes' | 'parseRefusal' | 'codeOfClose'
> {
  /** Whom what is sent is counted for. */
  readonly model: string | undefined;
  /** Throws a BvraiError when the base URL is none. */
  readonly address: () => SocketAddress;
  /** Sent before we close. */
  readonly farewell?: string | undefined;
}

/** What a socket tells its adapter. Never called from within the constructor, nor after {@link ProviderSocket.close}. */
export interface SocketListener {
  onOpen(): void;
  onText(text: string): void;
  /** The bytes belong to the receiver. */
  onBinary?(bytes: Uint8Array): void;
  /** It is over, without our doing. At most once, and last. `closeCode`: of the open socket that closed; 1006 if without a word. */
  onEnd(error: BvraiError, closeCode?: number): void;
}

/**
 * One client WebSocket. It begins to connect at once, unless the dialler has one that is open already; what is sent before it
 * is open waits in order. One that was open already and is found dead before it is used is replaced, once, without a word.
 * Never throws: whatever goes wrong, an address that cannot be dialled included, arrives at `onEnd`.
 */
export class ProviderSocket {
  readonly #settings: SocketSettings;
  readonly #waiting: (string | Uint8Array)[] = [];
  #waitingBytes = 0;
  #listener: SocketListener | undefined;
  #socket: WebSocket | undefined;
  #timer: Timer | undefined;
  /** What came on a socket that was open already, until we are. */
  #received: SocketMessage[] = [];
  #open = false;
  /** When the socket was dialled, by whomever. */
  #dialledAtMs = 0;
  #wasOpen = false;
  #overflowed = false;

  constructor(settings: SocketSettings, listener: SocketListener) {
    this.#settings = settings;
    this.#listener = listener;
    this.#connect();
  }

  /** True from the vendor's acceptance until the end. */
  get isOpen(): boolean {
    return this.#open;
  }

  /** Whether the socket was open before it was needed. */
  get wasOpen(): boolean {
    return this.#wasOpen;
  }

  /** Sends text or a copy of the bytes, or queues it until the socket is open. After the end it does nothing. */
  send(data: string | Uint8Array): void {
    const socket = this.#socket;
    if (this.#listener === undefined || socket === undefined || this.#overflowed) return;
    if (this.#open) {
      // ws masks into a buffer of its own, so the caller's bytes are free again when this returns.
      socket.send(data);
      if (socket.bufferedAmount > this.#settings.maxQueuedBytes) this.#overflow();
      return;
    }
    this.#waitingBytes += data.length;
    if (this.#waitingBytes > this.#settings.maxQueuedBytes) return this.#overflow();
    this.#waiting.push(typeof data === 'string' ? data : data.slice());
  }

  /** Ends the socket from our side: `farewell` if it is open, then the close handshake, then, at most 250 ms later, the axe. */
  close(farewell?: string): void {
    if (this.#listener === undefined) return;
    const open = this.#open;
    this.#release();
    const socket = this.#socket;
    if (socket === undefined) return;
    if (!open) return socket.terminate();
    if (farewell !== undefined) socket.send(farewell);
    socket.close(1000);
    this.#destroyAfterLinger(socket);
  }

  #connect(): void {
    const { provider, clock } = this.#settings;
    try {
      this.#socket = this.#dial();
    } catch (thrown) {
      const error = BvraiError.from(thrown, 'provider.bad-request', `${provider} cannot be dialled`);
      this.#timer = clock.after(0, () => this.#end(error));
      return;
    }
    if (this.#wasOpen) {
      // In which it shows if the vendor has hung up meanwhile.
      this.#afterATurn(0, () => this.#onWarm());
      return;
    }
    const limitMs = this.#connectLimitMs;
    this.#afterATurn(limitMs, () => this.#onConnectDeadline(limitMs));
  }

  /** After the delay and one more turn of the event loop: after a stall of ours, timers run before what waits in the kernel. */
  #afterATurn(delayMs: number, run: () => void): void {
    const { clock } = this.#settings;
    this.#timer = clock.after(delayMs, () => {
      this.#timer = clock.after(0, run);
    });
  }

  /** A socket that is closing already needs no more waiting for: its `close` may be long in coming. */
  #onWarm(): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#onOpen();
    else this.#replace();
  }

  #replace(): void {
    this.#timer?.cancel();
    this.#socket?.terminate();
    this.#connect();
  }

  get #connectLimitMs(): number {
    const { connectTimeoutMs, connecting } = this.#settings;
    return connectTimeoutMs ?? connecting?.connection.limitMs ?? DEFAULT_CONNECT_TIMEOUT_MS;
  }

  #dial(): WebSocket {
    const { dialler = dialOnDemand, clock } = this.#settings;
    const { socket, received, waitedMs } = dialler.dial(this.#settings);
    this.#received = [...received];
    this.#dialledAtMs = clock.nowMs() - waitedMs;
    const wasOpen = socket.readyState === socket.OPEN;
    this.#wasOpen = wasOpen;
    /** It came open, and was dead before anybody used it. */
    const isReplaced = (): boolean => {
      if (!wasOpen || this.#open || this.#listener === undefined || socket !== this.#socket) return false;
      this.#replace();
      return true;
    };
    const isOurs = (): boolean => socket === this.#socket;
    socket.on('open', () => {
      this.#tellWait();
      this.#onOpen();
    });
    socket.on('message', (data, isBinary) => {
      if (isOurs()) this.#onMessage({ data, isBinary });
    });
    socket.on('unexpected-response', (_request, response) => this.#onRefused(response));
    // Stays for good: without a listener one bad frame would be an uncaught exception.
    socket.on('error', (error) => {
      if (isOurs() && !isReplaced()) this.#end(networkError(this.#settings.provider, error));
    });
    socket.on('close', (code, reason) => {
      if (isOurs() && !isReplaced()) this.#onClosed(code, reason.toString('utf8'));
    });
    return socket;
  }

  /** How long the vendor took to accept us, or has been waited for. */
  #tellWait(): void {
    const { clock, connecting } = this.#settings;
    if (this.#listener !== undefined) connecting?.connection.took(clock.nowMs() - this.#dialledAtMs);
  }

  #onOpen(): void {
    if (this.#listener === undefined) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#open = true;
    for (const data of this.#waiting) this.#socket?.send(data);
    this.#dropWaiting();
    const received = this.#received;
    this.#received = [];
    this.#listener.onOpen();
    for (const message of received) this.#onMessage(message);
  }

  #onMessage(message: SocketMessage): void {
    if (this.#listener === undefined) return;
    if (!this.#open) {
      this.#received.push(message);
      return;
    }
    const bytes = bytesOf(message.data);
    if (message.isBinary) this.#listener.onBinary?.(bytes);
    else this.#listener.onText(bytes.toString('utf8'));
  }

  #onRefused(response: IncomingMessage): void {
    const { provider, clock, parseRefusal } = this.#settings;
    const chunks: Buffer[] = [];
    let receivedBytes = 0;
    const tell = (): void => {
      const header = (name: string): string | undefined => {
        const value = response.headers[name];
        return Array.isArray(value) ? value[0] : value;
      };
      const vendor = parseRefusal?.(Buffer.concat(chunks).toString('utf8'));
      this.#end(statusError(provider, response.statusCode ?? 0, header, vendor));
    };
    this.#timer?.cancel();
    this.#timer = clock.after(REFUSAL_BODY_TIMEOUT_MS, tell);
    response.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      receivedBytes += chunk.length;
      if (receivedBytes >= MAX_REFUSAL_BYTES) tell();
    });
    response.on('end', tell);
    response.on('error', tell);
    response.on('close', tell);
  }

  #onClosed(closeCode: number, reason: string): void {
    const { provider, codeOfClose } = this.#settings;
    const code = codeOfClose?.(closeCode, reason) ?? codeOfCloseCode(closeCode);
    const said = reason === '' ? '' : `: ${reason.slice(0, 120)}`;
    const details = { provider, closeCode };
    this.#end(
      new BvraiError(code, `${provider} closed the connection with code ${closeCode}${said}.`, { details }),
      closeCode,
    );
  }

  #onConnectDeadline(connectTimeoutMs: number): void {
    const { provider } = this.#settings;
    this.#tellWait();
    const message = `${provider} did not accept the connection in ${Math.round(connectTimeoutMs)} ms.`;
    this.#end(new BvraiError('provider.timeout-connect', message, { details: { provider, connectTimeoutMs } }));
  }

  #overflow(): void {
    const { provider, maxQueuedBytes, clock } = this.#settings;
    const error = new BvraiError('provider.overloaded', `${provider} does not take what is sent to it.`, {
      details: { provider, maxQueuedBytes },
    });
    this.#overflowed = true;
    this.#dropWaiting();
    // Not from within send: its caller, the media path, must not find parts arriving under its feet.
    this.#timer?.cancel();
    this.#timer = clock.after(0, () => this.#end(error));
  }

  #end(error: BvraiError, closeCode?: number): void {
    const listener = this.#listener;
    if (listener === undefined) return;
    this.#release();
    this.#socket?.terminate();
    listener.onEnd(error, closeCode);
  }

  #release(): void {
    this.#listener = undefined;
    this.#open = false;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#received = [];
    this.#dropWaiting();
  }

  #dropWaiting(): void {
    this.#waiting.length = 0;
    this.#waitingBytes = 0;
  }

  #destroyAfterLinger(socket: WebSocket): void {
    const timer = this.#settings.clock.after(LINGER_MS, () => socket.terminate());
    socket.on('close', () => timer.cancel());
  }
}

/** Begins to connect for a stream. Throws what `settings.address` throws. */
export function openStreamSocket(
  { address, ...settings }: StreamSocketSettings,
  { clock, connecting }: StreamContext,
  listener: SocketListener,
): ProviderSocket {
  return new ProviderSocket({ ...settings, ...address(), clock, connecting }, listener);
}

function bytesOf(data: RawData): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data);
  return data instanceof ArrayBuffer ? Buffer.from(data) : data;
}

/** What a close means that came without our doing (RFC 6455, 7.4.1, and the IANA registry of close codes). */
function codeOfCloseCode(closeCode: number): ErrorCode {
  switch (closeCode) {
    case 1002:
    case 1003:
    case 1007:
    case 1010:
      return 'provider.protocol';
    case 1008:
    case 1009:
      return 'provider.bad-request';
    case 1011:
    case 1012:
    case 1013:
    case 1014:
      return 'provider.overloaded';
    case 3000:
    case 3003:
      return 'provider.auth';
    default:
      return 'provider.closed';
  }
}
