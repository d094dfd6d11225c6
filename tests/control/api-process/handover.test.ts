/** The order and the bounds of connections that are given away; that they arrive whole, shared-connections.test.ts shows. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Handover } from '../../../src/control/api-process/handover.ts';

const TAKE_WITHIN_MS = 1_000;
let server: Server;
let dialled: Socket[];

beforeEach(async () => {
  server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
  dialled = [];
  await once(server, 'listening');
});
afterEach(() => {
  vi.useRealTimers();
  for (const socket of dialled) socket.destroy();
  server.close();
});

/** The server's side of a new connection. */
async function connection(): Promise<Socket> {
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  dialled.push(connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => {}));
  const [socket] = await accepted;
  dialled.push(socket);
  return socket;
}

interface Rig {
  readonly handover: Handover;
  /** Numbers, and whether a socket went with them. */
  readonly sent: (readonly [number, boolean])[];
  readonly served: string[];
}

function rig(): Rig {
  const sent: (readonly [number, boolean])[] = [];
  const served: string[] = [];
  const handover = new Handover({
    send: ({ number }, socket, onSent) => {
      sent.push([number, socket !== undefined]);
      onSent();
    },
    serve: (_socket, first) => served.push(first.toString()),
    maxWaiting: 2,
    takeWithinMs: TAKE_WITHIN_MS,
  });
  return { handover, sent, served };
}

const BYTES = Buffer.from('GET');

it('gives one after the other, each when the one before was taken, and refuses what is too much', async () => {
  const { handover, sent, served } = rig();
  const sockets = [await connection(), await connection(), await connection(), await connection()];
  expect(sockets.map((socket) => handover.offer(socket, BYTES))).toEqual([true, true, true, false]);
  expect([sent.length, handover.isTaking]).toEqual([1, false]);
  handover.taken(1);
  expect([sent.length, handover.isTaking]).toEqual([2, true]);
  // Nobody's word counts twice.
  handover.taken(1);
  expect(sent).toHaveLength(2);
  handover.taken(2);
  handover.taken(3);
  expect(sent).toEqual([
    [1, true],
    [2, true],
    [3, true],
  ]);
  expect(served).toEqual([]);
  handover.close();
});

it('forgets who goes while they wait', async () => {
  const { handover, sent } = rig();
  const [first, second, third] = [await connection(), await connection(), await connection()];
  for (const socket of [first, second, third]) handover.offer(socket, BYTES);
  second.destroy();
  await once(second, 'close');
  expect(handover.isTaking).toBe(true);
  handover.taken(1);
  handover.taken(2);
  expect(sent).toHaveLength(2);
  handover.close();
});

it('serves those that wait itself when one is not taken in time, and gives more once the other process is heard of again', async () => {
  const sockets = [await connection(), await connection(), await connection(), await connection()] as const;
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const { handover, sent, served } = rig();
  handover.offer(sockets[0], BYTES);
  handover.offer(sockets[1], Buffer.from('second'));
  handover.offer(sockets[2], Buffer.from('third'));
  vi.advanceTimersByTime(TAKE_WITHIN_MS);
  expect(served).toEqual(['second', 'third']);
  expect([handover.isTaking, handover.offer(sockets[3], BYTES)]).toEqual([false, false]);
  // One was lost on the way, or is taken late; either way the question behind it is answered.
  expect(sent).toEqual([
    [1, true],
    [2, false],
  ]);
  handover.taken(1);
  expect(handover.isTaking).toBe(false);
  handover.taken(2);
  expect(handover.offer(sockets[3], BYTES)).toBe(true);
  expect(sent.at(-1)).toEqual([3, true]);
  handover.close();
});

it('serves those that wait itself when it is closed', async () => {
  const { handover, served } = rig();
  handover.offer(await connection(), BYTES);
  handover.offer(await connection(), Buffer.from('second'));
  handover.close();
  handover.close();
  expect(served).toEqual(['second']);
  expect([handover.isTaking, handover.offer(await connection(), BYTES)]).toEqual([false, false]);
});
