/** OpenAI's `/audio/speech` as pure functions: the request and its errors. Facts: provider-wire.md and the vendor's API reference. */
import { httpUrl } from '../http.ts';
import type { VendorError } from '../http.ts';
import type { HttpRequest } from '../http-connections.ts';
import { isJsonObject, parseJsonObject } from '../json.ts';
import type { TtsRequest } from '../spec.ts';
import { PROVIDER, codeBeyondStatus } from './wire.ts';

export const DEFAULT_SPEECH_MODEL = 'gpt-4o-mini-tts';
const DEFAULT_SPEECH_VOICE = 'alloy';

/** Where the vendor is, and who asks. */
export interface SpeechAccess {
  readonly apiKey: string;
  /** With `/v1`. */
  readonly baseUrl: string;
}

/** What we ask for and can decode: raw 24 kHz samples, 384 kbit/s, or Ogg Opus at a twelfth of that or so. The vendor has no μ-law. */
export type SpeechFormat = 'pcm' | 'opus';

/** What the route's options say of `response_format`, if it is one of ours. */
export function speechFormat(request: TtsRequest): SpeechFormat {
  return request.options?.['response_format'] === 'opus' ? 'opus' : 'pcm';
}

/** The request that speaks a text: our defaults, then the route's options (`instructions`, `speed`), then what the audio path fixes. */
export function speechRequest({ apiKey, baseUrl }: SpeechAccess, request: TtsRequest, text: string): HttpRequest {
  const body = {
    ...request.options,
    model: request.model ?? DEFAULT_SPEECH_MODEL,
    voice: request.voice ?? DEFAULT_SPEECH_VOICE,
    input: text.trim(),
    response_format: speechFormat(request),
    stream_format: undefined,
  };
  return {
    url: httpUrl(PROVIDER, baseUrl, '/audio/speech'),
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  };
}

/** The body of a refusal: `{"error":{"message":"…","type":"…","code":"…"}}`. */
export function parseSpeechRefusal(body: string): VendorError {
  const error = parseJsonObject(body)?.['error'];
  if (!isJsonObject(error)) return {};
  const text = (name: string): string | undefined => {
    const value = error[name];
    return typeof value === 'string' ? value : undefined;
  };
  const [type, code] = [text('type'), text('code')];
  const is = codeBeyondStatus(type, code);
  return { code: code ?? type, message: text('message'), is };
}
