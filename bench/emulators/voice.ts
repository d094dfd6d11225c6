/** How the emulated vendors speak: in tones that a listener can decode to the letter, or as a test says; in chunks, faster than life. */
import type { Delay } from './delays.ts';
import type { VendorExchange } from './exchange.ts';
import { spoilAudio } from './faults.ts';
import { encodeMulaw } from './mulaw.ts';
import { CHARACTER_MS, encodeToneSpeech, speakable } from './tone-speech.ts';

/** Text made audible: 16-bit samples at 8 kHz, and when each character of the text is said. */
export interface Synthesis {
  readonly pcm: Int16Array;
  readonly characters: readonly { readonly char: string; readonly startMs: number; readonly durationMs: number }[];
}

/** `tones`: tone-speech.ts. */
export type Voice = 'tones' | ((text: string) => Synthesis);

/** A stretch of speech: μ-law, and the characters it says. */
export interface Chunk {
  readonly audio: Uint8Array;
  readonly characters: Synthesis['characters'];
}

export function synthesise(voice: Voice, text: string): Synthesis {
  return voice === 'tones' ? toneVoice(text) : voice(text);
}

/** The text as it is said in tones, one for each of its characters, so that alignment and audio agree. */
export function toneText(text: string): string {
  return Array.from(text, (char) => speakable(char)[0] ?? '?').join('');
}

function toneVoice(text: string): Synthesis {
  const pcm = encodeToneSpeech(toneText(text));
  const characters = Array.from(text, (char, index) => {
    return { char, startMs: index * CHARACTER_MS, durationMs: CHARACTER_MS };
  });
  return { pcm, characters };
}

/** Cuts speech into chunks of at least `chunkMs` (but the last) that end with a character. */
export function chunksOf({ pcm, characters }: Synthesis, chunkMs: number): Chunk[] {
  const chunks: Chunk[] = [];
  for (let from = 0; from < characters.length;) {
    const startMs = characters[from]?.startMs ?? 0;
    let to = from + 1;
    while (to < characters.length && (characters[to]?.startMs ?? 0) - startMs < chunkMs) to++;
    const endSample = to === characters.length ? pcm.length : (characters[to]?.startMs ?? 0) * 8;
    chunks.push({ audio: encodeMulaw(pcm.slice(startMs * 8, endSample)), characters: characters.slice(from, to) });
    from = to;
  }
  return chunks;
}

export interface SpeechPace {
  readonly contentType: string;
  /** From the request to the first audio. */
  readonly firstAudioMs: Delay;
  /** How much faster than real time audio is made after the first chunk. */
  readonly speed: number;
  /** What is sent of a chunk when nothing is wrong with it; its μ-law when absent. */
  readonly encode?: ((chunk: Chunk, last: boolean) => Uint8Array) | undefined;
}

/** Answers a request with speech, chunk by chunk. */
export async function streamSpeech(
  exchange: VendorExchange,
  chunks: readonly Chunk[],
  pace: SpeechPace,
): Promise<void> {
  exchange.open(200, { 'content-type': pace.contentType });
  await exchange.pause(exchange.delays.drawMs(pace.firstAudioMs));
  for (const [index, chunk] of chunks.entries()) {
    if (!exchange.isOpen) return;
    const fault = exchange.faults().audio;
    const encoded = fault === undefined ? pace.encode?.(chunk, index === chunks.length - 1) : undefined;
    const bytes = encoded ?? spoilAudio(chunk.audio, fault, { first: exchange.isFresh });
    if (bytes !== undefined) exchange.sendBytes(bytes);
    await exchange.pause(chunk.audio.length / 8 / pace.speed);
  }
  exchange.end();
}
