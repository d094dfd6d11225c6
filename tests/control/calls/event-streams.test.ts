/** Streams of events over HTTP: how they are kept alive, and what ends them. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { sql } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { EVENT_STREAM_TIMES } from '../../../src/control/calls/event-stream.ts';
import type { EventStreamTimes } from '../../../src/control/calls/event-stream.ts';
import { newId } from '../../../src/control/db/ids.ts';
import { startTestApi } from '../../support/api.ts';
import type { TestAccount, TestApi } from '../../support/api.ts';
import { EventFollower } from '../../support/event-follower.ts';
import { insertLiveCall } from '../api/operations.ts';

const NEVER_MS = 600_000;
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** Where an API listens, with times of the test's own. */
async function listen(times: Partial<EventStreamTimes>): Promise<{ api: TestApi; url: string }> {
  const api = await startTestApi({ api: { eventStreams: { ...EVENT_STREAM_TIMES, ...times } } });
  closing.push(() => api.close());
  return { api, url: await api.app.listen({ host: '127.0.0.1', port: 0 }) };
}

async function follow(url: string, token: string, path = '/api/v1/events'): Promise<EventFollower> {
  const follower = await EventFollower.connect({ url: `${url}${path}`, token });
  closing.push(() => follower.close());
  return follower;
}

async function makeKey(api: TestApi, owner: TestAccount): Promise<{ id: string; key: string }> {
  const body = { name: 'follower', scopes: ['calls:read'] };
  const made = await api.call({ method: 'POST', url: '/api/v1/api-keys', token: owner.accessToken, body });
  return { id: made.body.id, key: made.body.key };
}

/** Writes events of a call, as the recorder would, each so large. */
function writeEvents(
  { database }: TestApi,
  orgId: string,
  callId: string,
  count: number,
  bytes: number,
): Promise<unknown> {
  return database.door.inTenant(orgId, (tx) =>
    tx.execute(sql`INSERT INTO call_events (org_id, call_id, seq, type, at_ms, payload)
      SELECT ${orgId}, ${callId}, n, 'dtmf', n, jsonb_build_object('digit', repeat('5', ${bytes}))
      FROM generate_series(0, ${count - 1}) AS n`),
  );
}

/** A client that asks and never reads. */
async function askAndNotRead(url: string, token: string, path: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  closing.push(async () => void socket.destroy());
  await once(socket, 'connect');
  socket.pause();
  socket.write(`GET ${path} HTTP/1.1\r\nhost: ${hostname}\r\nauthorization: Bearer ${token}\r\n\r\n`);
  return socket;
}

const endings = ({ log }: TestApi): unknown[] => log.filter(({ msg }) => msg === 'a stream of events was ended');

describe('a stream of events', () => {
  it('says at once that it hears, and goes on saying so', async () => {
    const { api, url } = await listen({ heartbeatEveryMs: 50 });
    const owner = await api.register();
    const follower = await follow(url, owner.accessToken);
    expect(follower.contentType).toBe('text/event-stream; charset=utf-8');
    await expect
      .poll(() => follower.comments.slice(0, 4))
      .toEqual(['connected', ...Array.from({ length: 3 }, () => 'still here')]);
    expect(EVENT_STREAM_TIMES.heartbeatEveryMs).toBeLessThanOrEqual(15_000);
  });

  it('begins with the call, goes on, and ends with it', async () => {
    const { api, url } = await listen({});
    const { organizationId, accessToken } = await api.register();
    const callId = await insertLiveCall(api, organizationId);
    await writeEvents(api, organizationId, callId, 3, 1);
    const follower = await follow(url, accessToken, `/api/v1/calls/${callId}/events`);
    await expect.poll(() => follower.events.map(({ seq }) => seq)).toEqual([0, 1, 2]);
    await api.database.door.inTenant(organizationId, (tx) =>
      tx.execute(
        sql`UPDATE calls SET status = 'completed', end_reason = 'caller-hung-up', ended_at = now() WHERE id = ${callId}`,
      ),
    );
    expect(await follower.ended).toBe('server-ended');
    expect(follower.notices).toEqual([]);
  });

  it('is cut off for one that does not read, with the reason, and for nobody else', async () => {
    const { api, url } = await listen({ slowAfterMs: 300, lastWordsMs: NEVER_MS });
    const { organizationId, accessToken } = await api.register();
    const callId = await insertLiveCall(api, organizationId);
    const path = `/api/v1/calls/${callId}/events`;
    // More than the kernel keeps for somebody who does not read.
    await writeEvents(api, organizationId, callId, 300, 100_000);
    const slow = await askAndNotRead(url, accessToken, path);
    const quick = await follow(url, accessToken, path);
    await expect.poll(() => quick.events.length, { timeout: 15_000 }).toBe(300);
    await expect.poll(() => endings(api), { timeout: 15_000 }).toMatchObject([{ reason: 'too-slow' }]);
    let last = '';
    slow.on('data', (chunk: Buffer) => (last = (last + chunk.toString('latin1')).slice(-300)));
    await expect
      .poll(() => last, { timeout: 15_000 })
      .toContain('event: too-slow\ndata: {"detail":"You read too slowly; come back with Last-Event-ID."}');
    await writeEvents(api, organizationId, await insertLiveCall(api, organizationId), 1, 1);
    expect(quick.notices).toEqual([]);
  }, 60_000);

  it('does not keep the connection of one that does not read its last words either', async () => {
    const { api, url } = await listen({ slowAfterMs: 100, lastWordsMs: 100 });
    const { organizationId, accessToken } = await api.register();
    const callId = await insertLiveCall(api, organizationId);
    await writeEvents(api, organizationId, callId, 300, 100_000);
    await askAndNotRead(url, accessToken, `/api/v1/calls/${callId}/events`);
    await expect.poll(() => endings(api).length, { timeout: 15_000 }).toBe(1);
    const connections = () => new Promise((resolve) => api.app.server.getConnections((_, count) => resolve(count)));
    await expect.poll(connections, { timeout: 10_000 }).toBe(0);
  }, 60_000);
});

describe('a stream of events, once its client may not follow any more', () => {
  let api: TestApi;
  let urls: readonly [string, string];
  let owner: TestAccount;
  beforeAll(async () => {
    api = await startTestApi();
    const other = await api.another();
    urls = [
      await api.app.listen({ host: '127.0.0.1', port: 0 }),
      await other.app.listen({ host: '127.0.0.1', port: 0 }),
    ];
    owner = await api.register();
  }, 60_000);
  afterAll(() => api.close());

  /** Both servers' streams end with the reason; how long after `revoke` that was. */
  async function expectEnd(token: string, revoke: () => Promise<{ status: number }>): Promise<number> {
    const followers = await Promise.all(urls.map((url) => follow(url, token)));
    const beganAtMs = performance.now();
    expect((await revoke()).status).toBe(204);
    for (const follower of followers) {
      expect(await follower.ended).toBe('server-ended');
      expect(follower.notices).toMatchObject([{ name: 'access-ended' }]);
    }
    return performance.now() - beganAtMs;
  }
  const remove = (path: string) => () =>
    api.call({ method: 'DELETE', url: `/api/v1/${path}`, token: owner.accessToken });

  it('ends when the API key is revoked, on this server and on the others', async () => {
    const { id, key } = await makeKey(api, owner);
    const afterMs = await expectEnd(key, remove(`api-keys/${id}`));
    console.info(`streams of a revoked key ended after ${Math.round(afterMs)} ms`);
  });

  it('ends when a member is removed', async () => {
    const member = await api.join(owner, 'viewer');
    await expectEnd(member.accessToken, remove(`members/${member.userId}`));
  });

  it('ends with the session', async () => {
    const { accessToken, refreshToken } = await api.register(`leaving-${newId()}@example.com`);
    const body = { refresh_token: refreshToken };
    await expectEnd(accessToken, () => api.call({ method: 'POST', url: '/api/v1/auth/logout', body }));
  });

  it('goes on for all others', async () => {
    const bystander = await follow(urls[0], owner.accessToken);
    const { id, key } = await makeKey(api, owner);
    await expectEnd(key, remove(`api-keys/${id}`));
    const callId = await insertLiveCall(api, owner.organizationId);
    await writeEvents(api, owner.organizationId, callId, 1, 1);
    await expect.poll(() => bystander.events.map((event) => event.callId), { timeout: 5_000 }).toEqual([callId]);
    expect(bystander.notices).toEqual([]);
  });
});
