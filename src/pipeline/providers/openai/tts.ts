/** OpenAI's speech as a voice: a request a clause, resampled to the telephone's μ-law. */
import { checkedSpeech } from '../checked-speech.ts';
import { OpusDecoderPool } from '../../../media/audio/opus.ts';
import { ClauseSpeech } from '../clause-speech.ts';
import type { ClauseProtocol } from '../clause-speech.ts';
import { httpUrl } from '../http.ts';
import type { HttpConnections } from '../http-connections.ts';
import { rawSpeech } from '../raw-speech.ts';
import type { Connecting, TtsProvider } from '../spec.ts';
import { opusToMulaw } from './opus.ts';
import { PcmToMulaw } from './pcm.ts';
import { DEFAULT_SPEECH_MODEL, parseSpeechRefusal, speechFormat, speechRequest } from './speech-wire.ts';
import { PROVIDER } from './wire.ts';

const DEFAULT_BASE_URL = 'https://api.openai.com/v1';

export interface OpenAiSpeechSettings {
  readonly apiKey: string;
  /** http(s), with `/v1`. */
  readonly baseUrl?: string | undefined;
  /** Whose owner closes them. */
  readonly connections: HttpConnections;
}

/**
 * Text-to-speech by `/audio/speech`. The route's option `response_format: "opus"` saves most of the traffic on the way to us and
 * costs no more work here. Owns nothing between streams but idle decoders.
 */
export function createOpenAiTts(settings: OpenAiSpeechSettings): TtsProvider {
  const access = { apiKey: settings.apiKey, baseUrl: settings.baseUrl ?? DEFAULT_BASE_URL };
  const decoders = new OpusDecoderPool();
  return checkedSpeech({
    name: PROVIDER,
    capabilities: { contexts: true },
    prewarm: (request, wanted, connecting) => {
      if (!wanted()) return;
      settings.connections.prewarm(httpUrl(PROVIDER, access.baseUrl, ''), connecting);
      if (speechFormat(request) === 'opus') warmDecoder(decoders, connecting);
    },
    open(request, sink, context) {
      const mulaw: ClauseProtocol['mulaw'] =
        speechFormat(request) === 'opus'
          ? (body, signal) => opusToMulaw(body, decoders, { clock: context.clock, signal })
          : (body) => rawSpeech(PROVIDER, body, new PcmToMulaw());
      const protocol: ClauseProtocol = {
        provider: PROVIDER,
        model: request.model ?? DEFAULT_SPEECH_MODEL,
        request: (text) => speechRequest(access, request, text),
        parseRefusal: parseSpeechRefusal,
        mulaw,
      };
      return new ClauseSpeech(protocol, settings.connections, sink, context);
    },
  });
}

/** Compiling libopus takes 30 ms, which nobody should wait for. Whoever speaks is told if it fails. */
function warmDecoder(decoders: OpusDecoderPool, connecting: Connecting | undefined): void {
  if (connecting !== undefined) decoders.warm(connecting).catch(() => {});
}
