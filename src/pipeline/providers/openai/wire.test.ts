import { describe, expect, it } from 'vitest';
import type { LlmRequest } from '../spec.ts';
import { chatBody, codeOfVendorError, parseChunk } from './wire.ts';

const REQUEST: LlmRequest = {
  messages: [{ role: 'user', content: 'Hi.' }],
  questionsAndAnswers: [],
  maxOutputTokens: 50,
};
const OPENAI = 'https://api.openai.com/v1';
const OTHER = 'http://127.0.0.1:8000/v1';

describe('chatBody', () => {
  it('sends the fields that every server knows, and no more', () => {
    expect(chatBody({ ...REQUEST, model: 'm', temperature: 0.3 }, OTHER)).toEqual({
      model: 'm',
      messages: [{ role: 'user', content: 'Hi.' }],
      stream: true,
      stream_options: { include_usage: true },
      max_tokens: 50,
      temperature: 0.3,
    });
  });

  it.each([
    [OPENAI, 'gpt-4o-mini', 'max_completion_tokens'],
    [OTHER, 'gpt-4o-mini', 'max_tokens'],
    [OTHER, 'llama-3.3-70b', 'max_tokens'],
    [OTHER, 'gpt-5-mini', 'max_completion_tokens'],
    [OTHER, 'o3', 'max_completion_tokens'],
    ['https://notopenai.com/v1', 'x', 'max_tokens'],
  ])('names the token limit at %s for %s %s', (baseUrl, model, field) => {
    const body = chatBody({ ...REQUEST, model }, baseUrl);
    const limits = Object.keys(body).filter((name) => name.startsWith('max_'));
    expect(limits).toEqual([field]);
    expect(body[field]).toBe(50);
  });

  it('lets options add, replace and remove, but not turn streaming off', () => {
    const options = { max_tokens: 9, top_p: 0.5, stream_options: null, stream: false, messages: [], model: 'x' };
    expect(chatBody({ ...REQUEST, options }, OPENAI)).toEqual({
      model: 'gpt-4o-mini',
      messages: REQUEST.messages,
      stream: true,
      max_tokens: 9,
      top_p: 0.5,
    });
  });

  it('sends tools, their calls and their results', () => {
    const parameters = { type: 'object', properties: {} };
    const call = { id: 'c1', name: 'look_up', arguments: '{"q":"x"}' };
    const body = chatBody(
      {
        ...REQUEST,
        messages: [
          { role: 'user', content: 'Hi.' },
          { role: 'assistant', content: '', toolCalls: [call] },
          { role: 'tool', toolCallId: 'c1', content: 'found' },
          { role: 'assistant', content: 'There.', toolCalls: [] },
        ],
        tools: [{ name: 'look_up', description: 'Looks up.', parameters }],
      },
      OTHER,
    );
    const called = { id: 'c1', type: 'function', function: { name: 'look_up', arguments: '{"q":"x"}' } };
    expect(body['tools']).toEqual([
      { type: 'function', function: { name: 'look_up', description: 'Looks up.', parameters } },
    ]);
    expect(body['messages']).toEqual([
      { role: 'user', content: 'Hi.' },
      { role: 'assistant', content: null, tool_calls: [called] },
      { role: 'tool', tool_call_id: 'c1', content: 'found' },
      { role: 'assistant', content: 'There.' },
    ]);
    expect(chatBody({ ...REQUEST, tools: [] }, OTHER)).not.toHaveProperty('tools');
  });
});

describe('parseChunk', () => {
  it('reads role, text, finish and usage', () => {
    expect(
      parseChunk({ choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }] }),
    ).toEqual({});
    expect(parseChunk({ choices: [{ index: 0, delta: { content: 'Hi' } }] })).toEqual({ text: 'Hi' });
    expect(parseChunk({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })).toEqual({ finishReason: 'stop' });
    expect(parseChunk({ choices: [], usage: { prompt_tokens: 3, completion_tokens: -5 } })).toEqual({});
    expect(parseChunk({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 5, total_tokens: 8 } })).toEqual({
      usage: { inputTokens: 3, outputTokens: 5 },
    });
  });

  it.each([
    ['length', 'length'],
    ['content_filter', 'content-filter'],
    ['tool_calls', 'tool-calls'],
    ['function_call', 'tool-calls'],
    ['eos', 'stop'],
  ])('takes the finish %s for %s', (reason, expected) => {
    expect(parseChunk({ choices: [{ delta: {}, finish_reason: reason }] }).finishReason).toBe(expected);
  });

  it('reads the pieces of tool calls', () => {
    const delta = (toolCalls: unknown) => parseChunk({ choices: [{ index: 0, delta: { tool_calls: toolCalls } }] });
    const first = { index: 1, id: 'c', type: 'function', function: { name: 'look_up', arguments: '' } };
    expect(delta([first])).toEqual({ toolCalls: [{ index: 1, id: 'c', name: 'look_up', arguments: '' }] });
    expect(delta([{ index: 1, function: { arguments: '{' } }])).toEqual({
      toolCalls: [{ index: 1, id: '', name: '', arguments: '{' }],
    });
    expect(delta([])).toEqual({});
    expect(delta(null)).toEqual({});
    expect(() => delta([{ index: 0, function: { arguments: {} } }])).toThrow('not a chat completion chunk');
  });

  it('tolerates what it has no use for', () => {
    expect(parseChunk({ object: 'x', x_groq: { id: 1 }, usage: 'none' })).toEqual({});
    expect(parseChunk({ choices: [{ index: 1, delta: { content: 'other' } }] })).toEqual({});
  });

  it.each([null, 'text', [], { choices: 'no' }, { choices: [{ delta: { content: 5 } }] }])('refuses %j', (value) => {
    expect(() => parseChunk(value)).toThrow(expect.objectContaining({ code: 'provider.protocol' }));
  });
});

describe('codeOfVendorError', () => {
  it.each([
    ['insufficient_quota', undefined, 'provider.no-credit'],
    ['invalid_request_error', 'invalid_api_key', 'provider.auth'],
    ['tokens', 'rate_limit_exceeded', 'provider.rate-limited'],
    ['invalid_request_error', 'context_length_exceeded', 'provider.bad-request'],
    ['server_error', undefined, 'provider.overloaded'],
    [undefined, undefined, 'provider.overloaded'],
  ])('takes %s/%s for %s', (type, code, expected) => {
    expect(codeOfVendorError(type, code)).toBe(expected);
  });
});
