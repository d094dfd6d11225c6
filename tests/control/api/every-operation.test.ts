/** Every operation of the OpenAPI document: a valid request gets its documented answer, a spoilt one a documented refusal. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestApi } from '../../support/api.ts';
import type { ApiRequest, ApiResponse, TestAccount, TestApi } from '../../support/api.ts';
import { asSchema, createJudge, operationsOf, parseDocument } from '../../support/openapi.ts';
import type { Judge, Operation } from '../../support/openapi.ts';
import { RequestMaker, toApiRequest } from './operations.ts';
import type { OperationRequest } from './operations.ts';

const PLACE = '/openapi.json';
let api: TestApi;
let owner: TestAccount;
let viewer: TestAccount;
let powerlessKey: string;
let maker: RequestMaker;
let judge: Judge;
let operations: readonly Operation[];
let responses: readonly (readonly [operation: string, status: string, description: string])[];

beforeAll(async () => {
  api = await startTestApi();
  const document = parseDocument((await api.call({ url: PLACE })).body);
  operations = operationsOf(document);
  responses = Object.values(document.paths).flatMap((methods) =>
    Object.values(methods).flatMap(({ operationId, responses: all }) =>
      Object.entries(all).map(([status, { description }]) => [operationId, status, description] as const),
    ),
  );
  maker = new RequestMaker(api, document);
  judge = createJudge(document);
  owner = await api.register();
  viewer = await api.join(owner, 'viewer');
  const key = await api.call({
    method: 'POST',
    url: '/api/v1/api-keys',
    token: owner.accessToken,
    body: { name: 'powerless', scopes: ['organization:read'] },
  });
  powerlessKey = key.body.key;
}, 60_000);
afterAll(() => api.close());

interface Spoilt {
  readonly how: string;
  readonly request: ApiRequest;
  readonly statuses: readonly number[];
}

/** All ways to spoil a request that apply to an operation. */
function spoil(operation: Operation, valid: OperationRequest): Spoilt[] {
  const token = operation.role === undefined ? undefined : owner.accessToken;
  const withChange = (change: Partial<OperationRequest>) => toApiRequest(operation, { ...valid, ...change }, token);
  const plain = toApiRequest(operation, valid, token);
  const spoilt: Spoilt[] = [];
  const add = (how: string, request: ApiRequest, ...statuses: number[]) => spoilt.push({ how, request, statuses });

  add('a URL that is none', { ...plain, url: '/%zz' }, 400);
  add('a trailing slash', { ...plain, url: `${plain.url.split('?')[0]}/` }, 404);
  add('a method that there is not', { method: 'PUT', url: plain.url, token }, 405);
  if (operation.role === undefined) {
    add('another method that there is not', { method: 'DELETE', url: plain.url }, 405);
    if (operation.method === 'GET') add('a third method that there is not', { method: 'PATCH', url: plain.url }, 405);
  } else {
    add('no credentials', toApiRequest(operation, valid, undefined), 401);
    add('a made-up token', { ...plain, token: 'made.up.token' }, 401);
    add(
      'a scheme that is not ours',
      { ...plain, token: undefined, headers: { ...plain.headers, authorization: 'Basic eA==' } },
      401,
    );
    if (operation.scope !== 'organization:read') add('a key without the scope', { ...plain, token: powerlessKey }, 403);
    if (operation.role !== 'viewer') add('a role that is too low', { ...plain, token: viewer.accessToken }, 403);
  }
  for (const name of Object.keys(valid.path)) {
    add(
      `an unknown ${name}`,
      withChange({ path: { ...valid.path, [name]: unknownLike(valid.path[name] ?? '') } }),
      404,
    );
    add(`a ${name} that is none`, withChange({ path: { ...valid.path, [name]: "x';--" } }), 404);
    add(`a NUL in ${name}`, withChange({ path: { ...valid.path, [name]: '%00' } }), 404);
  }
  for (const name of operation.parameters
    .filter(({ in: part }) => part === 'query')
    .map((parameter) => parameter.name)) {
    add(`a wrong ${name}`, withChange({ query: { ...valid.query, [name]: '\u0000' } }), 422);
  }
  if (operation.parameters.some(({ in: part }) => part === 'query'))
    add('an unknown query field', withChange({ query: { ...valid.query, colour: 'red' } }), 422);
  if (operation.parameters.some(({ name }) => name === 'if-match'))
    add('an old If-Match', withChange({ headers: { ...valid.headers, 'if-match': '"old"' } }), 412);
  if (operation.parameters.some(({ name, required }) => name === 'if-match' && required))
    add('no If-Match', withChange({ headers: {} }), 428);
  if (operation.parameters.some(({ name }) => name === 'idempotency-key'))
    add('an Idempotency-Key with spaces', withChange({ headers: { 'idempotency-key': 'a b' } }), 422);
  if (operation.body !== undefined) spoilBody(operation, plain, valid, add);
  return spoilt;
}

function spoilBody(
  operation: Operation,
  plain: ApiRequest,
  valid: OperationRequest,
  add: (how: string, request: ApiRequest, ...statuses: number[]) => void,
): void {
  const body = asSchema(valid.body);
  add('no JSON', { ...plain, body: '{"name":' }, 400);
  add('an empty body', { ...plain, body: '' }, 400, 422);
  add('another Content-Type', { ...plain, headers: { ...plain.headers, 'content-type': 'text/xml' } }, 415);
  add('a body that is too large', { ...plain, body: JSON.stringify({ name: 'x'.repeat(600_000) }) }, 413);
  add('a list for an object', { ...plain, body: [] }, 422);
  add('an unknown field', { ...plain, body: { ...body, colour: 'red' } }, 422);
  add('a very deep field', { ...plain, body: `{"metadata":${'['.repeat(5_000)}${']'.repeat(5_000)}}` }, 422);
  add('a poisoned prototype', { ...plain, body: '{"__proto__":{"admin":true}}' }, 400, 422);
  for (const name of Object.keys(body)) {
    add(`a NUL in ${name}`, { ...plain, body: { ...body, [name]: 'a\u0000b' } }, 422);
    add(`half a character in ${name}`, { ...plain, body: { ...body, [name]: 'a\ud800b' } }, 422);
    add(`a list of nothing for ${name}`, { ...plain, body: { ...body, [name]: [null] } }, 422);
  }
  const required = operation.body?.['required'];
  for (const name of Array.isArray(required) ? required : []) {
    const { [String(name)]: _left, ...rest } = body;
    add(`no ${name}`, { ...plain, body: rest }, 422);
  }
}

function unknownLike(id: string): string {
  return /^\d+$/u.test(id) ? '999999' : '01a00000-0000-7000-8000-00000000dead';
}

function describeAnswer({ status, body }: ApiResponse): string {
  return `${status} ${JSON.stringify(body).slice(0, 300)}`;
}

describe('the OpenAPI document', () => {
  it('describes every route under /api/v1, each with an id of its own, and its access', async () => {
    expect(operations.length).toBeGreaterThan(40);
    expect(new Set(operations.map(({ id }) => id)).size).toBe(operations.length);
    for (const { id, path, role } of operations) {
      if (path.startsWith('/api/v1/') && role === undefined)
        expect([id, path]).toEqual([id, expect.stringContaining('/api/v1/auth/')]);
    }
  });
});

describe('every answer', () => {
  it('has a description of its own in the document', () => {
    expect(responses.filter(([, , text]) => text === '' || text === 'Default Response')).toEqual([]);
    const told = new Map(responses.map(([operation, status, text]) => [`${operation} ${status}`, text]));
    expect(told.get('listCalls 200')).toBe('List calls: one page of them.');
    expect(told.get('createAgent 201')).toBe('Make an agent: it has been made.');
    expect(told.get('followEvents 200')).toContain('for as long as the stream lasts');
  });
});

describe('every operation', () => {
  it('answers a valid request as documented', async () => {
    const faults: string[] = [];
    for (const operation of operations) {
      const request = await maker.make(operation, owner);
      const token = operation.role === undefined ? undefined : owner.accessToken;
      const answer = await api.call(toApiRequest(operation, request, token));
      const fault =
        answer.status === operation.success
          ? judge(operation, answer.status, answer.headers['content-type'] ?? '', answer.body)
          : `is not ${operation.success}`;
      if (fault !== undefined) faults.push(`${operation.id}: ${describeAnswer(answer)}: ${fault}`);
    }
    expect(faults).toEqual([]);
  }, 120_000);

  it('refuses a spoilt request with a documented problem, never with a fault of its own', async () => {
    const faults: string[] = [];
    let count = 0;
    for (const operation of operations) {
      const spoilt = spoil(operation, await maker.make(operation, owner));
      if (spoilt.length < 5) faults.push(`${operation.id}: only ${spoilt.length} mutations`);
      for (const { how, request, statuses } of spoilt) {
        count++;
        const answer = await api.call(request);
        const fault = refusalFault(operation, answer, statuses);
        if (fault !== undefined) faults.push(`${operation.id} with ${how}: ${describeAnswer(answer)}: ${fault}`);
      }
    }
    console.log(`${operations.length} operations, ${count} spoilt requests`);
    expect(faults).toEqual([]);
  }, 240_000);
});

function refusalFault(operation: Operation, answer: ApiResponse, statuses: readonly number[]): string | undefined {
  if (!statuses.includes(answer.status)) return `is not ${statuses.join(' or ')}`;
  if (answer.headers['content-type']?.startsWith('application/problem+json') !== true) return 'is no problem document';
  if (typeof answer.body.code !== 'string' || typeof answer.body.request_id !== 'string')
    return 'lacks code or request_id';
  if (answer.body.status !== answer.status) return 'says another status';
  if (JSON.stringify(answer.body).includes('at ') && /node_modules|\.ts:\d/u.test(JSON.stringify(answer.body)))
    return 'shows a stack';
  // These come before a route is found.
  if ([400, 404, 405].includes(answer.status)) return undefined;
  return judge(operation, answer.status, 'application/problem+json', answer.body);
}
