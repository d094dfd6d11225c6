/** What holds for every route: problems, sizes, origins, limits, headers, traces, idempotency. */
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VirtualClock } from '../../../src/core/clock.ts';
import { quotasPerMinute } from '../../../src/control/http/rate-limit.ts';
import { startTestApi } from '../../support/api.ts';
import type { TestAccount, TestApi } from '../../support/api.ts';

const ORIGIN = 'https://app.example.com';
let api: TestApi;
let ada: TestAccount;
beforeAll(async () => {
  api = await startTestApi({ http: { corsOrigins: [ORIGIN] } });
  ada = await api.register();
}, 60_000);
afterAll(() => api.close());

describe('problems', () => {
  it('point at every field at fault', async () => {
    const { status, headers, body } = await api.call({
      method: 'POST',
      url: '/api/v1/agents',
      token: ada.accessToken,
      body: { name: '', turn_taking: { barge_in_ms: 1 }, stt: [{ provider: 'deepgram', colour: 'red' }] },
    });
    expect([status, headers['content-type']]).toEqual([422, expect.stringContaining('application/problem+json')]);
    expect(body).toMatchObject({
      type: 'about:blank',
      title: 'Unprocessable Entity',
      status: 422,
      code: 'invalid-fields',
    });
    expect(body.request_id).toBe(headers['x-request-id']);
    expect(body.errors).toHaveLength(3);
    for (const pointer of ['/name', '/stt/0/colour', '/turn_taking/barge_in_ms'])
      expect(body.errors).toContainEqual({ in: 'body', pointer, detail: expect.any(String) });
  });

  it('tell unknown routes from wrong methods', async () => {
    expect(await api.call({ url: '/api/v1/nowhere' })).toMatchObject({ status: 404, body: { code: 'not-found' } });
    const wrong = await api.call({ method: 'PUT', url: '/api/v1/agents' });
    expect(wrong).toMatchObject({ status: 405, body: { code: 'method-not-allowed' } });
    expect(wrong.headers['allow']).toBe('GET, HEAD, POST');
  });

  it.each(['/api/v1/events', '/api/v1/calls/any/events'])('take no HEAD of a stream without end (%s)', async (url) => {
    expect(api.app.hasRoute({ method: 'HEAD', url: url.replace('any', ':call_id') })).toBe(false);
    const head = await api.call({ method: 'HEAD', url, token: ada.accessToken });
    expect([head.status, head.headers['allow']]).toEqual([405, 'GET']);
  });

  it('refuse a body of 20 MB by its length alone, before it is read', async () => {
    const address = await api.app.listen({ host: '127.0.0.1', port: 0 });
    const { port } = new URL(address);
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect(Number(port), '127.0.0.1');
      socket.setEncoding('utf8').once('data', (text: string) => {
        socket.destroy();
        resolve(text);
      });
      socket.once('error', reject);
      socket.write(
        `POST /api/v1/agents HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${ada.accessToken}\r\n` +
          'content-type: application/json\r\ncontent-length: 20000000\r\n\r\n{"name":"',
      );
    });
    expect(answer).toMatch(/^HTTP\/1\.1 413 /u);
    expect(answer).toContain('"code":"too-large"');
  });

  it('answer what is not HTTP with a problem too', async () => {
    const address = api.app.server.address();
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
    const answer = await new Promise<string>((resolve) => {
      let text = '';
      const socket = connect(port, '127.0.0.1', () => socket.write('NONSENSE\r\n\r\n'));
      socket.setEncoding('utf8').on('data', (part: string) => (text += part));
      socket.on('close', () => resolve(text));
    });
    expect(answer).toMatch(/^HTTP\/1\.1 400 [\s\S]*application\/problem\+json[\s\S]*"code":"bad-request"/u);
  });

  it('treat SQL as the data that it is', async () => {
    const name = `'; DROP TABLE agents; --`;
    const made = await api.call({ method: 'POST', url: '/api/v1/agents', token: ada.accessToken, body: { name } });
    expect(made.body.name).toBe(name);
    expect((await api.call({ url: `/api/v1/agents/${made.body.id}`, token: ada.accessToken })).body.name).toBe(name);
  });
});

describe('browsers', () => {
  const preflight = (origin: string) =>
    api.call({
      method: 'OPTIONS',
      url: '/api/v1/agents',
      headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'idempotency-key' },
    });

  it('may call from the listed origins, with credentials', async () => {
    const { status, headers } = await preflight(ORIGIN);
    expect(status).toBe(204);
    expect(headers).toMatchObject({
      'access-control-allow-origin': ORIGIN,
      'access-control-allow-credentials': 'true',
      'access-control-allow-headers': expect.stringContaining('idempotency-key'),
      vary: expect.stringContaining('Origin'),
    });
  });

  it.each(['https://evil.example', 'https://app.example.com.evil.example', 'http://app.example.com', 'null'])(
    'may not from %s',
    async (origin) => {
      const answers = [await preflight(origin), await api.call({ url: '/api/v1/agents', headers: { origin } })];
      for (const { headers } of answers) {
        const allowed = headers['access-control-allow-origin'];
        expect(allowed === undefined || allowed === 'false').toBe(true);
      }
    },
  );

  it('are told to run, frame and sniff nothing; the page of the documentation may run its own scripts', async () => {
    const { headers } = await api.call({ url: '/api/v1/auth/me' });
    expect(headers).toMatchObject({
      'content-security-policy': expect.stringContaining("default-src 'none'"),
      'x-content-type-options': 'nosniff',
      'strict-transport-security': expect.stringContaining('max-age=31536000'),
      'referrer-policy': 'no-referrer',
    });
    expect(headers['x-powered-by'] ?? headers['server']).toBeUndefined();
    const docs = await api.call({ url: '/docs/' });
    expect([docs.status, docs.headers['content-security-policy']]).toEqual([200, expect.stringContaining("'self'")]);
    expect(String(docs.body)).toContain('swagger-ui');
  });
});

describe('traces', () => {
  const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';

  it('are continued, answered and logged; the request’s id as well', async () => {
    const { headers } = await api.call({
      url: '/api/v1/auth/me',
      token: ada.accessToken,
      headers: { traceparent: `00-${traceId}-00f067aa0ba902b7-01`, 'x-request-id': 'from-the-client-1' },
    });
    expect(headers['traceparent']).toMatch(new RegExp(`^00-${traceId}-(?!00f067aa0ba902b7)[0-9a-f]{16}-01$`, 'u'));
    expect(headers['x-request-id']).toBe('from-the-client-1');
    const line = api.log.find((entry) => entry['request_id'] === 'from-the-client-1' && entry['msg'] === 'request');
    expect(line).toMatchObject({ trace_id: traceId, route: '/api/v1/auth/me', status: 200, org: ada.organizationId });
  });

  it.each(['', 'nonsense', `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`, `ff-${traceId}-00f067aa0ba902b7-01`])(
    'begin anew where the header is no trace (%j)',
    async (traceparent) => {
      const { headers } = await api.call({ url: '/health/live', headers: { traceparent } });
      expect(headers['traceparent']).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/u);
      expect(headers['traceparent']).not.toContain('0'.repeat(32));
    },
  );

  it('do not carry an id that could forge a log line or a header', async () => {
    const { headers } = await api.call({ url: '/health/live', headers: { 'x-request-id': 'a"} b' } });
    expect(headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/u);
  });

  it('log no password, token or address', async () => {
    await api.register('logged@example.com');
    const text = JSON.stringify(api.log);
    expect(text).not.toContain('correct horse');
    expect(text).not.toContain('logged@example.com');
    expect(text).not.toContain(ada.accessToken);
  });
});

describe('an Idempotency-Key', () => {
  const create = (key: string, body: object, account = ada) =>
    api.call({
      method: 'POST',
      url: '/api/v1/agents',
      token: account.accessToken,
      headers: { 'idempotency-key': key },
      body,
    });

  it('makes a repeated request answer the same, and do nothing more', async () => {
    const first = await create('once', { name: 'Once', language: 'en' });
    // Another order of fields is the same request.
    const again = await create('once', { language: 'en', name: 'Once' });
    expect([first.status, again.status]).toEqual([201, 201]);
    expect(again.body).toEqual(first.body);
    expect([first.headers['idempotency-replayed'], again.headers['idempotency-replayed']]).toEqual([undefined, 'true']);
  });

  it('makes one thing of many requests at once', async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => create('race', { name: 'Race' })));
    const made = answers.filter(({ status }) => status === 201);
    expect(made.length).toBeGreaterThan(0);
    expect(new Set(made.map(({ body }) => String(body.id))).size).toBe(1);
    for (const { status, body } of answers)
      if (status !== 201) expect([status, body.code]).toEqual([409, 'idempotency-in-flight']);
    const rows = await api.rows(ada.organizationId, `SELECT count(*)::int AS n FROM agents WHERE name = 'Race'`);
    expect(rows[0]?.['n']).toBe(1);
  });

  it('belongs to one request, of one organization', async () => {
    await create('mine', { name: 'Mine' });
    expect(await create('mine', { name: 'Other' })).toMatchObject({
      status: 422,
      body: { code: 'idempotency-mismatch' },
    });
    const stranger = await api.register();
    expect((await create('mine', { name: 'Theirs' }, stranger)).body.name).toBe('Theirs');
  });

  it('answers nobody but the person or API key that sent it', async () => {
    const invite = (token: string) =>
      api.call({
        method: 'POST',
        url: '/api/v1/invitations',
        token,
        headers: { 'idempotency-key': 'guessable' },
        body: { email: 'second-owner@example.com', role: 'owner' },
      });
    const admin = await api.join(ada, 'admin');
    const made = await invite(ada.accessToken);
    expect(made.status).toBe(201);
    // Only an owner invites an owner, also when one has done it with this key.
    expect((await invite(admin.accessToken)).status).toBe(403);
    expect((await invite(ada.accessToken)).body).toEqual(made.body);

    const [own, theirs] = [await create('same', { name: 'Same' }), await create('same', { name: 'Same' }, admin)];
    expect([own.status, theirs.status]).toEqual([201, 201]);
    expect(theirs.body.id).not.toBe(own.body.id);
    const key = await api.call({
      method: 'POST',
      url: '/api/v1/api-keys',
      token: ada.accessToken,
      body: { name: 'k', scopes: ['agents:write'] },
    });
    const byKey = await create('same', { name: 'Same' }, { ...ada, accessToken: String(key.body.key) });
    expect([byKey.status, byKey.headers['idempotency-replayed']]).toEqual([201, undefined]);
    expect((await create('same'.repeat(50), { name: 'Longest' })).status).toBe(201);
  });

  it('keeps no failure: what was refused can be tried again', async () => {
    expect((await create('again', { name: '' })).status).toBe(422);
    expect((await create('again', { name: 'Now' })).status).toBe(201);
  });

  it('keeps secrets of an answer encrypted', async () => {
    const made = await api.call({
      method: 'POST',
      url: '/api/v1/api-keys',
      token: ada.accessToken,
      headers: { 'idempotency-key': 'secret' },
      body: { name: 'k', scopes: ['calls:read'] },
    });
    const rows = await api.rows(ada.organizationId, 'SELECT response_body::text AS text FROM idempotency_keys');
    expect(rows.length).toBeGreaterThan(0);
    expect(rows.some(({ text }) => String(text).includes(String(made.body.key).slice(10)))).toBe(false);
  });
});

describe('limits', () => {
  it('are told before they are reached, refuse beyond, and end with the window', async () => {
    const clock = new VirtualClock();
    const quotas = quotasPerMinute({ readsPerMinute: 3, writesPerMinute: 100 });
    const limited = await startTestApi({ api: { clock, quotas } });
    try {
      const [one, two] = [await limited.register(), await limited.register()];
      const read = (account: TestAccount) => limited.call({ url: '/api/v1/agents', token: account.accessToken });
      const first = await read(one);
      expect(first.headers).toMatchObject({ 'ratelimit-policy': '"read";q=3;w=60', ratelimit: '"read";r=2;t=60' });
      await read(one);
      expect((await read(one)).headers['ratelimit']).toBe('"read";r=0;t=60');
      clock.advance(10_000);
      const refused = await read(one);
      expect(refused).toMatchObject({ status: 429, body: { code: 'rate-limited' } });
      expect(refused.headers['retry-after']).toBe('50');
      expect((await read(two)).status).toBe(200);
      clock.advance(50_000);
      expect((await read(one)).status).toBe(200);
    } finally {
      await limited.close();
    }
  });
});
