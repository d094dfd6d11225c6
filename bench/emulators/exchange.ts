/** One HTTP request to an emulated vendor, and its answer: at once, or as a stream, with faults. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { DelaySource } from './delays.ts';
import type { Faults, Refusal } from './faults.ts';
import { Outlet } from './outlet.ts';

const MAX_BODY_BYTES = 64 * 1024 * 1024;

/** Rejects when the client leaves in mid-body, or says too much. */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    const data: unknown = chunk;
    if (!Buffer.isBuffer(data)) continue;
    bytes += data.length;
    if (bytes > MAX_BODY_BYTES) throw new Error('body too large');
    chunks.push(data);
  }
  return Buffer.concat(chunks);
}

export interface ExchangeOptions {
  readonly id: number;
  readonly url: URL;
  readonly body: Buffer;
  readonly faults: () => Faults;
  readonly delays: DelaySource;
  /** To be told of every message that has been written. */
  readonly onSent: (message: unknown) => void;
  /** The vendor's usual error body of a status. */
  readonly errorBody: (status: number) => unknown;
}

export class VendorExchange {
  readonly id: number;
  readonly request: IncomingMessage;
  readonly url: URL;
  readonly body: Buffer;
  /** As they are set now. */
  readonly faults: () => Faults;
  readonly delays: DelaySource;
  readonly #response: ServerResponse;
  readonly #options: ExchangeOptions;
  readonly #outlet: Outlet;

  constructor(request: IncomingMessage, response: ServerResponse, options: ExchangeOptions) {
    this.id = options.id;
    this.request = request;
    this.url = options.url;
    this.body = options.body;
    this.faults = options.faults;
    this.delays = options.delays;
    this.#response = response;
    this.#options = options;
    this.#outlet = new Outlet(
      {
        get isOpen() {
          return !response.destroyed && !response.writableEnded;
        },
        write: (data) => response.write(data),
        writeGarbage: (garbage) => response.write(this.#asEvents ? `data: ${garbage}\n\n` : garbage),
        end: () => response.end(),
        close: () => response.destroy(),
        reset: () => request.socket.resetAndDestroy(),
        after: (delayMs, run) => void this.pause(delayMs).then(run),
      },
      options.faults,
    );
  }

  #asEvents = false;

  /** Nothing of the answer's body has been sent yet. */
  get isFresh(): boolean {
    return this.#outlet.isFresh;
  }

  get isOpen(): boolean {
    return !this.#response.destroyed;
  }

  /** A whole answer. */
  sendJson(status: number, body: unknown): void {
    this.open(status, { 'content-type': 'application/json' });
    this.#outlet.send(JSON.stringify(body), () => this.#options.onSent(body));
    this.end();
  }

  /** Refuses, whatever the faults say. */
  refuse({ status, retryAfterSeconds, body }: Refusal): void {
    if (retryAfterSeconds !== undefined) this.#response.setHeader('retry-after', String(retryAfterSeconds));
    const text = JSON.stringify(body ?? this.#options.errorBody(status));
    this.#response.writeHead(status, { 'content-type': 'application/json' }).end(text);
  }

  /** Sends the headers of an answer whose body follows by `sendEvent` or `sendBytes`, until `end`. */
  open(status: number, headers: Readonly<Record<string, string>>): void {
    this.#asEvents = headers['content-type']?.startsWith('text/event-stream') === true;
    this.#response.writeHead(status, headers);
    this.#response.flushHeaders();
    this.#outlet.begin();
  }

  /** A server-sent event with the value as JSON. */
  sendEvent(value: unknown, event?: string): void {
    const name = event === undefined ? '' : `event: ${event}\n`;
    this.#outlet.send(`${name}data: ${JSON.stringify(value)}\n\n`, () => this.#options.onSent(value));
  }

  /** A server-sent event with the text as it is. */
  sendEventText(text: string): void {
    this.#outlet.send(`data: ${text}\n\n`);
  }

  /** Some of a binary body. */
  sendBytes(bytes: Uint8Array): void {
    const { drip } = this.faults();
    const pieceBytes = drip === undefined ? bytes.length : (drip.bytes ?? 1);
    for (let from = 0; from < bytes.length; from += pieceBytes) {
      const piece = bytes.subarray(from, from + pieceBytes);
      this.#outlet.send(piece, () => this.#options.onSent(piece));
    }
  }

  end(): void {
    this.#outlet.end();
  }

  /** Waits, or until the response is gone. */
  async pause(delayMs: number): Promise<void> {
    const response = this.#response;
    if (delayMs <= 0 || response.destroyed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(done, delayMs);
      response.once('close', done);
      function done(): void {
        clearTimeout(timer);
        response.off('close', done);
        resolve();
      }
    });
  }
}
