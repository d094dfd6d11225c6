/** What a chat completion request says, checked as strictly as the vendor does where it matters to a conversation. */
import { isRecord } from './json.ts';

export interface ChatMessage {
  readonly role: string;
  /** Null only where an assistant's message has tool calls. */
  readonly content: string | null;
  readonly tool_calls?: readonly ToolCall[] | undefined;
  readonly tool_call_id?: string | undefined;
}

export interface ToolCall {
  readonly id: string;
  readonly type: 'function';
  readonly function: { readonly name: string; readonly arguments: string };
}

export interface Chat {
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly maxTokens: number;
}

export function parseChat(body: string): Chat | { readonly error: string } {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return { error: 'We could not parse the JSON body of your request.' };
  }
  if (!isRecord(value)) return { error: 'The body is not an object.' };
  const { model: name, messages, stream, stream_options: streamOptions, temperature } = value;
  if (typeof name !== 'string' || name === '') return { error: 'you must provide a model parameter' };
  if (!Array.isArray(messages) || messages.length === 0 || !messages.every(isChatMessage)) {
    return { error: "Invalid 'messages': expected a non-empty array of {role, content}." };
  }
  const refused = refusedTools(value['tools']) ?? refusedToolMessages(messages);
  if (refused !== undefined) return { error: refused };
  if (stream !== true && streamOptions !== undefined) {
    return { error: "The 'stream_options' parameter is only allowed when 'stream' is enabled." };
  }
  if (temperature !== undefined && !(typeof temperature === 'number' && temperature >= 0 && temperature <= 2)) {
    return { error: "Invalid 'temperature': expected a number from 0 to 2." };
  }
  const maxTokens = value['max_completion_tokens'] ?? value['max_tokens'] ?? Infinity;
  if (typeof maxTokens !== 'number' || maxTokens < 1) return { error: "Invalid 'max_tokens': expected at least 1." };
  const includeUsage = isRecord(streamOptions) && streamOptions['include_usage'] === true;
  return { model: name, messages, stream: stream === true, includeUsage, maxTokens };
}

function isChatMessage(value: unknown): value is ChatMessage {
  const roles = ['system', 'developer', 'user', 'assistant', 'tool'];
  if (!isRecord(value)) return false;
  const { role, content, tool_calls: calls, tool_call_id: answers } = value;
  if (!roles.includes(String(role))) return false;
  if (
    calls !== undefined &&
    !(role === 'assistant' && Array.isArray(calls) && calls.length > 0 && calls.every(isToolCall))
  )
    return false;
  if ((role === 'tool') !== (typeof answers === 'string')) return false;
  return typeof content === 'string' || (calls !== undefined && (content === null || content === undefined));
}

function isToolCall(value: unknown): value is ToolCall {
  if (!isRecord(value) || !isRecord(value['function'])) return false;
  const { name, arguments: text } = value['function'];
  return isText(value['id']) && value['type'] === 'function' && isText(name) && typeof text === 'string';
}

/** Why the tools are refused, if they are. */
function refusedTools(tools: unknown): string | undefined {
  if (tools === undefined) return undefined;
  if (!Array.isArray(tools) || tools.length === 0) return "Invalid 'tools': expected an array with at least one item.";
  for (const tool of tools) {
    const described: unknown = isRecord(tool) && tool['type'] === 'function' ? tool['function'] : undefined;
    if (!isRecord(described)) return "Invalid 'tools': expected items of {type: 'function', function: {...}}.";
    if (!/^[a-zA-Z0-9_-]{1,64}$/.test(String(described['name']))) return "Invalid 'tools[].function.name'.";
    const { parameters } = described;
    if (parameters !== undefined && !(isRecord(parameters) && parameters['type'] === 'object')) {
      return "Invalid schema for function: schema must be of type 'object'.";
    }
  }
  return undefined;
}

/** Every tool call has its result in the messages right after it, and every result its call. */
function refusedToolMessages(messages: readonly ChatMessage[]): string | undefined {
  let owed = new Set<string>();
  const orphans = () => `An assistant message with 'tool_calls' must be followed by tool messages responding to each \
'tool_call_id'. The following tool_call_ids did not have response messages: ${[...owed].join(', ')}`;
  for (const message of messages) {
    if (message.role === 'tool') {
      if (owed.delete(message.tool_call_id ?? '')) continue;
      return "Invalid parameter: messages with role 'tool' must be a response to a preceding message with 'tool_calls'.";
    }
    if (owed.size > 0) return orphans();
    owed = new Set(message.tool_calls?.map(({ id }) => id));
  }
  return owed.size > 0 ? orphans() : undefined;
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}
