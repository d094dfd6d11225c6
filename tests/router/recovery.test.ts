/** A language model that dies and returns, behind the route, over real sockets: what callers pay, and who finds out. */
import { afterEach, describe, expect, it } from 'vitest';
import { startAnthropicEmulator } from '../../bench/emulators/anthropic.ts';
import { startOpenAiEmulator } from '../../bench/emulators/openai.ts';
import type { Faults } from '../../bench/emulators/server.ts';
import { quantile } from '../../bench/turn-taking/stats.ts';
import { systemClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import { createAnthropicLlm } from '../../src/pipeline/providers/anthropic/llm.ts';
import { createOpenAiLlm } from '../../src/pipeline/providers/openai/llm.ts';
import type { LlmProvider } from '../../src/pipeline/providers/spec.ts';
import { ProvidersHealth } from '../../src/pipeline/router/health.ts';
import type { HealthEvent } from '../../src/pipeline/router/health.ts';
import { llmProbe } from '../../src/pipeline/router/llm-probe.ts';
import { llmRoute } from '../../src/pipeline/router/llm-route.ts';
import { STAGE_TIMES } from '../../src/pipeline/router/times.ts';
import { sleep, until } from '../providers/harness.ts';

const CALLERS_WORDS = 'When do you open?';
const PAIRS = 25;
/** What a request may cost more while the primary is down. */
const MAX_ADDED_MS = 5;
/** On a machine that others use, one comparison of medians may be off. A detour that is always there shows in each. */
const COMPARISONS = 4;

const closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

async function setUp() {
  const openai = await startOpenAiEmulator({ firstTokenMs: 5, interTokenMs: 1, reply: () => 'From the primary.' });
  closing.push(() => openai.close());
  const anthropic = await startAnthropicEmulator({
    firstTokenMs: 20,
    interTokenMs: 1,
    reply: () => 'From the secondary.',
  });
  closing.push(() => anthropic.close());
  const primary = createOpenAiLlm({ apiKey: openai.settings.apiKey, baseUrl: openai.url });
  const secondary = createAnthropicLlm({ apiKey: anthropic.settings.apiKey, baseUrl: anthropic.url });
  closing.push(
    () => primary.close(),
    () => secondary.close(),
  );
  const listeners: ((event: HealthEvent) => void)[] = [];
  const deps = { clock: systemClock, log: silentLog, random: () => 0 };
  const health = new ProvidersHealth({
    ...deps,
    onEvent: (event) => {
      for (const listener of listeners) listener(event);
    },
  });
  closing.push(() => health.close());
  const candidates = [primary, secondary].map((provider) => {
    const entry = { provider: provider.name };
    return { provider, entry, health: health.of('llm', entry, llmProbe(provider, entry, deps)) };
  });
  return {
    openai,
    listeners,
    route: llmRoute(candidates, () => 0),
    secondaryAlone: llmRoute(candidates.slice(1), () => 0),
    primaryHealth: candidates[0]?.health ?? expect.unreachable(),
  };
}

/** A breaker rests for 60 s at the most between two probes, as it does when the outage, on a busy machine, took long. */
const LONGEST_REST_MS = 70_000;

/** A caller's request: what was answered, and when the first word of it came. */
function ask(provider: LlmProvider): Promise<{ text: string; firstMs: number }> {
  const request = {
    messages: [{ role: 'user' as const, content: CALLERS_WORDS }],
    questionsAndAnswers: [],
    maxOutputTokens: 50,
  };
  const beganAtMs = performance.now();
  let [text, firstMs] = ['', Number.NaN];
  return new Promise((resolve, reject) => {
    const context = { clock: systemClock, log: silentLog, signal: new AbortController().signal };
    provider.generate(
      request,
      (part) => {
        if (part.type === 'text-delta') {
          if (text === '') firstMs = performance.now() - beganAtMs;
          text += part.text;
        } else if (part.type === 'generation-finished') resolve({ text, firstMs });
        else if (part.type === 'generation-failed') reject(part.error);
      },
      context,
    );
  });
}

/** How much longer the first word takes by the route than from the secondary alone: medians, asked in turn. */
async function addedMs(route: LlmProvider, secondaryAlone: LlmProvider): Promise<number> {
  const [routed, alone]: [number[], number[]] = [[], []];
  for (let pair = 0; pair < PAIRS; pair++) {
    const answer = await ask(route);
    expect(answer.text).toBe('From the secondary.');
    routed.push(answer.firstMs);
    alone.push((await ask(secondaryAlone)).firstMs);
  }
  return quantile(routed, 0.5) - quantile(alone, 0.5);
}

describe('a primary language model that is down', () => {
  const outages: readonly [string, Faults, number][] = [
    ['refuses connections', { refuseConnections: true }, 0],
    ['accepts and stays silent', { stallAfter: 0 }, STAGE_TIMES.llm.first.initialMs],
  ];
  it.each(outages)(
    'and %s: a few callers pay, the others nothing; a probe finds its return',
    { timeout: 180_000 },
    async (_what, faults, deadlineMs) => {
      const { openai, listeners, route, secondaryAlone, primaryHealth } = await setUp();
      expect((await ask(route)).text).toBe('From the primary.');
      await ask(secondaryAlone);

      openai.settings.faults = faults;
      const firsts = await Promise.all([ask(route), ask(route), ask(route)]);
      for (const { text, firstMs } of firsts) {
        expect(text).toBe('From the secondary.');
        expect(firstMs).toBeGreaterThanOrEqual(deadlineMs);
      }
      expect(primaryHealth.available).toBe(false);
      const receivedBefore = openai.received.length;

      const differences: number[] = [];
      while (differences.length < COMPARISONS && !differences.some((difference) => difference < MAX_ADDED_MS))
        differences.push(await addedMs(route, secondaryAlone));
      expect(Math.min(...differences), `added: ${differences.join(', ')} ms`).toBeLessThan(MAX_ADDED_MS);

      const sinceReturn: HealthEvent[] = [];
      const receivedWhenClosed: number[] = [];
      listeners.push((event) => {
        sinceReturn.push(event);
        if (event.type === 'breaker-changed' && event.transition.to === 'closed')
          receivedWhenClosed.push(openai.received.length);
      });
      // A probe that is out already may still meet the outage.
      await until('no probe is out', () => openai.activeRequests === 0);
      sinceReturn.length = 0;
      openai.settings.faults = {};
      const returnedAtMs = performance.now();
      // Callers keep coming, and are served all the time.
      while (receivedWhenClosed.length === 0) {
        if (performance.now() - returnedAtMs > LONGEST_REST_MS) throw new Error('the primary is not found again');
        expect((await ask(route)).text).toMatch(/^From the /u);
        await sleep(20);
      }
      console.log(
        `primary ${_what}: later callers pay ${differences.at(-1)?.toFixed(1)} ms, ` +
          `found again ${(performance.now() - returnedAtMs).toFixed(0)} ms after its return`,
      );
      // The very next probe found it.
      const isProbing = (event: HealthEvent) => event.type === 'breaker-changed' && event.transition.to === 'probing';
      expect(sinceReturn.filter(isProbing)).toHaveLength(1);
      expect(sinceReturn.findLast(({ type }) => type === 'probe-finished')).toMatchObject({ outcome: 'ok' });
      const meanwhile = openai.received.slice(receivedBefore, receivedWhenClosed[0]);
      expect(meanwhile.length).toBeGreaterThan(0);
      for (const { text } of meanwhile) {
        expect(text).toContain('Answer with the one word: ok');
        expect(text).not.toContain(CALLERS_WORDS);
      }
      expect((await ask(route)).text).toBe('From the primary.');
    },
  );
});
