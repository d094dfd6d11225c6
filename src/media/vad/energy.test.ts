import { describe, expect, it } from 'vitest';
import { fixtureAudio, speechFixtures } from '../../../tests/support/speech-fixtures.ts';
import { hear, onLine } from '../../../tests/support/vad.ts';
import { EnergyVadEngine } from './energy.ts';
import type { VadEvent } from './vad.ts';

describe('EnergyVadEngine', () => {
  it.each(speechFixtures)('finds the voice of $file near its true onset and reports its end', async (fixture) => {
    const engine = new EnergyVadEngine();
    const line = onLine(fixture);
    const heard = await hear(engine, line.mulaw);
    const first = heard.find((event) => event.type === 'speech-started');
    expect(Math.abs((first?.atMs ?? 0) - line.speechStartMs)).toBeLessThan(150);
    expect(heard.at(-1)?.type).toBe('speech-ended');
    await engine.close();
  });

  it('learns a steady noise', async () => {
    const engine = new EnergyVadEngine();
    expect(await hear(engine, fixtureAudio('noise-pink.wav').mulaw())).toEqual([]);
    await engine.close();
  });

  it('tells of speech within the write that completes it, and of nothing after its close', () => {
    const engine = new EnergyVadEngine();
    const events: VadEvent[] = [];
    const detector = engine.createDetector({
      onEvent(event) {
        events.push(event);
        detector.close();
      },
    });
    const audio = fixtureAudio('cards-005.wav').mulaw();
    detector.write(audio);
    expect(events.map((event) => event.type)).toEqual(['speech-started']);
    detector.write(audio);
    expect(events).toHaveLength(1);
  });
});
