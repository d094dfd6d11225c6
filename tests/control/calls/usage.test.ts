/** What calls used and what it cost, in their records: once, whatever the database and the servers do meanwhile. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { callResponse } from '../../../src/control/calls/json.ts';
import { OrphanKeeper } from '../../../src/control/calls/orphans.ts';
import { NO_PRICES } from '../../../src/control/calls/prices.ts';
import { CallRecorder } from '../../../src/control/calls/recorder.ts';
import type { RecordedCall } from '../../../src/control/calls/recorder.ts';
import { formatLine, isEssential, parseLine } from '../../../src/control/calls/spool-lines.ts';
import { listCalls } from '../../../src/control/calls/store.ts';
import type { StoredCall } from '../../../src/control/calls/store.ts';
import { newId } from '../../../src/control/db/ids.ts';
import type { TenantDoor } from '../../../src/control/db/tenant.ts';
import { BvraiError } from '../../../src/core/errors.ts';
import { silentLog } from '../../../src/core/log.ts';
import type { CallUsage } from '../../../src/pipeline/ports.ts';
import { openTestDatabase } from '../../support/database.ts';
import type { TestDatabase } from '../../support/database.ts';
import { readAs, recordedCall } from '../../support/recorded-calls.ts';
import type { CallOwner } from '../../support/recorded-calls.ts';
import { foundTenant } from '../../support/tenant.ts';

const PRICES = {
  ...NO_PRICES,
  telephony: { inbound: { usd_per_minute: 0.01, billed_unit_s: 60 } },
  tts: [{ provider: 'elevenlabs', usd_per_million_characters: 100 }],
};
const log = silentLog;

let db: TestDatabase;
let owner: CallOwner;
let directory: string;
const open: { close(graceMs: number): Promise<void> }[] = [];

beforeAll(async () => {
  db = await openTestDatabase();
  owner = await foundTenant(db.door, 'usage');
  directory = await mkdtemp(join(tmpdir(), 'bvrai-usage-'));
}, 90_000);
afterAll(async () => {
  await db.close();
  await rm(directory, { recursive: true, force: true });
});
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close(10_000);
});

interface Server {
  readonly recorder: CallRecorder;
  readonly instanceId: string;
}

/** A server's recorder, in a directory of its own. */
async function startServer(door: TenantDoor = db.door): Promise<Server> {
  const instanceId = newId();
  const own = await mkdtemp(join(directory, 'server-'));
  const recorder = await CallRecorder.open({ door, directory: own, instanceId, prices: PRICES, log });
  open.push(recorder);
  return { recorder, instanceId };
}

async function untilWritten({ recorder }: Server): Promise<void> {
  await vi.waitFor(() => expect(recorder.status.waitingBytes).toBe(0), { timeout: 15_000, interval: 20 });
}

function spoken(characters: number): CallUsage {
  return { stt: [], llm: [], tts: [{ provider: 'elevenlabs', model: 'flash', characters }] };
}

/** One stream of a call, which says now and then what it has used so far. */
class UsingCall {
  readonly #recorder: CallRecorder;
  readonly #id: string;
  readonly #stream: number;

  constructor({ recorder }: Server, call: RecordedCall, stream = 1) {
    this.#recorder = recorder;
    this.#id = call.id;
    this.#stream = stream;
    recorder.begin(call);
  }

  used(characters: number, final = false): void {
    const usage = spoken(characters);
    this.#recorder.append(this.#id, { type: 'usage-counted', at_ms: 1, stream: this.#stream, final, usage });
  }

  end(atMs = 61_000): void {
    this.#recorder.append(this.#id, { type: 'call-ended', at_ms: atMs, reason: 'caller-hung-up' });
  }
}

const read = (call: RecordedCall): Promise<StoredCall | undefined> => readAs(db.door, owner.orgId, call.id);

describe('what a call used', () => {
  it('is in its record when it has ended, with its cost; the newest count stands for those before it', async () => {
    const server = await startServer();
    const call = recordedCall(owner);
    const talk = new UsingCall(server, call);
    talk.used(10);
    talk.used(200);
    await untilWritten(server);
    expect(await read(call)).toMatchObject({ usage: null, missing_prices: [], cost_usd: { tts: null, total: null } });
    talk.used(1_000, true);
    talk.end();
    await untilWritten(server);
    const record = await read(call);
    expect(record).toMatchObject({
      usage: {
        telephony: { duration_ms: 61_000, cost_usd: 0.02 },
        stt: [],
        llm: [],
        tts: [{ provider: 'elevenlabs', model: 'flash', characters: 1_000, cost_usd: 0.1 }],
      },
      missing_prices: [],
      cost_usd: { telephony: 0.02, stt: 0, llm: 0, tts: 0.1, total: 0.12, is_minimum: false },
    });
    // It is no event of the call's.
    expect(record?.events.map(({ seq, type }) => [seq, type])).toEqual([[0, 'call-ended']]);
    expect(callResponse.parse(record)).toEqual(record);
    const list = await db.door.inTenant(owner.orgId, (tx) => listCalls(tx, {}, { limit: 1 }));
    expect(list.items[0]?.cost_usd).toEqual(record?.cost_usd);
  });

  it('is counted once though the database fails in the midst and takes lines twice', async () => {
    const failures = ['before', 'after', undefined, 'after', 'before', undefined, 'after'];
    const fault = (): BvraiError => new BvraiError('db.unavailable', 'planted');
    const server = await startServer({
      ...db.door,
      async inTenant(orgId, work, options) {
        const failure = failures.shift();
        if (failure === 'before') throw fault();
        const result = await db.door.inTenant(orgId, work, options);
        if (failure === 'after') throw fault();
        return result;
      },
    });
    const call = recordedCall(owner);
    const talk = new UsingCall(server, call);
    for (const characters of [10, 20, 30]) {
      talk.used(characters);
      await vi.waitFor(() => expect(server.recorder.status.waitingBytes).toBe(0), { timeout: 15_000 });
    }
    talk.used(40, true);
    talk.end();
    await untilWritten(server);
    expect(failures).toEqual([]);
    expect(await read(call)).toMatchObject({ usage: { tts: [{ characters: 40 }] }, cost_usd: { is_minimum: false } });
  });

  it('is the sum over its streams, on this server and on another one', async () => {
    const [first, second] = [await startServer(), await startServer()];
    const call = recordedCall(owner);
    const streams = [new UsingCall(first, call, 1), new UsingCall(first, call, 2), new UsingCall(second, call, 1)];
    for (const [index, stream] of streams.entries()) stream.used(10 ** index, true);
    streams[1]?.end();
    await untilWritten(first);
    // The other one comes later: the call has ended, and its record still learns of it.
    streams[2]?.end();
    await untilWritten(second);
    expect(await read(call)).toMatchObject({ usage: { tts: [{ characters: 111 }] }, cost_usd: { tts: 0.0111 } });
  });

  it('is what is known of it when its server has died, and more when that was not dead after all', async () => {
    const server = await startServer();
    const [known, unknown] = [recordedCall(owner), recordedCall(owner)];
    const talk = new UsingCall(server, known);
    talk.used(300);
    server.recorder.begin(unknown);
    await db.door.beforeTenant((tx) =>
      tx.execute(`INSERT INTO instances (id, node_id, host) VALUES ('${server.instanceId}', '${newId()}', 'dead')`),
    );
    await untilWritten(server);
    const beats = { beatEveryMs: 50, deadAfterBeats: 2, replayed: Promise.resolve() };
    open.push(
      await OrphanKeeper.start({ door: db.door, instanceId: newId(), nodeId: newId(), prices: PRICES, log, ...beats }),
    );
    const isLost = async () => expect(await read(known)).toMatchObject({ end_reason: 'server-lost' });
    await vi.waitFor(isLost, { timeout: 15_000, interval: 50 });
    expect(await read(known)).toMatchObject({
      usage: { tts: [{ characters: 300, cost_usd: 0.03 }] },
      cost_usd: { tts: 0.03, is_minimum: true },
    });
    expect(await read(unknown)).toMatchObject({ cost_usd: { tts: null, total: null, is_minimum: true } });
    talk.used(500, true);
    await untilWritten(server);
    expect(await read(known)).toMatchObject({
      end_reason: 'server-lost',
      usage: { tts: [{ characters: 500 }] },
      cost_usd: { tts: 0.05, is_minimum: false },
    });
  });

  it('is kept by a spool that must let go of something, as far as it is the last word', async () => {
    const about = { call_id: newId(), org_id: newId(), at: 1, instance_id: newId(), stream: 1, seq: 0 };
    const lines = [false, true].map((final) => ({ kind: 'usage' as const, ...about, final, usage: spoken(1) }));
    expect(lines.map((line) => isEssential(parseLine(formatLine(line))))).toEqual([false, true]);
  });

  it('costs nothing of a call that nobody took up', async () => {
    const server = await startServer();
    const call = recordedCall(owner);
    server.recorder.miss(call, { status: 'busy', reason: 'busy', announced: false });
    await untilWritten(server);
    const nothing = { telephony: 0, stt: 0, llm: 0, tts: 0, total: 0, is_minimum: false };
    expect(await read(call)).toMatchObject({ usage: null, cost_usd: nothing });
  });

  it('is not known of a call whose lines an older version of this program has left', async () => {
    const own = await mkdtemp(join(directory, 'older-'));
    const call = recordedCall(owner);
    const about = { call_id: call.id, org_id: call.orgId, at: Date.now() };
    const facts = {
      twilio_call_sid: call.callSid,
      direction: call.direction,
      channel: call.channel,
      from_number: call.from,
      to_number: call.to,
      agent_id: call.agentId,
      agent_version: call.agentVersion,
      instance_id: newId(),
    };
    const event = { type: 'call-ended', at_ms: 5, reason: 'caller-hung-up' };
    const lines = [
      { kind: 'begin', ...about, ...facts },
      { kind: 'event', ...about, seq: 0, event },
    ];
    await mkdir(join(own, 'spool'));
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
    await writeFile(join(own, 'spool', '000000001.jsonl'), text);
    const recorder = await CallRecorder.open({
      door: db.door,
      directory: own,
      instanceId: newId(),
      prices: PRICES,
      log,
    });
    open.push(recorder);
    await untilWritten({ recorder, instanceId: '' });
    expect(await read(call)).toMatchObject({
      status: 'completed',
      usage: { telephony: { cost_usd: 0.01 }, tts: [] },
      cost_usd: { telephony: 0.01, tts: null, total: null, is_minimum: true },
    });
  });
});
