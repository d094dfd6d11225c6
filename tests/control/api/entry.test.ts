/** Who gets in, by which ways, and that those ways are shut behind who left. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NO_LIMITS, startTestApi } from '../../support/api.ts';
import type { TestAccount, TestApi } from '../../support/api.ts';

let api: TestApi;
let ada: TestAccount;
beforeAll(async () => {
  api = await startTestApi();
  ada = await api.register();
}, 60_000);
afterAll(() => api.close());

const PASSWORD = 'correct horse battery staple';
const make = (server: TestApi, token: string, name: string, key: string) =>
  server.call({
    method: 'POST',
    url: '/api/v1/organizations',
    token,
    body: { name },
    headers: { 'idempotency-key': key },
  });
const invite = (token: string, email: string, role: string) =>
  api.call({ method: 'POST', url: '/api/v1/invitations', token, body: { email, role } });
const accept = (server: TestApi, token: string, password = PASSWORD, address = '192.0.2.1') =>
  server.call({
    method: 'POST',
    url: '/api/v1/auth/accept-invitation',
    address,
    body: { token, password, name: 'Guest' },
  });

describe('closed registration', () => {
  it('takes no new organization, neither from strangers nor from members', async () => {
    const closed = await api.another({ registration: 'closed' });
    const body = { email: 'stranger@example.com', password: PASSWORD, name: 'S', organization_name: 'O' };
    const stranger = await closed.call({ method: 'POST', url: '/api/v1/auth/register', body });
    expect(stranger).toMatchObject({ status: 403, body: { code: 'forbidden' } });
    expect(await make(closed, ada.accessToken, 'Another', 'closed-1')).toMatchObject({ status: 403 });
    const login = { email: body.email, password: body.password };
    expect((await api.call({ method: 'POST', url: '/api/v1/auth/login', body: login })).status).toBe(401);
  });

  it('lets in whom a member invites, and whoever has an account', async () => {
    const closed = await api.another({ registration: 'closed' });
    const invited = await invite(ada.accessToken, 'guest@example.com', 'member');
    expect((await accept(closed, String(invited.body.token))).status).toBe(200);
    const login = { email: ada.email, password: ada.password };
    expect((await closed.call({ method: 'POST', url: '/api/v1/auth/login', body: login })).status).toBe(200);
  });
});

describe('another organization', () => {
  it('is made once for each Idempotency-Key, with its owner and its own audit log', async () => {
    const first = await make(api, ada.accessToken, 'Second', 'org-1');
    const again = await make(api, ada.accessToken, 'Second', 'org-1');
    expect([first.status, again.status, again.headers['idempotency-replayed']]).toEqual([201, 201, 'true']);
    expect(again.body).toEqual(first.body);
    const list = await api.call({ url: '/api/v1/organizations', token: ada.accessToken });
    const named = (list.body.items as { name: string; role: string }[]).filter(({ name }) => name === 'Second');
    expect(named).toMatchObject([{ role: 'owner' }]);
    const id = String(first.body.id);
    const created = "SELECT resource_id FROM audit_log WHERE action = 'organization.created'";
    expect(await api.rows(id, created)).toEqual([{ resource_id: id }]);
    expect(await api.rows(ada.organizationId, created)).toEqual([{ resource_id: ada.organizationId }]);
  });

  it('leaves nothing when the request fails after it', async () => {
    const before = await api.call({ url: '/api/v1/organizations', token: ada.accessToken });
    expect((await make(api, ada.accessToken, '', 'org-2')).status).toBe(422);
    expect((await make(api, ada.accessToken, 'Other', 'org-1')).body).toMatchObject({ code: 'idempotency-mismatch' });
    const after = await api.call({ url: '/api/v1/organizations', token: ada.accessToken });
    expect(after.body).toEqual(before.body);
  });
});

describe('an Idempotency-Key after AUTH_SECRET has changed', () => {
  it('says that its answer cannot be read, and does nothing again', async () => {
    const rotated = await api.another({ authSecret: 'another-secret-of-the-tests-long-enough' });
    const { body } = await rotated.call({
      method: 'POST',
      url: '/api/v1/auth/login',
      body: { email: ada.email, password: ada.password },
    });
    const agent = (server: TestApi, token: string) =>
      server.call({
        method: 'POST',
        url: '/api/v1/agents',
        token,
        body: { name: 'Once' },
        headers: { 'idempotency-key': 'rotation' },
      });
    expect((await agent(api, ada.accessToken)).status).toBe(201);
    expect((await rotated.call({ url: '/api/v1/agents', token: ada.accessToken })).status).toBe(401);
    expect(await agent(rotated, String(body.access_token))).toMatchObject({
      status: 409,
      body: { code: 'conflict', detail: expect.stringContaining('AUTH_SECRET') },
    });
    expect(await api.rows(ada.organizationId, "SELECT name FROM agents WHERE name = 'Once'")).toHaveLength(1);
  });
});

describe('an invitation', () => {
  const pending = async (): Promise<string[]> => {
    const { body } = await api.call({ url: '/api/v1/invitations', token: ada.accessToken });
    return (body.items as { email: string; accepted_at: unknown }[])
      .filter(({ accepted_at: at }) => at === null)
      .map(({ email }) => email);
  };

  it('ends with the membership of who made it: nobody comes back by their own token', async () => {
    const admin = await api.join(ada, 'admin');
    const { body } = await invite(admin.accessToken, 'back-door@example.com', 'admin');
    await invite(ada.accessToken, 'stays@example.com', 'member');
    const removed = await api.call({
      method: 'DELETE',
      url: `/api/v1/members/${admin.userId}`,
      token: ada.accessToken,
    });
    expect(removed.status).toBe(204);
    expect((await accept(api, String(body.token))).status).toBe(422);
    expect(await pending()).toEqual(['stays@example.com']);
  });

  it('ends when who made it may no longer give that role', async () => {
    const owner = await api.join(ada, 'owner');
    await invite(owner.accessToken, 'as-owner@example.com', 'owner');
    await invite(owner.accessToken, 'as-member@example.com', 'member');
    const lower = (role: string) =>
      api.call({ method: 'PATCH', url: `/api/v1/members/${owner.userId}`, token: ada.accessToken, body: { role } });
    expect((await lower('admin')).status).toBe(200);
    expect(await pending()).toEqual(expect.arrayContaining(['as-member@example.com']));
    expect(await pending()).not.toContain('as-owner@example.com');
    expect((await lower('member')).status).toBe(200);
    expect(await pending()).not.toContain('as-member@example.com');
  });

  it('is no way to guess the password of an account: its tries count by address, whatever their token', async () => {
    const account = { requests: 5, windowS: 900 };
    const limited = await api.another({
      loginQuotas: { ...NO_LIMITS.loginQuotas, pair: account, account, address: { requests: 1_000, windowS: 60 } },
    });
    const victim = await api.register();
    const statuses: number[] = [];
    for (let tries = 0; tries < 7; tries++) {
      const { body } = await invite(ada.accessToken, victim.email, 'viewer');
      statuses.push((await accept(limited, String(body.token), 'a wrong guess', `192.0.2.${tries}`)).status);
    }
    expect(statuses).toEqual([401, 401, 401, 401, 401, 429, 429]);
  });
});

describe('changing a password', () => {
  const change = (token: string, current: string, wanted: string) =>
    api.call({
      method: 'POST',
      url: '/api/v1/auth/password',
      token,
      body: { current_password: current, new_password: wanted },
    });
  const login = (account: TestAccount, password: string, organizationId?: string) =>
    api.call({
      method: 'POST',
      url: '/api/v1/auth/login',
      body: { email: account.email, password, organization_id: organizationId },
    });

  it('ends every other session of the user, in all organizations, and keeps this one', async () => {
    const account = await api.register();
    const other = await make(api, account.accessToken, 'Elsewhere', 'password-1');
    const [here, elsewhere] = [
      await login(account, account.password),
      await login(account, account.password, String(other.body.id)),
    ];
    const me = async (token: unknown) => (await api.call({ url: '/api/v1/auth/me', token: String(token) })).status;
    expect([await me(here.body.access_token), await me(elsewhere.body.access_token)]).toEqual([200, 200]);

    expect((await change(account.accessToken, account.password, 'another long password')).status).toBe(204);
    expect(await me(account.accessToken)).toBe(200);
    expect([await me(here.body.access_token), await me(elsewhere.body.access_token)]).toEqual([401, 401]);
    const body = { refresh_token: elsewhere.body.refresh_token };
    expect((await api.call({ method: 'POST', url: '/api/v1/auth/refresh', body })).status).toBe(401);
    const own = { refresh_token: account.refreshToken };
    expect((await api.call({ method: 'POST', url: '/api/v1/auth/refresh', body: own })).status).toBe(200);
    expect((await login(account, account.password)).status).toBe(401);
    expect((await login(account, 'another long password')).status).toBe(200);
  });

  it('needs the present one, and leaves other people alone', async () => {
    const account = await api.register();
    expect(await change(account.accessToken, 'not my password', 'another long password')).toMatchObject({
      status: 422,
      body: { errors: [{ in: 'body', pointer: '/current_password' }] },
    });
    expect((await change(account.accessToken, account.password, 'short')).status).toBe(422);
    const colleague = await api.join(account, 'member');
    expect((await change(account.accessToken, account.password, 'another long password')).status).toBe(204);
    expect((await api.call({ url: '/api/v1/auth/me', token: colleague.accessToken })).status).toBe(200);
  });
});
