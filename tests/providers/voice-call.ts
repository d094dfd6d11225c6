/** What the voices' tests share: a stream that is open, and what a listener hears of it by its audio alone. */
import { decodeMulaw } from '../../bench/emulators/mulaw.ts';
import { decodeToneSpeech } from '../../bench/emulators/tone-speech.ts';
import type { Clock } from '../../src/core/clock.ts';
import type { TtsPart, TtsProvider, TtsRequest, TtsStream } from '../../src/pipeline/providers/spec.ts';
import { Received } from './harness.ts';

export interface VoiceCall {
  readonly received: Received<TtsPart>;
  readonly stream: TtsStream;
}

export function openVoice(
  provider: TtsProvider,
  request: Partial<TtsRequest> = {},
  received = new Received<TtsPart>(),
  clock: Clock = received.clock,
): VoiceCall {
  const context = { ...received.context, clock };
  const stream = received.open(() => provider.open({ language: 'en-US', ...request }, received.sink, context));
  return { received, stream };
}

/** The text of an utterance as it is heard, spaces at its ends aside. */
export function heard(received: Received<TtsPart>, utteranceId: string): string {
  const chunks = received.of('audio-chunk').filter((part) => part.utteranceId === utteranceId);
  return decodeToneSpeech(decodeMulaw(Buffer.concat(chunks.map((part) => part.audio)))).text.trim();
}

/** Speaks clauses as one utterance and waits for its end. */
export async function say({ stream, received }: VoiceCall, utteranceId: string, ...clauses: string[]): Promise<string> {
  for (const clause of clauses) stream.speak(utteranceId, clause);
  stream.finish(utteranceId);
  await received.first('utterance-finished', received.of('utterance-finished').length + 1);
  return heard(received, utteranceId);
}
