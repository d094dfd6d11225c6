/**
 * Connections and requests between two processes of one server, each with the real HTTP server: whoever answers, clients see one server, and it sees
 * who they are.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { z } from 'zod';
import { ApiProcess } from '../../../src/control/api-process/api-process.ts';
import type { ApiProcessOptions } from '../../../src/control/api-process/api-process.ts';
import { Front } from '../../../src/control/api-process/front.ts';
import { buildHttp, refuseSlow } from '../../../src/control/http.ts';
import { systemClock } from '../../../src/core/clock.ts';
import { memoryLog } from '../../../src/core/log.ts';
import { startProcess } from '../../../src/core/worker.ts';
import { attachWsListener } from '../../../src/media/socket/ws-listener.ts';
import { expectNoLeaks, openHandles } from '../../support/leaks.ts';
import { silentLogger } from '../../support/silent-logger.ts';
import { API_DATA } from './api-data.ts';
import { deskWith } from './desk-not-asked.ts';
import { addTestRoutes } from './test-routes.ts';
import type { Seen } from './test-routes.ts';

const HEAD = 'host: bvrai.example\r\n';
const UPGRADE = `connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${'a'.repeat(22)}==\r\n`;
const START = { timeout: 60_000 };

interface Rig {
  readonly port: number;
  readonly api: ApiProcess;
  readonly http: FastifyInstance;
  readonly log: ReturnType<typeof memoryLog>;
  /** Texts that came over `/media`. */
  readonly heard: readonly string[];
  close(): Promise<void>;
}

async function start(trustedProxies: number, handover: ApiProcessOptions['handover'] = {}): Promise<Rig> {
  const log = memoryLog();
  const api = await ApiProcess.start({
    data: { ...API_DATA, trustedProxies },
    desk: deskWith(),
    log,
    startProcess: () => startProcess(import.meta.url, './small-api.process'),
    handover,
    // Beside other tests it would get no core otherwise.
    stepBack: () => Promise.resolve('usual'),
  });
  const metrics = () => Promise.resolve({ contentType: 'text/plain', text: '' });
  const http = await buildHttp({ log: silentLogger(), trustedProxies, health: { readiness: () => ({}), metrics } });
  addTestRoutes(http, '/twilio', 'main');
  api.attach(http.server);
  const heard: string[] = [];
  const media = attachWsListener(http.server, {
    clock: systemClock,
    log,
    routes: [
      {
        path: '/media',
        authoriseUpgrade: ({ remoteAddress }) =>
          remoteAddress === '127.0.0.1' ? { ok: true } : { ok: false, status: 403, reason: remoteAddress },
        onSocket: (socket) => ({
          onText: (message) => {
            heard.push(message);
            socket.sendText(`main heard ${message}`);
          },
          onBinary: () => {},
          onPong: () => {},
          onClose: () => {},
        }),
      },
    ],
  });
  await http.listen({ path: api.mainSocketPath });
  const front = await Front.listen({ host: '127.0.0.1', port: 0, log, route: api.route, refuse: refuseSlow });
  const close = async (): Promise<void> => {
    front.close();
    await media.close();
    await api.close();
    await http.close();
  };
  return { port: front.port, api, http, log, heard, close };
}

const sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});

/** A connection of its own. */
function dial({ port }: Pick<Rig, 'port'>): Socket {
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  sockets.push(socket);
  return socket;
}

/** Each answer of a connection, in its order. */
class Answers {
  readonly #socket: Socket;
  #text = '';

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', this.#onData);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#text += chunk.toString('latin1');
  };

  /** Leaves the connection to somebody else. */
  end(): void {
    this.#socket.off('data', this.#onData);
  }

  /** Status and body of the next one, which has a content-length. */
  async next(): Promise<readonly [number, string]> {
    for (;;) {
      const match = /^HTTP\/1\.1 (\d+)[^]*?content-length: (\d+)\r\n[^]*?\r\n\r\n/iu.exec(this.#text);
      const end = match ? match[0].length + Number(match[2]) : Infinity;
      if (match && this.#text.length >= end) {
        const body = this.#text.slice(match[0].length, end);
        this.#text = this.#text.slice(end);
        return [Number(match[1]), body];
      }
      if (this.#socket.readableEnded || this.#socket.destroyed) throw new Error(`It ended after '${this.#text}'.`);
      await Promise.race([once(this.#socket, 'data'), once(this.#socket, 'close')]);
    }
  }

  async seen(): Promise<Seen> {
    return JSON.parse((await this.next())[1]) as Seen;
  }
}

/** The status of an answer of the API over a connection of its own. */
async function askOnce(rig: Rig): Promise<number> {
  const socket = dial(rig);
  socket.write(get('/api/seen'));
  return (await new Answers(socket).next())[0];
}

const pidOf = ({ log }: Rig): number =>
  z.number().parse(log.lines.findLast(({ fields }) => fields['pid'] !== undefined)?.fields['pid']);

const get = (path: string, headers = ''): string => `GET ${path} HTTP/1.1\r\n${HEAD}${headers}\r\n`;
const post = (path: string, body: string): string =>
  `POST ${path} HTTP/1.1\r\n${HEAD}content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;

describe.each([0, 1])('with %i trusted proxies', (trustedProxies) => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await start(trustedProxies);
  }, 60_000);
  afterAll(() => rig.close());

  it('each process answers what is its, on whichever’s connection it is asked', async () => {
    for (const paths of [
      ['/twilio/seen', '/api/seen', '/twilio/seen', '/docs/nowhere', '/api/seen'],
      ['/api/seen', '/twilio/seen'],
      ['/api/seen', '/api/seen', '/health/live'],
      ['/api/seen', '/nowhere'],
    ]) {
      const socket = dial(rig);
      const answers = new Answers(socket);
      for (const path of paths) {
        socket.write(get(path));
        const [status, body] = await answers.next();
        const by = path.startsWith('/api') ? '"by":"api"' : '"by":"main"';
        expect([status, body]).toEqual(
          path.includes('nowhere')
            ? [404, expect.stringContaining('not-found')]
            : [200, path.endsWith('seen') ? expect.stringContaining(by) : '{"status":"ok"}'],
        );
      }
    }
  });

  it('a webhook ends the connection that the API’s process has, and none of a proxy is that', async () => {
    const socket = dial(rig);
    socket.write(get('/api/seen') + get('/twilio/seen'));
    const answers = new Answers(socket);
    expect([(await answers.seen()).by, (await answers.seen()).by]).toEqual(['api', 'main']);
    if (trustedProxies === 0) return void (await once(socket, 'end'));
    socket.write(get('/api/seen'));
    expect((await answers.seen()).by).toBe('api');
  });

  it.each([
    ['the API’s', '/api/seen', ['/api/seen', '/twilio/seen']],
    ['the main', '/twilio/seen', ['/api/seen', '/twilio/seen']],
  ] as const)('nobody forges an address on a connection that %s process has', async (_owner, opening, others) => {
    const said = 'x-forwarded-for: 7.7.7.7, 8.8.8.8\r\nx-forwarded-host: said.example\r\nx-forwarded-proto: https\r\n';
    const direct = { ip: '127.0.0.1', host: 'bvrai.example', protocol: 'http' };
    // Of a chain, only what the one trusted proxy has added.
    const proxied = trustedProxies === 0 ? direct : { ip: '8.8.8.8', host: 'said.example', protocol: 'https' };
    for (const paths of [[opening], ...others.map((path) => [opening, path])]) {
      for (const [headers, known] of [
        ['x-bvrai-peer: 6.6.6.6\r\n', direct],
        [`${said}x-bvrai-peer: 6.6.6.6\r\nconnection: keep-alive, x-bvrai-peer\r\n`, proxied],
      ] as const) {
        const socket = dial(rig);
        const answers = new Answers(socket);
        for (const path of paths) {
          socket.write(get(path, headers));
          expect(await answers.seen()).toMatchObject({ by: path === '/api/seen' ? 'api' : 'main', ...known });
        }
      }
    }
  });
});

describe('a connection', () => {
  let rig: Rig;
  beforeAll(async () => {
    rig = await start(0);
  }, 60_000);
  afterAll(() => rig.close());

  it('may bring its first request byte by byte, or several at once', async () => {
    const slow = dial(rig);
    for (const byte of get('/api/seen')) {
      slow.write(byte);
      await sleep(1);
    }
    expect((await new Answers(slow).seen()).by).toBe('api');
    for (const [first, second] of [
      ['/api/seen', '/api/seen'],
      ['/api/slow', '/twilio/slow'],
      ['/twilio/slow', '/api/slow'],
    ] as const) {
      const socket = dial(rig);
      const answers = new Answers(socket);
      socket.write(get(first) + get(second));
      for (const path of [first, second])
        expect((await answers.seen()).by).toBe(path.startsWith('/api') ? 'api' : 'main');
    }
  });

  it('may bring a body that goes on while it changes hands', async () => {
    const bodies = Array.from({ length: 20 }, (_, index) => JSON.stringify('x'.repeat(400_000 - index)));
    await Promise.all(
      bodies.map(async (body, index) => {
        const socket = dial(rig);
        const request = post('/api/seen', body);
        // In pieces of all sizes, some of which arrive while it is under way.
        for (let at = 0, size = 60 + index; at < request.length; at += size, size = Math.min(size * 2, 65_536)) {
          socket.write(request.slice(at, at + size));
          if (size < 5_000) await sleep(1);
        }
        expect((await new Answers(socket).seen()).bytes).toBe(body.length);
      }),
    );
  });

  it('that becomes a WebSocket is the main process’s, whoever had it', async () => {
    const socket = dial(rig);
    const answers = new Answers(socket);
    socket.write(get('/api/seen'));
    expect((await answers.seen()).by).toBe('api');
    answers.end();
    const webSocket = new WebSocket('ws://bvrai.example/media?x=ä', { createConnection: () => socket });
    await once(webSocket, 'open');
    for (const word of ['one', 'two']) {
      webSocket.send(word);
      const [reply] = (await once(webSocket, 'message')) as [Buffer];
      expect(reply.toString()).toBe(`main heard ${word}`);
    }
    expect(rig.heard.slice(-2)).toEqual(['one', 'two']);
    webSocket.close(1000);
    expect((await once(webSocket, 'close'))[0]).toBe(1000);
  });

  it('that asks for a WebSocket where there is none is told so, whoever had it', async () => {
    for (const path of ['/api/seen', '/nowhere']) {
      const socket = dial(rig);
      socket.write(get(path, UPGRADE));
      expect(await text(socket)).toMatch(/^HTTP\/1\.1 404 /u);
    }
  });

  it('that is half closed still hears its answer', async () => {
    for (const path of ['/api/seen', '/twilio/seen']) {
      const socket = dial(rig);
      socket.end(get(path, 'connection: close\r\n'));
      expect(await text(socket)).toMatch(/^HTTP\/1\.1 200 /u);
    }
  });

  it('that is no HTTP, or speaks of another scheme, is the main process’s', async () => {
    const socket = dial(rig);
    socket.write('\u0016\u0003\u0001\r\n\r\n');
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 400 [^]*bad-request/u);
  });

  it('may be gone before it is looked at', async () => {
    for (let index = 0; index < 50; index++) {
      const socket = dial(rig);
      socket.write(get('/api/seen'), () => socket.resetAndDestroy());
      dial(rig).resetAndDestroy();
    }
    const socket = dial(rig);
    socket.write(get('/api/seen'));
    expect((await new Answers(socket).seen()).by).toBe('api');
  });
});

describe('a process of the API', { timeout: 60_000 }, () => {
  it('that hangs is given no more than some connections, and gets them again when it goes on', async () => {
    const rig = await start(0, { takeWithinMs: 1_000, maxWaiting: 4 });
    try {
      process.kill(pidOf(rig), 'SIGSTOP');
      const [first, ...others] = Array.from({ length: 20 }, () => askOnce(rig));
      for (const answer of await Promise.all(others)) expect(answer).toBe(503);
      process.kill(pidOf(rig), 'SIGCONT');
      expect(await first).toBe(200);
      await expect.poll(() => askOnce(rig), START).toBe(200);
    } finally {
      await rig.close();
    }
  });

  it('that is lost with connections under way takes nothing else with it, and nothing is left open', async () => {
    const before = openHandles();
    const rig = await start(0);
    try {
      process.kill(pidOf(rig), 'SIGSTOP');
      const [underWay, ...waiting] = Array.from({ length: 5 }, () => askOnce(rig).catch(() => 'reset'));
      const main = dial(rig);
      main.write(get('/twilio/seen'));
      // Then the others have been accepted, too.
      expect((await new Answers(main).seen()).by).toBe('main');
      process.kill(pidOf(rig), 'SIGKILL');
      expect(await underWay).toBe('reset');
      for (const answer of waiting) expect(await answer).toBe(503);
      main.write(get('/twilio/seen'));
      await expect.poll(() => askOnce(rig), START).toBe(200);
    } finally {
      await rig.close();
      for (const socket of sockets.splice(0)) socket.destroy();
    }
    await expectNoLeaks(before);
  });

  it('closes the connections that it was given, and so does the main process', async () => {
    const before = openHandles();
    const rig = await start(0);
    // What it gave back is no longer its to wait for.
    const returned = dial(rig);
    returned.write(get('/api/seen', UPGRADE));
    expect(await text(returned)).toMatch(/^HTTP\/1\.1 404 /u);
    const kept = ['/api/seen', '/twilio/seen'].map(async (path) => {
      const socket = dial(rig);
      socket.write(get(path));
      await new Answers(socket).next();
      return socket;
    });
    const silent = dial(rig);
    await once(silent, 'connect');
    const open = [...(await Promise.all(kept)), silent];
    const closed = open.map((socket) => once(socket.resume(), 'close'));
    await rig.close();
    await Promise.all(closed);
    expect(rig.log.lines.map(({ message }) => message)).not.toContain('the API did not finish its answers in time');
    await expectNoLeaks(before);
  });
});
