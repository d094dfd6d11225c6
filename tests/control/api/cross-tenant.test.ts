/** Two organizations × every operation × everybody who may call: what is another tenant's does not exist. Prints the table. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROLES, SCOPES, isAtLeast } from '../../../src/control/auth/access.ts';
import type { Role } from '../../../src/control/auth/access.ts';
import { startTestApi } from '../../support/api.ts';
import type { ApiResponse, TestAccount, TestApi } from '../../support/api.ts';
import { operationsOf, parseDocument } from '../../support/openapi.ts';
import type { Operation } from '../../support/openapi.ts';
import { RequestMaker, toApiRequest } from './operations.ts';

interface Caller {
  readonly name: string;
  readonly token: string | undefined;
  readonly role: Role | undefined;
  readonly scopes: readonly string[];
}

let api: TestApi;
let maker: RequestMaker;
let guarded: readonly Operation[];
let owners: readonly [TestAccount, TestAccount];
let callers: readonly Caller[];

beforeAll(async () => {
  api = await startTestApi();
  const document = parseDocument((await api.call({ url: '/openapi.json' })).body);
  guarded = operationsOf(document).filter(({ role }) => role !== undefined);
  maker = new RequestMaker(api, document);
  owners = [await api.register(), await api.register()];
  callers = await callersOf(owners[0]);
}, 60_000);
afterAll(() => api.close());

/** Everybody who can call in an organization, and nobody. */
async function callersOf(owner: TestAccount): Promise<Caller[]> {
  const people: Caller[] = [];
  for (const role of ROLES) {
    // A second owner, so that the first can be looked at as somebody else.
    const { accessToken } = await api.join(owner, role);
    people.push({ name: role, token: accessToken, role, scopes: [] });
  }
  const keys: Caller[] = [];
  for (const [name, scopes] of [
    ['key, all scopes', SCOPES],
    ['key, one scope', ['organization:read']],
  ] as const) {
    const made = await api.call({
      method: 'POST',
      url: '/api/v1/api-keys',
      token: owner.accessToken,
      body: { name, scopes },
    });
    keys.push({ name, token: String(made.body.key), role: undefined, scopes });
  }
  return [{ name: 'nobody', token: undefined, role: undefined, scopes: [] }, ...people, ...keys];
}

function mayCall({ role, scopes, token }: Caller, operation: Operation): 'yes' | 401 | 403 {
  if (token === undefined) return 401;
  const needed = operation.role ?? 'viewer';
  if (role !== undefined) return isAtLeast(role, needed) ? 'yes' : 403;
  const { scope } = operation;
  return scope !== null && (scopes.includes(scope) || scopes.includes(scope.replace(':read', ':write'))) ? 'yes' : 403;
}

/** What the caller's own organization must answer. */
const expectedAtHome = (caller: Caller, operation: Operation): number => {
  const allowed = mayCall(caller, operation);
  return allowed === 'yes' ? operation.success : allowed;
};

/** What must be answered when everything that the request names is the other organization's. */
function expectedAbroad(caller: Caller, operation: Operation, refersInBody: boolean): number {
  const allowed = mayCall(caller, operation);
  if (allowed !== 'yes') return allowed;
  if (operation.path.includes('{')) return 404;
  return refersInBody ? 422 : operation.success;
}

/** Ids of the other organization must not be in any answer; what the request itself said may be echoed. */
function leaks(answer: ApiResponse, foreignIds: readonly string[]): string[] {
  const text = JSON.stringify(answer.body);
  return foreignIds.filter((id) => text.includes(id));
}

describe('two organizations', () => {
  it('cannot reach each other by any operation, in any role', async () => {
    const [home, abroad] = owners;
    const rows: string[][] = [['operation', ...callers.map(({ name }) => name)]];
    const faults: string[] = [];
    for (const operation of guarded) {
      const cells: string[] = [];
      for (const caller of callers) {
        const own = toApiRequest(operation, await maker.make(operation, home), caller.token);
        const ownAnswer = await api.call(own);
        const foreign = await maker.make(operation, abroad);
        const foreignAnswer = await api.call(toApiRequest(operation, foreign, caller.token));
        const ids = [abroad.organizationId, abroad.userId, ...Object.values(foreign.path)].filter(
          (id) => id.length > 30,
        );
        const refersInBody = JSON.stringify(foreign.body ?? {}).includes('_id":"');
        const wantedAtHome = expectedAtHome(caller, operation);
        const wantedAbroad = expectedAbroad(caller, operation, refersInBody);
        const leaked = leaks(foreignAnswer, ids);
        cells.push(`${ownAnswer.status}/${foreignAnswer.status}`);
        const where = `${operation.id} as ${caller.name}`;
        if (ownAnswer.status !== wantedAtHome)
          faults.push(`${where} at home: ${ownAnswer.status}, not ${wantedAtHome}: ${JSON.stringify(ownAnswer.body)}`);
        if (foreignAnswer.status !== wantedAbroad)
          faults.push(
            `${where} abroad: ${foreignAnswer.status}, not ${wantedAbroad}: ${JSON.stringify(foreignAnswer.body)}`,
          );
        if (leaked.length > 0) faults.push(`${where} shows ${leaked.join(', ')} of the other organization`);
      }
      rows.push([`${operation.method} ${operation.path}`, ...cells]);
    }
    console.log(`Status in one’s own organization / with ids of the other one\n${table(rows)}`);
    expect(faults).toEqual([]);
  }, 300_000);

  it('see nothing of each other in any list', async () => {
    const [home, abroad] = owners;
    for (const operation of guarded.filter(({ method, path }) => method === 'GET' && !path.includes('{'))) {
      const [ours, theirs] = await Promise.all(
        [home, abroad].map(({ accessToken }) => api.call({ url: `${operation.path}?limit=100`, token: accessToken })),
      );
      const idsOf = (answer: ApiResponse | undefined): string[] =>
        [...JSON.stringify(answer?.body).matchAll(/"(?:id|user_id|resource_id)":"([^"]+)"/gu)].map(([, id = '']) => id);
      expect([operation.path, idsOf(ours).filter((id) => idsOf(theirs).includes(id))]).toEqual([operation.path, []]);
    }
  });

  it('change nothing of each other: the other’s rows are as they were', async () => {
    const [home, abroad] = owners;
    const rowsOf = (orgId: string) =>
      api.rows(
        orgId,
        `SELECT (SELECT count(*) FROM agents WHERE updated_at > created_at)::int AS agents,
                (SELECT count(*) FROM audit_log)::int AS audit, (SELECT count(*) FROM memberships)::int AS members`,
      );
    const before = await rowsOf(abroad.organizationId);
    expect(before[0]?.['audit']).toBeGreaterThan(0);
    for (const operation of guarded.filter(({ method, path }) => method !== 'GET' && path.includes('{'))) {
      const request = await maker.make(operation, home);
      await api.call(toApiRequest(operation, request, abroad.accessToken));
    }
    expect(await rowsOf(abroad.organizationId)).toEqual(before);
  }, 60_000);
});

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
