/** MAX_CALLS_PER_ORGANIZATION, at every way into a call of a whole server. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Switchboard } from '../../support/switchboard.ts';

const BUSY = 'All our lines are busy. Please call again in a few minutes.';

let board: Switchboard;
beforeAll(async () => {
  board = await Switchboard.start({ name: 'Ada', first_message: 'Hello.' }, {}, { MAX_CALLS_PER_ORGANIZATION: '2' });
}, 60_000);
afterEach(async () => {
  await board.hangUpAll();
  await expect.poll(() => board.server.server.activeCalls, { timeout: 5_000 }).toBe(0);
});
afterAll(() => board?.close());

const full = {
  status: 503,
  body: { code: 'capacity', detail: expect.stringContaining('MAX_CALLS_PER_ORGANIZATION') },
};

describe('an organization that has as many calls as it may', () => {
  it('gets no more in whichever way, while another one does, and the next when one of its calls ends', async () => {
    const [first] = [await board.ring(), await board.ring()];
    await expect(board.ring()).rejects.toMatchObject({ name: 'CallRefused', spokenText: BUSY });
    const { agentId } = board;
    const outbound = await board.api('POST', '/calls', { agent_id: agentId, to: '+15550177' });
    expect(outbound).toMatchObject(full);
    expect(outbound.headers.get('retry-after')).toBe('5');
    expect(await board.api('POST', '/calls', { agent_id: agentId, channel: 'web' })).toMatchObject(full);
    expect(board.twilio.requests).toEqual([]);
    const busy = async (): Promise<unknown> => (await board.api('GET', '/calls?status=busy')).body.items;
    await expect
      .poll(busy, { timeout: 5_000 })
      .toMatchObject([
        { end_reason: 'over-capacity', end_detail: expect.stringContaining('MAX_CALLS_PER_ORGANIZATION') },
      ]);

    const bearer = await board.register('grace@example.com');
    const { body: agent } = await board.api('POST', '/agents', { name: 'Grace' }, { bearer });
    const web = { agent_id: agent.id, channel: 'web' };
    expect((await board.api('POST', '/calls', web, { bearer })).status).toBe(201);

    await first.hangUp();
    await expect.poll(() => board.server.server.activeCalls, { timeout: 5_000 }).toBe(1);
    // A telephone that rings counts, and so does a browser that has a token.
    expect((await board.api('POST', '/calls', { agent_id: agentId, to: '+15550177' })).status).toBe(201);
    expect(await board.api('POST', '/calls', { agent_id: agentId, channel: 'web' })).toMatchObject(full);
    await expect(board.ring()).rejects.toMatchObject({ name: 'CallRefused', spokenText: BUSY });
    const rung = board.twilio.requests.at(-1);
    const form = { CallSid: rung?.callSid ?? '', CallStatus: 'no-answer', SequenceNumber: '1' };
    await board.hook(rung?.form.get('StatusCallback') ?? '', form);
    await board.ring();
  }, 60_000);
});
