/** OpenAI on loopback: chat completions from a script, a token at a time; for realtime transcription see openai-realtime.ts. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { parseChat } from './openai-chat.ts';
import type { Chat, ChatMessage } from './openai-chat.ts';
import { REALTIME_DEFAULTS, RealtimeTranscription } from './openai-realtime.ts';
import type { RealtimeSettings } from './openai-realtime.ts';
import { GARBAGE, VendorServer } from './server.ts';
import type { Emulator, Faults, Refusal } from './server.ts';

export type { ChatMessage } from './openai-chat.ts';

/** A tool to call. `arguments`: JSON text as it is, or a value to be written as JSON. */
export interface ToolUse {
  readonly name: string;
  readonly arguments: unknown;
}

/** Text to say, or tools to call: after `say`, if given. `afterwards` is said when the last message is a tool's result. */
export type Reply =
  | string
  | { readonly tool: ToolUse | readonly ToolUse[]; readonly say?: string; readonly afterwards?: string };

/** The first whose `match` fits the last user message; without `match` it fits always. */
export type ReplyRules = readonly { readonly match?: RegExp; readonly reply: Reply }[];

export interface OpenAiEmulatorSettings extends RealtimeSettings {
  port: number;
  apiKey: string;
  reply: ReplyRules | ((messages: readonly ChatMessage[]) => Reply);
  /** From the request to the first token, and between tokens. */
  firstTokenMs: number;
  interTokenMs: number;
  faults: Faults;
  /** Faults of some models only, instead of `faults`. */
  modelFaults: Readonly<Record<string, Faults>>;
}

export interface OpenAiEmulator extends Emulator<OpenAiEmulatorSettings> {
  /** Requests whose response has not ended. */
  readonly activeRequests: number;
}

const DEFAULTS: OpenAiEmulatorSettings = {
  ...REALTIME_DEFAULTS,
  port: 0,
  apiKey: 'emulated-openai-key',
  reply: [
    { match: /hour|open|close/i, reply: 'We are open from nine to five, Monday to Friday. Is there anything else?' },
    {
      match: /book|reserv|table|appointment/i,
      reply: 'Certainly. You are booked for tomorrow at seven. Anything else?',
    },
    { match: /where|address|locat/i, reply: 'You find us at twelve Harbour Street, right by the old lighthouse.' },
    { match: /bye|thank/i, reply: 'You are welcome. Have a lovely day. Goodbye!' },
    { match: /hello|hi\b|hey/i, reply: 'Hello! It is good to hear you. How can I help you today?' },
    { reply: 'I am an emulated model, so I know very little. Ask me about our opening hours.' },
  ],
  firstTokenMs: 350,
  interTokenMs: 20,
  faults: {},
  modelFaults: {},
};

const MAX_BODY_BYTES = 1024 * 1024;

export async function startOpenAiEmulator(given: Partial<OpenAiEmulatorSettings> = {}): Promise<OpenAiEmulator> {
  const settings = { ...DEFAULTS, ...given };
  const server = await VendorServer.listen(settings.port);
  let activeRequests = 0;
  server.onRequest((request, response) => {
    activeRequests++;
    response.on('close', () => activeRequests--);
    // A client that leaves mid-body; the response's close has been counted.
    handle(settings, server, request, response).catch(() => response.destroy());
  });
  server.onSocket(
    () => settings.faults,
    (request, url) => checkSocket(settings, request, url),
    (socket, url) => new RealtimeTranscription(settings, socket, url),
  );
  return {
    url: `http://127.0.0.1:${server.port}/v1`,
    port: server.port,
    settings,
    get connections() {
      return server.connections;
    },
    get activeRequests() {
      return activeRequests;
    },
    received: server.received,
    watch: (listener) => server.watch(listener),
    disconnect: (code, reason) => server.disconnect(code, reason),
    close: () => server.close(),
  };
}

async function handle(
  settings: OpenAiEmulatorSettings,
  server: VendorServer,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const body = await readBody(request);
  const faults = faultsFor(settings, body);
  const { hang, refuse } = faults();
  if (hang === true) return;
  const id = server.nextId();
  const url = request.url ?? '/';
  if (body !== '') server.log(id, url, body);
  const refusal = refuse ?? check(settings, request, body);
  if (refusal !== undefined) return sendRefusal(response, refusal);
  if (request.url === '/v1/models') return sendJson(response, 200, { object: 'list', data: [model('gpt-4o-mini')] });
  const chat = parseChat(body);
  if ('error' in chat) return sendRefusal(response, invalid(chat.error));
  const reply = replyTo(settings, chat.messages);
  if (chat.stream) {
    const events = new EventSender(faults, response, (event) => server.logSent(id, url, event));
    await streamReply(settings, events, response, chat, reply);
  } else sendJson(response, 200, wholeReply(chat, reply));
}

/** The faults of the model that a request asks for, as they are set at each moment. */
function faultsFor(settings: OpenAiEmulatorSettings, body: string): () => Faults {
  const name = /"model":"([^"]*)"/.exec(body)?.[1] ?? '';
  return () => settings.modelFaults[name] ?? settings.faults;
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    const data: unknown = chunk;
    if (!Buffer.isBuffer(data)) continue;
    bytes += data.length;
    if (bytes > MAX_BODY_BYTES) throw new Error('body too large');
    chunks.push(data);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function check(settings: OpenAiEmulatorSettings, request: IncomingMessage, body: string): Refusal | undefined {
  const unauthorised = checkKey(settings, request);
  if (unauthorised !== undefined) return unauthorised;
  if (request.method === 'GET' && request.url === '/v1/models') return undefined;
  if (request.method !== 'POST' || request.url !== '/v1/chat/completions') {
    return failure(
      404,
      'invalid_request_error',
      'unknown_url',
      `Unknown request URL: ${request.method} ${request.url}.`,
    );
  }
  return body === '' ? invalid('The body is empty.') : undefined;
}

function checkKey(settings: OpenAiEmulatorSettings, request: IncomingMessage): Refusal | undefined {
  if (request.headers.authorization === `Bearer ${settings.apiKey}`) return undefined;
  return failure(401, 'invalid_request_error', 'invalid_api_key', 'Incorrect API key provided.');
}

function checkSocket(settings: OpenAiEmulatorSettings, request: IncomingMessage, url: URL): Refusal | undefined {
  const unauthorised = checkKey(settings, request);
  if (unauthorised !== undefined) return unauthorised;
  if (url.pathname !== '/v1/realtime') {
    return failure(404, 'invalid_request_error', 'unknown_url', `Unknown request URL: GET ${url.pathname}.`);
  }
  // With a model in the address the session is a conversation.
  if (url.searchParams.get('intent') === 'transcription' && !url.searchParams.has('model')) return undefined;
  return invalid('The emulator serves intent=transcription only, and no model in the address.');
}

function failure(status: number, type: string, code: string | null, message: string): Refusal {
  return { status, body: { error: { message, type, param: null, code } } };
}

function invalid(message: string): Refusal {
  return failure(400, 'invalid_request_error', null, message);
}

function sendRefusal(response: ServerResponse, refusal: Refusal): void {
  if (refusal.retryAfterSeconds !== undefined) response.setHeader('retry-after', String(refusal.retryAfterSeconds));
  const usual = { error: { message: 'Refused.', type: 'emulated', param: null, code: null } };
  sendJson(response, refusal.status, refusal.body ?? usual);
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function replyTo(settings: OpenAiEmulatorSettings, messages: readonly ChatMessage[]): Reply {
  if (typeof settings.reply === 'function') return settings.reply(messages);
  const asked = messages.findLast((message) => message.role === 'user')?.content ?? '';
  const reply =
    settings.reply.find(({ match }) => match === undefined || match.test(asked))?.reply ?? 'I have no answer.';
  const answersResult = typeof reply !== 'string' && messages.at(-1)?.role === 'tool';
  return answersResult ? (reply.afterwards ?? 'Done.') : reply;
}

/** About as coarse as a real model's tokens: a word with the space before it. */
function tokensOf(text: string): string[] {
  return text.match(/\s*\S+|\s+$/g) ?? [];
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
  events: EventSender,
  response: ServerResponse,
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
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  response.flushHeaders();
  await pause(settings.firstTokenMs, response);
  events.send(choice({ role: 'assistant', content: '' }, null));
  for (const delta of deltas) {
    events.send(choice(delta, null));
    await pause(settings.interTokenMs, response);
  }
  events.send(choice({}, finish));
  if (chat.includeUsage) events.send(chunk({ choices: [], usage: usageOf(chat, deltas.length) }));
  events.end();
}

/** Server-sent events, with faults. */
class EventSender {
  readonly #faults: () => Faults;
  readonly #response: ServerResponse;
  readonly #onSent: (event: unknown) => void;
  #sent = 0;

  constructor(faults: () => Faults, response: ServerResponse, onSent: (event: unknown) => void) {
    this.#faults = faults;
    this.#response = response;
    this.#onSent = onSent;
  }

  send(event: unknown): void {
    const { closeAfter, garbageAfter } = this.#faults();
    if (this.#isStalled()) return;
    const garbled = garbageAfter !== undefined && this.#sent === garbageAfter;
    this.#response.write(`data: ${garbled ? GARBAGE : JSON.stringify(event)}\n\n`);
    this.#sent++;
    this.#onSent(event);
    if (closeAfter !== undefined && this.#sent >= closeAfter.messages) this.#response.destroy();
  }

  end(): void {
    if (!this.#isStalled()) this.#response.end('data: [DONE]\n\n');
  }

  #isStalled(): boolean {
    const { stallAfter } = this.#faults();
    return stallAfter !== undefined && this.#sent >= stallAfter;
  }
}

/** Waits, or until the response is gone. */
async function pause(delayMs: number, response: ServerResponse): Promise<void> {
  if (delayMs <= 0 || response.destroyed) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, delayMs);
    response.once('close', done);
    function done(): void {
      clearTimeout(timer);
      response.off('close', done);
      resolve();
    }
  });
}
