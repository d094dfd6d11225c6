/** Makes, for any operation of the OpenAPI document, a request that ought to succeed. */
import { agentSchema } from '../../../src/control/agents/schema.ts';
import { insertAgent } from '../../../src/control/agents/store.ts';
import { newId } from '../../../src/control/db/ids.ts';
import { calls, conversations } from '../../../src/control/db/schema.ts';
import type { Transaction } from '../../../src/control/db/tenant.ts';
import type { ApiRequest, TestAccount, TestApi } from '../../support/api.ts';
import { operationsOf, sampleOf } from '../../support/openapi.ts';
import type { OpenApiDocument, Operation } from '../../support/openapi.ts';

/** A request before its parts are joined, so that each can be spoilt alone. */
export interface OperationRequest {
  readonly path: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

/** A call in progress, as the recorder would have written it; its id. */
export const insertLiveCall = ({ database }: TestApi, orgId: string): Promise<string> =>
  database.door.inTenant(orgId, (tx) => insertCall(tx, orgId));

async function insertCall(tx: Transaction, orgId: string): Promise<string> {
  const document = agentSchema.parse({ name: 'Ada' });
  const agent = await insertAgent(tx, { id: newId(), orgId, document, createdBy: null });
  const id = newId();
  const twilioCallSid = `CA${id.replaceAll('-', '')}`;
  const values = { id, orgId, twilioCallSid, agentId: agent.id, agentVersion: 1 } as const;
  await tx.insert(calls).values({ ...values, direction: 'inbound', status: 'in_progress' });
  return id;
}

let made = 0;
/** Fields whose values must differ from one request to the next. */
const UNIQUE: Readonly<Record<string, () => unknown>> = {
  email: () => `generated-${++made}@example.com`,
  number: () => `+1555${String(++made).padStart(7, '0')}`,
  name: () => `Generated ${++made}`,
};

/** What path parameters name that no POST makes. */
const MAKERS: Readonly<Record<string, (api: TestApi, owner: TestAccount) => Promise<string>>> = {
  organization_id: (_api, owner) => Promise.resolve(owner.organizationId),
  user_id: async (api, owner) => (await api.join(owner, 'viewer')).userId,
  version: () => Promise.resolve('1'),
  call_id: (api, { organizationId }) => insertLiveCall(api, organizationId),
  conversation_id: async ({ database }, owner) => {
    const [row] = await database.door.inTenant(owner.organizationId, async (tx) => {
      const callId = await insertCall(tx, owner.organizationId);
      return tx
        .insert(conversations)
        .values({ orgId: owner.organizationId, callId })
        .returning({ id: conversations.id });
    });
    return row?.id ?? '';
  },
};

/** Bodies that must fit something that exists. */
const BODIES: Readonly<Record<string, (api: TestApi, owner: TestAccount) => Promise<unknown>>> = {
  login: (_api, { email, password, organizationId }) =>
    Promise.resolve({ email, password, organization_id: organizationId, cookies: false }),
  refreshSession: async (api, owner) => ({ refresh_token: await freshRefreshToken(api, owner), cookies: false }),
  logout: async (api, owner) => ({ refresh_token: await freshRefreshToken(api, owner) }),
  acceptInvitation: async (api, { accessToken: token }) => {
    const body = { email: `invited-${++made}@example.com`, role: 'viewer' };
    const invited = await api.call({ method: 'POST', url: '/api/v1/invitations', token, body });
    return { token: invited.body.token, password: 'correct horse battery staple', name: 'Invited', cookies: false };
  },
  createCall: async (api, { accessToken: token }) => {
    const agent = await api.call({ method: 'POST', url: '/api/v1/agents', token, body: { name: `Agent ${++made}` } });
    return { agent_id: agent.body.id, channel: 'web' };
  },
  updateMember: () => Promise.resolve({ role: 'member' }),
  // The same again: whoever logs in afterwards still can.
  changePassword: (_api, { password }) => Promise.resolve({ current_password: password, new_password: password }),
};

async function freshRefreshToken(api: TestApi, { email, password }: TestAccount): Promise<string> {
  const session = await api.call({ method: 'POST', url: '/api/v1/auth/login', body: { email, password } });
  return String(session.body.refresh_token);
}

/** Makes requests on behalf of the owner of an organization, and what they need in it. */
export class RequestMaker {
  readonly #api: TestApi;
  readonly #byId: ReadonlyMap<string, Operation>;
  readonly #operations: readonly Operation[];

  constructor(api: TestApi, document: OpenApiDocument) {
    this.#api = api;
    this.#operations = operationsOf(document);
    this.#byId = new Map(this.#operations.map((operation) => [operation.id, operation]));
  }

  /** A request that succeeds for the owner: whatever it refers to has been made, afresh. */
  async make(operation: Operation, owner: TestAccount): Promise<OperationRequest> {
    const path: Record<string, string> = {};
    for (const { name } of operation.parameters.filter(({ in: part }) => part === 'path')) {
      path[name] = await this.#make(name, owner);
    }
    const references = await this.#references(operation, owner);
    const query = Object.fromEntries(
      operation.parameters
        .filter(({ in: part, name }) => part === 'query' && name !== 'cursor')
        .map(({ name, schema, example }) => [
          name,
          String(references[name] ?? example ?? sampleOf(schema, () => undefined, name)),
        ]),
    );
    const headers: Record<string, string> = {};
    if (operation.parameters.some(({ name }) => name === 'if-match')) headers['if-match'] = '*';
    if (operation.parameters.some(({ name }) => name === 'idempotency-key'))
      headers['idempotency-key'] = `key-${++made}`;
    const body =
      (await BODIES[operation.id]?.(this.#api, owner)) ??
      (operation.body && sampleOf(operation.body, (name) => references[name] ?? UNIQUE[name]?.()));
    return { path, query, headers, body };
  }

  /** Ids of things that the body or query refers to by a field named like a path parameter. */
  async #references(operation: Operation, owner: TestAccount): Promise<Record<string, string>> {
    const fields = JSON.stringify(operation.body ?? {}).matchAll(/"(\w+_id)":/gu);
    const inBody = [...new Set([...fields].map(([, name = '']) => name))];
    const inQuery = operation.parameters.filter(({ in: part }) => part === 'query').map(({ name }) => name);
    const references: Record<string, string> = {};
    for (const name of [...inBody, ...inQuery]) {
      if (this.#collectionOf(name)) references[name] = await this.#make(name, owner);
    }
    return references;
  }

  async #make(name: string, owner: TestAccount): Promise<string> {
    const maker = MAKERS[name];
    if (maker) return maker(this.#api, owner);
    const create = this.#collectionOf(name);
    if (!create) throw new Error(`Nothing makes a {${name}}: add it to MAKERS.`);
    const request = toApiRequest(create, await this.make(create, owner), owner.accessToken);
    const { status, body } = await this.#api.call(request);
    if (status !== create.success) throw new Error(`${create.id}: ${status} ${JSON.stringify(body)}`);
    return String(body.id);
  }

  /** The POST on the collection that `…/{name}` is in. */
  #collectionOf(name: string): Operation | undefined {
    const item = this.#operations.find(({ path }) => path.endsWith(`/{${name}}`));
    const collection = item?.path.slice(0, -`/{${name}}`.length);
    return [...this.#byId.values()].find(({ path, method }) => method === 'POST' && path === collection);
  }
}

export function toApiRequest(operation: Operation, request: OperationRequest, token: string | undefined): ApiRequest {
  const path = operation.path.replaceAll(/\{(\w+)\}/gu, (_, name: string) => request.path[name] ?? '');
  const query = new URLSearchParams(request.query).toString();
  return {
    method: operation.method,
    url: query === '' ? path : `${path}?${query}`,
    headers: request.headers,
    ...(token === undefined ? {} : { token }),
    ...(request.body === undefined ? {} : { body: request.body }),
  };
}
