/** API keys and their revocation in every server; log-in throttling; who leaves loses their rights at once. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VirtualClock } from '../../../src/core/clock.ts';
import { DEFAULT_LOGIN_QUOTAS } from '../../../src/control/auth/login-throttle.ts';
import { BvraiError } from '../../../src/core/errors.ts';
import { startTestApi } from '../../support/api.ts';
import type { TestAccount, TestApi } from '../../support/api.ts';

let api: TestApi;
let other: TestApi;
let ada: TestAccount;
beforeAll(async () => {
  api = await startTestApi();
  other = await api.another();
  ada = await api.register();
}, 60_000);
afterAll(() => api.close());

const makeKey = async (scopes: readonly string[], more: object = {}) => {
  const made = await api.call({
    method: 'POST',
    url: '/api/v1/api-keys',
    token: ada.accessToken,
    body: { name: 'Key', scopes, ...more },
  });
  expect(made.status).toBe(201);
  return { key: String(made.body.key), id: String(made.body.id) };
};
const useKey = (server: TestApi, token: string) => server.call({ url: '/api/v1/agents', token });
/** Both servers share one embedded database, whose notifications reach both; on Postgres they are servers of their own. */
const WITHIN = { timeout: 1_000, interval: 10 };

describe('an API key', () => {
  it('is shown once, kept as a hash, and works at once', async () => {
    const { key, id } = await makeKey(['agents:read']);
    expect(key).toMatch(/^bv_live_[0-9a-f]{20}_[\w-]{43}$/u);
    expect((await useKey(api, key)).status).toBe(200);
    const shown = await api.call({ url: `/api/v1/api-keys/${id}`, token: ada.accessToken });
    expect(JSON.stringify(shown.body)).not.toContain(key);
    expect(key.startsWith(String(shown.body.prefix))).toBe(true);
    const rows = await api.rows(ada.organizationId, `SELECT * FROM api_keys WHERE id = '${id}'`);
    expect(rows).toHaveLength(1);
    expect(JSON.stringify(rows)).not.toContain(key.slice(-43));
  });

  it('does what its scopes say: write includes read, nothing else is included', async () => {
    const { key } = await makeKey(['agents:write']);
    expect((await useKey(api, key)).status).toBe(200);
    expect(
      (await api.call({ method: 'POST', url: '/api/v1/agents', token: key, body: { name: 'By key' } })).status,
    ).toBe(201);
    const refused = await api.call({ url: '/api/v1/phone-numbers', token: key });
    expect(refused).toMatchObject({
      status: 403,
      body: { code: 'forbidden', detail: expect.stringContaining('phone-numbers:read') },
    });
    expect(
      (
        await api.call({
          method: 'POST',
          url: '/api/v1/api-keys',
          token: key,
          body: { name: 'k', scopes: ['agents:read'] },
        })
      ).status,
    ).toBe(403);
  });

  it('is refused with another secret, or the secret of another key', async () => {
    const [one, two] = [await makeKey(['agents:read']), await makeKey(['agents:read'])];
    expect((await useKey(api, one.key)).status).toBe(200);
    const mixed = one.key.slice(0, -43) + two.key.slice(-43);
    expect((await useKey(api, mixed)).status).toBe(401);
  });

  it('ends when it expires', async () => {
    const soon = new Date(Date.now() + 2_000).toISOString();
    const { key } = await makeKey(['agents:read'], { expires_at: soon });
    expect((await useKey(api, key)).status).toBe(200);
    await expect.poll(async () => (await useKey(api, key)).status, { timeout: 15_000, interval: 100 }).toBe(401);
    const past = await api.call({
      method: 'POST',
      url: '/api/v1/api-keys',
      token: ada.accessToken,
      body: { name: 'k', scopes: ['agents:read'], expires_at: '2020-01-01T00:00:00Z' },
    });
    expect(past).toMatchObject({ status: 422, body: { errors: [{ pointer: '/expires_at' }] } });
  });

  it('is refused here with the next request after its revocation, and within a second by every other server', async () => {
    for (let round = 0; round < 5; round++) {
      const { key, id } = await makeKey(['agents:read']);
      expect([(await useKey(api, key)).status, (await useKey(other, key)).status]).toEqual([200, 200]);
      const revoked = await api.call({ method: 'DELETE', url: `/api/v1/api-keys/${id}`, token: ada.accessToken });
      expect(revoked.status).toBe(204);
      expect((await useKey(api, key)).status).toBe(401);
      await expect.poll(async () => (await useKey(other, key)).status, WITHIN).toBe(401);
    }
  });

  it('shows when it was used last', async () => {
    const { key, id } = await makeKey(['agents:read']);
    const lastUsed = async () =>
      (await api.call({ url: `/api/v1/api-keys/${id}`, token: ada.accessToken })).body.last_used_at as unknown;
    expect(await lastUsed()).toBeNull();
    await useKey(api, key);
    await expect.poll(lastUsed, { timeout: 5_000 }).not.toBeNull();
  });
});

describe('wrong credentials', () => {
  const clock = new VirtualClock();
  let counted: TestApi;
  let lookUps = 0;
  let isAway = false;
  beforeAll(async () => {
    const { database } = api.database;
    const asked: typeof database = {
      ...database,
      listen: (listener) => database.listen(listener),
      withConnection: (work) => {
        lookUps++;
        return isAway ? Promise.reject(new BvraiError('db.unavailable', 'planted')) : database.withConnection(work);
      },
    };
    counted = await api.another({ clock, database: asked });
  });
  /** Of a form that is looked up; nobody's. */
  const madeUp = (): string => `bv_live_${randomBytes(10).toString('hex')}_${'x'.repeat(43)}`;
  const use = async (token: string, address: string): Promise<number> =>
    (await counted.call({ url: '/api/v1/agents', token, address })).status;
  const tally = (statuses: readonly number[]): Record<string, number> =>
    statuses.reduce<Record<string, number>>((sums, status) => ({ ...sums, [status]: (sums[status] ?? 0) + 1 }), {});

  it('cost a network 60 look-ups a minute, also when they all come at once', async () => {
    lookUps = 0;
    const statuses = await Promise.all(Array.from({ length: 200 }, () => use(madeUp(), '192.0.2.20')));
    expect(tally(statuses)).toEqual({ 401: 60, 429: 140 });
    expect(lookUps).toBe(60);
    // A right one of the same network, which must be looked up, waits; of another it does not.
    const { key } = await makeKey(['agents:read']);
    expect(await use(key, '192.0.2.20')).toBe(429);
    expect(await use(key, '192.0.2.21')).toBe(200);
    clock.advance(60_000);
    expect(await use((await makeKey(['agents:read'])).key, '192.0.2.20')).toBe(200);
  });

  it('keep out nobody of the same network who has a token of ours, or a key that has been right', async () => {
    const address = '192.0.2.24';
    const [{ key }, { key: revoked, id }] = [await makeKey(['agents:read']), await makeKey(['agents:read'])];
    expect([await use(key, address), await use(revoked, address)]).toEqual([200, 200]);
    await api.call({ method: 'DELETE', url: `/api/v1/api-keys/${id}`, token: ada.accessToken });
    await expect.poll(() => use(revoked, address), WITHIN).toBe(401);
    // Who goes on with it costs no look-ups.
    lookUps = 0;
    for (let n = 0; n < 100; n++) expect(await use(n % 2 === 0 ? revoked : `no-token-of-ours-${n}`, address)).toBe(401);
    expect(lookUps).toBe(0);
    expect(await use((await makeKey(['agents:read'])).key, address)).toBe(200);

    await Promise.all(Array.from({ length: 60 }, () => use(madeUp(), address)));
    expect(await use(madeUp(), address)).toBe(429);
    // What is known of the key is too old after half a minute.
    for (const waitMs of [0, 31_000]) {
      clock.advance(waitMs);
      expect([await use(key, address), await use(ada.accessToken, address)]).toEqual([200, 200]);
      expect(await use(madeUp(), address)).toBe(429);
    }
  });

  it('are none of those that are right, or that the database could not be asked about', async () => {
    const keys: string[] = [];
    for (let n = 0; n < 31; n++) keys.push((await makeKey(['agents:read'])).key);
    // Half a minute later what is known of a key is too old, and it is looked up again.
    for (const waitMs of [0, 30_000]) {
      clock.advance(waitMs);
      lookUps = 0;
      expect(tally(await Promise.all(keys.map((key) => use(key, '192.0.2.22'))))).toEqual({ 200: 31 });
      expect(lookUps).toBeGreaterThanOrEqual(31);
    }
    isAway = true;
    for (let n = 0; n < 70; n++) expect(await use(madeUp(), '192.0.2.22')).toBe(503);
    isAway = false;
    expect(await use(madeUp(), '192.0.2.22')).toBe(401);
  });
});

describe('rights that end', () => {
  it('end for a removed member with the next request, in every server', async () => {
    const member = await api.join(ada, 'member');
    const me = (server: TestApi) => server.call({ url: '/api/v1/auth/me', token: member.accessToken });
    expect([(await me(api)).status, (await me(other)).status]).toEqual([200, 200]);
    await api.call({ method: 'DELETE', url: `/api/v1/members/${member.userId}`, token: ada.accessToken });
    expect((await me(api)).status).toBe(401);
    await expect.poll(async () => (await me(other)).status, WITHIN).toBe(401);
    const refresh = { refresh_token: member.refreshToken };
    expect((await api.call({ method: 'POST', url: '/api/v1/auth/refresh', body: refresh })).status).toBe(401);
  });

  it('shrink for a member whose role is lowered with the next request, in every server', async () => {
    const admin = await api.join(ada, 'admin');
    const audit = (server: TestApi) => server.call({ url: '/api/v1/audit-log', token: admin.accessToken });
    expect([(await audit(api)).status, (await audit(other)).status]).toEqual([200, 200]);
    const lowered = await api.call({
      method: 'PATCH',
      url: `/api/v1/members/${admin.userId}`,
      token: ada.accessToken,
      body: { role: 'viewer' },
    });
    expect(lowered.status).toBe(200);
    expect((await audit(api)).status).toBe(403);
    await expect.poll(async () => (await audit(other)).status, WITHIN).toBe(403);
  });

  it('end for a session that was logged out, in every server', async () => {
    const account = await api.register();
    const me = (server: TestApi) => server.call({ url: '/api/v1/auth/me', token: account.accessToken });
    expect((await me(other)).status).toBe(200);
    await api.call({ method: 'POST', url: '/api/v1/auth/logout', token: account.accessToken, body: {} });
    await expect.poll(async () => (await me(other)).status, WITHIN).toBe(401);
  });
});

describe('log-in throttling', () => {
  let throttled: TestApi;
  const clock = new VirtualClock();
  beforeAll(async () => {
    throttled = await startTestApi({ api: { clock, loginQuotas: DEFAULT_LOGIN_QUOTAS } });
  }, 60_000);
  afterAll(() => throttled.close());

  const login = (email: string, password: string, address: string) =>
    throttled.call({ method: 'POST', url: '/api/v1/auth/login', body: { email, password }, address });

  it('stops guesses at one account from one address, whether there is such an account or not', async () => {
    const bob = await throttled.register('bob@example.com');
    for (const email of [bob.email, 'nobody@example.com']) {
      const statuses: number[] = [];
      for (let guess = 0; guess < 7; guess++) statuses.push((await login(email, 'guess', '192.0.2.1')).status);
      expect(statuses).toEqual([401, 401, 401, 401, 401, 429, 429]);
    }
    const refused = await login(bob.email, bob.password, '192.0.2.1');
    expect(refused.status).toBe(429);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    // From elsewhere the owner still gets in; here too, after a while.
    expect((await login(bob.email, bob.password, '192.0.2.2')).status).toBe(200);
    clock.advance(301_000);
    expect((await login(bob.email, bob.password, '192.0.2.1')).status).toBe(200);
  });

  it('stops one address that tries many accounts, and many addresses that try one', async () => {
    clock.advance(3_600_000);
    const byAddress: number[] = [];
    for (let n = 0; n < 62; n++) byAddress.push((await login(`victim-${n}@example.com`, 'guess', '192.0.2.9')).status);
    expect(byAddress.slice(0, 60).every((status) => status === 401)).toBe(true);
    expect(byAddress.slice(60)).toEqual([429, 429]);
    clock.advance(3_600_000);
    const byAccount: number[] = [];
    for (let n = 0; n < 32; n++) byAccount.push((await login('victim@example.com', 'guess', `198.51.100.${n}`)).status);
    expect(byAccount.slice(30)).toEqual([429, 429]);
  });

  it('lets one address keep nobody out, however often it tries', async () => {
    clock.advance(3_600_000);
    const owner = await throttled.register('owner@example.com');
    clock.advance(3_600_000);
    const statuses: number[] = [];
    for (let guess = 0; guess < 70; guess++) statuses.push((await login(owner.email, 'guess', '192.0.2.6')).status);
    expect(statuses.filter((status) => status !== 429)).toHaveLength(5);
    expect((await login(owner.email, owner.password, '192.0.2.7')).status).toBe(200);
    // Nor the others of its own network.
    expect((await login('somebody-else@example.com', 'guess', '192.0.2.6')).status).toBe(401);
  });

  it('forgives mistakes once the password was right', async () => {
    clock.advance(3_600_000);
    const eve = await throttled.register('eve@example.com');
    clock.advance(3_600_000);
    for (let n = 0; n < 4; n++) await login(eve.email, 'mistyped', '192.0.2.5');
    expect((await login(eve.email, eve.password, '192.0.2.5')).status).toBe(200);
    for (let n = 0; n < 4; n++) expect((await login(eve.email, 'mistyped', '192.0.2.5')).status).toBe(401);
  });
});
