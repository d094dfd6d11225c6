/** The voices of an ElevenLabs account, by the vendor's SDK: for people who choose one, never while a call waits. */
import type * as Sdk from 'elevenlabs';
import { z } from 'zod';
import { BvraiError } from '../../../core/errors.ts';
import { networkError, statusError } from '../http.ts';
import { PROVIDER, parseRefusal } from './wire.ts';

const TIMEOUT_S = 10;

export interface Voice {
  /** What a route's `voice` is. */
  readonly id: string;
  readonly name: string;
  /** The vendor's, e.g. `premade`, `cloned`. */
  readonly category: string | undefined;
  /** The vendor's, e.g. accent and gender. */
  readonly labels: Readonly<Record<string, string>>;
}

const voiceShape = z.object({
  voice_id: z.string().min(1),
  name: z.string().nullish(),
  category: z.string().optional().catch(undefined),
  labels: z.record(z.string(), z.string()).catch({}),
});

const voicesShape = z.object({ voices: z.array(voiceShape) });

/**
 * Lists them. The SDK is loaded here and not before: that blocks the event loop for 0.2 to 0.7 s, so a server does it when it
 * has no calls, or in another process. Rejects with a BvraiError. Does not retry.
 */
export async function listVoices(
  settings: { readonly apiKey: string; readonly baseUrl: string },
  signal: AbortSignal,
): Promise<Voice[]> {
  const sdk = await import('elevenlabs');
  const client = new sdk.ElevenLabsClient({ apiKey: settings.apiKey, baseUrl: settings.baseUrl });
  let answer: unknown;
  try {
    answer = await client.voices.getAll({}, { maxRetries: 0, timeoutInSeconds: TIMEOUT_S, abortSignal: signal });
  } catch (thrown) {
    throw signal.aborted
      ? new BvraiError('aborted', 'The list of voices is not wanted any more.')
      : voicesError(sdk, thrown);
  }
  const parsed = voicesShape.safeParse(answer);
  if (!parsed.success) {
    throw new BvraiError('provider.protocol', 'elevenlabs sent a list of voices that cannot be read.', {
      cause: parsed.error,
      details: { provider: PROVIDER },
    });
  }
  return parsed.data.voices.map(({ voice_id: id, name, category, labels }) => {
    return { id, name: name ?? id, category, labels };
  });
}

function voicesError(sdk: typeof Sdk, thrown: unknown): BvraiError {
  if (thrown instanceof sdk.ElevenLabsTimeoutError) {
    return new BvraiError('provider.timeout-first', `elevenlabs did not answer in ${TIMEOUT_S} s.`, {
      cause: thrown,
      details: { provider: PROVIDER },
    });
  }
  if (thrown instanceof sdk.ElevenLabsError && thrown.statusCode !== undefined) {
    return statusError(PROVIDER, thrown.statusCode, undefined, parseRefusal(JSON.stringify(thrown.body ?? null)));
  }
  return networkError(PROVIDER, thrown);
}
