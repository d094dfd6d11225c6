/** OpenAI's speech in Ogg Opus into the telephone's μ-law. */
import { BvraiError } from '../../../core/errors.ts';
import { encodeMulaw } from '../../../media/audio/g711.ts';
import { decodeOggOpus } from '../../../media/audio/ogg-opus.ts';
import type { OggOpusContext } from '../../../media/audio/ogg-opus.ts';
import type { OpusDecoderPool } from '../../../media/audio/opus.ts';
import { wrongAudio } from '../raw-speech.ts';
import { PROVIDER } from './wire.ts';

/** μ-law as soon as its packet has come. Throws what the body throws, and `provider.protocol` for what is no whole Ogg Opus. */
export async function* opusToMulaw(
  body: AsyncIterable<Uint8Array>,
  pool: OpusDecoderPool,
  context: OggOpusContext,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for await (const linear of decodeOggOpus(body, pool, context)) {
      const mulaw = new Uint8Array(linear.length);
      encodeMulaw(linear, mulaw);
      yield mulaw;
    }
  } catch (thrown) {
    const wrong =
      thrown instanceof BvraiError && (thrown.code === 'audio.invalid' || thrown.code === 'wire.unsupported');
    throw wrong ? wrongAudio(PROVIDER, 'no readable Ogg Opus', thrown) : thrown;
  }
}
