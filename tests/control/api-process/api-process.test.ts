/** The life of the API's process, with a small one in its place; with the real one whole servers are tested on Postgres. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { ApiProcess } from '../../../src/control/api-process/api-process.ts';
import type { ApiProcessOptions } from '../../../src/control/api-process/api-process.ts';
import { RemoteDesk, perform } from '../../../src/control/api-process/desk.ts';
import { fromFault, toFault } from '../../../src/control/api-process/protocol.ts';
import type { DeskQuestion } from '../../../src/control/api-process/protocol.ts';
import type { ApiDesk } from '../../../src/control/calls/api-desk.ts';
import { BvraiError } from '../../../src/core/errors.ts';
import { memoryLog } from '../../../src/core/log.ts';
import { API_DATA } from './api-data.ts';
import { deskWith } from './desk-not-asked.ts';

/** Says which of its kind it is, asks the desk to hang up, falls dead, does not start, or does not end. */
const SMALL_PROCESS = `
  const asked = [];
  const woken = [];
  const server = require('node:http').createServer((request, response) => {
    if (request.url === '/api/die') process.exit(3);
    if (request.url === '/api/throw') setImmediate(() => { throw new Error('planted'); });
    else if (request.url === '/api/ask') {
      asked.push(response);
      process.send({ type: 'ask', id: asked.length - 1, question: { method: 'hangUp', args: ['CA1'] } });
    } else if (request.url === '/api/woken') response.end(JSON.stringify(woken));
    else if (request.url === '/api/log') {
      console.log(JSON.stringify({ level: 40, time: 1, request_id: 'r', msg: 'planted line' }));
      response.end();
    } else if (request.url !== '/api/silence') response.end(String(process.pid));
  });
  process.on('disconnect', () => process.exit(0));
  process.on('message', (message) => {
    if (message.type === 'wake') woken.push(...message.orgIds);
    else if (message.type === 'answer') asked[message.id].end(String(message.value));
    else if (message.type === 'close') { server.close(() => process.exit(0)); server.closeIdleConnections(); }
    else if (message.type === 'start') {
      if (message.data.poolSize === 0) process.exit(4);
      server.listen(message.data.socketPath, () => process.send({ type: 'listening' }));
    }
  });
`;

function startSmall(code = SMALL_PROCESS): ChildProcess {
  return spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'], serialization: 'advanced' });
}

/** Others run at the same time, and have directories, too. */
let temporary: string;
beforeAll(async () => {
  temporary = await mkdtemp(join(tmpdir(), 'bvrai-test-'));
  vi.stubEnv('TMPDIR', temporary);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(temporary, { recursive: true });
});

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

interface Rig {
  readonly api: ApiProcess;
  readonly log: ReturnType<typeof memoryLog>;
  readonly processes: readonly ChildProcess[];
  /** Status and text. */
  readonly ask: (path: string) => Promise<readonly [number, string]>;
}

async function start(options: Partial<ApiProcessOptions> = {}): Promise<Rig> {
  const log = memoryLog();
  const processes: ChildProcess[] = [];
  const api = await ApiProcess.start({
    data: API_DATA,
    desk: deskWith({ hangUp: (callSid) => Promise.resolve(callSid === 'CA1') }),
    log,
    stepBack: () => Promise.resolve('usual'),
    ...options,
    startProcess: () => {
      const child = (options.startProcess ?? startSmall)();
      processes.push(child);
      return child;
    },
  });
  closers.push(() => api.close());
  const main: Server = createServer();
  api.attach(main);
  main.listen(0, '127.0.0.1');
  await once(main, 'listening');
  closers.push(() => {
    main.closeAllConnections();
    main.close();
  });
  const { port } = main.address() as AddressInfo;
  return {
    api,
    log,
    processes,
    ask: async (path) => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`);
      return [response.status, await response.text()];
    },
  };
}

const RESTART = { timeout: 15_000 };

describe('the process of the API', () => {
  it('answers, asks the calls of the main process, and hears of new events', async () => {
    const { ask, api, processes } = await start();
    expect(await ask('/api/who')).toEqual([200, String(processes[0]?.pid)]);
    expect(await ask('/api/ask')).toEqual([200, 'true']);
    api.wake(['one', 'two']);
    await expect.poll(() => ask('/api/woken')).toEqual([200, '["one","two"]']);
  });

  it('writes into the server’s log, with level and fields', async () => {
    const { ask, log } = await start();
    await ask('/api/log');
    await expect
      .poll(() => log.lines)
      .toContainEqual({
        level: 'warn',
        fields: { request_id: 'r' },
        message: 'planted line',
      });
  });

  it.each(['/api/die', '/api/throw'])(
    'is started again when it is lost (%s); until then requests are told so',
    async (path) => {
      const { ask, log, processes } = await start();
      expect(await ask(path)).toMatchObject([503, expect.stringContaining('api-unavailable')]);
      await expect.poll(async () => (await ask('/api/who'))[0], RESTART).toBe(200);
      expect(processes).toHaveLength(2);
      expect((await ask('/api/who'))[1]).toBe(String(processes[1]?.pid));
      const said = log.lines.map(({ message }) => message);
      expect(said).toContain('the process of the API ended; another one is being started');
      expect(said.filter((message) => message === 'the API has a process of its own')).toHaveLength(2);
    },
  );

  it('tells why it fell', async () => {
    const { ask, log } = await start();
    await ask('/api/throw');
    await expect.poll(() => log.lines.map(({ fields }) => fields['text'])).toContain('Error: planted');
  });

  it('is tried again for as long as it does not start', async () => {
    let starts = 0;
    const { ask } = await start({
      startProcess: () => startSmall(++starts === 2 ? `console.error('planted'); process.exit(5);` : SMALL_PROCESS),
    });
    await ask('/api/die');
    await expect.poll(async () => (await ask('/api/who'))[0], RESTART).toBe(200);
    expect(starts).toBe(3);
  });

  it('leaves nothing behind when it does not start in the first place', async () => {
    await expect(start({ data: { ...API_DATA, poolSize: 0 } })).rejects.toThrow('code 4');
    expect(await readdir(temporary)).toEqual([]);
  });

  it('says which folder it cannot write', async () => {
    vi.stubEnv('TMPDIR', join(temporary, 'nowhere'));
    try {
      await expect(start()).rejects.toMatchObject({
        code: 'config.invalid',
        message: expect.stringContaining(`TMPDIR=${join(temporary, 'nowhere')} cannot be written`) as string,
      });
    } finally {
      vi.stubEnv('TMPDIR', temporary);
    }
  });

  it('is gone with its sockets when it is closed, also while it is being started again', async () => {
    const { api, processes, ask } = await start();
    await ask('/api/die');
    await api.close();
    await api.close();
    expect(processes.map(({ exitCode, signalCode }) => exitCode ?? signalCode)).not.toContain(null);
    expect(await readdir(temporary)).toEqual([]);
    expect((await ask('/api/who'))[0]).toBe(503);
  });

  it('is ended when an answer takes too long', async () => {
    const { api, ask, log } = await start();
    const silent = ask('/api/silence').catch(() => 'cut off');
    await expect.poll(async () => (await ask('/api/who'))[0]).toBe(200);
    await api.close();
    expect(await silent).toMatchObject([503, expect.stringContaining('api-unavailable')]);
    expect(log.lines.map(({ message }) => message)).toContain('the API did not finish its answers in time');
  });
});

describe('the desk from another process', () => {
  /** As processes talk: what goes over is a copy. */
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
