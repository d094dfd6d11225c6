/** The tools that every call has. Their effects are the machine's own; so far there is one. */
import type { LlmTool, ToolCall } from '../providers/spec.ts';

/** Ends the call when what the model said with it has been heard. */
export const END_CALL = 'end_call';

export const TOOLS: readonly LlmTool[] = [
  {
    name: END_CALL,
    description:
      'Ends the phone call. Say goodbye in the same answer: the call ends when the caller has heard it. Use it when the caller takes leave or everything is done.',
    parameters: { type: 'object', properties: {}, additionalProperties: false },
  },
];

/** What the model is told of its call. */
export function resultOf(call: ToolCall): string {
  return call.name === END_CALL ? 'The call ends after the goodbye.' : `There is no tool ${JSON.stringify(call.name)}.`;
}
