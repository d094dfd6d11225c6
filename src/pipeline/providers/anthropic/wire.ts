/**
 * Anthropic's messages as pure functions: the request body, and what the streamed events say.
 * Source: the vendor's pages on streaming and on errors (platform.claude.com/docs).
 */
import { z } from 'zod';
import { BvraiError } from '../../../core/errors.ts';
import type { ErrorCode } from '../../../core/errors.ts';
import { statusError } from '../http.ts';
import type { HeaderReader } from '../http.ts';
import { parseJsonObject } from '../json.ts';
import type { FinishReason } from '../generation.ts';
import type { LlmMessage, LlmRequest, LlmTool, ToolCall } from '../spec.ts';

export const PROVIDER = 'anthropic';
export const DEFAULT_MODEL = 'claude-haiku-4-5';
export const API_VERSION = '2023-06-01';

/** Stands where the vendor wants the user's words and there are none: before an agent that spoke first, and after one that is to speak on. */
const CALL_BEGINS = '(The call begins.)';
const GO_ON = '(Go on.)';
/** The vendor takes 0 to 1 where others take 0 to 2. */
const MAX_TEMPERATURE = 1;

/** The JSON body of a streaming request. */
export type MessagesBody = Readonly<Record<string, unknown>>;

type Block =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'tool_use'; readonly id: string; readonly name: string; readonly input: object }
  | { readonly type: 'tool_result'; readonly tool_use_id: string; readonly content: string };

interface Turn {
  readonly role: 'user' | 'assistant';
  readonly content: Block[];
}

/** The request's body: ours, then the route's options over it (`null` takes a field out), then what streaming needs. */
export function messagesBody(request: LlmRequest): MessagesBody {
  const system = request.messages.flatMap(({ role, content }) =>
    role === 'system' && content !== '' ? [content] : [],
  );
  const body: Record<string, unknown> = {
    max_tokens: request.maxOutputTokens,
    ...(system.length > 0 ? { system: system.join('\n\n') } : {}),
    ...(request.temperature === undefined ? {} : { temperature: Math.min(request.temperature, MAX_TEMPERATURE) }),
    ...(request.tools?.length ? { tools: request.tools.map(messageTool) } : {}),
    ...request.options,
    model: request.model ?? DEFAULT_MODEL,
    messages: turnsOf(request.messages),
    stream: true,
  };
  for (const [name, value] of Object.entries(body)) if (value === null || value === undefined) delete body[name];
  return body;
}

/**
 * The conversation as the vendor takes it: user and assistant in turns, the user first and last, no blank text, a tool's results
 * at the beginning of the turn after its call. Some models would continue an assistant's last turn, newer ones refuse it.
 */
function turnsOf(messages: readonly LlmMessage[]): readonly Turn[] {
  const turns: Turn[] = [];
  const add = (role: Turn['role'], blocks: readonly Block[]): void => {
    if (blocks.length === 0) return;
    const last = turns.at(-1);
    if (last?.role === role) last.content.push(...blocks);
    else turns.push({ role, content: [...blocks] });
  };
  for (const message of messages) {
    if (message.role === 'system') continue;
    const blocks = blocksOf(message);
    if (turns.length === 0 && message.role === 'assistant' && blocks.length > 0) add('user', textBlocks(CALL_BEGINS));
    add(message.role === 'assistant' ? 'assistant' : 'user', blocks);
  }
  if (turns.length === 0) add('user', textBlocks(CALL_BEGINS));
  else if (turns.at(-1)?.role === 'assistant') add('user', textBlocks(GO_ON));
  return turns;
}

function blocksOf(message: LlmMessage): readonly Block[] {
  if (message.role === 'tool') {
    return [{ type: 'tool_result', tool_use_id: vendorId(message.toolCallId), content: message.content }];
  }
  const calls = message.role === 'assistant' ? (message.toolCalls ?? []) : [];
  return [...textBlocks(message.content), ...calls.map(toolUse)];
}

function textBlocks(text: string): readonly Block[] {
  return text.trim() === '' ? [] : [{ type: 'text', text }];
}

function toolUse({ id, name, arguments: json }: ToolCall): Block {
  // Arguments that are no object are refused, but the model should see what it wrote.
  return { type: 'tool_use', id: vendorId(id), name, input: parseJsonObject(json) ?? { unreadable: json } };
}

/** An id that another provider gave out may have characters that this one refuses. */
function vendorId(id: string): string {
  return id.replaceAll(/[^a-zA-Z0-9_-]/g, '_') || '_';
}

function messageTool({ name, description, parameters }: LlmTool): unknown {
  return { name, description, input_schema: parameters };
}

/** What one event says to us. */
export type MessageEvent =
  | { readonly type: 'input-counted'; readonly inputTokens: number }
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'tool-began'; readonly index: number; readonly id: string; readonly name: string }
  | { readonly type: 'tool-arguments'; readonly index: number; readonly json: string }
  | { readonly type: 'finished'; readonly reason: FinishReason; readonly outputTokens: number | undefined }
  /** The vendor gives the generation up. */
  | { readonly type: 'failed'; readonly error: BvraiError }
  /** Nothing that matters here: a ping, the end of a block, thoughts, or a kind of event that is yet to be invented. */
  | { readonly type: 'nothing' };

const NOTHING: MessageEvent = { type: 'nothing' };
const tokens = z.number().nonnegative().nullish().catch(undefined);

const shapes = {
  message_start: z.object({
    message: z.object({
      usage: z
        .object({ input_tokens: tokens, cache_creation_input_tokens: tokens, cache_read_input_tokens: tokens })
        .nullish()
        .catch(undefined),
    }),
  }),
  content_block_start: z.object({
    index: z.number(),
    content_block: z.object({
      type: z.string(),
      text: z.string().nullish(),
      id: z.string().nullish(),
      name: z.string().nullish(),
    }),
  }),
  content_block_delta: z.object({
    index: z.number(),
    delta: z.object({ type: z.string(), text: z.string().nullish(), partial_json: z.string().nullish() }),
  }),
  message_delta: z.object({
    delta: z.object({ stop_reason: z.string().nullish() }),
    usage: z.object({ output_tokens: tokens }).nullish().catch(undefined),
  }),
} as const;

/** Reads the data of one server-sent event; throws `provider.protocol` when it is not what its type promises. */
export function parseEvent(data: string): MessageEvent {
  const value = parseJsonObject(data);
  switch (value?.['type']) {
    case undefined:
      throw unreadable('that is not an object with a type');
    case 'message_start':
      return messageStart(read(shapes.message_start, 'message_start', value));
    case 'content_block_start':
      return blockStart(read(shapes.content_block_start, 'content_block_start', value));
    case 'content_block_delta':
      return blockDelta(read(shapes.content_block_delta, 'content_block_delta', value));
    case 'message_delta':
      return messageDelta(read(shapes.message_delta, 'message_delta', value));
    case 'error':
      return { type: 'failed', error: streamError(data) };
    default:
      // The vendor keeps the right to new types.
      return NOTHING;
  }
}

function read<Shape>(shape: z.ZodType<Shape>, type: string, value: unknown): Shape {
  const parsed = shape.safeParse(value);
  if (parsed.success) return parsed.data;
  throw unreadable(`of type ${type} that is not what it should be`);
}

function unreadable(what: string): BvraiError {
  return new BvraiError('provider.protocol', `anthropic sent an event ${what}.`, { details: { provider: PROVIDER } });
}

function messageStart({ message: { usage } }: z.infer<typeof shapes.message_start>): MessageEvent {
  if (!usage) return NOTHING;
  const { input_tokens: plain, cache_creation_input_tokens: written, cache_read_input_tokens: cached } = usage;
  return { type: 'input-counted', inputTokens: (plain ?? 0) + (written ?? 0) + (cached ?? 0) };
}

function blockStart({ index, content_block: block }: z.infer<typeof shapes.content_block_start>): MessageEvent {
  if (block.type === 'tool_use') return { type: 'tool-began', index, id: block.id ?? '', name: block.name ?? '' };
  return block.type === 'text' && block.text ? { type: 'text', text: block.text } : NOTHING;
}

function blockDelta({ index, delta }: z.infer<typeof shapes.content_block_delta>): MessageEvent {
  if (delta.type === 'text_delta' && delta.text) return { type: 'text', text: delta.text };
  if (delta.type !== 'input_json_delta' || !delta.partial_json) return NOTHING;
  return { type: 'tool-arguments', index, json: delta.partial_json };
}

function messageDelta({ delta, usage }: z.infer<typeof shapes.message_delta>): MessageEvent {
  if (!delta.stop_reason) return NOTHING;
  return { type: 'finished', reason: finishReason(delta.stop_reason), outputTokens: usage?.output_tokens ?? undefined };
}

function finishReason(reason: string): FinishReason {
  switch (reason) {
    case 'max_tokens':
    case 'model_context_window_exceeded':
      return 'length';
    case 'tool_use':
      return 'tool-calls';
    case 'refusal':
      return 'content-filter';
    default:
      // `end_turn`, `stop_sequence`, `pause_turn`: the model was done.
      return 'stop';
  }
}

const errorShape = z.object({ error: z.object({ type: z.string(), message: z.string().catch('') }) });

function readError(text: string): { readonly type?: string | undefined; readonly message?: string | undefined } {
  const parsed = errorShape.safeParse(parseJsonObject(text));
  return parsed.success ? { ...parsed.data.error, type: parsed.data.error.type.slice(0, 80) } : {};
}

/** The error for a refused request, from its body. */
export function refusal(status: number, header: HeaderReader, body: string): BvraiError {
  const { type, message } = readError(body);
  // An account without credit is refused as a bad request.
  const is = status === 400 && /credit balance/iu.test(message ?? '') ? 'provider.no-credit' : undefined;
  return statusError(PROVIDER, status, header, { code: type, message, is });
}

/** The error for an `error` event in a running stream, which would have been a status before it. */
function streamError(data: string): BvraiError {
  const { type } = readError(data);
  return new BvraiError(codeOfError(type), `anthropic gave the generation up${type ? ` (${type})` : ''}.`, {
    details: { provider: PROVIDER, ...(type ? { vendorCode: type } : {}) },
  });
}

function codeOfError(type: string | undefined): ErrorCode {
  switch (type) {
    case 'authentication_error':
      return 'provider.auth';
    case 'billing_error':
      return 'provider.no-credit';
    case 'rate_limit_error':
      return 'provider.rate-limited';
    case 'invalid_request_error':
    case 'not_found_error':
    case 'permission_error':
    case 'request_too_large':
      return 'provider.bad-request';
    default:
      // `overloaded_error`, `api_error`, `timeout_error`, and whatever is yet to come.
      return 'provider.overloaded';
  }
}
