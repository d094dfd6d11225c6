/** What the resources themselves promise: members, invitations, agents and their versions, numbers, voices, the audit log. */
import { eq } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { loadAgentForCall } from '../../../src/control/agents/for-calls.ts';
import { newId } from '../../../src/control/db/ids.ts';
import { agentVersions, agents, calls, conversations, messages } from '../../../src/control/db/schema.ts';
import { startTestApi } from '../../support/api.ts';
import type { ApiRequest, TestAccount, TestApi } from '../../support/api.ts';
import { operationsOf, parseDocument } from '../../support/openapi.ts';
import { RequestMaker, toApiRequest } from './operations.ts';

let api: TestApi;
let ada: TestAccount;
let stranger: TestAccount;
beforeAll(async () => {
  api = await startTestApi();
  ada = await api.register();
  stranger = await api.register();
}, 60_000);
afterAll(() => api.close());

const as = (
  account: TestAccount,
  method: NonNullable<ApiRequest['method']>,
  url: string,
  body?: unknown,
  headers = {},
) =>
  api.call({
    method,
    url: `/api/v1${url}`,
    token: account.accessToken,
    headers,
    ...(body === undefined ? {} : { body }),
  });

describe('members', () => {
  it('keep an owner: the last one can be neither removed nor lowered, not even by two at once', async () => {
    const org = await api.register();
    expect(await as(org, 'DELETE', `/members/${org.userId}`)).toMatchObject({
      status: 409,
      body: { code: 'conflict' },
    });
    expect((await as(org, 'PATCH', `/members/${org.userId}`, { role: 'admin' })).status).toBe(409);
    const second = await api.join(org, 'owner');
    const answers = await Promise.all([
      as(org, 'DELETE', `/members/${second.userId}`),
      as(second, 'DELETE', `/members/${org.userId}`),
    ]);
    expect(answers.filter(({ status }) => status === 204)).toHaveLength(1);
    const rows = await api.rows(org.organizationId, `SELECT count(*)::int AS n FROM memberships WHERE role = 'owner'`);
    expect(rows[0]?.['n']).toBe(1);
  });

  it('cannot give or take a role above their own', async () => {
    const org = await api.register();
    const [admin, member] = [await api.join(org, 'admin'), await api.join(org, 'member')];
    expect((await as(admin, 'PATCH', `/members/${member.userId}`, { role: 'owner' })).status).toBe(403);
    expect((await as(admin, 'PATCH', `/members/${org.userId}`, { role: 'viewer' })).status).toBe(403);
    expect((await as(admin, 'DELETE', `/members/${org.userId}`)).status).toBe(403);
    expect((await as(admin, 'POST', '/invitations', { email: 'x@example.com', role: 'owner' })).status).toBe(403);
    expect((await as(admin, 'PATCH', `/members/${member.userId}`, { role: 'admin' })).body.role).toBe('admin');
  });
});

describe('invitations', () => {
  const accept = (token: string, password: string) =>
    api.call({ method: 'POST', url: '/api/v1/auth/accept-invitation', body: { token, password, name: 'Guest' } });
  const invite = async (email: string) => String((await as(ada, 'POST', '/invitations', { email })).body.token);

  it('let an existing account in with its own password only, and show their organizations', async () => {
    const guest = await api.register();
    const token = await invite(guest.email);
    expect((await accept(token, 'another password')).status).toBe(401);
    const joined = await accept(token, guest.password);
    expect(joined).toMatchObject({ status: 200, body: { organization: { id: ada.organizationId, role: 'member' } } });
    const list = await api.call({ url: '/api/v1/organizations', token: joined.body.access_token });
    expect(list.body.items).toMatchObject([{ id: guest.organizationId }, { id: ada.organizationId }]);
    const moved = await api.call({
      method: 'POST',
      url: '/api/v1/auth/refresh',
      body: { refresh_token: joined.body.refresh_token, organization_id: guest.organizationId },
    });
    expect(moved.body.organization).toMatchObject({ id: guest.organizationId, role: 'owner' });
  });

  it('work once, not after they were withdrawn, and not when made up', async () => {
    const token = await invite('once@example.com');
    const answers = await Promise.all([accept(token, 'a long password'), accept(token, 'a long password')]);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    expect((await accept(token, 'a long password')).status).toBe(422);
    const made = await as(ada, 'POST', '/invitations', { email: 'never@example.com' });
    await as(ada, 'DELETE', `/invitations/${made.body.id}`);
    expect((await accept(String(made.body.token), 'a long password')).status).toBe(422);
    expect((await accept('made-up', 'a long password')).status).toBe(422);
  });

  it('do not tell the inviter whether there is such an account', async () => {
    const [known, unknown] = [
      await as(ada, 'POST', '/invitations', { email: stranger.email }),
      await as(ada, 'POST', '/invitations', { email: 'unknown@example.com' }),
    ];
    expect(Object.keys(known.body)).toEqual(Object.keys(unknown.body));
    expect([known.status, unknown.status]).toEqual([201, 201]);
  });
});

describe('agents', () => {
  const create = async (body: object = { name: 'Ada' }) => {
    const made = await as(ada, 'POST', '/agents', body);
    expect(made.status).toBe(201);
    return { id: String(made.body.id), etag: made.headers['etag'] ?? '', body: made.body };
  };
  const patch = (id: string, etag: string, body: object, query = '') =>
    as(ada, 'PATCH', `/agents/${id}${query}`, body, { 'if-match': etag });
  const forCall = (id: string) => api.database.door.inTenant(ada.organizationId, (tx) => loadAgentForCall(tx, id));

  it('need a name only; everything else has its default, at once ready for calls', async () => {
    const { id, body } = await create();
    expect(body).toMatchObject({ version: 1, published_version: 1, language: 'en', turn_taking: { barge_in_ms: 120 } });
    expect(await forCall(id)).toMatchObject({ id, version: 1, name: 'Ada', turnTaking: { bargeInMs: 120 } });
  });

  it('make a version with every change, and keep the others', async () => {
    const { id, etag } = await create();
    const changed = await patch(id, etag, { first_message: 'Hello', turn_taking: { barge_in_ms: 200 } });
    expect(changed.body).toMatchObject({
      version: 2,
      published_version: 2,
      first_message: 'Hello',
      turn_taking: { barge_in_ms: 200, false_alarm_ms: 900 },
    });
    const back = await patch(id, changed.headers['etag'] ?? '', { turn_taking: null });
    expect(back.body).toMatchObject({ version: 3, first_message: 'Hello', turn_taking: { barge_in_ms: 120 } });
    const versions = await as(ada, 'GET', `/agents/${id}/versions?limit=2`);
    expect(versions.body.items).toMatchObject([{ version: 3 }, { version: 2 }]);
    const rest = await as(ada, 'GET', `/agents/${id}/versions?cursor=${versions.body.next_cursor}`);
    expect(rest.body).toMatchObject({ items: [{ version: 1, first_message: '' }], next_cursor: null });
    const same = await patch(id, back.headers['etag'] ?? '', { first_message: 'Hello' });
    expect(same.body.version).toBe(3);
  });

  it('can be read and answer calls when a newer server has written fields that are not known here', async () => {
    const { id, body } = await create();
    const {
      id: _id,
      version: _version,
      published_version: _published,
      created_at: _at,
      updated_at: _to,
      language_defaults: _unset,
      ...document
    } = body;
    const config = {
      ...document,
      newer: { deep: true },
      stt: [{ provider: 'embedded', newer: 1 }],
      turn_taking: { ...document.turn_taking, barge_in_ms: 150, newer: 'x', speculation: { enabled: false, newer: 1 } },
    };
    await api.database.door.inTenant(ada.organizationId, async (tx) => {
      await tx.insert(agentVersions).values({ orgId: ada.organizationId, agentId: id, version: 2, config });
      await tx.update(agents).set({ version: 2, publishedVersion: 2 }).where(eq(agents.id, id));
    });
    const read = await as(ada, 'GET', `/agents/${id}`);
    expect([read.status, JSON.stringify(read.body).includes('newer')]).toEqual([200, false]);
    expect(read.body).toMatchObject({ version: 2, turn_taking: { barge_in_ms: 150, speculation: { enabled: false } } });
    expect(await forCall(id)).toMatchObject({ version: 2, turnTaking: { bargeInMs: 150 } });
    // What a client sends is still held to the fields that there are.
    expect((await as(ada, 'POST', '/agents', { name: 'A', newer: 1 })).status).toBe(422);
  });

  it('have the tag that changing them answers, whatever the order of what was sent', async () => {
    const metadata = { zeta: 'z', alpha: 'a', mid: 'm' };
    const { id, etag, body } = await create({ name: 'Tagged', metadata, language: 'en' });
    const read = async () => (await as(ada, 'GET', `/agents/${id}`)).headers['etag'];
    expect(await read()).toBe(etag);
    const patched = await patch(id, etag, { metadata: { later: 'l', earlier: 'e' }, first_message: 'Hello' });
    expect([patched.status, await read()]).toEqual([200, patched.headers['etag']]);
    expect(patched.headers['etag']).not.toBe(etag);
    const back = await as(ada, 'POST', `/agents/${id}/rollback`, { version: 1 });
    expect([back.status, await read()]).toEqual([200, back.headers['etag']]);
    expect(back.body.metadata).toEqual(body.metadata);
    const published = await as(ada, 'POST', `/agents/${id}/publish`, { version: 2 });
    expect([published.status, await read()]).toEqual([200, published.headers['etag']]);
  });

  it('take no change by somebody who has not seen the last one', async () => {
    const { id, etag } = await create();
    expect((await as(ada, 'PATCH', `/agents/${id}`, { name: 'B' })).status).toBe(428);
    const answers = await Promise.all([patch(id, etag, { name: 'B' }), patch(id, etag, { name: 'C' })]);
    expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 412]);
    expect((await patch(id, '*', { name: 'D' })).status).toBe(200);
    const read = await as(ada, 'GET', `/agents/${id}`);
    const unchanged = await as(ada, 'GET', `/agents/${id}`, undefined, { 'if-none-match': read.headers['etag'] });
    expect([unchanged.status, unchanged.body]).toEqual([304, '']);
  });

  it('can be drafted, published and rolled back', async () => {
    const { id, etag } = await create({ name: 'Ada', first_message: 'One' });
    const draft = await patch(id, etag, { first_message: 'Two' }, '?publish=false');
    expect(draft.body).toMatchObject({ version: 2, published_version: 1 });
    expect((await forCall(id))?.firstMessage).toBe('One');
    expect((await as(ada, 'POST', `/agents/${id}/publish`, {})).body.published_version).toBe(2);
    expect((await forCall(id))?.firstMessage).toBe('Two');
    const rolledBack = await as(ada, 'POST', `/agents/${id}/rollback`, { version: 1 });
    expect(rolledBack.body).toMatchObject({ version: 3, published_version: 3, first_message: 'One' });
    expect(await forCall(id)).toMatchObject({ version: 3, firstMessage: 'One' });
    expect((await as(ada, 'POST', `/agents/${id}/publish`, { version: 9 })).status).toBe(422);
  });

  it('disappear when deleted, from their numbers too; their versions stay', async () => {
    const { id } = await create();
    const number = await as(ada, 'POST', '/phone-numbers', { number: '+15550171', agent_id: id });
    expect((await as(ada, 'DELETE', `/agents/${id}`)).status).toBe(204);
    expect((await as(ada, 'GET', `/agents/${id}`)).status).toBe(404);
    expect((await as(ada, 'GET', `/phone-numbers/${number.body.id}`)).body.agent_id).toBeNull();
    expect(await forCall(id)).toBeUndefined();
    const rows = await api.rows(
      ada.organizationId,
      `SELECT count(*)::int AS n FROM agent_versions WHERE agent_id = '${id}'`,
    );
    expect(rows[0]?.['n']).toBe(1);
  });

  it('are listed in pages, the newest first, each once', async () => {
    const org = await api.register();
    for (let n = 0; n < 5; n++) await as(org, 'POST', '/agents', { name: `Agent ${n}` });
    const items: unknown[] = [];
    for (let cursor = ''; ;) {
      const page = await as(org, 'GET', `/agents?limit=2${cursor}`);
      items.push(...z.array(z.unknown()).parse(page.body.items));
      if (page.body.next_cursor === null) break;
      cursor = `&cursor=${page.body.next_cursor}`;
    }
    expect(items).toMatchObject([4, 3, 2, 1, 0].map((n) => ({ name: `Agent ${n}` })));
  });
});

describe('numbers and voices', () => {
  it('belong to one agent of one’s own; another organization’s does not exist', async () => {
    const foreign = await as(stranger, 'POST', '/agents', { name: 'Foreign' });
    const body = { number: '+15550180', agent_id: foreign.body.id };
    expect(await as(ada, 'POST', '/phone-numbers', body)).toMatchObject({
      status: 422,
      body: { errors: [{ pointer: '/agent_id' }] },
    });
    const own = await as(ada, 'POST', '/phone-numbers', { number: '+15550180' });
    expect((await as(ada, 'PATCH', `/phone-numbers/${own.body.id}`, { agent_id: foreign.body.id })).status).toBe(422);
    // Once, in whichever organization.
    expect(await as(ada, 'POST', '/phone-numbers', { number: '+15550180' })).toMatchObject({
      status: 409,
      body: { code: 'conflict', errors: [{ pointer: '/number' }] },
    });
    expect((await as(stranger, 'POST', '/phone-numbers', { number: '+15550180' })).status).toBe(409);
  });

  it('give an agent its voice, unless its entry says otherwise; a voice in use cannot be deleted', async () => {
    const fields = { provider: 'elevenlabs', model: 'm', voice: 'v', options: { speed: 1, stability: 0.5 } };
    const voice = await as(ada, 'POST', '/voice-configurations', { name: 'Warm', ...fields });
    const id = String(voice.body.id);
    const tts = [{ provider: 'elevenlabs', voice: 'own', options: { speed: 2 }, voice_configuration_id: id }];
    const agent = await as(ada, 'POST', '/agents', { name: 'Ada', tts });
    const config = await api.database.door.inTenant(ada.organizationId, (tx) =>
      loadAgentForCall(tx, String(agent.body.id)),
    );
    expect(config?.tts).toEqual([
      { provider: 'elevenlabs', model: 'm', voice: 'own', options: { speed: 2, stability: 0.5 } },
    ]);
    expect(await as(ada, 'DELETE', `/voice-configurations/${id}`)).toMatchObject({
      status: 409,
      body: { detail: expect.stringContaining('Ada') },
    });
    const foreign = await as(stranger, 'POST', '/agents', { name: 'Thief', tts });
    expect(foreign).toMatchObject({ status: 422, body: { errors: [{ pointer: '/tts/0/voice_configuration_id' }] } });
    await as(ada, 'DELETE', `/agents/${agent.body.id}`);
    expect((await as(ada, 'DELETE', `/voice-configurations/${id}`)).status).toBe(204);
  });
});

describe('messages', () => {
  it('are listed in the order in which they were said, page by page', async () => {
    const agentId = String((await as(ada, 'POST', '/agents', { name: 'Talker' })).body.id);
    const orgId = ada.organizationId;
    const [callId, conversationId] = [newId(), newId()];
    const said = [3, 0, 7, 9, 5].map((seq) => {
      const text = String(seq);
      return { orgId, conversationId, seq, role: 'caller' as const, atMs: seq, text, heardText: text };
    });
    await api.database.door.inTenant(orgId, async (tx) => {
      await tx.insert(calls).values({ id: callId, orgId, direction: 'inbound', agentId, agentVersion: 1 });
      await tx.insert(conversations).values({ id: conversationId, orgId, callId });
      await tx.insert(messages).values(said);
    });
    const pages: number[][] = [];
    const page = z.object({ items: z.array(z.object({ seq: z.number() })), next_cursor: z.string().nullable() });
    let cursor: string | null = '';
    while (cursor !== null) {
      const query: string = cursor === '' ? '' : `&cursor=${cursor}`;
      const { body } = await as(ada, 'GET', `/conversations/${conversationId}/messages?limit=2${query}`);
      const { items, next_cursor: next } = page.parse(body);
      pages.push(items.map(({ seq }) => seq));
      cursor = next;
    }
    expect(pages).toEqual([[0, 3], [5, 7], [9]]);
    expect((await as(ada, 'GET', `/conversations/${conversationId}/messages?cursor=-1`)).status).toBe(422);
  });
});

describe('the audit log', () => {
  it('has an entry for every operation that changes something, naming who did it and in which request', async () => {
    const document = parseDocument((await api.call({ url: '/openapi.json' })).body);
    const maker = new RequestMaker(api, document);
    const changes = operationsOf(document).filter(({ method, role }) => method !== 'GET' && role !== undefined);
    expect(changes.length).toBeGreaterThan(15);
    for (const operation of changes) {
      const request = toApiRequest(operation, await maker.make(operation, ada), ada.accessToken);
      const requestId = `audited-${operation.id}`;
      const answer = await api.call({ ...request, headers: { ...request.headers, 'x-request-id': requestId } });
      expect([operation.id, answer.status]).toEqual([operation.id, operation.success]);
      // A new organization has a log of its own.
      const organizationId = operation.id === 'createOrganization' ? String(answer.body.id) : ada.organizationId;
      const rows = await api.rows(
        organizationId,
        `SELECT actor_user_id, action FROM audit_log WHERE request_id = '${requestId}'`,
      );
      // Publishing what is published already changes nothing.
      const expected = operation.id === 'publishAgent' ? [] : [ada.userId];
      expect([operation.id, rows.map(({ actor_user_id: id }) => id)]).toEqual([operation.id, expected]);
    }
  }, 60_000);

  it('can be read by resource', async () => {
    const agent = await as(ada, 'POST', '/agents', { name: 'Audited' });
    await as(ada, 'DELETE', `/agents/${agent.body.id}`);
    const log = await as(ada, 'GET', `/audit-log?resource_type=agent&resource_id=${agent.body.id}`);
    expect(log.body.items).toMatchObject([
      { action: 'agent.deleted', actor: { type: 'user', id: ada.userId } },
      { action: 'agent.created' },
    ]);
  });
});
