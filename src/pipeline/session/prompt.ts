/** What the language model is told: who it is, that it is on the phone, what it knows, and what was said and heard. */
import type { AgentConfig } from '../ports.ts';
import type { LlmMessage } from '../providers/spec.ts';
import type { HistoryMessage } from './state.ts';

const ON_THE_PHONE =
  'You are talking on the phone. Answer in one to three short spoken sentences, without lists, markup or emoji. ' +
  'Where one of your earlier answers breaks off, the caller interrupted and heard only that much.';

/** The messages for a reply to `callerText`: the history as heard, so that the model never refers to words nobody heard. */
export function buildMessages(
  agent: AgentConfig,
  history: readonly HistoryMessage[],
  callerText: string,
): LlmMessage[] {
  const messages: LlmMessage[] = [{ role: 'system', content: systemMessage(agent) }];
  for (const message of history) {
    if (message.role === 'caller') messages.push({ role: 'user', content: message.text });
    else messages.push(...agentMessages(message));
  }
  messages.push({ role: 'user', content: callerText });
  return messages;
}

/** What was heard of the agent; a tool call is always followed by its result, or the next request would be refused. */
function agentMessages({ heardText, tools }: Extract<HistoryMessage, { role: 'agent' }>): LlmMessage[] {
  if (tools.length === 0) return heardText === '' ? [] : [{ role: 'assistant', content: heardText }];
  const results = tools.map(({ call, result }) => ({ role: 'tool' as const, toolCallId: call.id, content: result }));
  return [{ role: 'assistant', content: heardText, toolCalls: tools.map(({ call }) => call) }, ...results];
}

function systemMessage(agent: AgentConfig): string {
  const knowledge = agent.questionsAndAnswers.map(({ questions, answer }) => `Q: ${questions[0] ?? ''}\nA: ${answer}`);
  const parts = [agent.systemPrompt, ON_THE_PHONE];
  if (knowledge.length > 0) parts.push(`What you know:\n${knowledge.join('\n')}`);
  return parts.filter((part) => part !== '').join('\n\n');
}
