/** `npm run voices` and `npm run transcribe`, over the vendors' emulated wires. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { startDeepgramEmulator } from '../bench/emulators/deepgram.ts';
import { startElevenLabsEmulator } from '../bench/emulators/elevenlabs.ts';
import { encodeStereoWav } from '../bench/phone/wav.ts';
import { readConfig } from '../src/config.ts';
import { run } from '../src/vendor-tools.ts';
import { silence, speech } from './providers/harness.ts';
import { decodeMulaw } from './support/wav.ts';

const closing: (() => Promise<unknown>)[] = [];
const NEVER = new AbortController().signal;

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

async function withDeepgram() {
  const deepgram = await startDeepgramEmulator({
    recordingDelayMs: 0,
    transcripts: ({ url, index }) =>
      (url.endsWith('#channel=1') ? ['Ada here.'] : ['Hello there.', 'Ada.'])[index] ?? '',
  });
  closing.push(() => deepgram.close());
  return readConfig({ DEEPGRAM_API_KEY: deepgram.settings.apiKey, DEEPGRAM_BASE_URL: deepgram.url }, tmpdir());
}

async function recordingFile(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'bvrai-tools-'));
  closing.push(() => rm(folder, { recursive: true }));
  const sides = [
    [speech(1_000), silence(2_500), speech(500)],
    [silence(1_500), speech(1_000), silence(1_500)],
  ].map((parts) => decodeMulaw(Buffer.concat(parts)));
  const path = join(folder, 'call.wav');
  await writeFile(path, encodeStereoWav(sides[0] ?? new Int16Array(), sides[1] ?? new Int16Array()));
  return path;
}

describe('what an operator asks of a vendor', () => {
  it('lists the voices that an agent may name', async () => {
    const elevenlabs = await startElevenLabsEmulator();
    closing.push(() => elevenlabs.close());
    const config = readConfig(
      { ELEVENLABS_API_KEY: elevenlabs.settings.apiKey, ELEVENLABS_BASE_URL: elevenlabs.url },
      tmpdir(),
    );
    expect(await run(['voices'], config, NEVER)).toBe(
      'voice                 name      kind\n' +
        'JBFqnCBsd6RMkjVDRZzb  George    premade, British, male\n' +
        'emulated-clone        Somebody  cloned\n',
    );
  });

  it('writes down a recorded call, each party apart', async () => {
    const config = await withDeepgram();
    expect(await run(['transcribe', await recordingFile()], config, NEVER)).toBe(
      '    0.0  channel 0  Hello there.\n    1.5  channel 1  Ada here.\n    3.5  channel 0  Ada.\n',
    );
  });

  it('writes down what all channels hold together', async () => {
    const config = await withDeepgram();
    const text = await run(['transcribe', '--mixed', await recordingFile()], config, NEVER);
    expect(text).toMatch(/^ {4}0\.0 {2}Hello there\.\n/u);
    expect(text).not.toContain('channel');
  });

  it.each([
    ['no command', [], 'usage: npm run voices'],
    ['a command that is none', ['sing'], 'usage: npm run voices'],
    ['no recording', ['transcribe'], 'usage: npm run voices'],
    ['an option that is none', ['voices', '--loud'], 'usage: npm run voices'],
    ['a file that is none', ['transcribe', 'nowhere.wav'], 'The recording nowhere.wav cannot be read.'],
    ['a vendor without a key', ['voices'], 'This asks elevenlabs, which needs ELEVENLABS_API_KEY.'],
  ] as const)('says what is wrong: %s', async (_what, args, message) => {
    const config = await withDeepgram();
    await expect(run(args, config, NEVER)).rejects.toMatchObject({
      code: 'config.invalid',
      message: expect.stringContaining(message) as string,
    });
  });
});
