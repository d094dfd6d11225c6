/** A vendor that says anything at all: one loopback server for every adapter, which takes what each connection is to be told. */
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';

/** What one connection or response says, and how it ends. */
export interface Babble {
  readonly messages: readonly (string | Uint8Array)[];
  /** A WebSocket's close code; 1006 cuts the connection. */
  readonly closeCode: number;
  /** Of an HTTP response; its body may be cut off before its end. */
  readonly status: number;
  readonly cutOff: boolean;
}

export interface BabblingVendor {
  readonly url: string;
  /** Connections of WebSockets that are open. */
  readonly open: number;
  /** Connections and responses that have been told all. */
  readonly told: number;
  close(): Promise<void>;
}

export interface BabblerOptions {
  /** Asked once for each connection or request. */
  readonly next: () => Babble;
  /** Speaks before it has heard anything. */
  readonly speaksFirst: boolean;
  /** `event: x` and `data:` around each message of a response. */
  readonly events: boolean;
}

export async function startBabbler(options: BabblerOptions): Promise<BabblingVendor> {
  let told = 0;
  const server = createServer((request, response) => {
    respond(options, request, response).then(
      () => told++,
      (error: unknown) => response.destroy(error instanceof Error ? error : undefined),
    );
  });
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) => {
    socket.on('error', () => socket.terminate());
    socket.on('close', () => told++);
    speak(options, socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    get open() {
      return sockets.clients.size;
    },
    get told() {
      return told;
    },
    async close() {
      for (const socket of sockets.clients) socket.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Says all at the first word that is heard. Messages name contexts (`u1`) that the client has really begun. */
function speak({ next, speaksFirst }: BabblerOptions, socket: WebSocket): void {
  const contexts: string[] = [];
  const babble = (): void => {
    const { messages, closeCode } = next();
    for (const [index, message] of messages.entries()) {
      const context = contexts[index % Math.max(1, contexts.length)];
      const known = typeof message === 'string' && context !== undefined;
      socket.send(known ? message.replaceAll('"u1"', `"${context}"`) : message);
    }
    if (closeCode === 1006) socket.terminate();
    else socket.close(closeCode);
  };
  let begun = speaksFirst;
  socket.on('message', (data) => {
    const [, context] = /"context_id":"(\w+)"/u.exec(bytesOf(data).toString('latin1')) ?? [];
    if (context !== undefined && !contexts.includes(context)) contexts.push(context);
    if (begun) return;
    begun = true;
    // After what was said in the same breath.
    setImmediate(babble);
  });
  if (speaksFirst) babble();
}

function bytesOf(data: Buffer | ArrayBuffer | Buffer[]): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data);
  return data instanceof ArrayBuffer ? Buffer.from(data) : data;
}

/** Writes each message by itself, so that it arrives by itself. */
async function respond(options: BabblerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  request.resume();
  response.on('error', () => {});
  const { messages, status, cutOff } = options.next();
  response.writeHead(status, options.events ? { 'content-type': 'text/event-stream' } : {});
  response.flushHeaders();
  for (const message of messages) {
    if (response.destroyed) return;
    const text = typeof message === 'string' ? message.replaceAll(/[\r\n]/gu, ' ') : '';
    response.write(options.events ? `event: x\ndata: ${text}\n\n` : message);
    await nextTurn();
  }
  if (cutOff) response.destroy();
  else response.end();
}
