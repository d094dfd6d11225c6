/** What a request for a message says, checked as strictly as the vendor does where it matters to a conversation. */
import { isRecord } from './json.ts';

export type ContentBlock =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'tool_use'; readonly id: string; readonly name: string; readonly input: object }
  | { readonly type: 'tool_result'; readonly tool_use_id: string; readonly content: string };

export interface AnthropicMessage {
  readonly role: 'user' | 'assistant';
  readonly content: readonly ContentBlock[];
}

export interface MessagesRequest {
  readonly model: string;
  readonly system: string;
  readonly messages: readonly AnthropicMessage[];
  readonly stream: boolean;
  readonly maxTokens: number;
}

export function parseMessages(body: string): MessagesRequest | { readonly error: string } {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return { error: 'The request body is not valid JSON.' };
  }
  if (!isRecord(value)) return { error: 'The request body is not an object.' };
  const { model, messages: given, max_tokens: maxTokens, system = '', temperature, stream } = value;
  if (!isText(model)) return { error: 'model: Field required' };
  if (typeof maxTokens !== 'number' || maxTokens < 1) return { error: 'max_tokens: Field required' };
  if (typeof system !== 'string') return { error: 'system: Input should be a valid string' };
  if (temperature !== undefined && !(typeof temperature === 'number' && temperature >= 0 && temperature <= 1)) {
    return { error: 'temperature: range: 0..1' };
  }
  if (!Array.isArray(given) || given.length === 0) return { error: 'messages: at least one message is required' };
  const messages: AnthropicMessage[] = [];
  for (const [index, each] of given.entries()) {
    const message = parseMessage(each);
    if (typeof message === 'string') return { error: `messages.${index}: ${message}` };
    messages.push(message);
  }
  const refused = refusedOrder(messages) ?? refusedTools(value['tools']);
  return refused === undefined ? { model, system, messages, stream: stream === true, maxTokens } : { error: refused };
}

/** A message, or what is wrong with it. */
function parseMessage(value: unknown): AnthropicMessage | string {
  if (!isRecord(value) || (value['role'] !== 'user' && value['role'] !== 'assistant')) {
    return 'role: Input should be "user" or "assistant"';
  }
  const { role, content: given } = value;
  const blocks: unknown = typeof given === 'string' ? [{ type: 'text', text: given }] : given;
  if (!Array.isArray(blocks) || blocks.length === 0) return 'all messages must have non-empty content';
  const content: ContentBlock[] = [];
  for (const block of blocks) {
    if (!isRecord(block)) return 'content: Input should be a valid object';
    const { type, text, id, name, input, tool_use_id: answers, content: result } = block;
    if (type === 'text' && typeof text === 'string') {
      if (text.trim() === '') return 'text content blocks must contain non-whitespace text';
      content.push({ type, text });
    } else if (type === 'tool_use' && role === 'assistant' && isId(id) && isText(name) && isRecord(input)) {
      content.push({ type, id, name, input });
    } else if (type === 'tool_result' && role === 'user' && isId(answers) && typeof result === 'string') {
      if (content.some((earlier) => earlier.type !== 'tool_result')) return 'tool_result blocks must come first';
      content.push({ type, tool_use_id: answers, content: result });
    } else return 'content: a block is wrong';
  }
  return { role, content };
}

/** The roles alternate, beginning and ending with the user's; every use of a tool has its result in the next message. */
function refusedOrder(messages: readonly AnthropicMessage[]): string | undefined {
  if (messages[0]?.role !== 'user') return 'messages: first message must use the "user" role';
  if (messages.at(-1)?.role !== 'user') return 'This model does not support assistant message prefill.';
  let owed = new Set<string>();
  for (const [index, { role, content }] of messages.entries()) {
    if (index > 0 && role === messages[index - 1]?.role) return 'messages: roles must alternate';
    for (const block of content) {
      if (block.type !== 'tool_result') continue;
      if (!owed.delete(block.tool_use_id)) return `unexpected tool_use_id found in tool_result: ${block.tool_use_id}`;
    }
    if (owed.size > 0)
      return `tool_use ids were found without tool_result blocks immediately after: ${[...owed].join()}`;
    owed = new Set(content.flatMap((block) => (block.type === 'tool_use' ? [block.id] : [])));
  }
  return undefined;
}

function refusedTools(tools: unknown): string | undefined {
  if (tools === undefined) return undefined;
  if (!Array.isArray(tools)) return 'tools: Input should be a valid list';
  for (const tool of tools) {
    if (!isRecord(tool) || !/^[a-zA-Z0-9_-]{1,128}$/.test(String(tool['name']))) return 'tools.name: invalid';
    const schema = tool['input_schema'];
    if (!isRecord(schema) || schema['type'] !== 'object') return "tools.input_schema.type: Input should be 'object'";
  }
  return undefined;
}

function isId(value: unknown): value is string {
  return typeof value === 'string' && /^[a-zA-Z0-9_-]+$/.test(value);
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}
