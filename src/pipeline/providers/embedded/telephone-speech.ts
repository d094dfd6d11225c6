/** Turns Flite's audio into what a phone call carries: trimmed, 8 kHz, μ-law, with word times. */
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
  const audio = encode(halve(trimmed));
  const durationMs = audio.length / 8;
  return { audio, spans: wordSpans(text, speech.phones, { startMs: range.startMs, endMs: range.startMs + durationMs }) };
}

/** Audio is passed on in pieces of about this length: at least one whole word, so that every span lies inside its chunk. */
const CHUNK_MS = 200;
const SILENCE = 0xff;

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
    const endByte = last === speech.spans.at(-1) ? speech.audio.length : Math.round((last.startMs + last.durationMs) * BYTES_PER_MS);
    const audio = new Uint8Array(leadMs * BYTES_PER_MS + endByte - startByte).fill(SILENCE, 0, leadMs * BYTES_PER_MS);
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

const TAPS = 63;
const H = Float64Array.from({ length: TAPS }, (_, i) => {
  const n = i - 31;
  const w = 0.42 + 0.5 * Math.cos((Math.PI * n) / 32) + 0.08 * Math.cos((2 * Math.PI * n) / 32);
  const x = Math.PI * n * 0.47;
  return 0.47 * (n === 0 ? 1 : Math.sin(x) / x) * w;
});
function halve(x: Int16Array): Int16Array {
  const y = new Int16Array(x.length >> 1);
  for (let i = 0; i < y.length; i++) {
    let s = 0;
    for (let k = 0; k < TAPS; k++) s += (H[k] ?? 0) * (x[2 * i + 31 - k] ?? 0);
    y[i] = Math.max(-32768, Math.min(32767, Math.round(s)));
  }
  return y;
}
function encode(x: Int16Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(x.length);
  for (let i = 0; i < x.length; i++) {
    const v = x[i] ?? 0;
    const sign = v < 0 ? 0x80 : 0;
    const m = Math.min(32635, Math.abs(v)) + 132;
    const e = Math.max(0, 31 - Math.clz32(m) - 7);
    out[i] = ~(sign | (e << 4) | ((m >> (e + 3)) & 15)) & 255;
  }
  return out;
}
