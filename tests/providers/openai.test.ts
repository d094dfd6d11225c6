import { afterEach, describe, expect, it } from 'vitest';
import { startOpenAiEmulator } from '../../bench/emulators/openai.ts';
import type { OpenAiEmulator, OpenAiEmulatorSettings } from '../../bench/emulators/openai.ts';
import { createOpenAiLlm } from '../../src/pipeline/providers/openai/llm.ts';
import type { OpenAiSettings } from '../../src/pipeline/providers/openai/llm.ts';
import type { LlmPart, LlmProvider, LlmRequest, LlmStream, LlmTool } from '../../src/pipeline/providers/spec.ts';
import { Received, sleep, until } from './harness.ts';

const REQUEST: LlmRequest = {
  messages: [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'Say something.' },
  ],
  questionsAndAnswers: [],
  maxOutputTokens: 50,
};

const LOOK_UP: LlmTool = {
  name: 'look_up',
  description: 'Looks something up.',
  parameters: { type: 'object', properties: { q: { type: 'string' } }, required: ['q'] },
};

let emulator: OpenAiEmulator;
let provider: LlmProvider & { close(): Promise<void> };

afterEach(async () => {
  await provider.close();
  await until('all connections gone', () => emulator.connections === 0);
  await emulator.close();
});

async function start(settings: Partial<OpenAiEmulatorSettings> = {}, own: Partial<OpenAiSettings> = {}): Promise<void> {
  emulator = await startOpenAiEmulator({ firstTokenMs: 5, interTokenMs: 1, ...settings });
  provider = createOpenAiLlm({
    apiKey: emulator.settings.apiKey,
    baseUrl: emulator.url,
    connectTimeoutMs: 10_000,
    ...own,
  });
}

function generate(request: LlmRequest = REQUEST): { received: Received<LlmPart>; stream: LlmStream } {
  const received = new Received<LlmPart>();
  const stream = received.open(() => provider.generate(request, received.sink, received.context));
  return { received, stream };
}

const text = (received: Received<LlmPart>) =>
  received
    .of('text-delta')
    .map((part) => part.text)
    .join('');
/** No request is left. */
const idle = () => until('no active request', () => emulator.activeRequests === 0).then(() => true);

describe('openai', () => {
  it('streams a reply, its usage and its end, on one connection for all turns', async () => {
    await start({ reply: () => 'One two three.' });
    for (let turn = 0; turn < 3; turn++) {
      const { received } = generate();
      await received.first('generation-finished');
      expect(received.parts).toEqual([
        { type: 'text-delta', text: 'One' },
        { type: 'text-delta', text: ' two' },
        { type: 'text-delta', text: ' three.' },
        { type: 'usage-reported', inputTokens: 4, outputTokens: 3 },
        { type: 'generation-finished', reason: 'stop' },
      ]);
      expect(await idle()).toBe(true);
      expect(emulator.connections).toBe(1);
    }
    expect(JSON.parse(emulator.received[0]?.text ?? '')).toEqual({
      model: 'gpt-4o-mini',
      messages: REQUEST.messages,
      max_tokens: 50,
      stream: true,
      stream_options: { include_usage: true },
    });
  });

  it('tells why the model stopped', async () => {
    await start({ reply: () => 'One two three.' });
    const cut = generate({ ...REQUEST, maxOutputTokens: 2 }).received;
    expect(await cut.first('generation-finished')).toMatchObject({ reason: 'length' });
    expect(text(cut)).toBe('One two');
  });

  it('finishes without usage when the options turn it off', async () => {
    await start({ reply: () => 'Fine.' });
    const { received } = generate({ ...REQUEST, options: { stream_options: null } });
    await received.first('generation-finished');
    expect(received.of('usage-reported')).toEqual([]);
  });

  it('finishes although the stream stalls after the finish', async () => {
    await start({ reply: () => 'Fine.', faults: { stallAfter: 3 } });
    const { received } = generate();
    await received.first('generation-finished');
    expect(await idle()).toBe(true);
  });

  it('is off the wire soon after an abort, at every stage, without another part', async () => {
    await start({ reply: () => 'word '.repeat(200), interTokenMs: 5 });
    for (const end of ['abort', 'signal'] as const) {
      for (const waitMs of [0, 1, 3, 10, 50]) {
        const { received, stream } = generate();
        if (waitMs > 0) await sleep(waitMs);
        received.expectNoMore();
        if (end === 'abort') stream.abort();
        else received.controller.abort();
      }
    }
    expect(await idle()).toBe(true);
  });

  it('dies on abort while the vendor hangs, before and after the headers', async () => {
    for (const faults of [{ hang: true }, { stallAfter: 0 }, { stallAfter: 2 }]) {
      await start({ faults });
      const { received, stream } = generate();
      await until('the request', () => emulator.activeRequests === 1);
      await sleep(30);
      received.expectNoMore();
      stream.abort();
      expect(await idle()).toBe(true);
      await until('the connection gone', () => emulator.connections === 0);
      await provider.close();
      await emulator.close();
    }
    await start();
  });

  it('reaches the wire within a turn of the event loop after an abort', async () => {
    await start({ faults: { stallAfter: 2 } });
    const { received, stream } = generate();
    await received.first('text-delta');
    stream.abort();
    // Emulator and adapter share this loop: a few turns more let the emulator notice what the kernel told it at once.
    for (let turn = 0; turn < 10 && emulator.activeRequests > 0; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(emulator.activeRequests).toBe(0);
  });

  it.each([
    ['a wrong key', { apiKey: 'wrong' }, {}, 'provider.auth', undefined],
    ['nobody there', { baseUrl: 'http://127.0.0.1:1/v1' }, {}, 'provider.unavailable', undefined],
    ['a wrong path', { baseUrl: 'BASE/v2' }, {}, 'provider.bad-request', undefined],
    ['429', {}, { refuse: { status: 429, retryAfterSeconds: 3 } }, 'provider.rate-limited', 3000],
    [
      '429 for want of credit',
      {},
      { refuse: { status: 429, body: { error: { code: 'insufficient_quota' } } } },
      'provider.no-credit',
      undefined,
    ],
    ['500', {}, { refuse: { status: 500 } }, 'provider.overloaded', undefined],
    ['529', {}, { refuse: { status: 529 } }, 'provider.overloaded', undefined],
    ['400', {}, { refuse: { status: 400 } }, 'provider.bad-request', undefined],
    ['a redirect', {}, { refuse: { status: 307 } }, 'provider.protocol', undefined],
    [
      'a cut line before the first token',
      {},
      { closeAfter: { messages: 1, code: 1006 } },
      'provider.closed',
      undefined,
    ],
    ['a cut line mid-stream', {}, { closeAfter: { messages: 3, code: 1006 } }, 'provider.closed', undefined],
    ['garbage', {}, { garbageAfter: 2 }, 'provider.protocol', undefined],
    ['a hang', { maxGenerationMs: 100 }, { hang: true }, 'provider.timeout-first', undefined],
    ['a stall', { maxGenerationMs: 200 }, { stallAfter: 3 }, 'provider.timeout-gap', undefined],
  ] as const)('reports %s once', async (_what, own, faults, code, retryAfterMs) => {
    await start({ faults });
    if ('baseUrl' in own) {
      await provider.close();
      const baseUrl = own.baseUrl.replace('BASE', `http://127.0.0.1:${emulator.port}`);
      provider = createOpenAiLlm({ apiKey: emulator.settings.apiKey, baseUrl, connectTimeoutMs: 10_000 });
    } else {
      await provider.close();
      provider = createOpenAiLlm({
        apiKey: emulator.settings.apiKey,
        baseUrl: emulator.url,
        connectTimeoutMs: 10_000,
        ...own,
      });
    }
    const { received, stream } = generate();
    const error = await received.failedWith('generation-failed', code);
    expect(error.retryAfterMs).toBe(retryAfterMs);
    expect(JSON.stringify([error.message, error.details])).not.toContain(emulator.settings.apiKey);
    stream.abort();
    expect(await idle()).toBe(true);
  });

  it('calls tools, each whole, after what was said and before the end; and takes their results', async () => {
    await start({
      reply: [
        {
          reply: {
            say: 'One moment.',
            tool: [
              { name: 'look_up', arguments: { q: 'opening hours, "winter"' } },
              { name: 'look_up', arguments: { q: '' } },
            ],
            afterwards: 'We open at nine.',
          },
        },
      ],
    });
    const request = { ...REQUEST, tools: [LOOK_UP] };
    const { received } = generate(request);
    await received.first('generation-finished');
    expect(received.parts.map(({ type }) => type)).toEqual([
      'text-delta',
      'text-delta',
      'tool-called',
      'tool-called',
      'usage-reported',
      'generation-finished',
    ]);
    const calls = received.of('tool-called').map(({ call }) => call);
    expect(calls.map(({ name, arguments: json }) => [name, json])).toEqual([
      ['look_up', '{"q":"opening hours, \\"winter\\""}'],
      ['look_up', '{"q":""}'],
    ]);
    expect(new Set(calls.map(({ id }) => id)).size).toBe(2);
    expect(received.parts.at(-1)).toEqual({ type: 'generation-finished', reason: 'tool-calls' });
    const messages: LlmRequest['messages'] = [
      ...REQUEST.messages,
      { role: 'assistant', content: text(received), toolCalls: calls },
      ...calls.map(({ id }) => ({ role: 'tool' as const, toolCallId: id, content: '9-5' })),
    ];
    const second = generate({ ...request, messages }).received;
    await second.first('generation-finished');
    expect(text(second)).toBe('We open at nine.');
  });

  it('tells of a call without waiting for the usage', async () => {
    await start({ reply: () => ({ tool: { name: 'look_up', arguments: {} } }), faults: { stallAfter: 5 } });
    const { received } = generate({ ...REQUEST, tools: [LOOK_UP] });
    await received.first('tool-called');
    expect(received.parts).toHaveLength(1);
    await received.first('generation-finished');
    expect(await idle()).toBe(true);
  });

  it('passes on arguments that are no JSON, unchecked', async () => {
    await start({ reply: () => ({ tool: { name: 'look_up', arguments: '{"q": half' } }) });
    const { received } = generate({ ...REQUEST, tools: [LOOK_UP] });
    expect((await received.first('tool-called')).call.arguments).toBe('{"q": half');
    await received.first('generation-finished');
  });

  it('does not call a tool whose arguments broke off', async () => {
    const tool = { name: 'look_up', arguments: { q: 'x' } };
    await start({ reply: () => ({ tool }), faults: { closeAfter: { messages: 3, code: 1006 } } });
    const cut = generate({ ...REQUEST, tools: [LOOK_UP] }).received;
    await cut.failedWith('generation-failed', 'provider.closed');
    expect(cut.of('tool-called')).toEqual([]);
    emulator.settings.faults = { garbageAfter: 3 };
    const garbled = generate({ ...REQUEST, tools: [LOOK_UP] }).received;
    await garbled.failedWith('generation-failed', 'provider.protocol');
    expect(garbled.of('tool-called')).toEqual([]);
    expect(await idle()).toBe(true);
  });

  it('stops telling of calls once it is aborted by the first', async () => {
    const tool = { name: 'look_up', arguments: {} };
    await start({ reply: () => ({ tool: [tool, tool] }) });
    const received = new Received<LlmPart>();
    const stream = provider.generate(
      { ...REQUEST, tools: [LOOK_UP] },
      (part) => {
        received.sink(part);
        received.expectNoMore();
        stream.abort();
      },
      received.context,
    );
    await received.first('tool-called');
    expect(await idle()).toBe(true);
  });

  it('is told by the vendor that a call lacks its result', async () => {
    await start();
    const call = { id: 'c', name: 'look_up', arguments: '{}' };
    const messages: LlmRequest['messages'] = [
      ...REQUEST.messages,
      { role: 'assistant', content: '', toolCalls: [call] },
    ];
    const { received } = generate({ ...REQUEST, messages });
    const error = await received.failedWith('generation-failed', 'provider.bad-request');
    expect(error.details['vendorMessage']).toContain('tool_call_ids did not have response messages: c');
  });

  it('fails what runs and what comes after it is closed', async () => {
    await start({ faults: { stallAfter: 2 } });
    const { received } = generate();
    await received.first('text-delta');
    const closing = provider.close();
    expect(received.failure().code).toBe('aborted');
    await closing;
    const late = generate().received;
    await late.failedWith('generation-failed', 'aborted');
  });
});
