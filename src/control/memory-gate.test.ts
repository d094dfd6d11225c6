import { describe, expect, it, onTestFinished } from 'vitest';
import { VirtualClock } from '../core/clock.ts';
import { memoryLog } from '../core/log.ts';
import { Admission } from './admission.ts';
import { readMemory } from './memory-gate.ts';
import type { MemoryReading } from './memory-gate.ts';

const GIB = 1_024 ** 3;

/** A gate whose memory is what the test says, as shares of 4 GiB of heap and 8 GiB in all. */
function openGate({ maxCalls = 2 } = {}) {
  const clock = new VirtualClock();
  const log = memoryLog();
  const memory = { heap: 0.1, resident: 0.1 };
  let activeCalls = 0;
  let exhausted = 0;
  const read = (): MemoryReading => ({
    heapUsedBytes: memory.heap * 4 * GIB,
    heapLimitBytes: 4 * GIB,
    residentBytes: memory.resident * 8 * GIB,
    residentLimitBytes: 8 * GIB,
  });
  const gate = new Admission({
    clock,
    log,
    maxCalls,
    activeCalls: () => activeCalls,
    readMemory: read,
    onExhausted: () => exhausted++,
  });
  gate.watch();
  onTestFinished(() => gate.close());
  return {
    gate,
    clock,
    memory,
    errors: () => log.lines.filter(({ level }) => level === 'error').map(({ message }) => message),
    infos: () => log.lines.filter(({ level }) => level === 'info').map(({ message }) => message),
    exhausted: () => exhausted,
    setCalls: (count: number) => (activeCalls = count),
    /** Lets seconds pass with these shares in use. */
    use: (shares: Partial<typeof memory>, seconds = 1): void => {
      Object.assign(memory, shares);
      clock.advance(seconds * 1_000 + 50);
    },
  };
}

describe('the gate before a call', () => {
  it('is closed while as many calls run as may, and once the server drains', () => {
    const { gate, setCalls } = openGate();
    expect(gate.closedBecause).toBeUndefined();
    setCalls(2);
    expect(gate.closedBecause).toContain('MAX_CALLS');
    expect(() => gate.check('a')).toThrow(expect.objectContaining({ code: 'capacity', retryAfterMs: 5_000 }));
    setCalls(1);
    gate.check('a');
    gate.drain();
    expect(gate.closedBecause).toContain('shutting down');
  });

  it('counts calls that are about to come, until they have come or are too late', () => {
    const { gate, setCalls, use } = openGate();
    const arrived = gate.expect({ channel: 'phone', orgId: 'a' });
    gate.expect({ channel: 'phone', orgId: 'a' });
    expect(gate.closedBecause).toContain('MAX_CALLS');
    arrived();
    setCalls(1);
    expect(gate.closedBecause).toContain('MAX_CALLS');
    arrived();
    expect(gate.closedBecause).toContain('MAX_CALLS');
    // The other one never came.
    use({}, 61);
    expect(gate.closedBecause).toBeUndefined();
  });

  it.each([{ heap: 0.81 }, { resident: 0.81 }])('closes when memory is short: %o', (shares) => {
    const { gate, use, errors } = openGate();
    use({ heap: 0.8, resident: 0.8 });
    expect(gate.closedBecause).toBeUndefined();
    use(shares);
    expect(gate.closedBecause).toContain('memory');
    expect(errors()).toEqual(['memory is short; no further call is taken']);
  });

  it('opens again when both are well below, and says so once', () => {
    const { gate, use, errors, infos } = openGate();
    use({ heap: 0.85 });
    use({ heap: 0.75 }, 5);
    expect(gate.closedBecause).toContain('memory');
    use({ heap: 0.6, resident: 0.72 });
    expect(gate.closedBecause).toContain('memory');
    use({ resident: 0.6 });
    expect(gate.closedBecause).toBeUndefined();
    expect([errors().length, infos()]).toEqual([1, ['there is memory again; calls are taken']]);
  });

  it('asks for a new start only when memory stays nearly used up', () => {
    const { use, exhausted } = openGate();
    use({ heap: 0.95 }, 8);
    use({ heap: 0.85 });
    use({ heap: 0.95 }, 8);
    expect(exhausted()).toBe(0);
    use({}, 5);
    expect(exhausted()).toBe(1);
    use({}, 30);
    expect(exhausted()).toBe(1);
  });

  it('leaves no timer behind', () => {
    const { gate, clock } = openGate();
    gate.expect({ channel: 'phone', orgId: 'a' });
    gate.close();
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('what is read of this process', () => {
  it('is positive and below its limits, which the machine has', () => {
    const { heapUsedBytes, heapLimitBytes, residentBytes, residentLimitBytes } = readMemory();
    expect(heapUsedBytes).toBeGreaterThan(0);
    expect(heapUsedBytes).toBeLessThan(heapLimitBytes);
    expect(residentBytes).toBeGreaterThan(heapUsedBytes / 2);
    expect(residentBytes).toBeLessThan(residentLimitBytes);
    // A thousand terabytes would be libuv's word for no limit.
    expect(residentLimitBytes).toBeLessThan(1e15);
  });
});
