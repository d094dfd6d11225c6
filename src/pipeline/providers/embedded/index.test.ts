import { afterEach, describe, expect, it } from 'vitest';
import { VirtualClock, systemClock } from '../../../core/clock.ts';
import { memoryLog } from '../../../core/log.ts';
import { createEmbeddedEngines } from './index.ts';
import type { EmbeddedEngines } from './index.ts';
import { openSpeaker, speak, testContext, LONG_WORK } from './testing.ts';

const workers = () => process.getActiveResourcesInfo().filter((kind) => /worker|messageport/i.test(kind)).length;

let engines: EmbeddedEngines | undefined;
afterEach(() => engines?.close());

describe('the embedded engines', () => {
  it('start together, say how long each took, and leave nothing behind', LONG_WORK, async () => {
    const before = workers();
    const log = memoryLog();
    engines = createEmbeddedEngines({ log, clock: systemClock });
    expect(workers()).toBe(before);
    await engines.warm();
    expect(workers()).toBeGreaterThan(before);
    const times = log.lines.map(({ fields }) => `${String(fields['engine'])} ${String(fields['startupMs'])} ms`);
    console.log(`embedded engines ready: ${times.join(', ')}`);
    expect(times).toHaveLength(3);
    await engines.close();
    expect(workers()).toBe(before);
  });

  it('do not keep anybody waiting whom they cannot serve: warming ends with the engines, and at its deadline', async () => {
    const clock = new VirtualClock();
    engines = createEmbeddedEngines({ log: memoryLog(), clock });
    const [ended] = await Promise.allSettled([engines.warm(), engines.close()]);
    expect(ended).toMatchObject({ status: 'rejected', reason: { code: 'engine.unavailable' } });
    expect(clock.pendingTimers).toBe(0);

    engines = createEmbeddedEngines({ log: memoryLog(), clock });
    const late = engines.warm();
    clock.advance(120_000);
    await expect(late).rejects.toThrow('did not start within 120000 ms');
  });

  it('serve without being warmed', LONG_WORK, async () => {
    engines = createEmbeddedEngines({ log: memoryLog(), clock: systemClock });
    expect((await speak(openSpeaker(engines.tts, 'slt', testContext()), 'u', 'Hello.')).length).toBeGreaterThan(1000);
  });

  it('fail plainly once closed', async () => {
    engines = createEmbeddedEngines({ log: memoryLog(), clock: systemClock });
    await engines.close();
    const speaking = openSpeaker(engines.tts, 'slt', testContext());
    speaking.stream.speak('u', 'Hello.');
    speaking.stream.finish('u');
    expect(await speaking.spoken.until((part) => part.type !== 'audio-chunk')).toMatchObject({
      type: 'utterance-failed',
    });
    await expect(engines.warm()).rejects.toMatchObject({ code: 'engine.unavailable' });
  });
});
