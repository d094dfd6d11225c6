/** The socket port itself, on both implementations: admission, refusal, closing, and the choice between them. */
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { createConnection } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { systemClock } from '../../src/core/clock.ts';
import { memoryLog } from '../../src/core/log.ts';
import { listenMedia } from '../../src/media/socket/listen-media.ts';
import type { PortMediaListener } from '../../src/media/socket/listen-media.ts';
import type { MediaRoute, MediaSocket, MediaSocketHandler, UpgradeRequest } from '../../src/media/socket/socket.ts';
import { attachWsListener } from '../../src/media/socket/ws-listener.ts';
import { Phone, RawPhone, TestServer, frame, implementations, until } from './support.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  while (closers.length > 0) await closers.pop()?.();
});

const nothing: MediaSocketHandler = { onText() {}, onBinary() {}, onPong() {}, onClose() {} };

async function listenWith(
  implementation: 'ws' | 'uws',
  onSocket: (socket: MediaSocket) => MediaSocketHandler,
  more: { authoriseUpgrade?: MediaRoute['authoriseUpgrade']; host?: string } = {},
): Promise<{ port: number; listener: PortMediaListener; log: ReturnType<typeof memoryLog> }> {
  const log = memoryLog();
  const listener = await listenMedia({
    host: more.host ?? '127.0.0.1',
    port: 0,
    prefer: implementation,
    routes: [
      { path: '/media', onSocket, authoriseUpgrade: more.authoriseUpgrade },
      { path: '/web', onSocket },
    ],
    log,
    clock: systemClock,
    closeTimeoutMs: 300,
  });
  closers.push(() => listener.close());
  return { port: listener.port, listener, log };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The status line that answers this request, once the server has closed the connection. */
async function statusOf(port: number, path: string, extra?: string): Promise<string> {
  const phone = await RawPhone.request(port, path, extra);
  await until('the server closes the connection', () => phone.closed);
  return phone.received.toString('latin1').split('\r\n', 1)[0] ?? '';
}

describe.each(implementations)('a media listener (%s)', (implementation) => {
  it('answers 404 to an unknown path and closes the connection', async () => {
    const { port } = await listenWith(implementation, () => nothing);
    expect(await statusOf(port, '/nowhere')).toBe('HTTP/1.1 404 Not Found');
    expect(await statusOf(port, '/media/x')).toBe('HTTP/1.1 404 Not Found');
    const response = await fetch(`http://127.0.0.1:${port}/media`);
    expect(response.status).toBe(404);
  });

  it('refuses an upgrade request without a key', async () => {
    const { port } = await listenWith(implementation, () => nothing);
    expect(await statusOf(port, '/media', '')).toMatch(/^HTTP\/1.1 40[04] /);
  });

  it('serves several paths and tolerates a trailing slash and a query', async () => {
    const seen: UpgradeRequest[] = [];
    const { port } = await listenWith(implementation, (socket) => {
      seen.push(socket.upgrade);
      return nothing;
    });
    for (const path of ['/media', '/media/', '/web', '/media?x=1']) (await Phone.open(port, path)).hangUp();
    expect(seen.map(({ url, path }) => [url, path])).toEqual([
      ['/media', '/media'],
      ['/media/', '/media/'],
      ['/web', '/web'],
      ['/media?x=1', '/media'],
    ]);
  });

  it('hands the request to the upgrade check, which may refuse it', async () => {
    const seen: UpgradeRequest[] = [];
    const { port, log } = await listenWith(implementation, () => nothing, {
      authoriseUpgrade: (request) => {
        seen.push(request);
        return { ok: false, status: 403, reason: 'Not you.' };
      },
    });
    await expect(Phone.open(port, '/media', { headers: { 'X-Twilio-Signature': 'abc=' } })).rejects.toThrow('403');
    expect(seen[0]?.headers.get('x-twilio-signature')).toBe('abc=');
    expect(seen[0]?.remoteAddress).toBe('127.0.0.1');
    expect(log.lines[0]?.fields).toMatchObject({ status: 403, reason: 'Not you.', remoteAddress: '127.0.0.1' });
  });

  it('answers 500 when the upgrade check throws', async () => {
    const { port } = await listenWith(implementation, () => nothing, {
      authoriseUpgrade: () => {
        throw new Error('no');
      },
    });
    expect(await statusOf(port, '/media')).toBe('HTTP/1.1 500 Internal Server Error');
  });

  it('reports IPv6 addresses the way Node does', async () => {
    const seen: string[] = [];
    const { port } = await listenWith(
      implementation,
      (socket) => {
        seen.push(socket.remoteAddress);
        return nothing;
      },
      { host: '::1' },
    );
    const socket = new WebSocket(`ws://[::1]:${port}/media`);
    await until('the socket opens', () => socket.readyState === WebSocket.OPEN);
    expect(seen).toEqual(['::1']);
    socket.terminate();
  });

  it('answers 503 while too many sockets wait to start, and no longer when they have started or gone', async () => {
    const server = await TestServer.start(implementation, { maxUnstartedSockets: 2 });
    closers.push(() => server.listener.close());
    const first = await Phone.open(server.port);
    const second = await Phone.open(server.port);
    await expect(Phone.open(server.port)).rejects.toThrow('503');
    first.start();
    await until('the call starts', () => server.calls.has(first.callSid));
    const third = await Phone.open(server.port);
    await expect(Phone.open(server.port)).rejects.toThrow('503');
    second.hangUp();
    await second.closed();
    // A refused handshake must not keep a place either.
    await statusOf(server.port, '/media', '');
    const fourth = await Phone.open(server.port);
    await expect(Phone.open(server.port)).rejects.toThrow('503');
    for (const phone of [first, third, fourth]) phone.hangUp();
    await until('all are gone', () => server.listener.openSockets === 0);
  });

  it('closes its sockets with 1001, even one that does not answer, and releases the port', async () => {
    const listenAgain = (port: number): Promise<PortMediaListener> =>
      listenMedia({
        host: '127.0.0.1',
        port,
        prefer: implementation,
        routes: [{ path: '/media', onSocket: () => nothing }],
        log: memoryLog(),
        clock: systemClock,
        closeTimeoutMs: 300,
      });
    // As in production the port is a fixed one: a listener that is started anew must get it back at once.
    const listener = await listenAgain(await freePort());
    const phone = await Phone.open(listener.port);
    const deaf = await RawPhone.open(listener.port);
    await Promise.all([listener.close(), listener.close()]);
    expect(await phone.closed()).toBe(1001);
    await until('the deaf one is cut off', () => deaf.closed);
    expect(deaf.closeCode).toBe(1001);
    await expect(Phone.open(listener.port)).rejects.toThrow('ECONNREFUSED');
    await (await listenAgain(listener.port)).close();
  });

  it('says which port it cannot have', async () => {
    const { port } = await listenWith(implementation, () => nothing);
    const second = listenMedia({
      host: '127.0.0.1',
      port,
      prefer: implementation,
      routes: [],
      log: memoryLog(),
      clock: systemClock,
    });
    await expect(second).rejects.toMatchObject({
      code: 'config.invalid',
      message: expect.stringContaining(String(port)),
    });
  });

  it('keeps what a handler throws to its own socket', async () => {
    const bomb = (): never => {
      throw new Error('boom');
    };
    const { port, log } = await listenWith(implementation, (socket) => {
      if (socket.upgrade.url.includes('open')) bomb();
      return { onText: bomb, onBinary: bomb, onPong: bomb, onDrain: bomb, onClose: bomb };
    });
    for (const what of ['open', 'text', 'binary', 'pong']) {
      const phone = await Phone.open(port, `/media?${what}`);
      if (what === 'text') phone.send('x');
      if (what === 'binary') phone.send(Buffer.from('x'));
      if (what === 'pong') phone.socket.pong();
      expect(await phone.closed()).toBe(1011);
    }
    expect(log.lines.length).toBeGreaterThanOrEqual(4);
    for (const line of log.lines) expect(line.fields).toMatchObject({ remoteAddress: '127.0.0.1' });
  });

  it('does nothing on a socket that has closed, and tells of the close once', async () => {
    const sockets: MediaSocket[] = [];
    const closes: number[] = [];
    const { port } = await listenWith(implementation, (socket) => {
      sockets.push(socket);
      return { ...nothing, onClose: (code) => closes.push(code) };
    });
    const phone = await Phone.open(port);
    phone.socket.close(4321, 'bye');
    await until('the server sees it', () => closes.length === 1);
    expect(closes).toEqual([4321]);
    const [socket] = sockets;
    socket?.sendText('x');
    socket?.ping();
    socket?.close(1000, '');
    socket?.terminate();
    socket?.markStarted();
    expect(socket?.bufferedBytes()).toBe(0);
    expect(closes).toHaveLength(1);
  });

  it('reports pongs and binary frames, joins fragments, and answers pings', async () => {
    const events: string[] = [];
    const { port } = await listenWith(implementation, (socket) => {
      socket.ping();
      return {
        onText: (text) => events.push(text),
        onBinary: (byteLength) => events.push(`${byteLength} bytes`),
        onPong: () => events.push('pong'),
        onClose: (code, detail) => events.push(`${code}${detail}`),
      };
    });
    const phone = await Phone.open(port);
    await until('the pong comes', () => events.includes('pong'));
    phone.send(Buffer.alloc(5));
    phone.socket.send('héllo ', { fin: false });
    phone.socket.send('wörld', { fin: true });
    phone.socket.ping();
    let ponged = false;
    phone.socket.on('pong', () => (ponged = true));
    await until('everything came', () => events.length === 3 && ponged);
    expect(events).toEqual(['pong', '5 bytes', 'héllo wörld']);
    phone.hangUp();
    await phone.closed();
  });

  it('drops the connection without a close frame on terminate', async () => {
    const { port } = await listenWith(implementation, (socket) => ({ ...nothing, onText: () => socket.terminate() }));
    const phone = await Phone.open(port);
    phone.send('x');
    expect(await phone.closed()).toBe(1006);
  });

  it('survives connections that are reset at every stage of the handshake', async () => {
    const { port } = await listenWith(implementation, () => nothing);
    for (const text of [
      '',
      'GET /media HT',
      'GET /nowhere HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
      '\0\0garbage\r\n\r\n',
    ]) {
      const tcp = createConnection(port, '127.0.0.1');
      tcp.on('error', () => {});
      await until('the connection opens', () => !tcp.connecting);
      tcp.write(text);
      tcp.resetAndDestroy();
    }
    const raw = await RawPhone.request(port, '/media');
    raw.tcp.write(frame(1, Buffer.from('x')));
    raw.tcp.resetAndDestroy();
    const phone = await Phone.open(port);
    phone.hangUp();
    expect(await phone.closed()).toBe(1005);
  });
});

describe('listenMedia', () => {
  it('falls back to ws, on the port that was asked for, and logs why', async () => {
    const log = memoryLog();
    const listener = await listenMedia({
      host: '127.0.0.1',
      port: 0,
      routes: [{ path: '/media', onSocket: () => nothing }],
      log,
      clock: systemClock,
      load: () => Promise.reject(new Error('GLIBC_2.38 not found')),
    });
    closers.push(() => listener.close());
    expect(listener.implementation).toBe('ws');
    expect(log.lines).toEqual([
      expect.objectContaining({ level: 'warn', fields: { reason: expect.stringContaining('GLIBC_2.38 not found') } }),
    ]);
    (await Phone.open(listener.port)).hangUp();
  });

  it.runIf(implementations.includes('uws'))('prefers uWebSockets.js where it loads', async () => {
    const listener = await listenMedia({
      host: '127.0.0.1',
      port: 0,
      routes: [],
      log: memoryLog(),
      clock: systemClock,
    });
    closers.push(() => listener.close());
    expect(listener.implementation).toBe('uws');
  });
});

describe('attachWsListener', () => {
  it('shares an HTTP server and leaves it open', async () => {
    const http: Server = createServer((_request, response) => response.end('api'));
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    closers.push(() => new Promise((resolve) => http.close(resolve)));
    const { port } = http.address() as AddressInfo;
    const sockets = attachWsListener(http, {
      routes: [{ path: '/media', onSocket: () => nothing }],
      log: memoryLog(),
      clock: systemClock,
      closeTimeoutMs: 300,
    });
    const phone = await Phone.open(port);
    expect(await (await fetch(`http://127.0.0.1:${port}/media`)).text()).toBe('api');
    expect(sockets.openSockets).toBe(1);
    await sockets.close();
    expect(await phone.closed()).toBe(1001);
    expect(await (await fetch(`http://127.0.0.1:${port}/api`)).text()).toBe('api');
    http.closeAllConnections();
  });
});
