import { describe, expect, it } from 'vitest';
import { fixtureAudio } from '../../../tests/support/speech-fixtures.ts';
import { hear } from '../../../tests/support/vad.ts';
import { systemClock } from '../../core/clock.ts';
import { memoryLog } from '../../core/log.ts';
import { loadVad } from './load.ts';

describe('loadVad', () => {
  it('loads Silero, without a word', async () => {
    const log = memoryLog();
    const engine = await loadVad(log, { clock: systemClock });
    expect(engine.name).toBe('silero');
    expect(log.lines).toEqual([]);
    await engine.close();
  });

  it('falls back to energy when onnxruntime cannot be loaded, and says why', async () => {
    const log = memoryLog();
    const importRuntime = () => import(new URL('no-such-runtime.js', import.meta.url).href);
    const engine = await loadVad(log, { clock: systemClock, importRuntime });
    expect(engine.name).toBe('energy');
    expect(log.lines).toMatchObject([
      { level: 'warn', fields: { code: 'engine.unavailable', reason: expect.stringContaining('no-such-runtime') } },
    ]);
    const heard = await hear(engine, fixtureAudio('cards-005.wav').mulaw());
    expect(heard[0]?.type).toBe('speech-started');
    await engine.close();
  });

  it('falls back when the weights are missing, and says why', async () => {
    const log = memoryLog();
    const engine = await loadVad(log, { clock: systemClock, modelPath: 'no-such-model.onnx' });
    expect(engine.name).toBe('energy');
    expect(log.lines[0]?.fields['reason']).toContain('no-such-model.onnx');
    await engine.close();
  });

  it('loads nothing when energy is asked for', async () => {
    const engine = await loadVad(memoryLog(), {
      clock: systemClock,
      engine: 'energy',
      importRuntime: () => expect.unreachable('the runtime was loaded'),
    });
    expect(engine.name).toBe('energy');
    await engine.close();
  });
});
