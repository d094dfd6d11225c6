/** Deepgram's transcription of finished recordings, through the vendor's SDK: one POST, nothing of it on a call's hot path. */
import type * as Sdk from '@deepgram/sdk';
import { BvraiError } from '../../../core/errors.ts';
import { httpUrl, networkError, statusError } from '../http.ts';
import type { StreamContext } from '../spec.ts';
import { parseRecordingTranscript, recordingQuery } from './prerecorded-wire.ts';
import type { Recording, RecordingRequest, RecordingTranscript } from './prerecorded-wire.ts';
import { PROVIDER, parseRefusal } from './wire.ts';

export type { RecordedUtterance, Recording, RecordingRequest, RecordingTranscript } from './prerecorded-wire.ts';

/** An hour of speech takes the vendor about half a minute, and some time to be sent. */
const DEFAULT_TIMEOUT_MS = 180_000;

export interface TranscriberSettings {
  readonly apiKey: string;
  /** http(s). */
  readonly baseUrl?: string | undefined;
  /** Of the whole exchange: sending, waiting and reading. */
  readonly timeoutMs?: number | undefined;
}

export interface RecordingTranscriber {
  /**
   * Loads the SDK, which the first transcription would do otherwise. It takes half a second, of which the event loop stands still for
   * more than a tenth: that should not be while calls are in progress.
   */
  warm(): Promise<void>;
  /** Rejects with a BvraiError; `aborted` when the signal does. One attempt: trying again is the caller's business. */
  transcribe(
    recording: Recording,
    request: RecordingRequest,
    context: Pick<StreamContext, 'clock' | 'signal'>,
  ): Promise<RecordingTranscript>;
}

export function createDeepgramTranscriber(settings: TranscriberSettings): RecordingTranscriber {
  return {
    async warm() {
      await import('@deepgram/sdk');
    },
    transcribe: (recording, request, context) => transcribe(settings, recording, request, context),
  };
}

async function transcribe(
  settings: TranscriberSettings,
  recording: Recording,
  request: RecordingRequest,
  { clock, signal }: Pick<StreamContext, 'clock' | 'signal'>,
): Promise<RecordingTranscript> {
  const timeoutMs = settings.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const controller = new AbortController();
  const onAbort = (): void => controller.abort();
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  let expired = false;
  const timer = clock.after(timeoutMs, () => {
    expired = true;
    controller.abort();
  });
  try {
    const sdk = await import('@deepgram/sdk');
    const answer = await send(sdk, settings, recording, request, controller.signal).catch((thrown: unknown) => {
      throw sdkError(sdk, thrown);
    });
    return parseRecordingTranscript(answer);
  } catch (thrown) {
    if (signal.aborted) throw aborted(thrown);
    if (!expired) throw BvraiError.from(thrown, 'internal', 'The deepgram SDK failed');
    throw new BvraiError('provider.timeout-first', `deepgram did not transcribe the recording in ${timeoutMs} ms.`, {
      cause: thrown,
      details: { provider: PROVIDER, timeoutMs },
    });
  } finally {
    timer.cancel();
    signal.removeEventListener('abort', onAbort);
  }
}

async function send(
  sdk: typeof Sdk,
  settings: TranscriberSettings,
  recording: Recording,
  request: RecordingRequest,
  signal: AbortSignal,
): Promise<unknown> {
  const baseUrl = settings.baseUrl ?? 'https://api.deepgram.com';
  // For its check; the SDK appends the path itself.
  httpUrl(PROVIDER, baseUrl, '/v1/listen');
  // The SDK's own timer ends at the response's headers, and would not see a body that stalls.
  const client = new sdk.DeepgramClient({ apiKey: settings.apiKey, baseUrl, maxRetries: 0, timeoutInSeconds: 86_400 });
  const options = { abortSignal: signal, queryParams: { ...recordingQuery(request) } };
  const { media } = client.listen.v1;
  if ('url' in recording) return media.transcribeUrl({ url: recording.url }, options);
  return media.transcribeFile(recording.bytes, {}, options);
}

function sdkError(sdk: typeof Sdk, thrown: unknown): BvraiError {
  if (thrown instanceof BvraiError) return thrown;
  if (thrown instanceof sdk.DeepgramError && thrown.statusCode !== undefined) {
    const header = (name: string): string | undefined => thrown.rawResponse?.headers.get(name) ?? undefined;
    return statusError(PROVIDER, thrown.statusCode, header, parseRefusal(JSON.stringify(thrown.body ?? null)));
  }
  return networkError(PROVIDER, thrown);
}

function aborted(cause: unknown): BvraiError {
  return new BvraiError('aborted', 'The transcription of a recording was called off.', { cause });
}
