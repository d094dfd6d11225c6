import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ServerFailed, startServer } from './server-process.ts';

/** A child that listens, is ready at the second time of asking, and tells its environment. */
const GOOD = `
  const http = require('node:http');
  let asked = 0;
  const server = http.createServer((request, response) => {
    if (request.url === '/env') return response.end(JSON.stringify(process.env));
    response.statusCode = ++asked > 1 ? 200 : 503;
    response.end();
  });
  server.listen(Number(process.env.PORT), process.env.HOST, () => {
    console.log(JSON.stringify({ level: 50, msg: 'a small fire' }));
    console.log(JSON.stringify({ level: 30, msg: 'listening', port: server.address().port }));
  });
  process.on('SIGTERM', () => { server.closeAllConnections(); server.close(() => process.exit(0)); });
`;

describe('startServer', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'demo-server-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function start(source: string, readyTimeoutMs = 15_000) {
    const entry = join(folder, 'server.cjs');
    await writeFile(entry, source);
    await writeFile(join(folder, 'local-api-key'), 'bv_live_test\n');
    return startServer({
      entry,
      cwd: folder,
      logFile: join(folder, 'server.log'),
      dataDirectory: folder,
      readyTimeoutMs,
    });
  }

  it('waits until the server is ready, hides every key from it, and stops it', async () => {
    process.env['OPENAI_API_KEY'] = 'secret';
    process.env['SOME_VENDOR_KEY'] = 'secret';
    try {
      const server = await start(GOOD);
      expect(server.apiKey).toBe('bv_live_test');
      const env: unknown = await (await fetch(`${server.url}/env`)).json();
      expect(env).toMatchObject({ PORT: '0', OPENAI_API_KEY: '', TWILIO_AUTH_TOKEN: '' });
      expect(JSON.stringify(env)).not.toContain('secret');
      expect(server.errors).toEqual([expect.stringContaining('a small fire')]);
      expect(await server.stop()).toEqual({ drained: true });
      await expect(fetch(server.url)).rejects.toThrow('fetch failed');
      await expect.poll(() => readFile(join(folder, 'server.log'), 'utf8')).toContain('listening');
    } finally {
      delete process.env['OPENAI_API_KEY'];
      delete process.env['SOME_VENDOR_KEY'];
    }
  });

  it('tells why a server died, with its last words', async () => {
    const failure = start(`console.error('PORT is wrong'); process.exitCode = 3;`);
    await expect(failure).rejects.toThrow(ServerFailed);
    await expect(failure).rejects.toThrow(/ended with code 3[^]*PORT is wrong/);
  });

  it('gives up on a server that is never ready, and does not leave it running', async () => {
    const failure = start(
      `require('node:fs').writeFileSync('pid', String(process.pid)); setInterval(() => {}, 1000);`,
      1500,
    );
    await expect(failure).rejects.toThrow('not ready in time');
    const pid = Number(await readFile(join(folder, 'pid'), 'utf8'));
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  });
});
