import { describe, expect, it } from 'vitest';
import type { LlmMessage, LlmRequest } from '../spec.ts';
import { messagesBody, parseEvent, refusal } from './wire.ts';

function body(messages: readonly LlmMessage[], more: Partial<LlmRequest> = {}) {
  return messagesBody({ messages, questionsAndAnswers: [], maxOutputTokens: 50, ...more });
}

const text = (words: string) => ({ type: 'text', text: words });

describe('the request', () => {
  it('has the system text apart, the limit, the tools and the stream', () => {
    const messages: LlmMessage[] = [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Hi.' },
      { role: 'system', content: 'It is late.' },
    ];
    const parameters = { type: 'object', properties: {} };
    const tools = [{ name: 'look_up', description: 'Looks up.', parameters }];
    expect(body(messages, { tools, temperature: 1.4 })).toEqual({
      model: 'claude-haiku-4-5',
      max_tokens: 50,
      system: 'Be brief.\n\nIt is late.',
      temperature: 1,
      tools: [{ name: 'look_up', description: 'Looks up.', input_schema: parameters }],
      messages: [{ role: 'user', content: [text('Hi.')] }],
      stream: true,
    });
  });

  it('puts the options over ours, except what streaming needs', () => {
    const options = { max_tokens: 9, temperature: null, top_k: 5, stream: false, messages: [] };
    expect(body([{ role: 'user', content: 'Hi.' }], { options, temperature: 1, model: 'm' })).toEqual({
      model: 'm',
      max_tokens: 9,
      top_k: 5,
      messages: [{ role: 'user', content: [text('Hi.')] }],
      stream: true,
    });
  });

  it.each<[string, LlmMessage[], unknown[]]>([
    ['nothing yet', [], [['user', '(The call begins.)']]],
    [
      'an agent that spoke first',
      [
        { role: 'assistant', content: 'Hello.' },
        { role: 'user', content: 'Hi.' },
      ],
      [
        ['user', '(The call begins.)'],
        ['assistant', 'Hello.'],
        ['user', 'Hi.'],
      ],
    ],
    [
      'neighbours of one role, and blank text',
      [
        { role: 'user', content: 'One.' },
        { role: 'assistant', content: ' ' },
        { role: 'user', content: 'Two.' },
        { role: 'assistant', content: 'Three.' },
        { role: 'assistant', content: 'Four.' },
      ],
      [
        ['user', 'One.', 'Two.'],
        ['assistant', 'Three.', 'Four.'],
        ['user', '(Go on.)'],
      ],
    ],
  ])('makes turns of %s', (_what, messages, expected) => {
    const turns = body(messages)['messages'] as { role: string; content: { text: string }[] }[];
    expect(turns.map(({ role, content }) => [role, ...content.map((block) => block.text)])).toEqual(expected);
  });

  it('makes blocks of tool calls and of their results, which come first in their turn', () => {
    const calls = [
      { id: 'call_1', name: 'look_up', arguments: '{"q":"x"}' },
      { id: 'a:b', name: 'look_up', arguments: '{"q": half' },
    ];
    const messages: LlmMessage[] = [
      { role: 'user', content: 'Hi.' },
      { role: 'assistant', content: 'One moment.', toolCalls: calls },
      { role: 'tool', toolCallId: 'call_1', content: '9-5' },
      { role: 'tool', toolCallId: 'a:b', content: '' },
      { role: 'user', content: 'Well?' },
    ];
    expect(body(messages)['messages']).toEqual([
      { role: 'user', content: [text('Hi.')] },
      {
        role: 'assistant',
        content: [
          text('One moment.'),
          { type: 'tool_use', id: 'call_1', name: 'look_up', input: { q: 'x' } },
          { type: 'tool_use', id: 'a_b', name: 'look_up', input: { unreadable: '{"q": half' } },
        ],
      },
      {
        role: 'user',
        content: [
          { type: 'tool_result', tool_use_id: 'call_1', content: '9-5' },
          { type: 'tool_result', tool_use_id: 'a_b', content: '' },
          text('Well?'),
        ],
      },
    ]);
  });
});

describe('events', () => {
  it.each([
    [
      '{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"m","stop_reason":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":3,"cache_read_input_tokens":2,"output_tokens":1}}}',
      { type: 'input-counted', inputTokens: 30 },
    ],
    ['{"type":"message_start","message":{"id":"msg_1"}}', { type: 'nothing' }],
    ['{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}', { type: 'nothing' }],
    ['{"type":"ping"}', { type: 'nothing' }],
    [
      '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}',
      { type: 'text', text: 'Hello' },
    ],
    [
      '{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"look_up","input":{}}}',
      { type: 'tool-began', index: 1, id: 'toolu_1', name: 'look_up' },
    ],
    [
      '{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\\"q\\":"}}',
      { type: 'tool-arguments', index: 1, json: '{"q":' },
    ],
    [
      '{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}',
      { type: 'nothing' },
    ],
    ['{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}', { type: 'nothing' }],
    ['{"type":"content_block_stop","index":0}', { type: 'nothing' }],
    [
      '{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15}}',
      { type: 'finished', reason: 'stop', outputTokens: 15 },
    ],
    [
      '{"type":"message_delta","delta":{"stop_reason":"max_tokens"}}',
      { type: 'finished', reason: 'length', outputTokens: undefined },
    ],
    ['{"type":"message_delta","delta":{"stop_reason":"tool_use"}}', { type: 'finished', reason: 'tool-calls' }],
    ['{"type":"message_delta","delta":{"stop_reason":"refusal"}}', { type: 'finished', reason: 'content-filter' }],
    ['{"type":"message_stop"}', { type: 'nothing' }],
    ['{"type":"yet_to_come","x":1}', { type: 'nothing' }],
  ])('%s', (data, expected) => {
    expect(parseEvent(data)).toMatchObject(expected);
  });

  it.each([
    ['overloaded_error', 'provider.overloaded'],
    ['api_error', 'provider.overloaded'],
    ['rate_limit_error', 'provider.rate-limited'],
    ['authentication_error', 'provider.auth'],
    ['billing_error', 'provider.no-credit'],
    ['permission_error', 'provider.bad-request'],
    ['invalid_request_error', 'provider.bad-request'],
    ['something_new', 'provider.overloaded'],
  ])('an error of type %s', (type, code) => {
    const event = parseEvent(`{"type":"error","error":{"type":"${type}","message":"x"}}`);
    expect(event).toMatchObject({ type: 'failed', error: { code, details: { vendorCode: type } } });
  });

  it.each(['{', '[]', '{}', '{"type":"message_delta"}', '{"type":"content_block_delta","index":"0","delta":{}}'])(
    'refuses %s',
    (data) => {
      expect(() => parseEvent(data)).toThrow(expect.objectContaining({ code: 'provider.protocol' }));
    },
  );
});

describe('a refusal', () => {
  const of = (status: number, error: object, headers: Record<string, string> = {}) =>
    refusal(status, (name) => headers[name], JSON.stringify({ type: 'error', error }));

  it('tells want of credit from a bad request', () => {
    const message = 'Your credit balance is too low to access the Anthropic API.';
    expect(of(400, { type: 'invalid_request_error', message }).code).toBe('provider.no-credit');
    const bad = of(400, { type: 'invalid_request_error', message: 'max_tokens: Field required' });
    expect(bad).toMatchObject({
      code: 'provider.bad-request',
      details: { vendorMessage: 'max_tokens: Field required', vendorCode: 'invalid_request_error' },
    });
  });

  it('takes the wait, and any body', () => {
    expect(of(429, { type: 'rate_limit_error', message: '' }, { 'retry-after': '7' })).toMatchObject({
      code: 'provider.rate-limited',
      retryAfterMs: 7_000,
    });
    expect(refusal(529, () => undefined, '<html>').code).toBe('provider.overloaded');
  });
});
