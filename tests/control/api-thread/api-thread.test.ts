/** The life of the API's thread, with a small one in its place; with the real one whole servers are tested on Postgres. */
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ApiThread } from '../../../src/control/api-thread/api-thread.ts';
import type { ApiThreadOptions } from '../../../src/control/api-thread/api-thread.ts';
import { RemoteDesk, perform } from '../../../src/control/api-thread/desk.ts';
import { divert } from '../../../src/control/api-thread/forward.ts';
import { fromFault, toFault } from '../../../src/control/api-thread/protocol.ts';
import type { ApiThreadData, DeskQuestion } from '../../../src/control/api-thread/protocol.ts';
import type { ApiDesk } from '../../../src/control/calls/api-desk.ts';
import { DEFAULT_QUOTAS } from '../../../src/control/http/rate-limit.ts';
import { BvraiError } from '../../../src/core/errors.ts';
import { memoryLog } from '../../../src/core/log.ts';

/** Says which of its kind it is, asks the desk to hang up, falls dead, does not start, or does not end. */
const SMALL_THREAD = `
  const { parentPort: port, workerData, threadId } = require('node:worker_threads');
  const asked = [];
  const server = require('node:http').createServer((request, response) => {
    if (request.url === '/api/die') process.exit(3);
    if (request.url === '/api/throw') setImmediate(() => { throw new Error('planted'); });
    else if (request.url === '/api/ask') {
      asked.push(response);
      port.postMessage({ type: 'ask', id: asked.length - 1, question: { method: 'hangUp', args: ['CA1'] } });
    } else if (request.url === '/api/woken') response.end(JSON.stringify(woken));
    else if (request.url !== '/api/silence') response.end(String(threadId));
  });
  const woken = [];
  port.on('message', (message) => {
    if (message.type === 'wake') woken.push(...message.orgIds);
    else if (message.type === 'answer') asked[message.id].end(String(message.value));
    else if (message.type === 'close') { server.close(() => port.close()); server.closeIdleConnections(); }
  });
  if (workerData.poolSize === 0) process.exit(4);
  server.listen(workerData.socketPath, () => port.postMessage({ type: 'listening' }));
`;

const DATA: Omit<ApiThreadData, 'socketPath'> = {
  settings: {
    authSecret: 's'.repeat(32),
    registration: 'open',
    quotas: DEFAULT_QUOTAS,
    publicUrl: undefined,
    instanceId: 'i',
    twilio: undefined,
    callsPerSecond: 1,
    mediaPort: undefined,
  },
  databaseUrl: 'postgres://127.0.0.1/none',
  poolSize: 1,
  logLevel: 'silent',
  corsOrigins: [],
  trustedProxies: 0,
};

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

const notAsked = (): Promise<never> => Promise.reject(new Error('not asked'));
const deskWith = (methods: Partial<ApiDesk>): ApiDesk => ({
  check: notAsked,
  ring: notAsked,
  endRinging: notAsked,
  expect: notAsked,
  watch: notAsked,
  hangUp: notAsked,
  say: notAsked,
  transfer: notAsked,
  ...methods,
});

interface Rig {
  readonly thread: ApiThread;
  readonly log: ReturnType<typeof memoryLog>;
  readonly socketPaths: readonly string[];
  /** Status and text. */
  readonly ask: (path: string) => Promise<readonly [number, string]>;
}

async function start(options: Partial<ApiThreadOptions> = {}): Promise<Rig> {
  const log = memoryLog();
  const socketPaths: string[] = [];
  const thread = await ApiThread.start({
    data: DATA,
    desk: deskWith({ hangUp: (callSid) => Promise.resolve(callSid === 'CA1') }),
    log,
    startThread: (data) => {
      socketPaths.push(data.socketPath);
      return new Worker(SMALL_THREAD, { eval: true, workerData: data });
    },
    ...options,
  });
  closers.push(() => thread.close());
  const front: Server = createServer();
  divert(front, thread.forward);
  front.listen(0, '127.0.0.1');
  await once(front, 'listening');
  closers.push(() => {
    front.closeAllConnections();
    front.close();
  });
  const { port } = front.address() as AddressInfo;
  return {
    thread,
    log,
    socketPaths,
    ask: async (path) => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`);
      return [response.status, await response.text()];
    },
  };
}

describe('the thread of the API', () => {
  it('answers, asks the calls of the main thread, and hears of new events', async () => {
    const { ask, thread } = await start();
    expect(await ask('/api/who')).toEqual([200, expect.stringMatching(/^\d+$/u)]);
    expect(await ask('/api/ask')).toEqual([200, 'true']);
    thread.wake(['one', 'two']);
    expect(await ask('/api/woken')).toEqual([200, '["one","two"]']);
  });

  it.each(['/api/die', '/api/throw'])(
    'is started again when it is lost (%s); until then requests are told so',
    async (path) => {
      const { ask, log, socketPaths } = await start();
      const [, first] = await ask('/api/who');
      expect(await ask(path)).toMatchObject([503, expect.stringContaining('api-unavailable')]);
      await expect.poll(async () => (await ask('/api/who'))[0], { timeout: 15_000 }).toBe(200);
      expect((await ask('/api/who'))[1]).not.toBe(first);
      expect(socketPaths).toHaveLength(2);
      expect(log.lines.map(({ message }) => message)).toEqual(
        expect.arrayContaining([expect.stringContaining('ended'), 'the API has a thread again']),
      );
    },
  );

  it('is tried again for as long as it does not start', async () => {
    let starts = 0;
    const { ask } = await start({
      startThread: (data) => {
        const poolSize = ++starts === 2 ? 0 : 1;
        return new Worker(SMALL_THREAD, { eval: true, workerData: { ...data, poolSize } });
      },
    });
    await ask('/api/die');
    await expect.poll(async () => (await ask('/api/who'))[0], { timeout: 15_000 }).toBe(200);
    expect(starts).toBe(3);
  });

  it('leaves nothing behind when it does not start in the first place', async () => {
    const before = await directories();
    await expect(start({ data: { ...DATA, poolSize: 0 } })).rejects.toThrow('code 4');
    expect(await directories()).toEqual(before);
  });

  it('is gone with its socket when it is closed, also while it is being started again', async () => {
    const { thread, socketPaths, ask } = await start();
    await ask('/api/die');
    await thread.close();
    await thread.close();
    expect(socketPaths.length).toBeGreaterThan(0);
    expect(await directories()).not.toContain(dirname(socketPaths[0] ?? ''));
    expect((await ask('/api/who'))[0]).toBe(503);
  });

  it('is ended when an answer takes too long', async () => {
    const { thread, ask, log } = await start();
    const silent = ask('/api/silence').catch(() => 'cut off');
    await expect.poll(async () => (await ask('/api/who'))[0]).toBe(200);
    await thread.close();
    expect(await silent).toMatchObject([503, expect.stringContaining('api-unavailable')]);
    expect(log.lines.map(({ message }) => message)).toContain('the API did not finish its answers in time');
  });
});

async function directories(): Promise<string[]> {
  return (await readdir(tmpdir())).filter((name) => name.startsWith('bvrai-api-'));
}

describe('the desk from another thread', () => {
  /** As threads talk: what goes over is a copy. */
  function far(desk: ApiDesk): ApiDesk {
    const remote = new RemoteDesk((id, question) => {
      const copy: DeskQuestion = structuredClone(question);
      perform(desk, copy).then(
        (value) => remote.answer(id, structuredClone(value)),
        (thrown: unknown) => remote.fail(id, structuredClone(toFault(thrown))),
      );
    });
    return remote.desk;
  }

  it('does what the desk does, with the same arguments', async () => {
    const asked: unknown[] = [];
    const note =
      <Value>(name: string, value: Value) =>
      (...args: readonly unknown[]): Promise<Value> => {
        asked.push([name, ...args]);
        return Promise.resolve(value);
      };
    const desk = far({
      check: note('check', undefined),
      ring: note('ring', undefined),
      endRinging: note('endRinging', undefined),
      expect: note('expect', 'token'),
      watch: note('watch', undefined),
      hangUp: note('hangUp', true),
      say: note('say', false),
      transfer: note('transfer', true),
    });
    const watched = { id: 'c', orgId: 'o', channel: 'web' } as const;
    const first = [desk.check('o'), desk.watch(watched, 5), desk.hangUp('CA1'), desk.say('CA2', 'x')];
    expect(await Promise.all(first)).toEqual([undefined, undefined, true, false]);
    expect(await desk.transfer('CA3', '+15550100')).toBe(true);
    await desk.ring({ id: 'c', orgId: 'o' }, 90_000);
    await desk.endRinging('c');
    expect(asked).toEqual([
      ['check', 'o'],
      ['watch', watched, 5],
      ['hangUp', 'CA1'],
      ['say', 'CA2', 'x'],
      ['transfer', 'CA3', '+15550100'],
      ['ring', { id: 'c', orgId: 'o' }, 90_000],
      ['endRinging', 'c'],
    ]);
  });

  it('fails as the desk fails: with code, words, patience and the carrier’s number', async () => {
    const error = new BvraiError('capacity', 'full', { retryAfterMs: 5_000, details: { twilioCode: 21_211 } });
    const thrown = await far(deskWith({ check: () => Promise.reject(error) }))
      .check('o')
      .catch((caught: unknown) => caught);
    expect(thrown).toBeInstanceOf(BvraiError);
    expect(thrown).toMatchObject({ code: 'capacity', message: 'full', retryAfterMs: 5_000 });
    expect(z.instanceof(BvraiError).parse(thrown).details).toEqual({ twilioCode: 21_211 });
    expect(fromFault(toFault(new Error('odd'))).code).toBe('internal');
  });
});
