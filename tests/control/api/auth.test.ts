/** Accounts and sessions: registering, logging in, refreshing, logging out, and every way in which a token can be wrong. */
import { createHmac } from 'node:crypto';
import { SignJWT, UnsecuredJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { deriveKey } from '../../../src/control/auth/secrets.ts';
import { findLogin } from '../../../src/control/db/lookups.ts';
import { TEST_SECRET, startTestApi } from '../../support/api.ts';
import type { TestAccount, TestApi } from '../../support/api.ts';

let api: TestApi;
let ada: TestAccount;
beforeAll(async () => {
  api = await startTestApi();
  ada = await api.register('Ada@Example.com');
});
afterAll(() => api.close());

const login = (body: object) => api.call({ method: 'POST', url: '/api/v1/auth/login', body });
const refresh = (refresh_token: string, organization_id?: string) =>
  api.call({ method: 'POST', url: '/api/v1/auth/refresh', body: { refresh_token, organization_id } });
const me = (token: string) => api.call({ url: '/api/v1/auth/me', token });

describe('registering', () => {
  it('makes a user and an organization, and opens a session', async () => {
    const body = { email: 'new@example.com', password: 'long enough for it', name: 'New', organization_name: 'Org' };
    const response = await api.call({ method: 'POST', url: '/api/v1/auth/register', body });
    expect(response.status).toBe(201);
    expect(response.body).toMatchObject({
      access_token: expect.any(String),
      refresh_token: expect.any(String),
      user: { id: expect.any(String), email: 'new@example.com', name: 'New' },
      organization: { id: expect.any(String), name: 'Org', role: 'owner' },
    });
    expect(response.headers['cache-control']).toBe('no-store');
    expect((await me(response.body.access_token)).body).toMatchObject({ user: { email: 'new@example.com' } });
  });

  it('refuses an address that has an account, in any case of letters', async () => {
    const body = { email: 'ADA@example.com', password: 'long enough for it', name: 'A', organization_name: 'O' };
    const response = await api.call({ method: 'POST', url: '/api/v1/auth/register', body });
    expect(response.status).toBe(409);
    expect(response.body).toMatchObject({ code: 'conflict', errors: [{ in: 'body', pointer: '/email' }] });
  });

  it('keeps no password in readable form', async () => {
    const found = await api.database.door.beforeTenant((tx) => findLogin(tx, 'ada@example.com'));
    expect(found?.password_hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/u);
  });
});

describe('logging in', () => {
  it('opens a session in the first organization', async () => {
    const response = await login({ email: 'ada@example.com', password: ada.password });
    expect(response.status).toBe(200);
    expect(response.body).toMatchObject({
      user: { id: ada.userId },
      organization: { id: ada.organizationId, role: 'owner' },
    });
  });

  it('says the same of an unknown account as of a wrong password', async () => {
    const wrong = await login({ email: 'ada@example.com', password: 'wrong' });
    const unknown = await login({ email: 'nobody@example.com', password: 'wrong' });
    expect(wrong.status).toBe(401);
    expect({ ...unknown.body, request_id: '' }).toEqual({ ...wrong.body, request_id: '' });
    expect(wrong.headers['www-authenticate']).toContain('Bearer');
  });

  it('refuses an organization that one does not belong to', async () => {
    const other = await api.register();
    const response = await login({
      email: 'ada@example.com',
      password: ada.password,
      organization_id: other.organizationId,
    });
    expect(response.status).toBe(404);
  });
});

describe('access tokens', () => {
  const key = deriveKey(TEST_SECRET, 'access-token');
  const claims = () => ({ org: ada.organizationId, sid: sessionOf(ada.accessToken) });
  const base = (
    overrides: { key?: Uint8Array; audience?: string; issuer?: string; expires?: number | null; typ?: string } = {},
  ) => {
    const token = new SignJWT(claims())
      .setProtectedHeader({ alg: 'HS256', typ: overrides.typ ?? 'at+jwt' })
      .setSubject(ada.userId)
      .setIssuer(overrides.issuer ?? 'bvrai')
      .setAudience(overrides.audience ?? 'bvrai-api')
      .setIssuedAt();
    if (overrides.expires !== null) token.setExpirationTime(overrides.expires ?? Math.floor(Date.now() / 1000) + 60);
    return token.sign(overrides.key ?? key);
  };

  it('are taken when they are ours', async () => {
    expect((await me(await base())).status).toBe(200);
  });

  it.each([
    ['another audience', () => base({ audience: 'somebody-else' })],
    ['another issuer', () => base({ issuer: 'somebody-else' })],
    ['another type', () => base({ typ: 'JWT' })],
    ['a foreign key', () => base({ key: deriveKey('another secret of the tests, as long', 'access-token') })],
    ['the key of another purpose', () => base({ key: deriveKey(TEST_SECRET, 'idempotency') })],
    ['an end in the past', () => base({ expires: Math.floor(Date.now() / 1000) - 1 })],
    ['no end', () => base({ expires: null })],
    [
      'no signature (alg none)',
      () =>
        Promise.resolve(
          new UnsecuredJWT(claims())
            .setSubject(ada.userId)
            .setIssuer('bvrai')
            .setAudience('bvrai-api')
            .setIssuedAt()
            .setExpirationTime('1m')
            .encode(),
        ),
    ],
    ['HS512 with our key', () => Promise.resolve(hs512(key, ada, claims()))],
    ['a changed payload', async () => tampered(await base())],
    ['no form at all', () => Promise.resolve('not-a-token')],
    ['the form of a key', () => Promise.resolve(`bv_live_${'0'.repeat(20)}_${'A'.repeat(43)}`)],
  ])('are refused with %s', async (_what, token) => {
    const response = await me(await token());
    expect(response.status).toBe(401);
    expect(response.body).toMatchObject({ code: 'unauthenticated' });
  });

  it('are refused with another scheme, or none', async () => {
    expect((await api.call({ url: '/api/v1/auth/me' })).status).toBe(401);
    expect((await api.call({ url: '/api/v1/auth/me', headers: { authorization: 'Basic YTpi' } })).status).toBe(401);
  });
});

describe('refresh tokens', () => {
  it('are exchanged once; used again later, they end the session', async () => {
    const first = await api.register();
    const second = await refresh(first.refreshToken);
    expect(second.status).toBe(200);
    const third = await refresh(second.body.refresh_token);
    expect(third.status).toBe(200);
    expect((await me(third.body.access_token)).status).toBe(200);
    // Its successor has been used: somebody else has it too.
    expect((await refresh(first.refreshToken)).status).toBe(401);
    expect((await refresh(third.body.refresh_token)).status).toBe(401);
    expect((await me(third.body.access_token)).status).toBe(401);
    expect((await me(first.accessToken)).status).toBe(401);
  });

  it('can be exchanged again at once when the reply was lost; the lost successor is worth nothing', async () => {
    const first = await api.register();
    const lost = await refresh(first.refreshToken);
    const again = await refresh(first.refreshToken);
    expect(again.status).toBe(200);
    expect((await me(again.body.access_token)).status).toBe(200);
    expect((await refresh(lost.body.refresh_token)).status).toBe(401);
    expect((await refresh(again.body.refresh_token)).status).toBe(401);
  });

  it('leave exactly one session behind when two exchange the same at once', async () => {
    const { refreshToken, organizationId } = await api.register();
    const answers = await Promise.all([refresh(refreshToken), refresh(refreshToken), refresh(refreshToken)]);
    const tokens = answers.filter(({ status }) => status === 200).map(({ body }) => String(body.refresh_token));
    expect(tokens.length).toBeGreaterThan(0);
    const rows = await api.rows(
      organizationId,
      'SELECT count(*)::int AS live FROM refresh_tokens WHERE used_at IS NULL AND revoked_at IS NULL',
    );
    expect(rows[0]?.['live']).toBe(1);
  });

  it('are unknown when made up', async () => {
    expect((await refresh('made-up')).status).toBe(401);
  });
});

describe('a session that switches organizations', () => {
  const secondOrganization = async (account: TestAccount) => {
    const url = '/api/v1/organizations';
    const made = await api.call({ method: 'POST', url, token: account.accessToken, body: { name: 'Second' } });
    expect(made.status).toBe(201);
    return String(made.body.id);
  };
  const live = async (organizationIds: readonly string[]) => {
    const query = 'SELECT id FROM refresh_tokens WHERE used_at IS NULL AND revoked_at IS NULL';
    return (await Promise.all(organizationIds.map((id) => api.rows(id, query)))).flat().length;
  };

  it('goes on: a token that is used twice ends it in all of them, also for who has moved on with it', async () => {
    const victim = await api.register();
    const secondId = await secondOrganization(victim);
    const away = await refresh(victim.refreshToken, secondId);
    expect(away.body.organization).toMatchObject({ id: secondId, role: 'owner' });
    const back = await refresh(String(away.body.refresh_token), victim.organizationId);
    expect(back.body.organization).toMatchObject({ id: victim.organizationId });
    const held = [away.body.access_token, back.body.access_token].map(String);
    for (const token of held) expect((await me(token)).status).toBe(200);
    // The victim's own token, of which the thief has made all of these.
    expect((await refresh(victim.refreshToken)).status).toBe(401);
    for (const token of held) expect((await me(token)).status).toBe(401);
    expect((await refresh(String(back.body.refresh_token))).status).toBe(401);
    const audit = await api.rows(
      victim.organizationId,
      `SELECT action FROM audit_log WHERE action = 'session.revoked'`,
    );
    expect(audit).toHaveLength(1);
  });

  it('has one good refresh token, also when a lost reply is asked for again, or two are asked for at once', async () => {
    const account = await api.register();
    const organizationIds = [account.organizationId, await secondOrganization(account)];
    const lost = await refresh(account.refreshToken, organizationIds[1]);
    const again = await refresh(account.refreshToken, organizationIds[1]);
    expect([lost.status, again.status, await live(organizationIds)]).toEqual([200, 200, 1]);
    await Promise.all([0, 1, 0].map((at) => refresh(String(again.body.refresh_token), organizationIds[at])));
    expect(await live(organizationIds)).toBe(1);
    // A successor that was taken back is worth nothing, and whoever shows it gives themself away.
    expect((await refresh(String(lost.body.refresh_token))).status).toBe(401);
    expect(await live(organizationIds)).toBe(0);
  });

  it('ends in all of them by logging out, or by changing the password elsewhere', async () => {
    const account = await api.register();
    const secondId = await secondOrganization(account);
    const switched = await refresh(account.refreshToken, secondId);
    const body = { refresh_token: switched.body.refresh_token };
    expect((await me(account.accessToken)).status).toBe(200);
    expect((await api.call({ method: 'POST', url: '/api/v1/auth/logout', body })).status).toBe(204);
    expect((await me(account.accessToken)).status).toBe(401);
    expect((await me(switched.body.access_token)).status).toBe(401);

    const one = await login({ email: account.email, password: account.password });
    const moved = await refresh(String(one.body.refresh_token), secondId);
    const two = await login({ email: account.email, password: account.password });
    const changed = await api.call({
      method: 'POST',
      url: '/api/v1/auth/password',
      token: two.body.access_token,
      body: { current_password: account.password, new_password: 'another long password' },
    });
    expect(changed.status).toBe(204);
    for (const { body: session } of [one, moved]) expect((await me(session.access_token)).status).toBe(401);
    expect((await me(two.body.access_token)).status).toBe(200);
  });
});

describe('logging out', () => {
  it.each(['refresh token', 'access token'])('by %s ends the session at once', async (by) => {
    const account = await api.register();
    expect((await me(account.accessToken)).status).toBe(200);
    const out = await api.call({
      method: 'POST',
      url: '/api/v1/auth/logout',
      ...(by === 'access token' ? { token: account.accessToken } : {}),
      body: by === 'refresh token' ? { refresh_token: account.refreshToken } : {},
    });
    expect(out.status).toBe(204);
    expect((await me(account.accessToken)).status).toBe(401);
    expect((await refresh(account.refreshToken)).status).toBe(401);
  });
});

describe('cookies', () => {
  const cookieLogin = () => login({ email: 'ada@example.com', password: ada.password, cookies: true });
  const cookieHeader = (response: { cookies: readonly { name: string; value: string }[] }) =>
    response.cookies.map(({ name, value }) => `${name}=${value}`).join('; ');

  it('are set only when asked for, bound to this host, out of the reach of scripts', async () => {
    expect((await login({ email: 'ada@example.com', password: ada.password })).cookies).toEqual([]);
    const { cookies } = await cookieLogin();
    expect(cookies).toMatchObject(
      ['access', 'refresh'].map((name) => ({
        name: `__Host-bvrai_${name}`,
        httpOnly: true,
        secure: true,
        sameSite: 'Strict',
        path: '/',
      })),
    );
  });

  it('let a page read, and change from this origin only', async () => {
    const cookie = cookieHeader(await cookieLogin());
    const change = (headers: Record<string, string>) =>
      api.call({
        method: 'PATCH',
        url: `/api/v1/organizations/${ada.organizationId}`,
        headers: { cookie, host: 'voice.test', ...headers },
        body: { name: 'Renamed' },
      });
    expect((await api.call({ url: '/api/v1/auth/me', headers: { cookie } })).status).toBe(200);
    expect((await change({ origin: 'https://voice.test' })).status).toBe(200);
    expect((await change({ 'sec-fetch-site': 'same-origin' })).status).toBe(200);
    for (const headers of [
      {},
      { origin: 'https://evil.test' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
    ]) {
      const refused = await change(headers);
      expect([refused.status, refused.body.code]).toEqual([403, 'forbidden']);
    }
  });

  it('refresh the session, and are cleared by logging out', async () => {
    const cookie = cookieHeader(await cookieLogin());
    const headers = { cookie, host: 'voice.test', origin: 'http://voice.test' };
    const refreshed = await api.call({ method: 'POST', url: '/api/v1/auth/refresh', headers, body: {} });
    expect(refreshed.status).toBe(200);
    expect(refreshed.cookies).toHaveLength(2);
    const evil = { ...headers, origin: 'https://evil.test' };
    expect((await api.call({ method: 'POST', url: '/api/v1/auth/logout', headers: evil, body: {} })).status).toBe(403);
    const newCookie = { ...headers, cookie: cookieHeader(refreshed) };
    const out = await api.call({ method: 'POST', url: '/api/v1/auth/logout', headers: newCookie, body: {} });
    expect(out.status).toBe(204);
    expect(out.cookies.map(({ value }) => value)).toEqual(['', '']);
    expect((await me(refreshed.body.access_token)).status).toBe(401);
  });
});

function sessionOf(token: string): string {
  return String(JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()).sid);
}

function hs512(key: Uint8Array, account: TestAccount, claims: object): string {
  const nowS = Math.floor(Date.now() / 1000);
  const payload = { ...claims, sub: account.userId, iss: 'bvrai', aud: 'bvrai-api', iat: nowS, exp: nowS + 60 };
  const text = [{ alg: 'HS512', typ: 'at+jwt' }, payload]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  return `${text}.${createHmac('sha512', key).update(text).digest('base64url')}`;
}

function tampered(token: string): string {
  const [header, payload, signature] = token.split('.');
  const claims = JSON.parse(Buffer.from(payload ?? '', 'base64url').toString());
  return [
    header,
    Buffer.from(JSON.stringify({ ...claims, exp: claims.exp + 1 })).toString('base64url'),
    signature,
  ].join('.');
}

describe('somebody whose role was taken, and this server does not know yet', () => {
  it('leaves nothing behind that lasts: no invitation, no key, no role', async () => {
    const owner = await api.register('owner@example.com');
    const orgId = owner.organizationId;
    const other = await api.join(owner, 'owner');
    const member = await api.join(owner, 'member');
    const asOther = (method: 'POST' | 'PATCH', url: string, body: object) =>
      api.call({ method, url, token: other.accessToken, body });
    const tries = () =>
      Promise.all([
        asOther('POST', '/api/v1/invitations', { email: 'eve@example.com', role: 'owner' }),
        asOther('POST', '/api/v1/api-keys', { name: 'k', scopes: ['calls:read'], expires_at: null }),
        asOther('PATCH', `/api/v1/members/${member.userId}`, { role: 'admin' }),
      ]);
    // The role is known from here on.
    expect((await tries()).map(({ status }) => status)).toEqual([201, 201, 200]);
    // As another server does it, before its word gets here.
    const set = (role: string) =>
      api.rows(orgId, `UPDATE memberships SET role = '${role}' WHERE user_id = '${other.userId}'`);
    await set('viewer');
    for (const { status, body } of await tries()) expect([status, body.code]).toEqual([403, 'forbidden']);
    await api.rows(orgId, `DELETE FROM memberships WHERE user_id = '${other.userId}'`);
    for (const { status, body } of await tries()) expect([status, body.code]).toEqual([403, 'forbidden']);
  });
});
