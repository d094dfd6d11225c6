/** A server's beginning and end: what it refuses to start with, and how it takes its leave of callers. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { decodeToneSpeech } from '../../bench/emulators/tone-speech.ts';
import { ringWebhook } from '../../bench/phone/connect.ts';
import { CallRefused, Phone } from '../../bench/phone/phone.ts';
import { startEmulatedCloud } from '../support/cloud.ts';
import { expectNoLeaks, openHandles } from '../support/leaks.ts';
import { startTestServer } from '../support/server.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

const dataDirectory = mkdtempSync(join(tmpdir(), 'bvrai-server-life-'));
const home = join(dataDirectory, 'home');
mkdirSync(home);
afterAll(() => rmSync(dataDirectory, { recursive: true, force: true }));

/** Runs the server's command to its end. */
async function runMain(
  environment: Record<string, string>,
): Promise<{ code: unknown; log: string; complaint: string }> {
  const child = spawn(process.execPath, ['--import', 'tsx', main], {
    env: { PATH: process.env['PATH'], HOME: home, ...environment },
  });
  const [log, complaint, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { code, log, complaint };
}

describe('a server that cannot start', () => {
  it.each([
    ['a wrong variable', { PORT: 'eighty' }, ['PORT="eighty"', 'example: 8080']],
    ['a data directory that cannot be', { PORT: '0', DATA_DIR: '/dev/null/data' }, ['/dev/null/data', 'DATA_DIR']],
    ['a data directory that cannot be written', { PORT: '0', DATA_DIR: '/proc' }, ['config.invalid', 'DATA_DIR=/proc']],
    [
      'an address that is not its own',
      { PORT: '0', HOST: '203.0.113.1', DATA_DIR: dataDirectory },
      ['203.0.113.1', 'HOST, PORT', 'example'],
    ],
  ])(
    'exits with the reason: %s',
    async (_what, environment, words) => {
      const { code, log, complaint } = await runMain(environment);
      expect(code).toBe(1);
      // That engines were not ready yet is no error beside the one that there was.
      expect(log).not.toContain('"err"');
      for (const word of words) expect(complaint).toContain(word);
      expect(complaint).not.toContain('    at ');
    },
    60_000,
  );

  it('has told nobody, and leaves nothing in the home of its user', () => {
    // The last of them had its engines loaded. What onnxruntime would report waits in a folder there, beside its identifier.
    expect(readdirSync(home)).toEqual([]);
  });
});

describe('a server that is told to stop', () => {
  it('does so while it starts, too', async () => {
    const child = spawn(process.execPath, ['--import', 'tsx', main], {
      env: { PATH: process.env['PATH'], HOME: home, PORT: '0', DATA_DIR: join(dataDirectory, 'stopped') },
    });
    let log = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (log += chunk));
    await once(child.stdout, 'data');
    child.kill('SIGTERM');
    const [code] = await once(child, 'close');
    expect(code).toBe(0);
    expect(log).toContain('"msg":"stopped"');
  }, 60_000);

  it('lets the call go on, then takes its leave of it, refuses new ones meanwhile, and leaves nothing open', async () => {
    const before = openHandles();
    const cloud = await startEmulatedCloud({ elevenlabs: { firstAudioMs: 20 } });
    const agents = { ada: { name: 'Ada', first_message: 'Hello.' } };
    const server = await startTestServer({ agents, environment: { ...cloud.environment, MEDIA_PORT: '0' } });
    const phone = await Phone.ring({ serverUrl: server.url, agent: 'ada' });
    await phone.waitForAgent({ silenceMs: 300 });
    const closing = server.server.close(500);
    await expect(Phone.ring({ serverUrl: server.url, agent: 'ada' })).rejects.toBeInstanceOf(CallRefused);
    await phone.ended;
    await closing;
    expect(decodeToneSpeech(phone.heard()).text).toContain("I'm sorry, I have to hang up now.");
    expect(server.log.find(({ msg }) => msg === 'call ended')).toMatchObject({
      reason: 'server-shutdown',
      callSid: phone.callSid,
    });
    await server.close();
    await cloud.close();
    await expectNoLeaks(before);
  }, 30_000);

  it('still takes the call whose webhook it had answered', async () => {
    const server = await startTestServer({ agents: { ada: { name: 'Ada', first_message: 'Hello.' } } });
    const announced = await ringWebhook({ serverUrl: server.url, agent: 'ada' });
    const closing = server.server.close(10_000);
    await new Promise((resolve) => setTimeout(resolve, 250));
    const phone = await Phone.dialStream(announced);
    await phone.waitForAgent({ silenceMs: 300 });
    await phone.hangUp();
    await closing;
    await server.close();
  }, 30_000);
});
