import { describe, expect, it } from 'vitest';
import { BvraiError } from '../../core/errors.ts';
import type { LlmPart, Sink } from '../providers/spec.ts';
import type { HealthEvent } from './health.ts';
import { llmRoute } from './llm-route.ts';
import { callContext, candidatesOf, scriptedLlm } from './testing.ts';
import { STAGE_TIMES } from './times.ts';

const failed = new BvraiError('provider.overloaded', 'scripted');
const finished: LlmPart = { type: 'generation-finished', reason: 'stop' };
const FIRST_MS = STAGE_TIMES.llm.first.initialMs;
const GAP_MS = STAGE_TIMES.llm.gap.initialMs;
const request = { messages: [{ role: 'user' as const, content: 'Hi' }], questionsAndAnswers: [], maxOutputTokens: 30 };
const text = (said: string): LlmPart => ({ type: 'text-delta', text: said });

function setUp({ secondIsOpenEnded = true } = {}) {
  const { clock, scope, context, switches } = callContext();
  const first = scriptedLlm('first');
  const second = scriptedLlm('second', secondIsOpenEnded);
  const events: HealthEvent[] = [];
  const candidates = candidatesOf('llm', clock, [first.provider, second.provider], (event) => events.push(event));
  const route = llmRoute(candidates, () => 0);
  const parts: LlmPart[] = [];
  const generate = () => route.generate(request, (part) => parts.push(part), context);
  /** What the caller is told of a whole generation. */
  const said = () => parts.map((part) => (part.type === 'text-delta' ? part.text : '')).join('');
  return { clock, scope, switches, first, second, candidates, events, parts, generate, said };
}

describe('a route of models', () => {
  it('asks the first with its own model, and passes on what it says', () => {
    const { first, second, parts, clock, generate } = setUp();
    generate();
    first.asked[0]?.sink(text('Hi'));
    first.asked[0]?.sink(finished);
    expect(first.asked[0]?.request.model).toBe('m1');
    expect(parts).toEqual([text('Hi'), finished]);
    expect(second.asked).toHaveLength(0);
    expect(clock.pendingTimers).toBe(0);
  });

  it.each([
    ['fails', (sink: Sink<LlmPart>) => sink({ type: 'generation-failed', error: failed }), 0],
    ['finishes without a word', (sink: Sink<LlmPart>) => sink(finished), 0],
    ['gives no token within the deadline', () => {}, FIRST_MS],
  ])('asks the next when the first %s, and never hears the first again', (_what, fault, waitMs) => {
    const { first, second, parts, clock, switches, generate } = setUp();
    generate();
    const sink = first.asked[0]?.sink ?? (() => {});
    fault(sink);
    clock.advance(waitMs);
    expect(second.asked[0]?.request).toMatchObject({ model: 'm2', messages: request.messages });
    sink(text('late'));
    second.asked[0]?.sink(text('Hello'));
    second.asked[0]?.sink(finished);
    expect(parts).toEqual([text('Hello'), finished]);
    expect(switches).toHaveLength(1);
    expect(switches[0]).toMatch(/^first → second: provider\./);
  });

  it.each([
    ['stalls', () => {}, GAP_MS],
    ['breaks off', (sink: Sink<LlmPart>) => sink({ type: 'generation-failed', error: failed }), 0],
  ])('goes on with the next where the first %s mid-sentence, and repeats nothing', (_what, fault, waitMs) => {
    const { first, second, parts, clock, said, generate } = setUp();
    generate();
    first.asked[0]?.sink(text('We are open'));
    fault(first.asked[0]?.sink ?? (() => {}));
    clock.advance(waitMs);
    expect(first.asked[0]?.aborted).toBe(true);
    expect(second.asked[0]?.request.messages.at(-2)).toEqual({ role: 'assistant', content: 'We are open' });
    for (const word of ['We', ' are', ' open', ' from', ' nine', '.']) second.asked[0]?.sink(text(word));
    second.asked[0]?.sink(finished);
    expect(said()).toBe('We are open from nine.');
    expect(parts.at(-1)).toEqual(finished);
    expect(clock.pendingTimers).toBe(0);
  });

  it('waits longer for a model that is late where only prepared answers are left', () => {
    const { first, second, clock, parts, generate } = setUp({ secondIsOpenEnded: false });
    generate();
    clock.advance(STAGE_TIMES.llm.first.maxMs - 1);
    expect(second.asked).toHaveLength(0);
    first.asked[0]?.sink(text('Hi'));
    first.asked[0]?.sink(finished);
    expect(parts).toEqual([text('Hi'), finished]);
    generate();
    clock.advance(STAGE_TIMES.llm.first.maxMs);
    expect(second.asked).toHaveLength(1);
  });

  it('takes a drip that leaves the caller in silence for a stall', () => {
    const { first, second, clock, generate } = setUp();
    generate();
    for (let second_ = 0; second_ < 6 && second.asked.length === 0; second_++) {
      first.asked[0]?.sink(text('a'));
      clock.advance(1_000);
    }
    expect(second.asked).toHaveLength(1);
  });

  it('waits for the last resort on an overloaded machine', () => {
    const { clock, context } = callContext();
    const embedded = scriptedLlm('embedded', false);
    const candidates = candidatesOf('llm', clock, [embedded.provider]);
    const parts: LlmPart[] = [];
    const route = llmRoute(
      candidates.map((candidate) => ({ ...candidate, isLastResort: true })),
      () => 0,
    );
    route.generate(request, (part) => parts.push(part), context);
    clock.advance(10 * FIRST_MS);
    embedded.asked[0]?.sink(text('Hello'));
    embedded.asked[0]?.sink(finished);
    expect(parts).toEqual([text('Hello'), finished]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('does not have prepared answers go on with what a model began', () => {
    const { first, second, parts, generate } = setUp({ secondIsOpenEnded: false });
    generate();
    first.asked[0]?.sink(text('We are'));
    first.asked[0]?.sink({ type: 'generation-failed', error: failed });
    expect(second.asked).toHaveLength(0);
    expect(parts.at(-1)).toEqual({ type: 'generation-failed', error: failed });
  });

  it('takes a tool call for output: passes it on, gives it time, and asks nobody else afterwards', () => {
    const { first, second, parts, clock, generate } = setUp();
    generate();
    const called: LlmPart = { type: 'tool-called', call: { id: 'c', name: 'look_up', arguments: '{}' } };
    clock.advance(FIRST_MS - 1);
    first.asked[0]?.sink(called);
    clock.advance(GAP_MS - 1);
    first.asked[0]?.sink(called);
    expect(parts).toEqual([called, called]);
    clock.advance(GAP_MS);
    expect(parts.at(-1)).toMatchObject({ type: 'generation-failed', error: { code: 'provider.timeout-gap' } });
    expect(second.asked).toHaveLength(0);
  });

  it('reports the last failure when all have failed', () => {
    const { first, second, parts, clock, generate } = setUp();
    generate();
    first.asked[0]?.sink({ type: 'generation-failed', error: failed });
    second.asked[0]?.sink({ type: 'generation-failed', error: failed });
    second.asked[1]?.sink({ type: 'generation-failed', error: failed });
    expect(parts).toEqual([{ type: 'generation-failed', error: failed }]);
    expect(clock.pendingTimers).toBe(0);
  });

  it.each(['provider.overloaded', 'provider.closed'] as const)(
    'asks the only model once more when it ends as %s before its first word, within the time of one request',
    (code) => {
      const { first, second, parts, clock, switches, generate } = setUp({ secondIsOpenEnded: false });
      generate();
      clock.advance(1_000);
      first.asked[0]?.sink({ type: 'generation-failed', error: new BvraiError(code, 'scripted') });
      expect(first.asked).toHaveLength(2);
      first.asked[1]?.sink(text('Hi'));
      first.asked[1]?.sink(finished);
      expect(parts).toEqual([text('Hi'), finished]);
      expect(switches).toEqual([]);
      generate();
      clock.advance(1_000);
      first.asked[2]?.sink({ type: 'generation-failed', error: new BvraiError(code, 'scripted') });
      clock.advance(STAGE_TIMES.llm.first.maxMs - 1_000);
      expect(first.asked).toHaveLength(4);
      expect(second.asked).toHaveLength(1);
    },
  );

  it.each([
    ['has spoken', (sink: Sink<LlmPart>) => sink(text('We')), failed],
    ['names a time to wait', () => {}, new BvraiError('provider.overloaded', 'scripted', { retryAfterMs: 2_000 })],
    ['refuses the request', () => {}, new BvraiError('provider.bad-request', 'scripted')],
  ])('does not ask the only model again when it %s', (_what, before, error) => {
    const { first, generate } = setUp({ secondIsOpenEnded: false });
    generate();
    before(first.asked[0]?.sink ?? (() => {}));
    first.asked[0]?.sink({ type: 'generation-failed', error });
    expect(first.asked).toHaveLength(1);
  });

  it('stops a model that does not stop by itself', () => {
    const { first, parts, generate } = setUp();
    generate();
    for (let token = 0; token < 60; token++) first.asked[0]?.sink(text('on and '));
    expect(parts.at(-1)).toEqual({ type: 'generation-finished', reason: 'length' });
    expect(first.asked[0]?.aborted).toBe(true);
  });

  it.each(['abort', 'signal'])('is silent after %s, and so is its timer', (how) => {
    const { first, parts, scope, clock, generate } = setUp();
    const stream = generate();
    if (how === 'abort') stream.abort();
    else scope.abort();
    first.asked[0]?.sink(text('late'));
    clock.advance(10_000);
    expect(parts).toEqual([]);
    expect(first.asked[0]?.aborted).toBe(true);
    expect(clock.pendingTimers).toBe(0);
  });

  it('spares later requests the deadline: a provider that failed three times is not asked', () => {
    const { first, second, clock, generate } = setUp();
    for (let call = 0; call < 3; call++) {
      generate();
      clock.advance(FIRST_MS);
      second.asked.at(-1)?.sink(text('Hello'));
      second.asked.at(-1)?.sink(finished);
    }
    expect(first.asked).toHaveLength(3);
    generate();
    expect(first.asked).toHaveLength(3);
    expect(second.asked).toHaveLength(4);
  });
});

describe('a hedged request', () => {
  /** The first provider has answered after 300 ms so often that it is known for it; each time a twentieth of a hedge is earned. */
  const setUpKnown = () => {
    const all = setUp();
    for (let call = 0; call < 40; call++) {
      all.generate();
      all.clock.advance(300);
      all.first.asked.at(-1)?.sink(text('Hi'));
      all.first.asked.at(-1)?.sink(finished);
    }
    all.parts.length = 0;
    return all;
  };

  it('asks the next when the first is later than usual, takes the first that speaks, and aborts the other', () => {
    const { clock, first, second, parts, switches, events, generate } = setUpKnown();
    generate();
    clock.advance(344);
    expect(second.asked).toHaveLength(0);
    clock.advance(2);
    expect(second.asked).toHaveLength(1);
    second.asked[0]?.sink(text('Hello'));
    expect(first.asked.at(-1)?.aborted).toBe(true);
    first.asked.at(-1)?.sink(text('late'));
    second.asked[0]?.sink(finished);
    expect(parts).toEqual([text('Hello'), finished]);
    expect(switches).toEqual(['first → second: slow']);
    expect(events.filter(({ type }) => type.startsWith('hedge-')).map(({ type }) => type)).toEqual([
      'hedge-started',
      'hedge-won',
    ]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('keeps the first when it speaks after all', () => {
    const { clock, first, second, parts, generate } = setUpKnown();
    generate();
    clock.advance(350);
    first.asked.at(-1)?.sink(text('Hi'));
    expect(second.asked[0]?.aborted).toBe(true);
    first.asked.at(-1)?.sink(finished);
    expect(parts).toEqual([text('Hi'), finished]);
  });

  it('survives the failure of either', () => {
    const { clock, first, second, parts, generate } = setUpKnown();
    generate();
    clock.advance(350);
    first.asked.at(-1)?.sink({ type: 'generation-failed', error: failed });
    expect(parts).toEqual([]);
    second.asked[0]?.sink(text('Hello'));
    second.asked[0]?.sink(finished);
    expect(parts).toEqual([text('Hello'), finished]);
  });

  it('asks nobody twice beyond the budget', () => {
    const { clock, first, second, generate } = setUpKnown();
    for (let call = 0; call < 20; call++) {
      generate();
      clock.advance(350);
      first.asked.at(-1)?.sink(text('Hi'));
      first.asked.at(-1)?.sink(finished);
    }
    expect(second.asked.length / first.asked.length).toBeLessThanOrEqual(0.05);
  });

  it('never races prepared answers', () => {
    const { clock, second, generate, first } = setUp({ secondIsOpenEnded: false });
    for (let call = 0; call < 40; call++) {
      generate();
      clock.advance(300);
      first.asked.at(-1)?.sink(text('Hi'));
      first.asked.at(-1)?.sink(finished);
    }
    generate();
    clock.advance(900);
    expect(second.asked).toHaveLength(0);
  });
});
