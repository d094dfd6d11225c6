import net from 'node:net';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { expectNoLeaks, leakedHandles, openHandles } from './leaks.ts';

test('counts a forgotten timer and sees it gone', async () => {
  const before = openHandles();
  const timer = setInterval(() => {}, 60_000);
  expect(leakedHandles(before).get('Timeout')).toBe(1);
  await expect(expectNoLeaks(before, { deadlineMs: 50 })).rejects.toThrow(/1 × Timeout/);
  clearInterval(timer);
  await expectNoLeaks(before);
});

test('counts both ends of a loopback socket and its listener', async () => {
  const before = openHandles();
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const client = net.connect(address.port, '127.0.0.1');
  await Promise.all([once(client, 'connect'), once(server, 'connection')]);
  const leaked = leakedHandles(before);
  expect(leaked.get('TCPSocketWrap')).toBe(2);
  expect(leaked.get('TCPServerWrap')).toBe(1);
  client.destroy();
  server.close();
  await expectNoLeaks(before);
});

test('counts a worker thread until it has ended', async () => {
  const before = openHandles();
  const worker = new Worker('setInterval(() => {}, 1000)', { eval: true });
  await once(worker, 'online');
  expect(leakedHandles(before).get('Worker')).toBe(1);
  await worker.terminate();
  await expectNoLeaks(before);
});
