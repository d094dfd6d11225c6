/** MAX_CALLS, over the webhook, the media socket and the API of a whole server. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { CallRefused, Phone } from '../../../bench/phone/phone.ts';
import { startEmulatedCloud } from '../../support/cloud.ts';
import type { EmulatedCloud } from '../../support/cloud.ts';
import { NUMBERED_CLOUD, NumberedCaller, numberedAgent } from '../../support/numbered-callers.ts';
import { startTestServer } from '../../support/server.ts';
import type { TestServer } from '../../support/server.ts';

const MAX_CALLS = 2;
const BUSY = 'All our lines are busy. Please call again in a few minutes.';

let cloud: EmulatedCloud;
let server: TestServer;
const open: (() => Promise<unknown>)[] = [];
beforeAll(async () => {
  cloud = await startEmulatedCloud(NUMBERED_CLOUD);
  server = await startTestServer({
    agents: { ada: numberedAgent(0) },
    environment: { ...cloud.environment, MAX_CALLS: String(MAX_CALLS) },
  });
}, 60_000);
afterEach(async () => {
  for (const close of open.splice(0)) await close();
  await expect.poll(() => server.server.activeCalls, { timeout: 5_000 }).toBe(0);
});
afterAll(async () => {
  await server?.close();
  await cloud?.close();
});

const ring = async (): Promise<NumberedCaller> => {
  const caller = await NumberedCaller.ring(server.url, 'ada', 0);
  open.push(() => caller.phone.hangUp());
  return caller;
};

const api = (path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`${server.url}/api/v1${path}`, {
    ...init,
    headers: { authorization: `Bearer ${server.apiKey}`, 'content-type': 'application/json' },
  });

async function statusesOnRecord(): Promise<string[]> {
  const { items } = z
    .object({ items: z.array(z.object({ status: z.string() })) })
    .parse(await (await api('/calls')).json());
  return items.map(({ status }) => status).toSorted();
}

describe('a server that has as many calls as it may', () => {
  it('tells one more that all lines are busy, opens nothing, leaves the others alone, and takes the next when one ends', async () => {
    const [first, second] = [await ring(), await ring()];
    await expect(ring()).rejects.toMatchObject({ name: 'CallRefused', spokenText: BUSY });
    const agents = z
      .object({ items: z.array(z.object({ id: z.string() })) })
      .parse(await (await api('/agents')).json());
    const body = JSON.stringify({ agent_id: agents.items[0]?.id, channel: 'web' });
    const refused = await api('/calls', { method: 'POST', body });
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ code: 'capacity' });
    expect(server.server.activeCalls).toBe(MAX_CALLS);
    await Promise.all([first, second].map((caller) => caller.untilAnswered(1)));
    for (const { answered } of [first, second]) expect(answered).toBeGreaterThanOrEqual(1);
    await expect.poll(statusesOnRecord, { timeout: 5_000 }).toEqual(['busy', 'in_progress', 'in_progress']);

    await first.hangUp();
    await expect.poll(() => server.server.activeCalls, { timeout: 5_000 }).toBe(MAX_CALLS - 1);
    const next = await ring();
    await next.untilAnswered(1);
    expect(next.answered).toBeGreaterThanOrEqual(1);
  }, 60_000);

  it('takes no more of a burst than it may have, though none has opened its stream yet', async () => {
    const rung = await Promise.allSettled(
      Array.from({ length: 8 }, () => Phone.ring({ serverUrl: server.url, agent: 'ada' })),
    );
    const taken = rung.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    for (const phone of taken) open.push(() => phone.hangUp());
    expect(taken).toHaveLength(MAX_CALLS);
    for (const one of rung) if (one.status === 'rejected') expect(one.reason).toBeInstanceOf(CallRefused);
  }, 60_000);
});
