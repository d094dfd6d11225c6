import { readFileSync } from 'node:fs';
import * as g711 from '../../src/media/audio/g711.ts';

/** WAVE format tags that {@link parseWav} takes (RFC 2361). */
const FORMAT_PCM = 1;
const FORMAT_MULAW = 7;

/** Mono audio of a WAV file, in whichever of the two codings a test wants. */
export interface Wav {
  readonly sampleRateHz: number;
  /** G.711 μ-law, one byte a sample. */
  mulaw(): Uint8Array;
  /** Linear 16-bit samples. */
  pcm(): Int16Array;
}

export function decodeMulaw(bytes: Uint8Array): Int16Array {
  const samples = new Int16Array(bytes.length);
  g711.decodeMulaw(bytes, samples);
  return samples;
}

export function encodeMulaw(samples: Int16Array): Uint8Array {
  const bytes = new Uint8Array(samples.length);
  g711.encodeMulaw(samples, bytes);
  return bytes;
}

/** Parses a mono RIFF/WAVE file: 16-bit PCM or μ-law. Throws an Error that names what it does not take. */
export function parseWav(file: Uint8Array): Wav {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const tag = (at: number) => String.fromCharCode(...file.subarray(at, at + 4));
  if (file.byteLength < 12 || tag(0) !== 'RIFF' || tag(8) !== 'WAVE') throw new Error('Not a RIFF/WAVE file.');
  let format = 0;
  let sampleRateHz = 0;
  let data: Uint8Array | undefined;
  for (let at = 12; at + 8 <= file.byteLength && !data;) {
    const length = view.getUint32(at + 4, true);
    if (tag(at) === 'fmt ') {
      format = view.getUint16(at + 8, true);
      sampleRateHz = view.getUint32(at + 12, true);
      const channels = view.getUint16(at + 10, true);
      if (channels !== 1) throw new Error(`A mono file is needed, this one has ${channels} channels.`);
    } else if (tag(at) === 'data') {
      data = file.subarray(at + 8, Math.min(at + 8 + length, file.byteLength));
    }
    at += 8 + length + (length % 2);
  }
  if (!data) throw new Error('The WAV file has no data chunk.');
  return audio(format, sampleRateHz, data);
}

function audio(format: number, sampleRateHz: number, data: Uint8Array): Wav {
  if (format === FORMAT_MULAW) {
    return { sampleRateHz, mulaw: () => Uint8Array.from(data), pcm: () => decodeMulaw(data) };
  }
  if (format !== FORMAT_PCM) throw new Error(`WAV format ${format} is neither PCM (1) nor μ-law (7).`);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const pcm = () => Int16Array.from({ length: data.byteLength >> 1 }, (_, i) => view.getInt16(i * 2, true));
  return { sampleRateHz, pcm, mulaw: () => encodeMulaw(pcm()) };
}

/** Reads a WAV file; see {@link parseWav}. */
export function readWav(path: string | URL): Wav {
  return parseWav(readFileSync(path));
}
