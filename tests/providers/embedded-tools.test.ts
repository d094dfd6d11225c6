/** The embedded responder has no tools, but may be asked in the middle of a conversation in which a model had some. */
import { describe, expect, it } from 'vitest';
import { decide } from '../../src/pipeline/providers/embedded/dialogue.ts';
import type { LlmMessage } from '../../src/pipeline/providers/spec.ts';

const ENTRIES = [
  { questions: ['When do you open?'], answer: 'At nine.' },
  { questions: ['Where are you?'], answer: 'In Harbour Street.' },
];
const call = { id: 'c', name: 'look_up', arguments: '{}' };
const TOOL_USE: readonly LlmMessage[] = [
  { role: 'assistant', content: '', toolCalls: [call] },
  { role: 'tool', toolCallId: 'c', content: 'no' },
];

describe('the embedded responder after a model with tools', () => {
  it('answers the caller, not the tool', () => {
    const asked: LlmMessage = { role: 'user', content: 'When do you open?' };
    expect(decide([asked, ...TOOL_USE], ENTRIES)).toEqual({ type: 'say', text: 'At nine.' });
  });

  it('still knows what it had asked, and takes no result for the caller’s words', () => {
    const messages: LlmMessage[] = [
      { role: 'user', content: 'Opening?' },
      ...TOOL_USE,
      { role: 'assistant', content: 'Did you mean: When do you open?' },
      ...TOOL_USE,
      { role: 'user', content: 'No.' },
    ];
    expect(decide(messages, ENTRIES)).toMatchObject({ type: 'compare', query: 'Opening?' });
    const yes: LlmMessage = { role: 'user', content: 'Yes.' };
    expect(decide([...messages.slice(0, -1), yes], ENTRIES)).toEqual({ type: 'say', text: 'At nine.' });
  });
});
