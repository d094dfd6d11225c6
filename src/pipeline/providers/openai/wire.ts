/**
 * OpenAI's chat completions as pure functions: the request body, and what the streamed chunks say. The field set is
 * the least that OpenAI and its imitators (Groq, Cerebras, vLLM, llama.cpp, Ollama) have in common.
 */
import { z } from 'zod';
import { BvraiError } from '../../../core/errors.ts';
import type { ErrorCode } from '../../../core/errors.ts';
import type { FinishReason } from '../generation.ts';
import type { LlmMessage, LlmRequest, LlmTool } from '../spec.ts';

export const PROVIDER = 'openai';
export const DEFAULT_MODEL = 'gpt-4o-mini';

/** The JSON body of a streaming request. */
export type ChatBody = Readonly<Record<string, unknown>>;

/**
 * The request's body: ours, then the route's options over it (`null` takes a field out), then what streaming needs.
 *
 * The token limit has two names. `max_completion_tokens` is the only one that OpenAI's reasoning models take and works
 * for all its others; `max_tokens` is the one that every imitator knows. So: the new name for OpenAI itself and for
 * models named like its reasoning ones, the old name for the rest, neither if the options bring their own.
 */
export function chatBody(request: LlmRequest, baseUrl: string): ChatBody {
  const model = request.model ?? DEFAULT_MODEL;
  const options = request.options ?? {};
  const limited = 'max_tokens' in options || 'max_completion_tokens' in options;
  const body: Record<string, unknown> = {
    stream_options: { include_usage: true },
    ...(limited ? {} : { [tokenLimitField(model, baseUrl)]: request.maxOutputTokens }),
    ...(request.temperature === undefined ? {} : { temperature: request.temperature }),
    // An empty list is refused.
    ...(request.tools?.length ? { tools: request.tools.map(chatTool) } : {}),
    ...options,
    model,
    messages: request.messages.map(chatMessage),
    stream: true,
  };
  for (const [name, value] of Object.entries(body)) if (value === null || value === undefined) delete body[name];
  return body;
}

function chatMessage(message: LlmMessage): unknown {
  if (message.role === 'tool') return { role: 'tool', tool_call_id: message.toolCallId, content: message.content };
  const { role, content } = message;
  if (message.role !== 'assistant' || !message.toolCalls?.length) return { role, content };
  const calls = message.toolCalls.map((call) => ({
    id: call.id,
    type: 'function',
    function: { name: call.name, arguments: call.arguments },
  }));
  // A call without words has no content; not every imitator takes an empty one.
  return { role, content: content === '' ? null : content, tool_calls: calls };
}

function chatTool({ name, description, parameters }: LlmTool): unknown {
  return { type: 'function', function: { name, description, parameters } };
}

function tokenLimitField(model: string, baseUrl: string): 'max_tokens' | 'max_completion_tokens' {
  const host = URL.canParse(baseUrl) ? new URL(baseUrl).hostname : '';
  const ofOpenAi = host === 'openai.com' || host.endsWith('.openai.com');
  return ofOpenAi || /^(gpt-5|o\d)/.test(model) ? 'max_completion_tokens' : 'max_tokens';
}

/** A piece of a tool call: the first one of each `index` carries id and name, each one some more of the arguments' text. */
export interface ToolCallDelta {
  readonly index: number;
  readonly id: string;
  readonly name: string;
  readonly arguments: string;
}

/** What one chunk says. Fields that say nothing are absent. */
export interface ChatChunk {
  readonly text?: string;
  readonly toolCalls?: readonly ToolCallDelta[];
  readonly finishReason?: FinishReason;
  readonly usage?: { readonly inputTokens: number; readonly outputTokens: number };
}

const toolCallShape = z.object({
  index: z.number().catch(0),
  id: z.string().nullish(),
  function: z.object({ name: z.string().nullish(), arguments: z.string().nullish() }).nullish(),
});

const tokens = z.number().nonnegative();

const chunkShape = z.object({
  choices: z
    .array(
      z.object({
        index: z.number().catch(0),
        delta: z.object({ content: z.string().nullish(), tool_calls: z.array(toolCallShape).nullish() }).nullish(),
        finish_reason: z.string().nullish(),
      }),
    )
    .nullish(),
  usage: z.object({ prompt_tokens: tokens, completion_tokens: tokens }).nullish().catch(undefined),
});

/** Reads one parsed SSE event; throws `provider.protocol` when it is not a chat chunk. */
export function parseChunk(value: unknown): ChatChunk {
  const parsed = chunkShape.safeParse(value);
  if (!parsed.success) {
    throw new BvraiError('provider.protocol', 'openai sent an event that is not a chat completion chunk.', {
      details: { provider: PROVIDER },
    });
  }
  const { choices, usage } = parsed.data;
  const choice = choices?.find((each) => each.index === 0);
  const text = choice?.delta?.content;
  const toolCalls = choice?.delta?.tool_calls;
  const finish = choice?.finish_reason;
  return {
    ...(text ? { text } : {}),
    ...(toolCalls?.length ? { toolCalls: toolCalls.map(toolCallDelta) } : {}),
    ...(finish ? { finishReason: finishReason(finish) } : {}),
    ...(usage ? { usage: { inputTokens: usage.prompt_tokens, outputTokens: usage.completion_tokens } } : {}),
  };
}

function toolCallDelta(delta: z.infer<typeof toolCallShape>): ToolCallDelta {
  const { index, id, function: called } = delta;
  return { index, id: id ?? '', name: called?.name ?? '', arguments: called?.arguments ?? '' };
}

function finishReason(reason: string): FinishReason {
  switch (reason) {
    case 'length':
    case 'max_tokens':
      return 'length';
    case 'content_filter':
      return 'content-filter';
    case 'tool_calls':
    case 'function_call':
      return 'tool-calls';
    default:
      // Imitators have their own words (`eos`, `end_turn`); all of them mean that the model was done.
      return 'stop';
  }
}

/** The code of an error that arrives as an event of a running stream (or in an error body), by the vendor's `type` and `code`. */
export function codeOfVendorError(type: string | undefined, code: string | undefined): ErrorCode {
  const name = `${type ?? ''} ${code ?? ''}`.toLowerCase();
  if (/insufficient_quota|billing/.test(name)) return 'provider.no-credit';
  if (/invalid_api_key|authentication/.test(name)) return 'provider.auth';
  if (/rate_limit|tokens_exceeded|429/.test(name)) return 'provider.rate-limited';
  if (/invalid_request|permission|not_found|context_length|content_policy/.test(name)) return 'provider.bad-request';
  return 'provider.overloaded';
}

/** What a refusal's words say beyond its status: a 429 for want of credit does not go away by waiting. */
export function codeBeyondStatus(type: string | undefined, code: string | undefined): ErrorCode | undefined {
  const said = codeOfVendorError(type, code);
  return said === 'provider.auth' || said === 'provider.no-credit' ? said : undefined;
}
