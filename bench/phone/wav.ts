/** WAV files in and out: what the caller says is read from them, what was said and heard is written to one. */
import { readFile } from 'node:fs/promises';
import { mulawDecode } from './audio.ts';

/** The file is missing or is not a WAV this phone can play; the message says which and why. */
export class WavError extends Error {
  override readonly name = 'WavError';
}

const TARGET_RATE_HZ = 8000;
const FORMAT_PCM = 1;
const FORMAT_MULAW = 7;
const FORMAT_EXTENSIBLE = 0xfffe;

interface WavFormat {
  readonly encoding: number;
  readonly channels: number;
  readonly sampleRateHz: number;
  readonly bits: number;
}

/** Reads a WAV file as 8 kHz mono PCM16. Throws {@link WavError}. */
export async function readWavFile(path: string): Promise<Int16Array> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    throw new WavError(missing ? `${path}: no such file` : `${path}: cannot be read (${String(error)})`, {
      cause: error,
    });
  }
  try {
    return parseWav(bytes);
  } catch (error) {
    if (error instanceof WavError) throw new WavError(`${path}: ${error.message}`, { cause: error });
    throw error;
  }
}

/** Whether the bytes begin like a WAV file. */
export function isWav(bytes: Uint8Array): boolean {
  return bytes.length >= 12 && tag(bytes, 0) === 'RIFF' && tag(bytes, 8) === 'WAVE';
}

/**
 * Parses a WAV (PCM16 or μ-law, any rate, any number of channels: the first is taken) to 8 kHz mono PCM16.
 * Throws {@link WavError}.
 */
export function parseWav(bytes: Uint8Array): Int16Array {
  return parseWavChannels(bytes)[0] ?? new Int16Array();
}

/** As {@link parseWav}, but all channels. */
export function parseWavChannels(bytes: Uint8Array): Int16Array[] {
  if (!isWav(bytes)) throw new WavError('not a WAV file (no RIFF/WAVE header)');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let format: WavFormat | undefined;
  for (let at = 12; at + 8 <= bytes.length;) {
    const id = tag(bytes, at);
    // A streamed WAV announces 0 or 0xFFFFFFFF bytes of data: then it is what is there.
    const size = Math.min(view.getUint32(at + 4, true), bytes.length - at - 8);
    if (id === 'fmt ' && size >= 16) format = parseFormat(view, at + 8, size);
    if (id === 'data') {
      if (!format) throw new WavError('broken WAV: its data comes before its format');
      return decodeChannels(bytes.subarray(at + 8, at + 8 + size), format);
    }
    at += 8 + size + (size % 2);
  }
  throw new WavError('broken WAV: it holds no audio data');
}

/** Writes two 8 kHz PCM16 channels as one stereo WAV; the shorter one is padded with silence. */
export function encodeStereoWav(left: Int16Array, right: Int16Array): Uint8Array {
  const frames = Math.max(left.length, right.length);
  const wav = Buffer.alloc(44 + frames * 4);
  wav.write('RIFF', 0, 'latin1');
  wav.writeUInt32LE(36 + frames * 4, 4);
  wav.write('WAVEfmt ', 8, 'latin1');
  wav.writeUInt32LE(16, 16);
  wav.writeUInt16LE(FORMAT_PCM, 20);
  wav.writeUInt16LE(2, 22);
  wav.writeUInt32LE(TARGET_RATE_HZ, 24);
  wav.writeUInt32LE(TARGET_RATE_HZ * 4, 28);
  wav.writeUInt16LE(4, 32);
  wav.writeUInt16LE(16, 34);
  wav.write('data', 36, 'latin1');
  wav.writeUInt32LE(frames * 4, 40);
  for (let i = 0; i < frames; i++) {
    wav.writeInt16LE(left[i] ?? 0, 44 + i * 4);
    wav.writeInt16LE(right[i] ?? 0, 46 + i * 4);
  }
  return wav;
}

function tag(bytes: Uint8Array, at: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + 4));
}

function parseFormat(view: DataView, at: number, size: number): WavFormat {
  const plain = view.getUint16(at, true);
  // The extensible header keeps the real encoding in the first two bytes of its sub-format GUID.
  const encoding = plain === FORMAT_EXTENSIBLE && size >= 26 ? view.getUint16(at + 24, true) : plain;
  const format = {
    encoding,
    channels: view.getUint16(at + 2, true),
    sampleRateHz: view.getUint32(at + 4, true),
    bits: view.getUint16(at + 14, true),
  };
  const known = (encoding === FORMAT_PCM && format.bits === 16) || (encoding === FORMAT_MULAW && format.bits === 8);
  if (!known) {
    throw new WavError(
      `unsupported WAV (format ${encoding}, ${format.bits} bits): it must be 16-bit PCM or 8-bit μ-law`,
    );
  }
  if (format.channels < 1 || format.sampleRateHz < 4000 || format.sampleRateHz > 192_000) {
    throw new WavError(`unsupported WAV (${format.channels} channels at ${format.sampleRateHz} Hz)`);
  }
  return format;
}

function decodeChannels(data: Uint8Array, format: WavFormat): Int16Array[] {
  return Array.from({ length: format.channels }, (_, channel) =>
    resampleTo8k(decode(data, format, channel), format.sampleRateHz),
  );
}

function decode(data: Uint8Array, format: WavFormat, channel: number): Int16Array {
  const bytesPerFrame = format.channels * (format.bits / 8);
  const frames = Math.floor(data.length / bytesPerFrame);
  if (format.encoding === FORMAT_MULAW) {
    return mulawDecode(Uint8Array.from({ length: frames }, (_, i) => data[i * format.channels + channel] ?? 0xff));
  }
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return Int16Array.from({ length: frames }, (_, i) => view.getInt16(i * bytesPerFrame + channel * 2, true));
}

/** Zero crossings of the sinc on each side: with the Blackman window over 60 dB of alias rejection. */
const SINC_LOBES = 24;

/** Offline windowed-sinc resampler; exact enough for test material, far too slow for a live call. */
function resampleTo8k(pcm: Int16Array, fromHz: number): Int16Array {
  if (fromHz === TARGET_RATE_HZ) return pcm;
  const step = fromHz / TARGET_RATE_HZ;
  // The pass band ends a little below the Nyquist frequency of the slower side, to leave room for the roll-off.
  const cutoff = 0.93 / Math.max(1, step);
  const reach = SINC_LOBES / cutoff;
  const out = new Int16Array(Math.floor(pcm.length / step));
  for (let i = 0; i < out.length; i++) {
    const centre = i * step;
    let sum = 0;
    let weight = 0;
    for (let k = Math.ceil(centre - reach); k <= centre + reach; k++) {
      const offset = k - centre;
      const phase = Math.PI * offset * cutoff;
      const window =
        0.42 + 0.5 * Math.cos((Math.PI * offset) / reach) + 0.08 * Math.cos((2 * Math.PI * offset) / reach);
      const tap = (phase === 0 ? 1 : Math.sin(phase) / phase) * window;
      weight += tap;
      sum += tap * (pcm[k] ?? 0);
    }
    out[i] = Math.max(-32768, Math.min(32767, Math.round(sum / weight)));
  }
  return out;
}
