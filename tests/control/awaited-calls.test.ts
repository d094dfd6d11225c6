/** Telephone calls whose webhook was answered: each leaves one record with one end, whether its stream comes or not. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { newSid } from '../../bench/phone/connect.ts';
import { twilioSignature } from '../../bench/phone/voice-webhook.ts';
import { AnsweringAgents } from '../../src/control/agents/answering.ts';
import { AwaitedCalls } from '../../src/control/calls/awaited.ts';
import { CallDesk } from '../../src/control/calls/desk.ts';
import type { ExpectedCall } from '../../src/control/calls/desk.ts';
import { OrphanKeeper } from '../../src/control/calls/orphans.ts';
import { CallRecorder } from '../../src/control/calls/recorder.ts';
import { newId } from '../../src/control/db/ids.ts';
import { calls } from '../../src/control/db/schema.ts';
import type { TenantDoor } from '../../src/control/db/tenant.ts';
import { buildHttp } from '../../src/control/http.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { BvraiError } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/log.ts';
import { startTestApi } from '../support/api.ts';
import type { TestAccount, TestApi } from '../support/api.ts';

const AUTH_TOKEN = 'twilio-auth-token';
const PUBLIC_URL = 'https://voice.example.com';
const NUMBER = '+15550100';
const CALLER = '+15550199';
const STREAM_WITHIN_MS = 75_000;
const GENEROUS = { timeout: 15_000, interval: 20 };

let api: TestApi;
let owner: TestAccount;
let agentId: string;
beforeAll(async () => {
  api = await startTestApi();
  owner = await api.register();
  agentId = await create('/api/v1/agents', { name: 'Ada' });
  await create('/api/v1/phone-numbers', { number: NUMBER, agent_id: agentId });
}, 90_000);
afterAll(() => api?.close());

async function create(url: string, body: object): Promise<string> {
  return String((await api.call({ method: 'POST', url, token: owner.accessToken, body })).body.id);
}

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

/** The webhooks of a server, its recorder, and who looks after its calls; the media side is played by the test. */
class Server {
  readonly clock = new VirtualClock();
  readonly nodeId: string;
  readonly directory: string;
  /** While true, the database takes no call records. */
  isAway = false;
  full: string | undefined;
  recorder!: CallRecorder;
  awaited!: AwaitedCalls;
  desk!: CallDesk;
  orphans!: OrphanKeeper;
  #app!: FastifyInstance;
  readonly #tokens = new Map<string, ExpectedCall>();
  readonly #streams: ExpectedCall[] = [];

  /** One with the same directory as `after` is its successor. */
  static async start(after?: Server): Promise<Server> {
    const directory = after?.directory ?? (await mkdtemp(join(tmpdir(), 'bvrai-awaited-')));
    if (!after) cleanups.push(() => rm(directory, { recursive: true, force: true }));
    const server = new Server(directory, after?.nodeId ?? newId());
    await server.#open();
    cleanups.push(() => server.stop());
    return server;
  }

  private constructor(directory: string, nodeId: string) {
    this.directory = directory;
    this.nodeId = nodeId;
  }

  async #open(): Promise<void> {
    const { door } = api.database;
    const away = (): Promise<never> => Promise.reject(new BvraiError('db.unavailable', 'planted'));
    const mayBeAway: TenantDoor = {
      ...door,
      inTenant: (...parameters) => (this.isAway ? away() : door.inTenant(...parameters)),
      beforeTenant: (work) => (this.isAway ? away() : door.beforeTenant(work)),
    };
    const instanceId = newId();
    this.recorder = await CallRecorder.open({ door: mayBeAway, directory: this.directory, instanceId, log: silentLog });
    const { recorder, clock, nodeId } = this;
    const beats = { beatEveryMs: 50, deadAfterBeats: 1_200 };
    const { replayed } = recorder;
    this.orphans = await OrphanKeeper.start({ door, instanceId, nodeId, log: silentLog, replayed, ...beats });
    const admission = {
      check: () => {
        if (this.full !== undefined) throw new BvraiError('capacity', this.full);
      },
      untilOnTime: async () => {},
      ring: () => {},
      keepRinging: () => {},
      endRinging: () => {},
    };
    const mintToken = (call: ExpectedCall): string => {
      const token = `token-${this.#tokens.size}`;
      this.#tokens.set(token, call);
      return token;
    };
    this.desk = new CallDesk({ recorder, admission, mintToken });
    this.awaited = new AwaitedCalls({ recorder, desk: this.desk, clock, log: silentLog });
    this.#app = await buildHttp({
      log: pino({ level: 'silent' }),
      health: { readiness: () => ({}), metrics: () => Promise.resolve({ contentType: 'text/plain', text: '' }) },
      twilio: {
        authToken: AUTH_TOKEN,
        publicUrl: PUBLIC_URL,
        door: mayBeAway,
        agents: new AnsweringAgents({ door: mayBeAway, log: silentLog, onNewAgent: () => {} }),
        desk: this.desk,
        awaited: this.awaited,
        rest: undefined,
        local: undefined,
        streamUrl: () => 'wss://voice.example.com/media',
      },
    });
  }

  async hook(path: string, form: Readonly<Record<string, string>>): Promise<{ status: number; body: string }> {
    const { statusCode: status, body } = await this.#app.inject({
      method: 'POST',
      url: path,
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        'x-twilio-signature': twilioSignature(AUTH_TOKEN, `${PUBLIC_URL}${path}`, form),
      },
      payload: new URLSearchParams(form).toString(),
    });
    return { status, body };
  }

  /** A call comes in; its stream's token, or undefined when its caller hears words instead. */
  async ring(callSid: string, query = '', to = NUMBER): Promise<string | undefined> {
    const form = { CallSid: callSid, From: CALLER, To: to, Direction: query === '' ? 'inbound' : 'outbound-api' };
    const answer = await this.hook(`/twilio/voice${query}`, form);
    expect(answer.status).toBe(200);
    return /name="token" value="([^"]+)"/u.exec(answer.body)?.[1];
  }

  told(callSid: string, status: string): Promise<{ status: number }> {
    return this.hook('/twilio/status', { CallSid: callSid, CallStatus: status });
  }

  /** The stream of this token starts. */
  open(token: string | undefined): string {
    const call = this.#tokens.get(token ?? '');
    if (!call) throw new Error('there is no such token');
    this.desk.begin(call);
    this.awaited.begun(call.callSid);
    this.desk.onEvent(call.id, { type: 'call-started', at_ms: 0 });
    this.#streams.push(call);
    return call.callSid;
  }

  hangUp(callSid: string): void {
    for (const { id } of this.#streams.filter((stream) => stream.callSid === callSid))
      this.desk.onEvent(id, { type: 'call-ended', at_ms: 10, reason: 'caller-hung-up' });
  }

  async written(): Promise<void> {
    await expect.poll(() => this.recorder.status.waitingBytes, GENEROUS).toBe(0);
  }

  /** As kill -9 does it: nobody is told. */
  async die(): Promise<void> {
    await this.recorder.close(0);
    await this.orphans.close();
  }

  async stop(): Promise<void> {
    this.isAway = false;
    await this.#app.close();
    this.awaited.close();
    await this.recorder.close(10_000);
    await this.orphans.close();
  }
}

/** All rows of this sid, whosever; there must be one at most. */
const recordsOf = (callSid: string) =>
  api.rows(
    owner.organizationId,
    `SELECT calls.*, (SELECT count(*)::int FROM conversations WHERE call_id = calls.id) AS conversations
     FROM calls WHERE twilio_call_sid = '${callSid}'`,
  );
const expectRecord = async (callSid: string, expected: object): Promise<void> => {
  await expect.poll(() => recordsOf(callSid), GENEROUS).toMatchObject([expected]);
};

describe('a call whose stream never comes', () => {
  it('rings in its record, and ends in it once its token is good no more', async () => {
    const server = await Server.start();
    const callSid = newSid('CA');
    await server.ring(callSid);
    await server.written();
    const shown = await api.call({ url: `/api/v1/calls/${callSid}`, token: owner.accessToken });
    expect(shown).toMatchObject({
      status: 200,
      body: {
        status: 'ringing',
        end_reason: null,
        direction: 'inbound',
        channel: 'phone',
        from: CALLER,
        to: NUMBER,
        agent_id: agentId,
        agent_version: 1,
        started_at: null,
        conversation_id: null,
      },
    });
    server.clock.advance(STREAM_WITHIN_MS - 1);
    await server.written();
    expect(await recordsOf(callSid)).toMatchObject([{ status: 'ringing' }]);
    server.clock.advance(1);
    await server.written();
    const end_detail = expect.stringContaining('75 s');
    await expectRecord(callSid, { status: 'failed', end_reason: 'never-opened', end_detail, conversations: 0 });
    expect(server.clock.pendingTimers).toBe(0);
  });

  it('is recorded though the database is away all the while, and its webhook does not wait for that', async () => {
    const server = await Server.start();
    // Who answers this number is known.
    await server.ring(newSid('CA'));
    server.isAway = true;
    const [silent, left] = [newSid('CA'), newSid('CA')];
    expect(await server.ring(silent)).toBeDefined();
    expect(await server.ring(left)).toBeDefined();
    expect((await server.told(left, 'completed')).status).toBe(204);
    server.clock.advance(STREAM_WITHIN_MS);
    expect([...(await recordsOf(silent)), ...(await recordsOf(left))]).toEqual([]);
    server.isAway = false;
    await server.written();
    await expectRecord(silent, { status: 'failed', end_reason: 'never-opened' });
    await expectRecord(left, { status: 'completed', end_reason: 'ended-without-conversation' });
  });

  it.each(['before', 'after'])('ends as Twilio says it did, %s its row exists, and only once', async (when) => {
    const server = await Server.start();
    const callSid = newSid('CA');
    await server.ring(callSid);
    if (when === 'after') await server.written();
    for (const status of ['ringing', 'canceled', 'completed', 'canceled', 'in-progress'])
      expect((await server.told(callSid, status)).status).toBe(204);
    server.clock.advance(STREAM_WITHIN_MS);
    await server.written();
    await expectRecord(callSid, { status: 'cancelled', end_reason: 'canceled' });
  });

  it('ends though Twilio has said that it was answered', async () => {
    const server = await Server.start();
    const callSid = newSid('CA');
    await server.ring(callSid);
    await server.written();
    await server.told(callSid, 'in-progress');
    await expectRecord(callSid, { status: 'in_progress' });
    server.clock.advance(STREAM_WITHIN_MS);
    await expectRecord(callSid, { status: 'failed', end_reason: 'never-opened' });
  });

  it('is one call however often, and wherever, its webhook is repeated', async () => {
    const [server, other] = [await Server.start(), await Server.start()];
    const callSid = newSid('CA');
    for (const each of [server, server, other]) await each.ring(callSid);
    await Promise.all([server.written(), other.written()]);
    await expectRecord(callSid, { status: 'ringing' });
    // It is told on the other one, which has its own word for it.
    await other.told(callSid, 'completed');
    await other.written();
    server.clock.advance(STREAM_WITHIN_MS);
    await server.written();
    await expectRecord(callSid, { status: 'completed', end_reason: 'ended-without-conversation' });
  });

  it('ends with the server that awaits it', async () => {
    const server = await Server.start();
    const callSid = newSid('CA');
    await server.ring(callSid);
    await server.stop();
    await expectRecord(callSid, { status: 'failed', end_reason: 'server-shutdown' });
  });

  it.each(['written', 'not written'])(
    'is ended by the successor of a server that dies (its row is %s)',
    async (row) => {
      const dead = await Server.start();
      const callSid = newSid('CA');
      await dead.ring(newSid('CA'));
      dead.isAway = row === 'not written';
      await dead.ring(callSid);
      if (row === 'written') await dead.written();
      await dead.die();
      expect(await recordsOf(callSid)).toHaveLength(row === 'written' ? 1 : 0);
      const successor = await Server.start(dead);
      await expectRecord(callSid, { status: 'failed', end_reason: 'server-restarted', conversations: 0 });
      await successor.told(callSid, 'completed');
      await expectRecord(callSid, { status: 'failed', end_reason: 'server-restarted' });
    },
  );
});

describe('a call whose stream comes', () => {
  it('has one record, which ends with its conversation', async () => {
    const server = await Server.start();
    const callSid = newSid('CA');
    server.open(await server.ring(callSid));
    await server.written();
    await expectRecord(callSid, { status: 'in_progress', conversations: 1 });
    server.clock.advance(STREAM_WITHIN_MS);
    await server.told(callSid, 'completed');
    await server.written();
    await expectRecord(callSid, { status: 'in_progress', end_reason: null, conversations: 1 });
    server.hangUp(callSid);
    await server.written();
    await expectRecord(callSid, { status: 'completed', end_reason: 'caller-hung-up', conversations: 1 });
  });

  it('has it too when everything is written at once, in whatever batch', async () => {
    const server = await Server.start();
    await server.ring(newSid('CA'));
    server.isAway = true;
    const sids = Array.from({ length: 20 }, () => newSid('CA'));
    for (const callSid of sids) server.open(await server.ring(callSid));
    // Twilio repeats a webhook whose answer it has not got, and opens the stream of each.
    for (const callSid of sids.slice(0, 3)) server.open(await server.ring(callSid));
    for (const callSid of sids) server.hangUp(callSid);
    server.clock.advance(STREAM_WITHIN_MS);
    server.isAway = false;
    await server.written();
    for (const callSid of sids)
      await expectRecord(callSid, { status: 'completed', end_reason: 'caller-hung-up', conversations: 1 });
    expect(server.recorder.status.rejectedLines).toBe(0);
  });
});

describe('a call that is refused', () => {
  it('is recorded as busy when there is no capacity, with the reason', async () => {
    const server = await Server.start();
    const callSid = newSid('CA');
    server.full = '2 calls are in progress (MAX_CALLS).';
    for (let time = 0; time < 3; time++) expect(await server.ring(callSid)).toBeUndefined();
    await server.written();
    const end_detail = expect.stringContaining('MAX_CALLS');
    await expectRecord(callSid, { status: 'busy', end_reason: 'over-capacity', end_detail, direction: 'inbound' });
    expect(await recordsOf(callSid)).toMatchObject([{ from_number: CALLER, to_number: NUMBER, conversations: 0 }]);
    await server.told(callSid, 'completed');
    await expectRecord(callSid, { status: 'busy', end_reason: 'over-capacity' });
    expect(server.recorder.status.rejectedLines).toBe(0);
  });

  it('is in nobody’s records when nobody has its number', async () => {
    const server = await Server.start();
    const callSid = newSid('CA');
    expect(await server.ring(callSid, '', '+15550999')).toBeUndefined();
    server.clock.advance(STREAM_WITHIN_MS);
    await server.written();
    expect(await api.database.asOwner('SELECT id FROM calls WHERE twilio_call_sid = $1', [callSid])).toEqual([]);
    expect(server.clock.pendingTimers).toBe(0);
  });
});

describe('a call that was rung over the API', () => {
  const rung = async (): Promise<{ id: string; query: string; callSid: string }> => {
    const [id, callSid] = [newId(), newSid('CA')];
    const { organizationId: orgId } = owner;
    const values = { id, orgId, agentId, agentVersion: 1, direction: 'outbound', twilioCallSid: callSid } as const;
    await api.database.door.inTenant(orgId, (tx) => tx.insert(calls).values({ ...values, metadata: { ref: 7 } }));
    return { id, callSid, query: `?call=${id}&org=${orgId}` };
  };

  it('ends when its stream never comes after it was answered, and keeps what it was begun with', async () => {
    const server = await Server.start();
    const { id, callSid, query } = await rung();
    expect(await server.ring(callSid, query)).toBeDefined();
    await server.written();
    await expectRecord(callSid, { id, status: 'initiated' });
    server.clock.advance(STREAM_WITHIN_MS);
    await expectRecord(callSid, { id, status: 'failed', end_reason: 'never-opened', metadata: { ref: 7 } });
  });

  it('has failed, and was not busy, when there is no capacity for its answer', async () => {
    const server = await Server.start();
    const { id, callSid, query } = await rung();
    server.full = 'The server cannot keep up.';
    expect(await server.ring(callSid, query)).toBeUndefined();
    await expectRecord(callSid, { id, status: 'failed', end_reason: 'over-capacity', direction: 'outbound' });
  });
});
