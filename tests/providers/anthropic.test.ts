import { describe, expect, it } from 'vitest';
import { startAnthropicEmulator } from '../../bench/emulators/anthropic.ts';
import type { AnthropicEmulatorSettings } from '../../bench/emulators/anthropic.ts';
import { createAnthropicLlm } from '../../src/pipeline/providers/anthropic/llm.ts';
import type { LlmRequest } from '../../src/pipeline/providers/spec.ts';
import { EmulatedLlm, llmContract, textOf } from './llm-contract.ts';

const llm = new EmulatedLlm<AnthropicEmulatorSettings>(
  (settings) => startAnthropicEmulator({ firstTokenMs: 5, interTokenMs: 1, ...settings }),
  createAnthropicLlm,
);

describe('anthropic', () => {
  it.each([
    [0, 'overloaded_error', 'provider.overloaded'],
    [5, 'overloaded_error', 'provider.overloaded'],
    [5, 'rate_limit_error', 'provider.rate-limited'],
  ] as const)('fails when, after %i events, the stream says %s', async (events, type, code) => {
    await llm.start({ errorAfter: { events, type } });
    const { received } = llm.generate();
    const error = await received.failedWith('generation-failed', code);
    expect(error.details['vendorCode']).toBe(type);
    await llm.idle();
  });

  it('begins with an agent that spoke first', async () => {
    await llm.start({ reply: () => 'Fine.' });
    const messages: LlmRequest['messages'] = [
      { role: 'assistant', content: 'Hello, this is Ada.' },
      { role: 'user', content: 'Hi.' },
    ];
    const { received } = llm.generate({ messages });
    await received.first('generation-finished');
    expect(textOf(received)).toBe('Fine.');
  });

  llmContract(llm, {
    body: {
      model: 'claude-haiku-4-5',
      system: 'Be brief.',
      messages: [{ role: 'user', content: [{ type: 'text', text: 'Say something.' }] }],
      max_tokens: 50,
      stream: true,
    },
    eventsToWords: 4,
    eventsToFinish: 6,
    eventsIntoTool: 5,
    resultMissing: 'without tool_result blocks immediately after: c',
    faults: [
      {
        what: 'an account without credit',
        faults: {
          refuse: {
            status: 400,
            body: { error: { type: 'invalid_request_error', message: 'Your credit balance is too low.' } },
          },
        },
        code: 'provider.no-credit',
      },
    ],
  });
});
