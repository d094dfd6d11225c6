import { afterEach, describe, expect, it } from 'vitest';
import { startElevenLabsEmulator } from '../../bench/emulators/elevenlabs.ts';
import type { ElevenLabsEmulator } from '../../bench/emulators/elevenlabs.ts';
import { listVoices } from '../../src/pipeline/providers/elevenlabs/voices.ts';

let emulator: ElevenLabsEmulator;

afterEach(async () => {
  await emulator.close();
});

const NEVER = new AbortController().signal;

describe('the voices of an account', () => {
  it('are listed by the SDK, once asked for', async () => {
    emulator = await startElevenLabsEmulator();
    const { apiKey } = emulator.settings;
    expect(await listVoices({ apiKey, baseUrl: emulator.url }, NEVER)).toEqual([
      {
        id: 'JBFqnCBsd6RMkjVDRZzb',
        name: 'George',
        category: 'premade',
        labels: { accent: 'British', gender: 'male' },
      },
      { id: 'emulated-clone', name: 'Somebody', category: 'cloned', labels: {} },
    ]);
  });

  it.each([
    ['a wrong key', 'wrong', {}, 'provider.auth'],
    ['500, without trying again', undefined, { refuse: { status: 500 } }, 'provider.overloaded'],
    ['429, without trying again', undefined, { refuse: { status: 429 } }, 'provider.rate-limited'],
    ['something else than a list', undefined, { garbageAfter: 0 }, 'provider.protocol'],
    ['a cut line', undefined, { closeAfter: { messages: 0, code: 1006 } }, 'provider.unavailable'],
  ] as const)('cannot be had: %s', async (_what, key, faults, code) => {
    emulator = await startElevenLabsEmulator({ faults });
    const apiKey = key ?? emulator.settings.apiKey;
    await expect(listVoices({ apiKey, baseUrl: emulator.url }, NEVER)).rejects.toMatchObject({ code });
    expect(emulator.requests).toHaveLength(1);
  });

  it('are given up on when nobody wants them any more', async () => {
    emulator = await startElevenLabsEmulator({ faults: { hang: true } });
    const { apiKey } = emulator.settings;
    const asking = listVoices({ apiKey, baseUrl: emulator.url }, AbortSignal.timeout(30));
    await expect(asking).rejects.toMatchObject({ code: 'aborted' });
  });
});
