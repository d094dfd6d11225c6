import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../core/clock.ts';
import { BvraiError } from '../../core/errors.ts';
import { memoryLog, silentLog } from '../../core/log.ts';
import type { RouteEntry } from '../ports.ts';
import type { Connecting, StreamContext } from '../providers/spec.ts';
import { ProvidersHealth } from './health.ts';
import type { Probe } from './health.ts';
import { llmRoute } from './llm-route.ts';
import { Watchdog, inOrder, prewarmFirst, resolveRoute } from './route.ts';
import type { Candidate } from './route.ts';
import { sttRoute } from './stt-route.ts';
import { callContext, candidatesOf } from './testing.ts';
import { ttsRoute } from './tts-route.ts';

interface Named {
  readonly name: string;
}

const embedded = { name: 'embedded' };
const QUESTION = { messages: [], questionsAndAnswers: [], maxOutputTokens: 5 };

function setUp(names: readonly string[] = ['a', 'b']) {
  const clock = new VirtualClock();
  const health = new ProvidersHealth({ clock, log: silentLog, random: () => 0 });
  const configured = new Map<string, Named>(names.map((name) => [name, { name }]));
  configured.set(embedded.name, embedded);
  const log = memoryLog();
  const resolve = (entries: readonly RouteEntry[], probe?: (provider: Named, entry: RouteEntry) => Probe) =>
    resolveRoute({ stage: 'llm', entries, configured, last: embedded, probe }, health, log);
  return { lines: log.lines, resolve };
}

const namesOf = (candidates: readonly Candidate<Named>[]) => candidates.map(({ provider }) => provider.name);

/** Keeps callers away from the provider. */
function open({ health }: Candidate<Named>): void {
  for (let failure = 0; failure < 3; failure++) health.begin().fail(new BvraiError('provider.overloaded', 'scripted'));
}

/** Numbers that cover [0, 1) evenly. */
function even(count: number): () => number {
  let next = 0;
  return () => (next++ + 0.5) / count;
}

describe('a resolved route', () => {
  it('has the providers in the order of the agent, and the embedded one last', () => {
    expect(namesOf(setUp().resolve([{ provider: 'b' }, { provider: 'a' }]))).toEqual(['b', 'a', 'embedded']);
  });

  it('does not move an embedded engine that the agent has placed', () => {
    expect(namesOf(setUp().resolve([{ provider: 'embedded' }, { provider: 'a' }]))).toEqual(['embedded', 'a']);
  });

  it('leaves out what is not configured, and warns of it', () => {
    const { resolve, lines } = setUp();
    expect(namesOf(resolve([{ provider: 'groq' }, { provider: 'a' }]))).toEqual(['a', 'embedded']);
    expect(lines).toMatchObject([{ level: 'warn', fields: { stage: 'llm', provider: 'groq' } }]);
    expect(namesOf(resolve([]))).toEqual(['embedded']);
  });

  it('shares health between routes: by provider, model and region, not by the other options', () => {
    const { resolve } = setUp();
    const healthOf = (entry: RouteEntry) => resolve([entry])[0]?.health;
    const usual = healthOf({ provider: 'a', model: 'm' });
    expect(healthOf({ provider: 'a', model: 'm', options: { temperature: 1 } })).toBe(usual);
    expect(healthOf({ provider: 'a', model: 'n' })).not.toBe(usual);
    expect(healthOf({ provider: 'b', model: 'm' })).not.toBe(usual);
    expect(healthOf({ provider: 'a', model: 'm', options: { region: 'eu' } })).not.toBe(usual);
  });
});

describe('a probe', () => {
  it('asks for nothing that only one agent wants: a voice that is gone keeps nobody else away', () => {
    const probed: RouteEntry[] = [];
    const { resolve } = setUp();
    const options = { region: 'eu', temperature: 2 };
    resolve([{ provider: 'a', model: 'm', voice: 'deleted', weight: 1, options }, { provider: 'b' }], (_, entry) => {
      probed.push(entry);
      return () => {};
    });
    expect(probed).toEqual([
      { provider: 'a', model: 'm', options: { region: 'eu' } },
      { provider: 'b', model: undefined },
      { provider: 'embedded', model: undefined },
    ]);
  });
});

describe('the order in which candidates are tried', () => {
  it('is the order of the route without those that are left alone', () => {
    const { resolve } = setUp();
    const route = resolve([{ provider: 'a' }, { provider: 'b' }]);
    expect(namesOf(inOrder(route, () => 0.5))).toEqual(['a', 'b', 'embedded']);
    if (route[0]) open(route[0]);
    expect(namesOf(inOrder(route, () => 0.5))).toEqual(['b', 'embedded']);
  });

  it('never lacks the last of the route, however ill it is', () => {
    const { resolve } = setUp();
    const route = resolve([{ provider: 'a' }, { provider: 'b' }]);
    for (const candidate of route) open(candidate);
    expect(namesOf(inOrder(route, () => 0))).toEqual(['embedded']);
  });

  it('draws the first in proportion to the weights, and keeps the others in order', () => {
    const { resolve } = setUp(['a', 'b', 'c']);
    const route = resolve([{ provider: 'a', weight: 1 }, { provider: 'b', weight: 3 }, { provider: 'c' }]);
    const random = even(400);
    const orders = Array.from({ length: 400 }, () => namesOf(inOrder(route, random)).join(' '));
    expect(orders.filter((order) => order === 'a b c embedded')).toHaveLength(100);
    expect(orders.filter((order) => order === 'b a c embedded')).toHaveLength(300);
  });

  it('gives the share of one that is left alone to the others', () => {
    const { resolve } = setUp(['a', 'b', 'c']);
    const route = resolve([
      { provider: 'a', weight: 1 },
      { provider: 'b', weight: 2 },
      { provider: 'c', weight: 1 },
    ]);
    if (route[1]) open(route[1]);
    const random = even(100);
    const firsts = Array.from({ length: 100 }, () => namesOf(inOrder(route, random))[0]);
    expect(firsts.filter((name) => name === 'a')).toHaveLength(50);
    expect(firsts.filter((name) => name === 'c')).toHaveLength(50);
  });

  it('has every available candidate once, whatever the weights and the draw', () => {
    const weight = fc.option(fc.integer({ min: 0, max: 100 }), { nil: undefined });
    const entry = fc.record({ weight, ill: fc.boolean() });
    fc.assert(
      fc.property(
        fc.array(entry, { minLength: 1, maxLength: 6 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (entries, draw) => {
          const names = entries.map((_, index) => `p${index}`);
          const { resolve } = setUp(names);
          const route = resolve(
            entries.map(({ weight: share }, index) => ({
              provider: `p${index}`,
              ...(share !== undefined && { weight: share }),
            })),
          );
          for (const [index, { ill }] of entries.entries()) if (ill && route[index]) open(route[index]);
          const expected = [...names.filter((_, index) => !entries[index]?.ill), 'embedded'];
          expect(namesOf(inOrder(route, () => draw)).toSorted()).toEqual(expected.toSorted());
        },
      ),
    );
  });
});

describe('what is known of connecting to a provider', () => {
  /** Records whose it was given, and for what. */
  function setUpAsked() {
    const asked: { name: string; connecting: Connecting | undefined }[] = [];
    const note = (name: string) => (_request: unknown, _sink: unknown, context: StreamContext) => {
      asked.push({ name, connecting: context.connecting });
      return { abort() {}, write() {}, hint() {}, speak() {}, finish() {}, cancel() {}, close() {} };
    };
    const prewarm = (name: string) => (_request: unknown, _wanted: unknown, connecting?: Connecting) => {
      asked.push({ name, connecting });
    };
    const provider = (name: string) => {
      return { name, prewarm: prewarm(name), open: note(name), generate: note(name) };
    };
    return { asked, provider };
  }

  it.each(['stt', 'llm', 'tts'] as const)('is given to whom a route of stage %s asks or prepares', (stage) => {
    const { context } = callContext();
    const { asked, provider } = setUpAsked();
    const candidates = candidatesOf(stage, context.clock, [provider('a'), provider('b')]);
    const own = candidates.map(({ health }) => health.connecting);
    const routes = {
      stt: () => sttRoute(candidates, () => 0).open({ language: 'en', phrases: [] }, () => {}, context),
      llm: () => llmRoute(candidates, () => 0).generate(QUESTION, () => {}, context),
      tts: () => ttsRoute(candidates, () => 0).open({ language: 'en' }, () => {}, context),
    };
    prewarmFirst(
      candidates,
      () => ({}),
      () => true,
    );
    routes[stage]();
    const [first, second] = candidates;
    for (let failure = 0; failure < 3; failure++)
      first?.health.begin().fail(new BvraiError('provider.overloaded', 'scripted'));
    routes[stage]();
    expect(asked.map(({ name }) => name)).toEqual(['a', 'a', 'b']);
    expect(asked.map(({ connecting }) => connecting)).toEqual([own[0], own[0], second?.health.connecting]);
    expect(own[0]).not.toBe(own[1]);
  });
});

describe('a watchdog', () => {
  it('barks once, after the last restart', () => {
    const clock = new VirtualClock();
    const watchdog = new Watchdog(clock);
    const barks: number[] = [];
    watchdog.restart(100, () => barks.push(clock.nowMs()));
    clock.advance(60);
    watchdog.restart(100, () => barks.push(clock.nowMs()));
    clock.advance(1_000);
    expect(barks).toEqual([160]);
    expect(watchdog.running).toBe(false);
  });

  it('is silent once it was stopped', () => {
    const clock = new VirtualClock();
    const watchdog = new Watchdog(clock);
    watchdog.restart(100, () => expect.unreachable());
    watchdog.stop();
    clock.advance(1_000);
    expect(clock.pendingTimers).toBe(0);
  });
});
