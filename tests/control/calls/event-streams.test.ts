/** Streams of events over HTTP: how they are kept alive, and what ends them. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { sql } from 'drizzle-orm';
import type { SQL } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { EVENT_STREAM_TIMES } from '../../../src/control/calls/event-stream.ts';
import type { EventStreamTimes } from '../../../src/control/calls/event-stream.ts';
import { newId } from '../../../src/control/db/ids.ts';
import { startTestApi } from '../../support/api.ts';
import type { TestAccount, TestApi } from '../../support/api.ts';
import { EventFollower } from '../../support/event-follower.ts';
import { insertLiveCall } from '../api/operations.ts';

const TIMES: EventStreamTimes = {
  ...EVENT_STREAM_TIMES,
  heartbeatEveryMs: 50,
  slowAfterMs: 3_000,
  lastWordsMs: 10_000,
};
/** More than the kernel keeps for somebody who does not read. */
const MUCH = { events: 150, bytes: 100_000 };

let api: TestApi;
let other: TestApi;
let [url, otherUrl] = ['', ''];
let owner: TestAccount;
/** The server's ends of its connections, by the ports of the clients. */
const serverSockets = new Map<number | undefined, Socket>();
const closing: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  api = await startTestApi({ api: { eventStreams: TIMES } });
  other = await api.another();
  api.app.server.on('connection', (socket: Socket) => serverSockets.set(socket.remotePort, socket));
  url = await api.app.listen({ host: '127.0.0.1', port: 0 });
  otherUrl = await other.app.listen({ host: '127.0.0.1', port: 0 });
  owner = await api.register();
}, 90_000);
afterAll(() => api.close());
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function follow(path = '/api/v1/events', token = owner.accessToken, from = url): Promise<EventFollower> {
  const follower = await EventFollower.connect({ url: `${from}${path}`, token });
  closing.push(() => follower.close());
  return follower;
}

async function makeKey(): Promise<{ id: string; key: string }> {
  const body = { name: 'follower', scopes: ['calls:read'] };
  const made = await api.call({ method: 'POST', url: '/api/v1/api-keys', token: owner.accessToken, body });
  return { id: made.body.id, key: made.body.key };
}

const inOwnersOrganization = (statement: SQL): Promise<unknown> =>
  api.database.door.inTenant(owner.organizationId, (tx) => tx.execute(statement));

/** A call with events, as the recorder would have written them, each so large; its id. */
async function insertCallWithEvents(events: number, bytes = 1): Promise<string> {
  const callId = await insertLiveCall(api, owner.organizationId);
  await inOwnersOrganization(sql`INSERT INTO call_events (org_id, call_id, seq, type, at_ms, payload)
    SELECT ${owner.organizationId}, ${callId}, n, 'dtmf', n, jsonb_build_object('digit', repeat('5', ${bytes}))
    FROM generate_series(0, ${events - 1}) AS n`);
  return callId;
}

/** A client that asks and does not read. */
async function askOnly(path: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  closing.push(async () => void socket.destroy());
  await once(socket, 'connect');
  socket.pause();
  socket.write(`GET ${path} HTTP/1.1\r\nhost: ${hostname}\r\nauthorization: Bearer ${owner.accessToken}\r\n\r\n`);
  return socket;
}

describe('a stream of events', () => {
  it('says at once that it hears, and goes on saying so', async () => {
    const follower = await follow();
    expect(follower.contentType).toBe('text/event-stream; charset=utf-8');
    await expect
      .poll(() => follower.comments.slice(0, 3), { timeout: 5_000 })
      .toEqual(['connected', 'still here', 'still here']);
    // What proxies put up with.
    expect(EVENT_STREAM_TIMES.heartbeatEveryMs).toBeLessThan(30_000);
  });

  it('leaves places for other organizations', async () => {
    const crowd = await api.register(`crowd-${newId()}@example.com`);
    await Promise.all(Array.from({ length: 100 }, () => follow('/api/v1/events', crowd.accessToken)));
    const refused = await fetch(`${url}/api/v1/events`, { headers: { authorization: `Bearer ${crowd.accessToken}` } });
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ code: 'capacity' });
    await follow();
  });

  it('begins with the call, and ends with it', async () => {
    const callId = await insertCallWithEvents(3);
    const follower = await follow(`/api/v1/calls/${callId}/events`);
    await expect.poll(() => follower.events.map(({ seq }) => seq), { timeout: 5_000 }).toEqual([0, 1, 2]);
    await inOwnersOrganization(
      sql`UPDATE calls SET status = 'completed', end_reason = 'caller-hung-up', ended_at = now() WHERE id = ${callId}`,
    );
    expect(await follower.ended).toBe('server-ended');
    expect(follower.notices).toEqual([]);
  });

  it('is cut off for those who do not read, with the reason, and for nobody else', async () => {
    const callId = await insertCallWithEvents(MUCH.events, MUCH.bytes);
    const path = `/api/v1/calls/${callId}/events`;
    const [slow, dead] = [await askOnly(path), await askOnly(path)];
    const quick = await follow(path);
    await expect.poll(() => quick.events.length, { timeout: 20_000 }).toBe(MUCH.events);
    const endings = () =>
      api.log.filter(({ msg, reason }) => msg === 'a stream of events was ended' && reason === 'too-slow');
    await expect.poll(() => endings().length, { timeout: 20_000 }).toBe(2);
    // One reads on after all: the last that it is told is why.
    let last = '';
    slow.resume().on('data', (chunk: Buffer) => (last = (last + chunk.toString('latin1')).slice(-300)));
    const reason = 'event: too-slow\ndata: {"detail":"You read too slowly; come back with Last-Event-ID."}';
    await expect.poll(() => last, { timeout: 20_000 }).toContain(reason);
    // The other one does not: its connection is not kept.
    await expect.poll(() => serverSockets.get(dead.localPort ?? 0)?.destroyed, { timeout: 40_000 }).toBe(true);
  }, 120_000);
});

describe('a stream of events, once its client may not follow any more', () => {
  /** Both servers' streams end with the reason; how long after `revoke` that was. */
  async function expectEnd(token: string, revoke: () => Promise<{ status: number }>): Promise<number> {
    const followers = await Promise.all([url, otherUrl].map((from) => follow('/api/v1/events', token, from)));
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
    const { id, key } = await makeKey();
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
    const bystander = await follow();
    const { id, key } = await makeKey();
    await expectEnd(key, remove(`api-keys/${id}`));
    const callId = await insertCallWithEvents(1);
    await expect.poll(() => bystander.events.map((event) => event.callId), { timeout: 5_000 }).toEqual([callId]);
    expect(bystander.notices).toEqual([]);
  });
});
