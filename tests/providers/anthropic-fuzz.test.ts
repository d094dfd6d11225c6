/** Anthropic that says anything at all: 100,000 mutated events, most of them in memory, some through the socket. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { expect, it } from 'vitest';
import { VirtualClock } from '../../src/core/clock.ts';
import { BvraiError } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/log.ts';
import { createAnthropicLlm } from '../../src/pipeline/providers/anthropic/llm.ts';
import { ReplyReader } from '../../src/pipeline/providers/anthropic/reply-reader.ts';
import { parseEvent, refusal } from '../../src/pipeline/providers/anthropic/wire.ts';
import { Generation } from '../../src/pipeline/providers/generation.ts';
import type { LlmPart } from '../../src/pipeline/providers/spec.ts';
import { MESSAGES_PER_ADAPTER, Mutator, fuzz, heapInUseBytes } from './fuzzing.ts';
import { Received, until } from './harness.ts';

const RECORDED = [
  '{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"m","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1}}}',
  '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
  '{"type":"ping"}',
  '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}',
  '{"type":"content_block_stop","index":0}',
  '{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"look_up","input":{}}}',
  '{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\\"q\\":1}"}}',
  '{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":15}}',
  '{"type":"message_stop"}',
  '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
];
const IN_MEMORY = MESSAGES_PER_ADAPTER - 3_000;

const isLast = (part: LlmPart) => part.type === 'generation-finished' || part.type === 'generation-failed';

function checkPart(part: LlmPart): void {
  if ('error' in part) assert(part.error instanceof BvraiError);
  if (part.type === 'text-delta') assert(typeof part.text === 'string' && part.text !== '');
  if (part.type === 'usage-reported') assert(part.inputTokens >= 0 && part.outputTokens >= 0);
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
  let generation: Generation | undefined;
  let reader: ReplyReader | undefined;
  const feed = (text: string): void => {
    refusal(400, () => undefined, text);
    if (generation === undefined || ended) {
      // What has told its end still reads the tail.
      clock.advance(1_000);
      ended = false;
      generation = new Generation('anthropic', sink, { log: silentLog, clock, signal }, 60_000);
      reader = new ReplyReader(generation);
    }
    try {
      reader?.take(parseEvent(text));
    } catch (thrown) {
      assert(thrown instanceof BvraiError && thrown.code === 'provider.protocol');
      generation.fail(thrown);
    }
  };
  const mutator = new Mutator(RECORDED, 'anthropic');
  fuzz(mutator, 10_000, feed);
  const beforeBytes = heapInUseBytes();
  expect(fuzz(mutator, IN_MEMORY - 10_000, feed) + 10_000).toBe(IN_MEMORY);
  expect(heapInUseBytes() - beforeBytes).toBeLessThan(4 * 1024 * 1024);
  expect(told).toBeGreaterThan(IN_MEMORY / 10);
}, 120_000);

it('ends every generation once, over the wire, and leaves no connection busy', async () => {
  let script: readonly string[] = [];
  let active = 0;
  const http = createServer((request, response) => {
    active++;
    response.on('close', () => active--);
    request.resume();
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const text of script) response.write(`event: x\ndata: ${text.replaceAll(/[\r\n]/gu, ' ')}\n\n`);
    response.end();
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const address = http.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const provider = createAnthropicLlm({
    apiKey: 'k',
    baseUrl: `http://127.0.0.1:${address.port}`,
    connectTimeoutMs: 10_000,
  });
  const mutator = new Mutator(RECORDED, 'anthropic over the wire');
  const request = { messages: [{ role: 'user', content: 'x' }] as const, questionsAndAnswers: [], maxOutputTokens: 5 };
  for (let fed = 0; fed < MESSAGES_PER_ADAPTER - IN_MEMORY; fed += script.length) {
    script = [mutator.next(), ...mutator.list(16)];
    const received = new Received<LlmPart>();
    received.open(() => provider.generate(request, received.sink, received.context));
    await until('an end', () => received.parts.some(isLast));
    assert.equal(received.parts.filter(isLast).length, 1);
    assert.equal(received.parts.findIndex(isLast), received.parts.length - 1);
    received.parts.forEach(checkPart);
  }
  await until('no request', () => active === 0);
  await provider.close();
  await new Promise((resolve) => http.close(resolve));
  expect(active).toBe(0);
}, 120_000);
