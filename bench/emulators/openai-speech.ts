/** OpenAI's `/v1/audio/speech` on loopback: 24 kHz PCM in tones, in chunks that end in the middle of a sample. */
import { z } from 'zod';
import { delaySchema } from './delays.ts';
import type { Delay } from './delays.ts';
import type { Refusal, VendorExchange } from './server.ts';
import { encodeToneSpeech } from './tone-speech.ts';
import { chunksOf, streamSpeech, synthesise, toneText } from './voice.ts';
import type { Chunk } from './voice.ts';

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
  response_format: z.literal('pcm', 'The emulator makes response_format "pcm" only.'),
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
  const encoder = new OddEncoder();
  await streamSpeech(exchange, chunksOf(synthesise('tones', parsed.data.input), speechChunkMs), {
    contentType: 'audio/pcm',
    firstAudioMs: speechFirstAudioMs,
    speed: speechSpeed,
    encode: (chunk) => encoder.encode(chunk),
  });
  return undefined;
}

function invalid(message: string): Refusal {
  return { status: 400, body: { error: { message, type: 'invalid_request_error', param: null, code: null } } };
}

/** Makes 24 kHz PCM of what a chunk says. Each piece leaves its last byte to the next, so that samples are torn apart; the very last stays half. */
class OddEncoder {
  #kept = Buffer.alloc(0);

  encode({ characters }: Chunk): Uint8Array {
    const pcm = encodeToneSpeech(toneText(characters.map(({ char }) => char).join('')), 24_000);
    const bytes = Buffer.concat([this.#kept, Buffer.from(pcm.buffer, pcm.byteOffset, pcm.byteLength)]);
    this.#kept = bytes.subarray(bytes.length - 1);
    return bytes.subarray(0, bytes.length - 1);
  }
}
