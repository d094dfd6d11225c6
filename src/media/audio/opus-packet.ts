/** What can be told of an Opus packet and stream without decoding: RFC 6716 section 3 (packets), RFC 7845 section 5 (headers). */
import { BvraiError } from '../../core/errors.ts';

/** The longest packet, 120 ms, in samples at 48 kHz. */
const MAX_PACKET_SAMPLES = 5760;
/** The longest frame within a packet, in bytes. */
const MAX_FRAME_BYTES = 1275;

function invalid(reason: string, packet: Uint8Array): BvraiError {
  return new BvraiError('audio.invalid', `Invalid Opus packet: ${reason}.`, { details: { bytes: packet.length } });
}

/** Samples at 48 kHz of one frame, by the configuration number in the first byte (RFC 6716, table 2). */
function frameSamples(tocByte: number): number {
  const configuration = tocByte >> 3;
  // SILK: 10, 20, 40, 60 ms; hybrid: 10, 20 ms; CELT: 2.5, 5, 10, 20 ms.
  if (configuration < 12) return [480, 960, 1920, 2880][configuration & 3] ?? 0;
  if (configuration < 16) return 480 << (configuration & 1);
  return 120 << (configuration & 3);
}

/** Whether a packet is of CELT alone (RFC 6716, table 2); the others are of SILK, or of both. */
export function isCeltPacket(packet: Uint8Array): boolean {
  return (packet[0] ?? 0) >> 3 >= 16;
}

/**
 * Checks the framing of a packet (rules R1 to R7 of RFC 6716, section 3.4) and returns its length in samples at 48 kHz.
 * What passes is accepted by any decoder, though it may still decode to noise. Throws `audio.invalid`.
 */
export function opusPacketSamples(packet: Uint8Array): number {
  const toc = packet[0];
  if (toc === undefined) throw invalid('it is empty', packet);
  const body = packet.length - 1;
  switch (toc & 3) {
    case 0:
      if (body > MAX_FRAME_BYTES) throw invalid('its frame is too long', packet);
      return frameSamples(toc);
    case 1:
      if (body % 2 !== 0) throw invalid('its two frames cannot be of equal length', packet);
      if (body / 2 > MAX_FRAME_BYTES) throw invalid('its frames are too long', packet);
      return 2 * frameSamples(toc);
    case 2: {
      const { length, next } = readFrameLength(packet, 1);
      const second = packet.length - next - length;
      if (second < 0) throw invalid('its first frame does not fit', packet);
      if (second > MAX_FRAME_BYTES) throw invalid('its second frame is too long', packet);
      return 2 * frameSamples(toc);
    }
    default:
      return manyFramesSamples(packet, toc);
  }
}

/** A frame length of one or two bytes at `offset` (RFC 6716, section 3.2.1). */
function readFrameLength(packet: Uint8Array, offset: number): { length: number; next: number } {
  const first = packet[offset];
  if (first === undefined) throw invalid('a frame length is missing', packet);
  if (first < 252) return { length: first, next: offset + 1 };
  const second = packet[offset + 1];
  if (second === undefined) throw invalid('a frame length is cut off', packet);
  return { length: 4 * second + first, next: offset + 2 };
}

/** Code 3: any number of frames, of equal length or not, with optional padding (RFC 6716, section 3.2.5). */
function manyFramesSamples(packet: Uint8Array, toc: number): number {
  const countByte = packet[1];
  if (countByte === undefined) throw invalid('its frame count is missing', packet);
  const frames = countByte & 0x3f;
  const samples = frames * frameSamples(toc);
  if (frames === 0) throw invalid('it has no frame', packet);
  if (samples > MAX_PACKET_SAMPLES) throw invalid('it is longer than 120 ms', packet);

  let offset = 2;
  let padding = 0;
  if (countByte & 0x40) {
    let paddingByte: number | undefined;
    do {
      paddingByte = packet[offset++];
      if (paddingByte === undefined) throw invalid('its padding is cut off', packet);
      padding += Math.min(paddingByte, 254);
    } while (paddingByte === 255);
  }
  let remaining = packet.length - offset - padding;
  if (countByte & 0x80) {
    for (let frame = 1; frame < frames; frame++) {
      const { length, next } = readFrameLength(packet, offset);
      remaining -= length + next - offset;
      offset = next;
    }
    if (remaining > MAX_FRAME_BYTES) throw invalid('its last frame is too long', packet);
  } else {
    if (remaining % frames !== 0) throw invalid('its frames cannot be of equal length', packet);
    if (remaining / frames > MAX_FRAME_BYTES) throw invalid('its frames are too long', packet);
  }
  if (remaining < 0) throw invalid('its frames do not fit', packet);
  return samples;
}

/** The identification header of an Ogg Opus stream. */
export interface OpusHead {
  readonly channels: 1 | 2;
  /** Samples at 48 kHz that a player decodes and throws away at the start. */
  readonly preSkipSamples: number;
  /** Of the audio before it was encoded; a hint, 0 when unknown. Decoding is always at 48 kHz. */
  readonly inputRateHz: number;
  /** Gain to apply after decoding, in steps of 1/256 dB. */
  readonly outputGainDb: number;
}

const HEAD_MAGIC = 'OpusHead';
const HEAD_BYTES = 19;

/** Reads an identification header. Throws `audio.invalid` if it is none, `wire.unsupported` for more than two channels. */
export function readOpusHead(packet: Uint8Array): OpusHead {
  const bytes = Buffer.from(packet.buffer, packet.byteOffset, packet.byteLength);
  if (bytes.length < HEAD_BYTES || bytes.toString('latin1', 0, 8) !== HEAD_MAGIC) {
    throw new BvraiError('audio.invalid', 'The stream does not begin with an Opus identification header.');
  }
  const version = bytes.readUInt8(8);
  const channels = bytes.readUInt8(9);
  const mappingFamily = bytes.readUInt8(18);
  // The upper half of the version byte is the major version; minor versions are compatible.
  if (version > 15 || mappingFamily !== 0 || (channels !== 1 && channels !== 2)) {
    throw new BvraiError(
      'wire.unsupported',
      'Only mono and stereo Opus (mapping family 0, major version 0) is supported.',
      {
        details: { version, mappingFamily, channels },
      },
    );
  }
  return {
    channels,
    preSkipSamples: bytes.readUInt16LE(10),
    inputRateHz: bytes.readUInt32LE(12),
    outputGainDb: bytes.readInt16LE(16) / 256,
  };
}
