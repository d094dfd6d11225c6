/**
 * ElevenLabs' multi-context WebSocket as pure functions: the address, what we send, what it says. Facts: the vendor's
 * docs as collected in provider-wire.md. Requests are snake_case, answers camelCase (sometimes snake_case too).
 */
import { z } from 'zod';
import { BvraiError } from '../../../core/errors.ts';
import type { ErrorCode } from '../../../core/errors.ts';
import { httpUrl, setQuery, socketUrl } from '../http.ts';
import type { VendorError } from '../http.ts';
import type { HttpRequest } from '../http-connections.ts';
import { isJsonObject, parseJsonObject } from '../json.ts';
import type { JsonObject } from '../json.ts';
import type { SpokenSpan, TtsRequest } from '../spec.ts';

export const PROVIDER = 'elevenlabs';
export const DEFAULT_MODEL = 'eleven_flash_v2_5';
/** "George", the voice of the vendor's own examples. */
const DEFAULT_VOICE = 'JBFqnCBsd6RMkjVDRZzb';
const DEFAULT_VOICE_SETTINGS: JsonObject = { stability: 0.5, similarity_boost: 0.8 };
/** After this long without a message from us the vendor hangs up; it allows 180 s at most. We say something more often. */
const INACTIVITY_TIMEOUT_S = 60;

/** The address of one call's socket: our defaults, then the route's options, then what the audio path fixes. */
export function multiStreamUrl(baseUrl: string, request: TtsRequest): URL {
  const model = request.model ?? DEFAULT_MODEL;
  const url = socketUrl(PROVIDER, baseUrl, `${voicePath(request)}/multi-stream-input`);
  const { voice_settings: _sentInMessages, ...options } = request.options ?? {};
  setQuery(url, {
    auto_mode: true,
    inactivity_timeout: INACTIVITY_TIMEOUT_S,
    sync_alignment: true,
    ...languageOf(model, request),
  });
  setQuery(url, options);
  setQuery(url, { model_id: model, output_format: 'ulaw_8000' });
  return url;
}

function voicePath(request: TtsRequest): string {
  return `/v1/text-to-speech/${encodeURIComponent(request.voice ?? DEFAULT_VOICE)}`;
}

/** Other models refuse a language. */
function languageOf(model: string, request: TtsRequest): { language_code?: string | undefined } {
  return model.endsWith('_v2_5') ? { language_code: request.language.split('-')[0] } : {};
}

function voiceSettingsOf(request: TtsRequest): JsonObject {
  const given = request.options?.['voice_settings'];
  return isJsonObject(given) ? given : DEFAULT_VOICE_SETTINGS;
}

/** Options that only the WebSocket's address knows. */
const SOCKET_OPTIONS = ['auto_mode', 'inactivity_timeout', 'sync_alignment', 'enable_ssml_parsing'];
/** Options that HTTP has in its address; all others go into the body. */
const QUERY_OPTIONS = ['enable_logging', 'optimize_streaming_latency'];

/** The request that speaks one clause over HTTP, with the same route as the WebSocket. */
export function streamRequest(
  { apiKey, baseUrl }: { readonly apiKey: string; readonly baseUrl: string },
  request: TtsRequest,
  text: string,
): HttpRequest {
  const model = request.model ?? DEFAULT_MODEL;
  const url = httpUrl(PROVIDER, baseUrl, `${voicePath(request)}/stream`);
  const options = Object.entries(request.options ?? {}).filter(([name]) => !SOCKET_OPTIONS.includes(name));
  setQuery(url, Object.fromEntries(options.filter(([name]) => QUERY_OPTIONS.includes(name))));
  setQuery(url, { output_format: 'ulaw_8000' });
  const body = {
    ...languageOf(model, request),
    ...Object.fromEntries(options.filter(([name]) => !QUERY_OPTIONS.includes(name))),
    voice_settings: voiceSettingsOf(request),
    model_id: model,
    text: text.trim(),
  };
  return { url, headers: { 'xi-api-key': apiKey, 'content-type': 'application/json' }, body: JSON.stringify(body) };
}

/** The messages that begin a context. Voice settings are taken in a context's first message and refused later (1008). */
export function beginContext(contextId: string, request: TtsRequest): string {
  return JSON.stringify({ text: ' ', context_id: contextId, voice_settings: voiceSettingsOf(request) });
}

/** Text to speak. It must end in a space, or the vendor takes its last word for unfinished. */
export function addText(contextId: string, text: string): string {
  return JSON.stringify({ text: /\s$/.test(text) ? text : `${text} `, context_id: contextId });
}

export function flushContext(contextId: string): string {
  return JSON.stringify({ context_id: contextId, flush: true });
}

export function closeContext(contextId: string): string {
  return JSON.stringify({ context_id: contextId, close_context: true });
}

/**
 * Keeps a context alive, or without one the socket. A context must have begun: the vendor would open it here, without
 * voice settings, and close the socket when they come.
 */
export function keepAlive(contextId?: string): string {
  return JSON.stringify(contextId === undefined ? { text: '' } : { text: '', context_id: contextId });
}

export const CLOSE_SOCKET = '{"close_socket":true}';

/** One message, understood. */
export type ElevenLabsMessage =
  | {
      /** `audio` may be empty; `isFinal`: this context sends no more. */
      readonly type: 'audio';
      readonly contextId: string;
      readonly audio: Uint8Array;
      readonly spans: readonly SpokenSpan[];
      readonly isFinal: boolean;
    }
  | { readonly type: 'ignored' }
  /** Of one context when the vendor names it, else of the whole socket. `idle`: we were silent for too long. */
  | {
      readonly type: 'failed';
      readonly contextId: string | undefined;
      readonly idle: boolean;
      readonly error: BvraiError;
    };

const contextId = z.string().optional().catch(undefined);
const numbers = z.array(z.number().min(0));

const alignmentShape = z.object({
  chars: z.array(z.string()),
  charStartTimesMs: numbers.optional(),
  charsStartTimesMs: numbers.optional(),
  charDurationsMs: numbers.optional(),
  charsDurationsMs: numbers.optional(),
});

const audioShape = z.object({
  audio: z.string().nullish(),
  isFinal: z.boolean().nullish().catch(undefined),
  is_final: z.boolean().nullish().catch(undefined),
  contextId,
  context_id: contextId,
  alignment: alignmentShape.nullish().catch(undefined),
});

const failureShape = z.object({
  error: z.string(),
  message: z.string().catch(''),
  code: z.number().optional().catch(undefined),
  contextId,
  context_id: contextId,
});

const refusalShape = z.object({
  detail: z.object({ status: z.string().optional(), message: z.string().optional() }).catch({}),
});

/** Reads one text frame. Never throws. */
export function parseMessage(text: string): ElevenLabsMessage {
  const message = parseJsonObject(text);
  if (message === undefined) return malformed('a message that is not a JSON object');
  if (typeof message['error'] === 'string') return parseFailure(message);
  if (!('audio' in message) && !('isFinal' in message) && !('is_final' in message)) return { type: 'ignored' };
  const parsed = audioShape.safeParse(message);
  if (!parsed.success) return malformed('audio that is not a string');
  const id = parsed.data.contextId ?? parsed.data.context_id;
  // Of no context of ours: the vendor's default one, which our keep-alives may wake.
  if (id === undefined) return { type: 'ignored' };
  return {
    type: 'audio',
    contextId: id,
    audio: Buffer.from(parsed.data.audio ?? '', 'base64'),
    spans: parsed.data.alignment ? spansOf(parsed.data.alignment) : [],
    isFinal: parsed.data.isFinal ?? parsed.data.is_final ?? false,
  };
}

/**
 * Characters into words, each with the white space after it (and, at the beginning of a chunk, before it), so that the
 * texts joined are the text spoken. A word that a chunk ends in the middle of gives a span in each chunk.
 */
export function spansOf(alignment: z.infer<typeof alignmentShape>): SpokenSpan[] {
  const starts = alignment.charStartTimesMs ?? alignment.charsStartTimesMs ?? [];
  const durations = alignment.charDurationsMs ?? alignment.charsDurationsMs ?? [];
  const spans: SpokenSpan[] = [];
  let text = '';
  let startMs = 0;
  let endMs = 0;
  const push = (): void => {
    if (text !== '') spans.push({ text, startMs, durationMs: Math.max(0, endMs - startMs) });
    text = '';
  };
  for (const [index, char] of alignment.chars.entries()) {
    const charStartMs = starts[index] ?? endMs;
    const isSpace = /^\s*$/.test(char);
    if (!isSpace && /\S\s+$/.test(text)) push();
    if (text === '') startMs = charStartMs;
    text += char;
    endMs = charStartMs + (durations[index] ?? 0);
  }
  push();
  return spans;
}

type NamedErrors = readonly (readonly [RegExp, ErrorCode])[];

/** Error names that say more than a status; matched by what they contain, since prefixes and suffixes vary. */
const NAMED_REFUSALS: NamedErrors = [
  [/api_key|unauthor|missing_permissions/, 'provider.auth'],
  [/quota|payment/, 'provider.no-credit'],
  // The key is good, but not for that voice, model or option.
  [/permission|subscription|access_denied|not_allowed/, 'provider.bad-request'],
];

/** What the vendor's own error names mean. */
const NAMED_ERRORS: NamedErrors = [
  ...NAMED_REFUSALS,
  [/too_many_concurrent|rate_limit/, 'provider.rate-limited'],
  [/max_active_conversations|busy|overload|internal/, 'provider.overloaded'],
  [/input_timeout/, 'provider.closed'],
  [/not_found|invalid|unsupported|validation/, 'provider.bad-request'],
];

function codeOfName(name: string): ErrorCode | undefined {
  return NAMED_ERRORS.find(([pattern]) => pattern.test(name.toLowerCase()))?.[1];
}

function parseFailure(message: JsonObject): ElevenLabsMessage {
  const parsed = failureShape.parse(message);
  const code = codeOfName(parsed.error) ?? (parsed.code === 1008 ? 'provider.bad-request' : 'provider.protocol');
  const error = new BvraiError(code, `elevenlabs reported ${parsed.error.slice(0, 80)}.`, {
    details: {
      provider: PROVIDER,
      vendorCode: parsed.error.slice(0, 80),
      ...(parsed.code === undefined ? {} : { closeCode: parsed.code }),
      ...(code === 'provider.bad-request' ? { vendorMessage: parsed.message.slice(0, 300) } : {}),
    },
  });
  return { type: 'failed', contextId: parsed.contextId ?? parsed.context_id, idle: isIdle(parsed.error), error };
}

/** Whether an error name or a close reason says that we were silent for too long. */
function isIdle(text: string): boolean {
  return /input_timeout|not received a new text input/i.test(text);
}

/** Meaning of a close; undefined: the usual one. The reason of a 1008 is the name of the error. */
export function codeOfClose(closeCode: number, reason: string): ErrorCode | undefined {
  if (isIdle(reason)) return 'provider.closed';
  return closeCode === 1008 ? codeOfName(reason) : undefined;
}

/** The body of a refusal: `{"detail":{"status":"…","message":"…"}}`. A 401 may be for want of credit, or for a voice. */
export function parseRefusal(body: string): VendorError {
  const parsed = refusalShape.safeParse(parseJsonObject(body));
  if (!parsed.success) return {};
  const { status: code, message } = parsed.data.detail;
  const is = NAMED_REFUSALS.find(([pattern]) => pattern.test(code?.toLowerCase() ?? ''))?.[1];
  return { code, message, is };
}

function malformed(what: string): ElevenLabsMessage {
  const error = new BvraiError('provider.protocol', `elevenlabs sent ${what}.`, { details: { provider: PROVIDER } });
  return { type: 'failed', contextId: undefined, idle: false, error };
}
