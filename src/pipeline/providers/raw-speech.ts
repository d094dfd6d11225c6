/** The body of a response that is to be nothing but samples, as μ-law. */
import { BvraiError } from '../../core/errors.ts';
import { AudioOpening } from './audio-check.ts';

/** Turns samples as a vendor sends them into μ-law, however they are cut. What they return belongs to the receiver. */
export interface SampleDecoder {
  decode(bytes: Uint8Array): Uint8Array;
  /** What is left when the response has ended. */
  end(): Uint8Array;
}

/** Throws `provider.protocol` when the body begins like a file or a text; until that is known, nothing comes. */
export async function* rawSpeech(
  provider: string,
  body: AsyncIterable<Uint8Array>,
  decoder: SampleDecoder,
): AsyncGenerator<Uint8Array, void, undefined> {
  const opening = new AudioOpening();
  let held: Uint8Array[] = [];
  for await (const bytes of body) {
    held.push(bytes);
    const verdict = opening.add(bytes);
    if (verdict.type === 'wrong') throw wrongAudio(provider, verdict.format);
    if (verdict.type === 'undecided') continue;
    for (const each of held) yield decoder.decode(each);
    held = [];
  }
  for (const each of held) yield decoder.decode(each);
  yield decoder.end();
}

/** A vendor's audio that is not what was asked for; `what` it is instead. */
export function wrongAudio(provider: string, what: string, cause?: unknown): BvraiError {
  return new BvraiError('provider.protocol', `${provider} sent ${what} where speech was asked for.`, {
    ...(cause === undefined ? {} : { cause }),
    details: { provider, what },
  });
}
