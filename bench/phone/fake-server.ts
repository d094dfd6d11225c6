/** A tiny server for the phone's own tests: it answers the voice webhook and lets the test drive the media socket. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';

/** A message of the phone, and when it came (`performance.now()`). */
export interface Received {
  readonly atMs: number;
  readonly message: Record<string, unknown>;
}

/** The server's end of one media stream. */
export interface FakeStream {
  readonly socket: WebSocket;
  readonly received: Received[];
  readonly upgradeHeaders: IncomingHttpHeaders;
  send(message: Record<string, unknown>): void;
  media(mulaw: Uint8Array): void;
  mark(name: string): void;
  clear(): void;
}

export interface FakeServer {
  readonly url: string;
  readonly webhooks: { readonly path: string; readonly headers: IncomingHttpHeaders; readonly form: URLSearchParams }[];
  close(): Promise<void>;
}

/** Listens on a free loopback port. `twiml` gets the media socket's URL; `onStart` runs once `start` has come. */
export async function startFakeServer(options: {
  readonly twiml?: (streamUrl: string) => string;
  readonly onStart?: (stream: FakeStream) => void;
  readonly onMessage?: (stream: FakeStream, received: Received) => void;
}): Promise<FakeServer> {
  const webhooks: FakeServer['webhooks'] = [];
  let streamUrl = '';
  const http = createServer((request, response) => void answer(request, response));
  const sockets = new WebSocketServer({ server: http, path: '/media' });
  const twiml =
    options.twiml ??
    ((url: string) =>
      `<?xml version="1.0" encoding="UTF-8"?><Response><Connect><Stream url="${url}"><Parameter name="token" value="a&amp;b"/></Stream></Connect></Response>`);

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    webhooks.push({ path: request.url ?? '', headers: request.headers, form: new URLSearchParams(body) });
    response.setHeader('content-type', 'text/xml').end(twiml(streamUrl));
  }

  sockets.on('connection', (socket, request) => {
    let streamSid = '';
    const send = (message: Record<string, unknown>): void => socket.send(JSON.stringify({ ...message, streamSid }));
    const stream: FakeStream = {
      socket,
      received: [],
      upgradeHeaders: request.headers,
      send,
      media: (mulaw) => send({ event: 'media', media: { payload: Buffer.from(mulaw).toString('base64') } }),
      mark: (name) => send({ event: 'mark', mark: { name } }),
      clear: () => send({ event: 'clear' }),
    };
    socket.on('message', (data) => {
      const received: Received = { atMs: performance.now(), message: parseObject(data) };
      stream.received.push(received);
      if (received.message['event'] === 'start') {
        streamSid = String(received.message['streamSid']);
        options.onStart?.(stream);
      }
      options.onMessage?.(stream, received);
    });
  });

  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const address = http.address();
  const { port } =
    typeof address === 'object' && address !== null ? address : ({ port: 0 } satisfies Partial<AddressInfo>);
  streamUrl = `ws://127.0.0.1:${port}/media`;
  return {
    url: `http://127.0.0.1:${port}`,
    webhooks,
    async close() {
      for (const client of sockets.clients) client.terminate();
      sockets.close();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}

function parseObject(data: RawData): Record<string, unknown> {
  const parsed: unknown = JSON.parse(Buffer.isBuffer(data) ? data.toString('utf8') : '');
  return typeof parsed === 'object' && parsed !== null ? { ...parsed } : {};
}
