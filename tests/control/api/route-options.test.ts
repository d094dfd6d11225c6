/** Route options by themselves: access that nobody declared, and routes that go away. */
import Fastify from 'fastify';
import { afterEach, describe, expect, it } from 'vitest';
import { installGuard } from '../../../src/control/auth/guard.ts';
import type { GuardOptions } from '../../../src/control/auth/guard.ts';
import { installDeprecation } from '../../../src/control/http/deprecation.ts';
import { systemClock } from '../../../src/core/clock.ts';

const app = () => Fastify();
let open: ReturnType<typeof app> | undefined;
afterEach(() => open?.close());

describe('a route', () => {
  it('that does not declare its access keeps the server from starting', () => {
    open = app();
    const nobody = { authenticate: () => Promise.resolve(undefined) } as unknown as GuardOptions['authenticator'];
    installGuard(open, { authenticator: nobody, clock: systemClock, isTrustedOrigin: () => false });
    expect(() => open?.get('/api/v1/forgotten', () => 'open to all')).toThrow(
      'GET /api/v1/forgotten declares no access',
    );
  });

  it('that goes away says since when, until when and what comes instead', async () => {
    open = app();
    installDeprecation(open);
    const deprecated = { since: '2026-01-01', sunset: '2026-07-01T00:00:00Z', link: 'https://example.com/migrate' };
    open.get('/old', { config: { deprecated } }, () => 'still here');
    open.get('/new', () => 'here');
    expect((await open.inject('/old')).headers).toMatchObject({
      deprecation: '@1767225600',
      sunset: 'Wed, 01 Jul 2026 00:00:00 GMT',
      link: '<https://example.com/migrate>; rel="deprecation"',
    });
    expect((await open.inject('/new')).headers['deprecation']).toBeUndefined();
  });
});
