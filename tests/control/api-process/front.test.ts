/** What the port does before it is known what is asked for. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { Front } from '../../../src/control/api-process/front.ts';
import type { FrontOptions } from '../../../src/control/api-process/front.ts';
import { refuseSlow } from '../../../src/control/http.ts';
import { silentLog } from '../../../src/core/log.ts';
import { expectNoLeaks, openHandles } from '../../support/leaks.ts';

const closers: (() => unknown)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).toReversed()) close();
});

type Routed = readonly [url: string | undefined, first: string];

async function listen(
  options: Partial<FrontOptions> = {},
): Promise<{ dial: () => Socket; routed: Routed[]; front: Front }> {
  const routed: Routed[] = [];
  const front = await Front.listen({
    host: '127.0.0.1',
    port: 0,
    log: silentLog,
    refuse: refuseSlow,
    route: (url, socket, first) => {
      routed.push([url, first.toString('latin1')]);
      socket.end('routed');
    },
    ...options,
  });
  closers.push(() => front.close());
  const dial = (): Socket => {
    const socket = connect(front.port, '127.0.0.1').on('error', () => {});
    closers.push(() => socket.destroy());
    return socket;
  };
  return { dial, routed, front };
}

it.each([
  ['GET /api/v1/calls?a=b HTTP/1.1\r\nhost: a\r\n\r\n', '/api/v1/calls?a=b'],
  ['POST /twilio/voice HTTP/1.1\r\n', '/twilio/voice'],
  ['GET http://a/api/ HTTP/1.1\r\n', 'http://a/api/'],
  // Not ours to understand.
  ['\r\n\r\nGET /api/ HTTP/1.1\r\n', undefined],
  ['get /api/ HTTP/1.1\r\n', undefined],
  ['GET\r\n', undefined],
  ['\u0016\u0003\u0001\n', undefined],
  [`GET /${'a'.repeat(9_000)}`, undefined],
])('routes %j', async (request, url) => {
  const { dial, routed } = await listen();
  const socket = dial();
  socket.write(request, 'latin1');
  expect(await text(socket)).toBe('routed');
  expect(routed).toEqual([[url, request]]);
});

it('refuses within its time who says nothing, or says it byte by byte', async () => {
  const { dial, routed } = await listen({ decideWithinMs: 300 });
  const silent = dial();
  const slow = dial();
  const dripping = (async () => {
    for (;;) {
      await sleep(50);
      if (!slow.writable) return;
      slow.write('A');
    }
  })();
  for (const socket of [silent, slow])
    expect(await text(socket).catch(() => 'reset')).toMatch(/^HTTP\/1\.1 408 [^]*request-timeout|reset/u);
  slow.destroy();
  await dripping;
  expect(routed).toEqual([]);
});

it('has so many wait only, and routes more at once', async () => {
  const { dial, routed } = await listen({ maxUndecided: 2 });
  const waiting = [dial(), dial()];
  await Promise.all(waiting.map((socket) => once(socket, 'connect')));
  expect(await text(dial())).toBe('routed');
  expect(routed).toEqual([[undefined, '']]);
  waiting[0]?.destroy();
  await sleep(50);
  const next = dial();
  await once(next, 'connect');
  next.write('GET /x HTTP/1.1\r\n');
  expect(await text(next)).toBe('routed');
  expect(routed[1]).toEqual(['/x', 'GET /x HTTP/1.1\r\n']);
});

it('leaves nothing open of those that went, and of those that were waiting when it closes', async () => {
  const before = openHandles();
  const { dial, front } = await listen();
  for (const leave of ['end', 'destroy', 'resetAndDestroy'] as const) {
    const socket = dial();
    await once(socket, 'connect');
    socket.write('GET');
    socket[leave]();
  }
  const waiting = dial();
  await once(waiting, 'connect');
  await sleep(50);
  front.close();
  await once(waiting.resume(), 'close');
  await expectNoLeaks(before);
});
