/** Turns Flite's audio into what a phone call carries: trimmed, 8 kHz, μ-law, with word times. */
import { encodeMulaw, MULAW_SILENCE } from '../../../media/audio/g711.ts';
import { Resampler } from '../../../media/audio/resampler.ts';
import { BYTES_PER_MS } from '../../../media/call-port.ts';
import type { SpokenSpan } from '../spec.ts';
import { voicedRange, wordSpans } from './clause-timing.ts';
import type { FliteSpeech } from './flite.ts';

/** A clause to speak. */
export interface ClauseJob {
  readonly voice: string;
  /** The clause as the agent wrote it: the spans' texts. */
  readonly text: string;
  /** The same, as Flite can read it. */
  readonly spoken: string;
}

/** A spoken clause; `spans` cover the audio without gaps. */
export interface ClauseSpeech {
  /** μ-law, 8 kHz; has a buffer of its own. */
  readonly audio: Uint8Array<ArrayBuffer>;
  readonly spans: readonly SpokenSpan[];
}

/** Trims silence at both ends, halves the sample rate and encodes. Silence alone gives no audio. */
export function toTelephoneSpeech(speech: FliteSpeech, text: string): ClauseSpeech {
  const range = voicedRange(speech.phones);
  if (!range) return { audio: new Uint8Array(0), spans: [] };
  const perMs = speech.sampleRateHz / 1000;
  const trimmed = speech.samples.subarray(Math.round(range.startMs * perMs), Math.round(range.endMs * perMs));
  const telephone = resampleWhole(trimmed, speech.sampleRateHz);
  const audio = new Uint8Array(telephone.length);
  encodeMulaw(telephone, audio);
  const endMs = range.startMs + audio.length / BYTES_PER_MS;
  return { audio, spans: wordSpans(text, speech.phones, { startMs: range.startMs, endMs }) };
}

/** To 8 kHz, without the filter's delay: the voices speak at 16 kHz, `kal` and `awb_time` at 8 kHz. */
function resampleWhole(samples: Int16Array, sampleRateHz: number): Int16Array {
  if (sampleRateHz !== 16_000) return samples;
  const resampler = new Resampler(16_000, 8_000);
  const main = new Int16Array(resampler.outputLength(samples.length));
  resampler.process(samples, main);
  const rest = new Int16Array(resampler.flushLength());
  resampler.flush(rest);
  const delay = Math.round(resampler.delayMs * BYTES_PER_MS);
  const whole = new Int16Array(main.length + rest.length - delay);
  whole.set(main.subarray(delay));
  whole.set(rest, main.length - delay);
  return whole;
}

/** Audio is passed on in pieces of about this length: at least one whole word, so that every span lies inside its chunk. */
const CHUNK_MS = 200;

export interface SpeechChunk {
  readonly audio: Uint8Array;
  readonly spans: readonly SpokenSpan[];
}

/** Cuts a clause at word boundaries; `pauseMs` of silence comes first. The chunks own their audio. */
export function chunkSpeech(speech: ClauseSpeech, pauseMs: number): SpeechChunk[] {
  const chunks: SpeechChunk[] = [];
  let words: SpokenSpan[] = [];
  const cut = () => {
    const [first, last] = [words[0], words.at(-1)];
    if (!first || !last) return;
    const leadMs = chunks.length === 0 ? pauseMs : 0;
    const startByte = Math.round(first.startMs * BYTES_PER_MS);
    const endByte =
      last === speech.spans.at(-1) ? speech.audio.length : Math.round((last.startMs + last.durationMs) * BYTES_PER_MS);
    const audio = new Uint8Array(leadMs * BYTES_PER_MS + endByte - startByte).fill(
      MULAW_SILENCE,
      0,
      leadMs * BYTES_PER_MS,
    );
    audio.set(speech.audio.subarray(startByte, endByte), leadMs * BYTES_PER_MS);
    const spans = words.map((word) => ({ ...word, startMs: word.startMs - first.startMs + leadMs }));
    chunks.push({ audio, spans });
    words = [];
  };
  for (const word of speech.spans) {
    const startMs = words[0]?.startMs ?? word.startMs;
    if (word.startMs + word.durationMs - startMs > CHUNK_MS) cut();
    words.push(word);
  }
  cut();
  return chunks;
}
