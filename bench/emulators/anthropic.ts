/** Anthropic's messages on loopback: answers from a script, a token at a time. */
import { z } from 'zod';
import { parseMessages } from './anthropic-messages.ts';
import type { AnthropicMessage, MessagesRequest } from './anthropic-messages.ts';
import { COMMON_KNOBS } from './control.ts';
import { delaySchema } from './delays.ts';
import type { Delay } from './delays.ts';
import { USUAL_REPLIES, replyTo, tokensOf } from './reply.ts';
import type { Reply, ReplyRules } from './reply.ts';
import { COMMON_DEFAULTS, VendorServer } from './server.ts';
import type { Emulator, EmulatorSettings, Refusal, VendorExchange } from './server.ts';

export type { AnthropicMessage } from './anthropic-messages.ts';

export interface AnthropicEmulatorSettings extends EmulatorSettings {
  reply: ReplyRules | ((messages: readonly AnthropicMessage[]) => Reply);
  /** From the request to the first token, and between tokens. */
  firstTokenMs: Delay;
  interTokenMs: Delay;
  /** Says this many events, then an `error` event of the type, and no more: how an overload shows in a running stream. */
  errorAfter: { readonly events: number; readonly type: string } | null;
}

export type AnthropicEmulator = Emulator<AnthropicEmulatorSettings>;

const DEFAULTS: AnthropicEmulatorSettings = {
  ...COMMON_DEFAULTS,
  apiKey: 'emulated-anthropic-key',
  reply: USUAL_REPLIES,
  firstTokenMs: 400,
  interTokenMs: 20,
  errorAfter: null,
};

const KNOBS = z.strictObject({
  ...COMMON_KNOBS,
  firstTokenMs: delaySchema.exactOptional(),
  interTokenMs: delaySchema.exactOptional(),
  errorAfter: z
    .strictObject({ events: z.int().min(0), type: z.string() })
    .nullable()
    .exactOptional(),
});

/** The type of the error that a status comes with. */
const ERROR_TYPES: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  504: 'timeout_error',
  529: 'overloaded_error',
};

export async function startAnthropicEmulator(
  given: Partial<AnthropicEmulatorSettings> = {},
): Promise<AnthropicEmulator> {
  const settings = { ...DEFAULTS, ...given };
  const server = await VendorServer.listen({ settings, knobs: KNOBS, errorBody });
  server.onRequest({
    method: 'POST',
    path: '/v1/messages',
    check: ({ request: { headers } }) => refusedHeaders(settings, headers),
    serve: (exchange) => serveMessages(settings, exchange),
  });
  return server;
}

function errorBody(status: number): unknown {
  return errorOf(ERROR_TYPES[status] ?? 'api_error', 'Refused.');
}

function errorOf(type: string, message: string): unknown {
  return { type: 'error', error: { type, message }, request_id: 'req_emulated' };
}

function refusedHeaders(
  settings: AnthropicEmulatorSettings,
  headers: Readonly<Record<string, string | string[] | undefined>>,
): Refusal | undefined {
  if (headers['x-api-key'] !== settings.apiKey && headers['authorization'] !== `Bearer ${settings.apiKey}`) {
    return { status: 401, body: errorOf('authentication_error', 'invalid x-api-key') };
  }
  if (headers['anthropic-version'] === '2023-06-01') return undefined;
  return { status: 400, body: errorOf('invalid_request_error', 'anthropic-version: header is required') };
}

async function serveMessages(settings: AnthropicEmulatorSettings, exchange: VendorExchange): Promise<void> {
  const request = parseMessages(exchange.body.toString('utf8'));
  if ('error' in request) {
    return exchange.refuse({ status: 400, body: errorOf('invalid_request_error', request.error) });
  }
  const reply =
    typeof settings.reply === 'function'
      ? settings.reply(request.messages)
      : replyTo(settings.reply, lastAsked(request.messages));
  const { blocks, stopReason } = blocksOf(request, reply);
  const message = {
    id: 'msg_emulated',
    type: 'message',
    role: 'assistant',
    model: request.model,
    stop_reason: null,
    stop_sequence: null,
  };
  const usage = { input_tokens: inputTokens(request), output_tokens: blocks.flatMap(({ deltas }) => deltas).length };
  if (!request.stream) {
    const content = blocks.map(({ whole }) => whole);
    return exchange.sendJson(200, { ...message, content, stop_reason: stopReason, usage });
  }
  exchange.open(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' });
  const events = new Events(settings, exchange);
  // The vendor sends this one as soon as it has read the prompt.
  events.send('message_start', { message: { ...message, content: [], usage: { ...usage, output_tokens: 1 } } });
  await exchange.pause(exchange.delays.drawMs(settings.firstTokenMs));
  for (const [index, { start, deltas }] of blocks.entries()) {
    events.send('content_block_start', { index, content_block: start });
    if (index === 0) events.send('ping', {});
    for (const delta of deltas) {
      events.send('content_block_delta', { index, delta });
      await exchange.pause(exchange.delays.drawMs(settings.interTokenMs));
    }
    events.send('content_block_stop', { index });
  }
  const { output_tokens } = usage;
  events.send('message_delta', { delta: { stop_reason: stopReason, stop_sequence: null }, usage: { output_tokens } });
  events.send('message_stop', {});
  exchange.end();
}

/** The last words of the user, and whether a tool's result came with or after them. */
function lastAsked(messages: readonly AnthropicMessage[]): { asked: string; answersResult: boolean } {
  const texts = messages.flatMap(({ role, content }) =>
    role === 'user' ? content.flatMap((block) => (block.type === 'text' ? [block.text] : [])) : [],
  );
  const answersResult = messages.at(-1)?.content.at(-1)?.type === 'tool_result';
  return { asked: texts.at(-1) ?? '', answersResult };
}

interface Block {
  readonly start: unknown;
  readonly deltas: readonly unknown[];
  readonly whole: unknown;
}

let uses = 0;

/** What a reply is made of, and how it ends. */
function blocksOf(request: MessagesRequest, reply: Reply): { blocks: Block[]; stopReason: string } {
  const text = typeof reply === 'string' ? reply : (reply.say ?? '');
  const tokens = tokensOf(text);
  const said = tokens.slice(0, request.maxTokens);
  const blocks: Block[] = [];
  if (said.length > 0) {
    blocks.push({
      start: { type: 'text', text: '' },
      deltas: said.map((token) => ({ type: 'text_delta', text: token })),
      whole: { type: 'text', text: said.join('') },
    });
  }
  if (said.length < tokens.length) return { blocks, stopReason: 'max_tokens' };
  if (typeof reply === 'string') return { blocks, stopReason: 'end_turn' };
  for (const { name, arguments: value } of [reply.tool].flat()) {
    const json = typeof value === 'string' ? value : JSON.stringify(value);
    const half = Math.ceil(json.length / 2);
    const block = { type: 'tool_use', id: `toolu_${++uses}`, name };
    // As the vendor does, an empty piece first; tools without arguments get nothing but that.
    const pieces = json === '{}' ? [''] : ['', json.slice(0, half), json.slice(half)];
    blocks.push({
      start: { ...block, input: {} },
      deltas: pieces.map((piece) => ({ type: 'input_json_delta', partial_json: piece })),
      whole: { ...block, input: value },
    });
  }
  return { blocks, stopReason: 'tool_use' };
}

function inputTokens({ system, messages }: MessagesRequest): number {
  const texts = messages.flatMap(({ content }) => content.map((block) => ('text' in block ? block.text : '')));
  return tokensOf([system, ...texts].join(' ')).length;
}

/** Named events, until an error ends them. */
class Events {
  readonly #settings: AnthropicEmulatorSettings;
  readonly #exchange: VendorExchange;
  #sent = 0;
  #failed = false;

  constructor(settings: AnthropicEmulatorSettings, exchange: VendorExchange) {
    this.#settings = settings;
    this.#exchange = exchange;
  }

  send(type: string, fields: object): void {
    const { errorAfter } = this.#settings;
    if (this.#failed) return;
    if (errorAfter !== null && this.#sent >= errorAfter.events) {
      this.#failed = true;
      this.#exchange.sendEvent(errorOf(errorAfter.type, 'Overloaded'), 'error');
      return;
    }
    this.#sent++;
    this.#exchange.sendEvent({ type, ...fields }, type);
  }
}
