/** OpenAI on loopback: chat completions from a script, a token at a time; for speech see openai-speech.ts, for realtime transcription openai-realtime.ts. */
import { z } from 'zod';
import { COMMON_KNOBS } from './control.ts';
import { delaySchema } from './delays.ts';
import type { Delay } from './delays.ts';
import { parseChat } from './openai-chat.ts';
import type { Chat, ChatMessage } from './openai-chat.ts';
import { REALTIME_DEFAULTS, REALTIME_KNOBS, RealtimeTranscription } from './openai-realtime.ts';
import type { RealtimeSettings } from './openai-realtime.ts';
import { SPEECH_DEFAULTS, SPEECH_KNOBS, serveSpeech } from './openai-speech.ts';
import type { SpeechSettings } from './openai-speech.ts';
import { USUAL_REPLIES, replyTo, tokensOf } from './reply.ts';
import type { Reply, ReplyRules, ToolUse } from './reply.ts';
import { COMMON_DEFAULTS, VendorServer } from './server.ts';
import type { Emulator, EmulatorSettings, Refusal, VendorExchange } from './server.ts';

export type { ChatMessage } from './openai-chat.ts';
export type { Reply, ReplyRules, ToolUse } from './reply.ts';

export interface OpenAiEmulatorSettings extends EmulatorSettings, RealtimeSettings, SpeechSettings {
  reply: ReplyRules | ((messages: readonly ChatMessage[]) => Reply);
  /** From the request to the first token, and between tokens. */
  firstTokenMs: Delay;
  interTokenMs: Delay;
}

export type OpenAiEmulator = Emulator<OpenAiEmulatorSettings>;

const DEFAULTS: OpenAiEmulatorSettings = {
  ...COMMON_DEFAULTS,
  ...SPEECH_DEFAULTS,
  ...REALTIME_DEFAULTS,
  apiKey: 'emulated-openai-key',
  reply: USUAL_REPLIES,
  firstTokenMs: 350,
  interTokenMs: 20,
};

const KNOBS = z.strictObject({
  ...COMMON_KNOBS,
  ...REALTIME_KNOBS,
  ...SPEECH_KNOBS,
  firstTokenMs: delaySchema.exactOptional(),
  interTokenMs: delaySchema.exactOptional(),
});

export async function startOpenAiEmulator(given: Partial<OpenAiEmulatorSettings> = {}): Promise<OpenAiEmulator> {
  const settings = { ...DEFAULTS, ...given };
  const server = await VendorServer.listen({ settings, basePath: '/v1', knobs: KNOBS, errorBody });
  const check = (exchange: VendorExchange): Refusal | undefined =>
    refusedKey(settings, exchange.request.headers.authorization);
  server.onRequest({
    method: 'GET',
    path: '/v1/models',
    check,
    serve: (exchange) => exchange.sendJson(200, { object: 'list', data: [model('gpt-4o-mini')] }),
  });
  server.onRequest({
    method: 'POST',
    path: '/v1/chat/completions',
    check,
    serve: (exchange) => serveChat(settings, exchange),
  });
  server.onRequest({
    method: 'POST',
    path: '/v1/audio/speech',
    check,
    serve: async (exchange) => {
      const refused = await serveSpeech(settings, exchange);
      if (refused !== undefined) exchange.refuse(refused);
    },
  });
  server.onSocket({
    path: '/v1/realtime',
    check: (request, url) => refusedKey(settings, request.headers.authorization) ?? refusedIntent(url.searchParams),
    serve: (socket, url) => new RealtimeTranscription(settings, socket, url),
  });
  return server;
}

/** Why a key is refused, if it is. */
function refusedKey(settings: OpenAiEmulatorSettings, authorization: string | undefined): Refusal | undefined {
  if (authorization === `Bearer ${settings.apiKey}`) return undefined;
  return failure(401, 'invalid_request_error', 'invalid_api_key', 'Incorrect API key provided.');
}

/** With a model in the address the session is a conversation. */
function refusedIntent(query: URLSearchParams): Refusal | undefined {
  if (query.get('intent') === 'transcription' && !query.has('model')) return undefined;
  const message = 'The emulator serves intent=transcription only, and no model in the address.';
  return failure(400, 'invalid_request_error', null, message);
}

async function serveChat(settings: OpenAiEmulatorSettings, exchange: VendorExchange): Promise<void> {
  const chat = parseChat(exchange.body.toString('utf8'));
  if ('error' in chat) return exchange.refuse(failure(400, 'invalid_request_error', null, chat.error));
  const asked = chat.messages.findLast((message) => message.role === 'user')?.content ?? '';
  const answersResult = chat.messages.at(-1)?.role === 'tool';
  const reply =
    typeof settings.reply === 'function'
      ? settings.reply(chat.messages)
      : replyTo(settings.reply, { asked, answersResult });
  if (chat.stream) await streamReply(settings, exchange, chat, reply);
  else exchange.sendJson(200, wholeReply(chat, reply));
}

function errorBody(status: number, path?: string): unknown {
  if (path === undefined) return { error: { message: 'Refused.', type: 'emulated', param: null, code: null } };
  return failure(status, 'invalid_request_error', 'unknown_url', `Unknown request URL: ${path}.`).body;
}

function failure(status: number, type: string, code: string | null, message: string): Refusal {
  return { status, body: { error: { message, type, param: null, code } } };
}

/** What a reply is made of: the delta of each chunk, and how it ends. */
function deltasOf(chat: Chat, reply: Reply): { deltas: unknown[]; finish: string } {
  const tokens = tokensOf(typeof reply === 'string' ? reply : (reply.say ?? ''));
  const said = tokens.slice(0, chat.maxTokens);
  const deltas: unknown[] = said.map((content) => ({ content }));
  if (said.length < tokens.length) return { deltas, finish: 'length' };
  if (typeof reply === 'string') return { deltas, finish: 'stop' };
  for (const [index, call] of toolCallsOf(reply.tool).entries()) {
    const { name, arguments: text } = call.function;
    const half = Math.ceil(text.length / 2);
    deltas.push({ tool_calls: [{ index, ...call, function: { name, arguments: '' } }] });
    for (const piece of [text.slice(0, half), text.slice(half)]) {
      deltas.push({ tool_calls: [{ index, function: { arguments: piece } }] });
    }
  }
  return { deltas, finish: 'tool_calls' };
}

let calls = 0;

function toolCallsOf(tool: ToolUse | readonly ToolUse[]) {
  return [tool].flat().map(({ name, arguments: value }) => ({
    id: `call_${++calls}`,
    type: 'function',
    function: { name, arguments: typeof value === 'string' ? value : JSON.stringify(value) },
  }));
}

function usageOf(chat: Chat, tokens: number): unknown {
  const prompt = chat.messages.reduce((sum, { content }) => sum + tokensOf(content ?? '').length, 0);
  return { prompt_tokens: prompt, completion_tokens: tokens, total_tokens: prompt + tokens };
}

function wholeReply(chat: Chat, reply: Reply): unknown {
  const { deltas, finish } = deltasOf(chat, reply);
  const text = typeof reply === 'string' ? reply : (reply.say ?? '');
  const message = {
    role: 'assistant',
    content: tokensOf(text).slice(0, chat.maxTokens).join('') || null,
    ...(typeof reply === 'string' ? {} : { tool_calls: toolCallsOf(reply.tool) }),
  };
  const choice = { index: 0, message, finish_reason: finish };
  const usage = usageOf(chat, deltas.length);
  return {
    id: 'chatcmpl-emulated',
    object: 'chat.completion',
    created: 0,
    model: chat.model,
    choices: [choice],
    usage,
  };
}

function model(id: string): unknown {
  return { id, object: 'model', created: 0, owned_by: 'emulator' };
}

async function streamReply(
  settings: OpenAiEmulatorSettings,
  exchange: VendorExchange,
  chat: Chat,
  reply: Reply,
): Promise<void> {
  const { deltas, finish } = deltasOf(chat, reply);
  const chunk = (fields: object) => ({
    id: 'chatcmpl-emulated',
    object: 'chat.completion.chunk',
    created: 0,
    model: chat.model,
    ...fields,
  });
  const choice = (delta: unknown, reason: string | null) =>
    chunk({ choices: [{ index: 0, delta, finish_reason: reason }], ...(chat.includeUsage ? { usage: null } : {}) });
  exchange.open(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  await exchange.pause(exchange.delays.drawMs(settings.firstTokenMs));
  exchange.sendEvent(choice({ role: 'assistant', content: '' }, null));
  for (const delta of deltas) {
    exchange.sendEvent(choice(delta, null));
    await exchange.pause(exchange.delays.drawMs(settings.interTokenMs));
  }
  exchange.sendEvent(choice({}, finish));
  if (chat.includeUsage) exchange.sendEvent(chunk({ choices: [], usage: usageOf(chat, deltas.length) }));
  exchange.sendEventText('[DONE]');
  exchange.end();
}
