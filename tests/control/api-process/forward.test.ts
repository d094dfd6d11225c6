/** What a process does with requests that the other one answers, against a server that stands in for the API. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request as httpRequest } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Forwarder, divert, isOfApi, refuseForNow } from '../../../src/control/api-process/forward.ts';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

const closers: (() => unknown)[] = [];
let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'bvrai-forward-'));
  closers.push(() => rm(directory, { recursive: true }));
});
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function listen(server: Server, where: string | number): Promise<void> {
  const listening = once(server, 'listening');
  if (typeof where === 'string') server.listen(where);
  else server.listen(where, '127.0.0.1');
  await listening;
  closers.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
}

/** The API, and a server before it whose other requests `elsewhere` answers. Returns that server's URL. */
async function serve(api: Handler, elsewhere = 'elsewhere'): Promise<string> {
  const socketPath = join(directory, 'api.sock');
  await listen(createServer(api), socketPath);
  const forwarder = new Forwarder({ socketPath, refuse: refuseForNow });
  closers.push(() => forwarder.close());
  const front = createServer((_request, response) => response.end(elsewhere));
  divert(front, isOfApi, (request, response) => forwarder.forward(request, response));
  await listen(front, 0);
  return `http://127.0.0.1:${(front.address() as AddressInfo).port}`;
}

/** Answers with what it was asked. */
const echo: Handler = (request, response) => {
  text(request).then(
    (body) =>
      response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers, body })),
    () => response.destroy(),
  );
};

interface Echo {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

async function asked(url: string, init: RequestInit = {}): Promise<Echo> {
  return (await (await fetch(url, init)).json()) as Echo;
}

describe('which requests are the API’s', () => {
  it.each([
    '/api/v1/calls',
    '/api/',
    '/docs',
    '/docs/',
    '/docs?x',
    '/docs/static/a.css',
    '/openapi.json',
    '/openapi.json?a',
  ])('%s is', (url) => expect(isOfApi(url)).toBe(true));
  it.each(['/', '/api', '/health/live', '/metrics', '/twilio/voice', '/docsx', '/openapi.jsonx', '/x/api/', '/media'])(
    '%s is not',
    (url) => expect(isOfApi(url)).toBe(false),
  );

  it('go there, and all others where they went before', async () => {
    const url = await serve((_request, response) => response.end('api'));
    expect(await (await fetch(`${url}/api/v1/x`)).text()).toBe('api');
    expect(await (await fetch(`${url}/health/live`)).text()).toBe('elsewhere');
  });
});

describe('a request that is passed on', () => {
  it('keeps method, path, headers and body', async () => {
    const url = await serve(echo);
    const body = 'ä'.repeat(100_000);
    const init = { method: 'PATCH', body, headers: { 'content-type': 'text/x', 'if-match': '"7"', host: 'ignored' } };
    const got = await asked(`${url}/api/v1/a%20b?c=d&e=%00`, init);
    expect(got).toMatchObject({ method: 'PATCH', url: '/api/v1/a%20b?c=d&e=%00', body });
    expect(got.headers).toMatchObject({ 'content-type': 'text/x', 'if-match': '"7"', host: new URL(url).host });
    expect(got.headers['content-length']).toBe('200000');
  });

  it('may have a body of unknown length', async () => {
    const url = await serve(echo);
    const body = new Blob(['a', 'bc']).stream();
    // `duplex` is not in the types of fetch yet.
    expect((await asked(`${url}/api/v1/x`, { method: 'POST', body, duplex: 'half' })).body).toBe('abc');
  });

  it('leaves behind what is of its connection only', async () => {
    const { port } = new URL(await serve(echo));
    const headers = {
      connection: 'close, x-mine',
      'x-mine': '1',
      te: 'trailers',
      'x-kept': '2',
      'proxy-authorization': 'b',
    };
    const request = httpRequest({ port, host: '127.0.0.1', path: '/api/v1/x', headers }).end();
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    const got = JSON.parse(await text(response)) as Echo;
    expect(got.headers).toMatchObject({ 'x-kept': '2' });
    for (const name of ['x-mine', 'te', 'proxy-authorization']) expect(got.headers[name]).toBeUndefined();
  });

  it('says from where it came, whatever the client says of that, and passes on what it says otherwise', async () => {
    const url = await serve(echo);
    const headers = { 'x-bvrai-peer': '8.8.8.8', 'x-forwarded-for': '9.9.9.9', 'x-forwarded-host': 'a.example' };
    expect((await asked(`${url}/api/v1/x`, { headers })).headers).toMatchObject({
      'x-bvrai-peer': '127.0.0.1',
      'x-forwarded-for': '9.9.9.9',
      'x-forwarded-host': 'a.example',
    });
  });
});

describe('its answer', () => {
  it('keeps status, headers, also those that come twice, and body', async () => {
    const url = await serve((_request, response) => {
      response.writeHead(418, { 'set-cookie': ['a=1', 'b=2'], 'x-request-id': 'r', connection: 'close' });
      response.end('short');
    });
    const response = await fetch(`${url}/api/v1/x`);
    expect([response.status, response.headers.getSetCookie(), response.headers.get('x-request-id')]).toEqual([
      418,
      ['a=1', 'b=2'],
      'r',
    ]);
    expect(response.headers.get('connection')).toBe('keep-alive');
    expect(await response.text()).toBe('short');
  });

  it('of HEAD and 204 has no body, and the connection serves on', async () => {
    const url = await serve((request, response) => {
      if (request.method === 'HEAD') response.writeHead(200, { 'content-length': '12' }).end();
      else response.writeHead(204).end();
    });
    const head = await fetch(`${url}/api/v1/x`, { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length')]).toEqual([200, '12']);
    expect((await fetch(`${url}/api/v1/x`, { method: 'DELETE' })).status).toBe(204);
  });

  it('that comes before the whole body reaches the client', async () => {
    const url = await serve((_request, response) => response.writeHead(413).end('too large'));
    const response = await fetch(`${url}/api/v1/x`, { method: 'POST', body: Buffer.alloc(3_000_000) });
    expect([response.status, await response.text()]).toEqual([413, 'too large']);
  });

  it('reaches the client piece by piece, from its headers on', async () => {
    let say = (_piece: string): void => {};
    const url = await serve((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.flushHeaders();
      say = (piece) => response.write(piece);
    });
    const reader = (await fetch(`${url}/api/v1/events`)).body?.getReader();
    for (const piece of ['one', 'two']) {
      say(piece);
      expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe(piece);
    }
    await reader?.cancel();
  });

  it('is not collected for a client that reads slowly', async () => {
    let written = 0;
    let blocked = (): void => {};
    const isBlocked = new Promise<void>((resolve) => (blocked = resolve));
    const url = await serve((_request, response) => {
      const piece = Buffer.alloc(65_536);
      const write = (): void => {
        do written += piece.length;
        while (response.write(piece) && written < 500_000_000);
        blocked();
        response.once('drain', write);
      };
      write();
    });
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    closers.push(() => socket.destroy());
    socket.pause();
    socket.write('GET /api/v1/x HTTP/1.1\r\nhost: a\r\n\r\n');
    await isBlocked;
    // What the kernel and the streams take by themselves is a few megabytes at most.
    let before = -1;
    while (before !== written) {
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(written).toBeLessThan(50_000_000);
  });

  it('is given up when the client goes', async () => {
    let gone = (): void => {};
    const isGone = new Promise<void>((resolve) => (gone = resolve));
    const url = await serve((_request, response) => {
      response.once('close', gone);
      response.writeHead(200);
      response.write('a');
    });
    const leave = new AbortController();
    const response = await fetch(`${url}/api/v1/x`, { signal: leave.signal });
    expect(response.status).toBe(200);
    leave.abort();
    await isGone;
  });

  it('that breaks off breaks off for the client, too', async () => {
    const url = await serve((_request, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('half', () => response.destroy());
    });
    await expect(fetch(`${url}/api/v1/x`).then((response) => response.text())).rejects.toThrow('terminated');
    expect(await (await fetch(`${url}/health/live`)).text()).toBe('elsewhere');
  });
});

it('says so when nobody answers', async () => {
  const forwarder = new Forwarder({ socketPath: join(directory, 'nobody.sock'), refuse: refuseForNow });
  closers.push(() => forwarder.close());
  const front = createServer();
  divert(front, isOfApi, (request, response) => forwarder.forward(request, response));
  await listen(front, 0);
  const url = `http://127.0.0.1:${(front.address() as AddressInfo).port}/api/v1/calls`;
  const response = await fetch(url, { headers: { 'x-request-id': 'mine' } });
  expect([response.status, response.headers.get('retry-after')]).toEqual([503, '2']);
  expect(response.headers.get('content-type')).toBe('application/problem+json');
  expect(await response.json()).toMatchObject({ status: 503, code: 'api-unavailable', request_id: 'mine' });
});
