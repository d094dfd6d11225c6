import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../core/clock.ts';
import { learnedConnecting } from './learned-wait.ts';
import { CONNECT } from './times.ts';

function setUp() {
  const clock = new VirtualClock();
  const { connection, session } = learnedConnecting(clock);
  return { clock, connection, session };
}

describe('how long a connection may take', () => {
  it('is a second until twenty have been made, then three times what is usual', () => {
    const { connection } = setUp();
    for (let sample = 0; sample < 19; sample++) connection.took(200);
    expect(connection.limitMs).toBe(1_000);
    connection.took(200);
    expect(connection.limitMs).toBe(600);
  });

  it('stays within its bounds, whatever the provider does', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 20_000 }), { minLength: 20, maxLength: 80 }), (waits) => {
        const { connection } = setUp();
        for (const waitMs of waits) {
          connection.took(waitMs);
          expect(connection.limitMs).toBeGreaterThanOrEqual(CONNECT.minMs);
          expect(connection.limitMs).toBeLessThanOrEqual(CONNECT.maxMs);
        }
      }),
    );
  });

  it('follows a provider that has become slower than it allows', () => {
    const { connection } = setUp();
    for (let sample = 0; sample < 40; sample++) connection.took(30);
    expect(connection.limitMs).toBe(CONNECT.minMs);
    // Each connection now takes 900 ms; of those that are given up only that is known for which they were waited.
    for (let sample = 0; sample < 60; sample++) connection.took(Math.min(connection.limitMs, 900));
    expect(connection.limitMs).toBeGreaterThan(900);
  });

  it('does not take a tail for the usual', () => {
    const { connection } = setUp();
    for (let sample = 0; sample < 100; sample++) connection.took(sample % 16 === 0 ? 3_000 : 100);
    expect(connection.limitMs).toBe(3 * 1.5 * 100);
  });

  it('forgets what was ten minutes ago', () => {
    const { clock, connection } = setUp();
    for (let sample = 0; sample < 20; sample++) connection.took(30);
    clock.advance(10 * 60_000 + 1);
    expect(connection.limitMs).toBe(CONNECT.initialMs);
  });

  it('is another matter than how long a session may take to begin', () => {
    const { connection, session } = setUp();
    for (let sample = 0; sample < 20; sample++) session.took(300);
    expect(session.limitMs).toBe(900);
    expect(connection.limitMs).toBe(CONNECT.initialMs);
  });
});
