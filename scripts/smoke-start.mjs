#!/usr/bin/env node
// Starts the server with `npm start` as a person would, waits until it is ready, reads what everybody may read, and
// ends it with SIGTERM: passes when the server answered, and nothing of it is left afterwards.
import { spawn } from 'node:child_process';
import net from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const READY_DEADLINE_MS = 180_000;
const END_DEADLINE_MS = 30_000;

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const sleep = (delayMs) => new Promise((resolve) => setTimeout(resolve, delayMs));

async function until(deadlineMs, what, look) {
  const end = performance.now() + deadlineMs;
  for (;;) {
    if (await look()) return;
    if (performance.now() > end) throw new Error(`${what}: not within ${deadlineMs / 1000} s`);
    await sleep(100);
  }
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

function accepts(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

async function answers(url) {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(2_000) })).status === 200;
  } catch {
    return false;
  }
}

function signalGroup(child, signal) {
  try {
    process.kill(-child.pid, signal);
    return true;
  } catch (error) {
    if (error.code === 'ESRCH') return false;
    throw error;
  }
}

const port = await freePort();
const base = `http://127.0.0.1:${port}`;
// A process group of its own: npm, its shell and the server get the signal together, as from a terminal or an init system.
const child = spawn('npm', ['start'], {
  cwd: root,
  env: { ...process.env, PORT: String(port), HOST: '127.0.0.1' },
  stdio: ['ignore', 'pipe', 'pipe'],
  detached: true,
});
let output = '';
let ended = false;
for (const stream of [child.stdout, child.stderr]) {
  stream.setEncoding('utf8').on('data', (chunk) => {
    output = (output + chunk).slice(-20_000);
  });
}
child.once('exit', () => {
  ended = true;
});

try {
  const startedMs = performance.now();
  await until(READY_DEADLINE_MS, 'GET /health/ready answers 200', async () => {
    if (ended) throw new Error('npm start ended before the server was ready');
    return answers(`${base}/health/ready`);
  });
  console.log(`ready after ${((performance.now() - startedMs) / 1000).toFixed(1)} s on Node ${process.versions.node}`);
  for (const url of ['/health/live', '/metrics']) {
    if (!(await answers(base + url))) throw new Error(`GET ${url} did not answer 200`);
  }
  signalGroup(child, 'SIGTERM');
  await until(END_DEADLINE_MS, 'after SIGTERM every process has ended', () => !signalGroup(child, 0));
  if (await accepts(port)) throw new Error(`port ${port} still accepts connections after the end`);
  console.log('answered, and ended on SIGTERM');
} catch (error) {
  console.error(`${output}\n\nsmoke: ${error.message}`);
  process.exitCode = 1;
} finally {
  signalGroup(child, 'SIGKILL');
}
