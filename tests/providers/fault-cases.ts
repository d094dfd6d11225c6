/** Faults that any vendor can have, whatever it is asked for, and the code by which its adapter must tell of each. */
import { inspect } from 'node:util';
import { expect } from 'vitest';
import type { Faults } from '../../bench/emulators/faults.ts';
import type { BvraiError, ErrorCode } from '../../src/core/errors.ts';
import type { Access } from './emulated.ts';

/** One fault. What is not given is as it should be. */
export interface FaultCase<Request> {
  readonly what: string;
  readonly access?: Partial<Access>;
  /** Of the base URL, after the origin. */
  readonly basePath?: string;
  readonly request?: Partial<Request>;
  readonly faults?: Faults;
  readonly code: ErrorCode;
  readonly retryAfterMs?: number;
}

/** A vendor that cannot be asked, or refuses. */
export function refusals(): FaultCase<never>[] {
  return [
    { what: 'a wrong key', access: { apiKey: 'wrong' }, code: 'provider.auth' },
    { what: 'a key that no header can carry', access: { apiKey: 'line\nbreak' }, code: 'provider.bad-request' },
    { what: 'a base URL that is none', access: { baseUrl: 'vendor' }, code: 'config.invalid' },
    { what: 'a wrong path', basePath: '/nowhere', code: 'provider.bad-request' },
    { what: 'nobody there', access: { baseUrl: 'http://127.0.0.1:1' }, code: 'provider.unavailable' },
    {
      what: '429 with a time to wait',
      faults: { refuse: { status: 429, retryAfterSeconds: 7 } },
      code: 'provider.rate-limited',
      retryAfterMs: 7_000,
    },
    { what: '400', faults: { refuse: { status: 400 } }, code: 'provider.bad-request' },
    { what: '500', faults: { refuse: { status: 500 } }, code: 'provider.overloaded' },
    { what: '529', faults: { refuse: { status: 529 } }, code: 'provider.overloaded' },
    { what: '503', faults: { refuse: { status: 503 } }, code: 'provider.overloaded' },
    { what: 'a redirect', faults: { refuse: { status: 307 } }, code: 'provider.protocol' },
    { what: 'a vendor whose process has died', faults: { refuseConnections: true }, code: 'provider.unavailable' },
  ];
}

/** A vendor that breaks off after some messages. `when`: in words. */
export function breaks(messages: number, when: string): FaultCase<never>[] {
  return [
    { what: `a line cut ${when}`, faults: { closeAfter: { messages, code: 1006 } }, code: 'provider.closed' },
    { what: `a reset ${when}`, faults: { resetAfter: messages }, code: 'provider.closed' },
    { what: `garbage ${when}`, faults: { garbageAfter: messages }, code: 'provider.protocol' },
  ];
}

/** A vendor that closes its WebSocket in due form after some messages. */
export function closes(messages: number, when: string): FaultCase<never>[] {
  const closing = (code: number): Faults => ({ closeAfter: { messages, code } });
  return [
    { what: `a close with 1000 ${when}`, faults: closing(1000), code: 'provider.closed' },
    { what: `a close with 1008 ${when}`, faults: closing(1008), code: 'provider.bad-request' },
    { what: `a close with 1011 ${when}`, faults: closing(1011), code: 'provider.overloaded' },
  ];
}

/** What holds of every failure: the wait that the vendor asked for, if it did, and not a word of the key, also not to the log. */
export function expectTold(error: BvraiError, { retryAfterMs }: FaultCase<unknown>, apiKey: string): void {
  expect(error.retryAfterMs).toBe(retryAfterMs);
  // As a log shows it, with its causes; escaped there as here.
  expect(inspect(error, { depth: 10 })).not.toContain(inspect(apiKey).slice(1, -1));
}
