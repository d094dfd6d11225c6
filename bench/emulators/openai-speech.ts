/** OpenAI's `/v1/audio/speech` on loopback, in tones: 24 kHz PCM, in chunks that end in the middle of a sample, or Ogg Opus. */
import { z } from 'zod';
import { delaySchema } from './delays.ts';
import type { Delay } from './delays.ts';
import { OpusTones, opusAlphabet } from './opus-tones.ts';
import type { Refusal, VendorExchange } from './server.ts';
import { encodeToneSpeech } from './tone-speech.ts';
import { chunksOf, streamSpeech, synthesise, toneText } from './voice.ts';

export interface SpeechSettings {
  /** From the request to the first audio. */
  speechFirstAudioMs: Delay;
  /** Audio in one piece of the body, about. */
  speechChunkMs: number;
  /** How much faster than real time audio is made after the first piece. */
  speechSpeed: number;
}

export const SPEECH_DEFAULTS: SpeechSettings = { speechFirstAudioMs: 300, speechChunkMs: 200, speechSpeed: 8 };

export const SPEECH_KNOBS = {
  speechFirstAudioMs: delaySchema.exactOptional(),
  speechChunkMs: z.number().min(20).max(10_000).exactOptional(),
  speechSpeed: z.number().min(0.01).max(10_000).exactOptional(),
};

const requestShape = z.object({
  model: z.string().min(1),
  input: z.string().min(1).max(4096),
  voice: z.string().min(1),
  response_format: z.enum(['pcm', 'opus'], 'The emulator makes response_format "pcm" and "opus" only.'),
});

export async function serveSpeech(settings: SpeechSettings, exchange: VendorExchange): Promise<Refusal | undefined> {
  let value: unknown;
  try {
    value = JSON.parse(exchange.body.toString('utf8'));
  } catch {
    return invalid('We could not parse the JSON body of your request.');
  }
  const parsed = requestShape.safeParse(value);
  if (!parsed.success) return invalid(z.prettifyError(parsed.error));
  const { speechFirstAudioMs, speechChunkMs, speechSpeed } = settings;
  const { input, response_format: format } = parsed.data;
  const encoder = format === 'opus' ? new OpusTones(await opusAlphabet()) : new OddPcm();
  await streamSpeech(exchange, chunksOf(synthesise('tones', input), speechChunkMs), {
    contentType: format === 'opus' ? 'audio/ogg' : 'audio/pcm',
    firstAudioMs: speechFirstAudioMs,
    speed: speechSpeed,
    encode: ({ characters }, last) => encoder.say(toneText(characters.map(({ char }) => char).join('')), last),
  });
  return undefined;
}

function invalid(message: string): Refusal {
  return { status: 400, body: { error: { message, type: 'invalid_request_error', param: null, code: null } } };
}

/** Says text in 24 kHz PCM. Each piece leaves its last byte to the next, so that samples are torn apart; the very last stays half. */
class OddPcm {
  #kept = Buffer.alloc(0);

  say(text: string): Uint8Array {
    const pcm = encodeToneSpeech(text, 24_000);
    const bytes = Buffer.concat([this.#kept, Buffer.from(pcm.buffer, pcm.byteOffset, pcm.byteLength)]);
    this.#kept = bytes.subarray(bytes.length - 1);
    return bytes.subarray(0, bytes.length - 1);
  }
}
