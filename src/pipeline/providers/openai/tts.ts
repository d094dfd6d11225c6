/** OpenAI's speech as a voice: a request a clause, resampled to the telephone's μ-law. */
import { checkedSpeech } from '../checked-speech.ts';
import { ClauseSpeech } from '../clause-speech.ts';
import { httpUrl } from '../http.ts';
import type { HttpConnections } from '../http-connections.ts';
import type { TtsProvider } from '../spec.ts';
import { PcmToMulaw } from './pcm.ts';
import { DEFAULT_SPEECH_MODEL, parseSpeechRefusal, speechRequest } from './speech-wire.ts';
import { PROVIDER } from './wire.ts';

const DEFAULT_BASE_URL = 'https://api.openai.com/v1';

export interface OpenAiSpeechSettings {
  readonly apiKey: string;
  /** http(s), with `/v1`. */
  readonly baseUrl?: string | undefined;
  /** Whose owner closes them. */
  readonly connections: HttpConnections;
}

/** Text-to-speech by `/audio/speech`. Owns nothing between streams. */
export function createOpenAiTts(settings: OpenAiSpeechSettings): TtsProvider {
  const access = { apiKey: settings.apiKey, baseUrl: settings.baseUrl ?? DEFAULT_BASE_URL };
  return checkedSpeech({
    name: PROVIDER,
    capabilities: { contexts: true },
    prewarm: (_request, wanted, connecting) => {
      if (wanted()) settings.connections.prewarm(httpUrl(PROVIDER, access.baseUrl, ''), connecting);
    },
    open(request, sink, context) {
      const protocol = {
        provider: PROVIDER,
        model: request.model ?? DEFAULT_SPEECH_MODEL,
        request: (text: string) => speechRequest(access, request, text),
        parseRefusal: parseSpeechRefusal,
        decoder: () => new PcmToMulaw(),
      };
      return new ClauseSpeech(protocol, settings.connections, sink, context);
    },
  });
}
