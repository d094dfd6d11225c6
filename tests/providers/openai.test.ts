import { describe, expect, it } from 'vitest';
import { startOpenAiEmulator } from '../../bench/emulators/openai.ts';
import type { OpenAiEmulatorSettings } from '../../bench/emulators/openai.ts';
import { createOpenAiLlm } from '../../src/pipeline/providers/openai/llm.ts';
import { EmulatedLlm, LOOK_UP, llmContract } from './llm-contract.ts';

const llm = new EmulatedLlm<OpenAiEmulatorSettings>(
  (settings) => startOpenAiEmulator({ firstTokenMs: 5, interTokenMs: 1, ...settings }),
  createOpenAiLlm,
);

describe('openai', () => {
  it('finishes without usage when the options turn it off', async () => {
    await llm.start({ reply: () => 'Fine.' });
    const { received } = llm.generate({ options: { stream_options: null } });
    await received.first('generation-finished');
    expect(received.usage.total().llm).toMatchObject([{ requests: 1, unreported_requests: 1, output_tokens: 0 }]);
  });

  it('tells of a call without waiting for the usage', async () => {
    await llm.start({ reply: () => ({ tool: { name: 'look_up', arguments: {} } }), faults: { stallAfter: 5 } });
    const { received } = llm.generate({ tools: [LOOK_UP] });
    await received.first('tool-called');
    expect(received.parts).toHaveLength(1);
    await received.first('generation-finished');
    await llm.idle();
  });

  llmContract(llm, {
    body: {
      model: 'gpt-4o-mini',
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'Say something.' },
      ],
      max_tokens: 50,
      stream: true,
      stream_options: { include_usage: true },
    },
    eventsToWords: 2,
    eventsToFinish: 3,
    eventsIntoTool: 3,
    resultMissing: 'tool_call_ids did not have response messages: c',
    faults: [
      {
        what: '429 for want of credit',
        faults: { refuse: { status: 429, body: { error: { code: 'insufficient_quota' } } } },
        code: 'provider.no-credit',
      },
    ],
  });
});
