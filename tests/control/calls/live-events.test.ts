/** The event streams of a whole server while somebody talks on the phone. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { startEmulatedCloud } from '../../support/cloud.ts';
import type { EmulatedCloud } from '../../support/cloud.ts';
import { createEmptyDatabase, testDatabaseUrl } from '../../support/database.ts';
import { EventFollower } from '../../support/event-follower.ts';
import type { FollowedEvent } from '../../support/event-follower.ts';
import { NUMBERED_CLOUD, NumberedCaller, numberedAgent } from '../../support/numbered-callers.ts';
import { startTestServer } from '../../support/server.ts';
import type { TestServer } from '../../support/server.ts';

let cloud: EmulatedCloud;
let server: TestServer;
let drop = async (): Promise<void> => {};
beforeAll(async () => {
  const database = testDatabaseUrl === undefined ? undefined : await createEmptyDatabase(testDatabaseUrl);
  if (database) drop = () => database.drop();
  cloud = await startEmulatedCloud(NUMBERED_CLOUD);
  server = await startTestServer({
    agents: { 'caller-0': numberedAgent(0), 'caller-1': numberedAgent(1) },
    environment: { ...cloud.environment, ...(database ? { DATABASE_URL: database.url } : {}) },
  });
}, 60_000);
afterAll(async () => {
  await server?.close();
  await cloud?.close();
  await drop();
});

const follow = (path: string, lastEventId?: number): Promise<EventFollower> =>
  EventFollower.connect({ url: `${server.url}/api/v1${path}`, token: server.apiKey, lastEventId });

/** The call is on record a moment after it has begun. */
async function followCall(callSid: string): Promise<EventFollower> {
  let follower: EventFollower | undefined;
  await expect
    .poll(async () => (follower = await follow(`/calls/${callSid}/events`).catch(() => undefined)), { timeout: 10_000 })
    .toBeDefined();
  if (!follower) throw new Error('no stream');
  return follower;
}

const namesOf = (events: readonly FollowedEvent[]): string[] =>
  events.map(({ callId, seq, type }) => `${callId} ${seq} ${type}`);

const logged = z.looseObject({
  time: z.number(),
  at_ms: z.number().optional(),
  event: z.looseObject({ at_ms: z.number() }).optional(),
});

/** From the log line of an event to its arrival, in ms, of those that have one. */
function delaysMs(events: readonly FollowedEvent[], callSid: string): number[] {
  const happenedAt = new Map(
    server.log
      .filter((line) => line['callSid'] === callSid)
      .map((line) => [
        `${line.msg} ${logged.parse(line).event?.at_ms ?? logged.parse(line).at_ms}`,
        logged.parse(line).time,
      ]),
  );
  return events.flatMap(({ type, body, arrivedAtMs }) => {
    const time = happenedAt.get(`${type} ${String(body['at_ms'])}`);
    return time === undefined ? [] : [performance.timeOrigin + arrivedAtMs - time];
  });
}

describe('the events of two live calls', () => {
  it('are followed in order, resumed without a gap or a repetition, and the stream of a call ends with it', async () => {
    const all = await follow('/events');
    const callers = [
      await NumberedCaller.ring(server.url, 'caller-0', 0),
      await NumberedCaller.ring(server.url, 'caller-1', 1),
    ] as const;
    const [first] = callers;
    const whole = await followCall(first.callSid);
    const leaving = await followCall(first.callSid);
    await first.untilAnswered(1);
    // In the middle of the call one goes away, and comes back twice at once: behind what it has seen, and behind its first event.
    await leaving.close();
    const [lastSeen, firstSeen] = [leaving.lastEventId ?? Number.NaN, leaving.events[0]?.id ?? Number.NaN];
    const path = `/calls/${first.callSid}/events`;
    await first.untilAnswered(2);
    const [returned, again] = [await follow(path, lastSeen), await follow(path, firstSeen)];
    await Promise.all(callers.map((caller) => caller.hangUp()));
    for (const follower of [whole, returned, again]) expect(await follower.ended).toBe('server-ended');

    const record = await server.call(first.callSid);
    const { id } = z.object({ id: z.string() }).parse(record);
    const expected = record.events.map(({ seq, type }) => `${id} ${String(seq)} ${type}`);
    expect(expected.at(-1)).toMatch(/ call-ended$/u);
    expect(namesOf(whole.events)).toEqual(expected);
    expect(namesOf([...leaving.events, ...returned.events])).toEqual(expected);
    expect(namesOf(again.events)).toEqual(expected.slice(1));
    // As the record has them, field by field.
    expect(whole.events.map(({ body }) => body)).toEqual(record.events.map((event) => ({ ...event, call_id: id })));

    const ends = () => all.events.filter(({ type }) => type === 'call-ended').length;
    await expect.poll(ends, { timeout: 10_000 }).toBe(2);
    expect(namesOf(all.events.filter(({ callId }) => callId === id))).toEqual(expected);
    expect(new Set(all.events.map(({ callId }) => callId)).size).toBe(2);
    expect(all.events.map((event) => event.id)).toEqual(all.events.map((event) => event.id).toSorted((a, b) => a - b));
    const delays = delaysMs(all.events, first.callSid).toSorted((a, b) => a - b);
    expect(delays.length).toBeGreaterThan(10);
    const at = (share: number) => Math.round(delays[Math.floor(share * (delays.length - 1))] ?? Number.NaN);
    console.info(
      `from event to follower: p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, slowest ${at(1)} ms of ${delays.length}`,
    );
    await all.close();
    expect(await all.ended).toBe('closed');
  }, 60_000);
});
