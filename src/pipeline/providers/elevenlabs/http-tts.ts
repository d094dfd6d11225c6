/** ElevenLabs over HTTP, a request a clause: what speaks when the WebSocket does not. No alignment comes with it. */
import { ClauseSpeech } from '../clause-speech.ts';
import type { HttpConnections } from '../http-connections.ts';
import { rawSpeech } from '../raw-speech.ts';
import type { TtsProvider } from '../spec.ts';
import { DEFAULT_MODEL, PROVIDER, parseRefusal, streamRequest } from './wire.ts';

export interface ElevenLabsHttpSettings {
  readonly apiKey: string;
  /** http(s). */
  readonly baseUrl: string;
  /** Whose owner closes them. */
  readonly connections: HttpConnections;
}

/** Text-to-speech by ElevenLabs' HTTP streaming, in μ-law. Owns nothing between streams. */
export function createElevenLabsHttpTts(settings: ElevenLabsHttpSettings): TtsProvider {
  return {
    name: PROVIDER,
    capabilities: { mulawOut: true, contexts: true },
    open(request, sink, context) {
      const protocol = {
        provider: PROVIDER,
        model: request.model ?? DEFAULT_MODEL,
        request: (text: string) => streamRequest(settings, request, text),
        parseRefusal,
        mulaw: (body: AsyncIterable<Uint8Array>) => rawSpeech(PROVIDER, body, MULAW_AS_IT_IS),
      };
      return new ClauseSpeech(protocol, settings.connections, sink, context);
    },
  };
}

const MULAW_AS_IT_IS = { decode: (bytes: Uint8Array): Uint8Array => bytes, end: (): Uint8Array => new Uint8Array() };
