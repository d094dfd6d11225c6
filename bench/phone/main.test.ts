import { execFile } from 'node:child_process';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mulawEncode } from './audio.ts';
import { type FakeServer, startFakeServer } from './fake-server.ts';
import { encodeStereoWav } from './wav.ts';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));
const tone = (durationMs: number): Int16Array =>
  Int16Array.from({ length: durationMs * 8 }, (_, i) => 12_000 * Math.sin(i / 2));

interface Run {
  readonly code: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

function call(...args: string[]): Promise<Run> {
  return new Promise((resolve) => {
    execFile(process.execPath, ['--import', 'tsx', MAIN, ...args], { timeout: 30_000 }, (error, stdout, stderr) => {
      resolve({ code: error ? (error.code ?? 'killed') : 0, stdout, stderr });
    });
  });
}

describe('npm run call', () => {
  let folder: string;
  let wav: string;
  /** Greets, and answers every stretch of loud caller audio with a beep; the mute one only greets. */
  let server: FakeServer;
  let mute: FakeServer;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'phone-call-'));
    wav = join(folder, 'question.wav');
    await writeFile(wav, encodeStereoWav(tone(200), tone(200)));
    const silence = Buffer.alloc(160, 0xff).toString('base64');
    let wasLoud = false;
    server = await startFakeServer({
      onStart: (stream) => stream.media(mulawEncode(tone(200))),
      onMessage(stream, { message }) {
        if (message['event'] !== 'media') return;
        const isLoud = !JSON.stringify(message).includes(silence);
        if (isLoud && !wasLoud) stream.clear();
        if (!isLoud && wasLoud) stream.media(mulawEncode(tone(1500)));
        wasLoud = isLoud;
      },
    });
    mute = await startFakeServer({ onStart: (stream) => stream.media(mulawEncode(tone(200))) });
  });
  afterAll(async () => {
    await Promise.all([server.close(), mute.close()]);
    await rm(folder, { recursive: true });
  });

  it('holds a conversation with a barge-in, reports it and records it', async () => {
    const out = join(folder, 'out', 'call.wav');
    const run = await call('--url', server.url, '--agent', 'x', '--say', wav, '--barge-in', wav, '--out', out);
    expect(run).toMatchObject({ code: 0, stderr: '' });
    expect(run.stdout).toMatch(
      /agent {4}answers after \d+ ms[^]*server {3}clears \d+ ms[^]*agent {4}answers after \d+ ms/,
    );
    expect(run.stdout).toMatch(/question\.wav +200 ms +– +\d+ ms\nquestion\.wav +200 ms +\d+ ms +\d+ ms\n/);
    expect((await stat(out)).size).toBeGreaterThan(44 + 2 * 8000 * 4);
    expect(server.webhooks[0]?.path).toBe('/twilio/voice?agent=x');
  });

  it('fails with the reason when an answer does not come', async () => {
    const run = await call('--url', mute.url, '--say', wav, '--timeout', '2');
    expect(run.code).toBe(1);
    expect(run.stderr).toContain(
      `FAILED: no answer to ${wav}: gave up waiting for the agent to speak and finish (2000 ms)`,
    );
    expect(run.stdout).toMatch(/question\.wav +200 ms +– +–\n/);
  });

  it('explains wrong usage', async () => {
    const [nothing, missing, unknown, unreachable] = await Promise.all([
      call(),
      call('--say', join(folder, 'no.wav')),
      call('--shout', wav),
      call('--url', 'http://127.0.0.1:1', '--say', wav),
    ]);
    expect(nothing).toMatchObject({ code: 2, stderr: expect.stringContaining('at least one --say') });
    expect(missing).toMatchObject({ code: 2, stderr: expect.stringContaining('no.wav: no such file') });
    expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining("'--shout'") });
    expect(unreachable).toMatchObject({ code: 1, stderr: expect.stringContaining('connection refused') });
  });
});
