/** Calls that go on while the primary vendor of each stage dies and returns, in turn. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OUTAGE_AGENT, OUTAGE_VENDORS, outagesOf } from '../../bench/router/outages.ts';
import { holdThroughOutages } from '../../bench/router/outage-calls.ts';
import { startEmulatedCloud } from '../support/cloud.ts';
import type { EmulatedCloud } from '../support/cloud.ts';
import { expectNoLeaks, openHandles } from '../support/leaks.ts';
import { startTestServer } from '../support/server.ts';
import type { TestServer } from '../support/server.ts';
import { fixtureAudio } from '../support/speech-fixtures.ts';

/** Several, not many: callers, vendors and server share one process here, and what a server bears is the bench's to say. */
const CALLS = 6;
const before = openHandles();

let cloud: EmulatedCloud;
let server: TestServer;

beforeAll(async () => {
  cloud = await startEmulatedCloud(OUTAGE_VENDORS);
  server = await startTestServer({ agents: { ada: OUTAGE_AGENT }, environment: cloud.environment });
});

const closeAll = async (): Promise<void> => {
  await server?.close();
  await cloud?.close();
};
afterAll(closeAll);

describe('six calls through an outage of each stage', () => {
  it('are all answered, and leave nothing open', async () => {
    const report = await holdThroughOutages({
      serverUrl: server.url,
      agent: 'ada',
      calls: CALLS,
      question: fixtureAudio('cards-001.wav').mulaw(),
      outages: outagesOf(cloud),
      outageMs: 4_500,
      restMs: 1_500,
      spreadMs: 1_000,
    });
    console.info(
      report.phases
        .map(({ name, answered, slowestMs }) => `${name}: ${answered} answers, slowest ${Math.round(slowestMs)} ms`)
        .join('\n'),
    );
    expect(report.lost).toEqual([]);
    expect(report.mutedCalls).toBe(0);
    for (const phase of report.phases) expect(phase.unanswered).toBe(0);
    await expect.poll(() => server.server.activeCalls, { timeout: 5_000 }).toBe(0);
    const left = (): string[] => [
      ...server.callConnections('deepgram', cloud.deepgram),
      ...server.callConnections('elevenlabs', cloud.elevenlabs),
    ];
    await expect.poll(left, { timeout: 15_000 }).toEqual([]);
    expect(cloud.openai.activeRequests).toBe(0);
    const logged = (message: string): readonly unknown[] => server.log.filter(({ msg }) => msg === message);
    // An apology is a sound too: every answer was one.
    expect(logged('turn failed')).toEqual([]);
    for (const stage of ['stt', 'llm', 'tts'])
      expect(logged('provider switched')).toContainEqual(expect.objectContaining({ stage }));
    await closeAll();
    await expectNoLeaks(before);
  }, 90_000);
});
