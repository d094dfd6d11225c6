/** Anthropic that says anything at all: 100,000 mutated events, in memory. Through the driver: tests/fuzz. */
import assert from 'node:assert/strict';
import { expect, it } from 'vitest';
import { VirtualClock } from '../../src/core/clock.ts';
import { BvraiError } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/log.ts';
import { ReplyReader } from '../../src/pipeline/providers/anthropic/reply-reader.ts';
import { parseEvent, refusal } from '../../src/pipeline/providers/anthropic/wire.ts';
import { CountedRequest } from '../../src/pipeline/providers/counted.ts';
import { Generation } from '../../src/pipeline/providers/generation.ts';
import type { LlmPart } from '../../src/pipeline/providers/spec.ts';
import { UsageLedger } from '../../src/pipeline/usage.ts';
import { MESSAGES_PER_ADAPTER, Mutator, fuzz, heapInUseBytes } from './fuzzing.ts';
import { ANTHROPIC } from './recorded.ts';

const isLast = (part: LlmPart) => part.type === 'generation-finished' || part.type === 'generation-failed';

function checkPart(part: LlmPart): void {
  if ('error' in part) assert(part.error instanceof BvraiError);
  if (part.type === 'text-delta') assert(typeof part.text === 'string' && part.text !== '');
  if (part.type !== 'tool-called') return;
  assert(part.call.id !== '' && part.call.name !== '');
  assert.equal(typeof part.call.arguments, 'string');
}

it('answers whatever events with the right parts, or one error, and keeps nothing', () => {
  const clock = new VirtualClock();
  const { signal } = new AbortController();
  let ended = true;
  let told = 0;
  const sink = (part: LlmPart): void => {
    assert(!ended, `a ${part.type} after the end`);
    told++;
    checkPart(part);
    ended = isLast(part);
  };
  const usage = new UsageLedger();
  let generation: Generation | undefined;
  let reader: ReplyReader | undefined;
  const feed = (text: string): void => {
    refusal(400, () => undefined, text);
    if (generation === undefined || ended) {
      // What has told its end still reads the tail.
      clock.advance(1_000);
      ended = false;
      generation = new Generation('anthropic', sink, { log: silentLog, clock, signal });
      reader = new ReplyReader(generation, new CountedRequest(usage, 'anthropic', 'm'));
    }
    try {
      reader?.take(parseEvent(text));
    } catch (thrown) {
      assert(thrown instanceof BvraiError && thrown.code === 'provider.protocol');
      generation.fail(thrown);
    }
  };
  const mutator = new Mutator(ANTHROPIC, 'anthropic');
  fuzz(mutator, 10_000, feed);
  const beforeBytes = heapInUseBytes();
  expect(fuzz(mutator, MESSAGES_PER_ADAPTER - 10_000, feed) + 10_000).toBe(MESSAGES_PER_ADAPTER);
  expect(heapInUseBytes() - beforeBytes).toBeLessThan(4 * 1024 * 1024);
  const [counted] = usage.total().llm;
  assert(counted && counted.unreported_requests < counted.requests && counted.input_tokens > 0);
  expect(told).toBeGreaterThan(MESSAGES_PER_ADAPTER / 10);
}, 120_000);
