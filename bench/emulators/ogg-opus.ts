/** Ogg Opus as a server writes it (RFC 3533, RFC 7845): a page for each piece of audio. */

const HEADER_BYTES = 27;
const MAX_SEGMENTS = 255;
const FULL_SEGMENT = 255;
const OFFSET_CRC = 22;

export const FLAG_CONTINUED = 0x01;
export const FLAG_BEGIN = 0x02;
export const FLAG_END = 0x04;

export interface OggPage {
  readonly flags: number;
  /** Position of the stream at the end of the last packet that ends here; -1 if none does. */
  readonly granule: number;
  readonly serial: number;
  readonly sequence: number;
  /** Lengths of the pieces that the body is made of; a packet ends with one shorter than 255. */
  readonly segments: readonly number[];
  readonly body: Uint8Array;
}

export function writePage({ flags, granule, serial, sequence, segments, body }: OggPage): Buffer {
  if (segments.length > MAX_SEGMENTS) throw new Error(`An Ogg page has ${segments.length} segments.`);
  const header = Buffer.alloc(HEADER_BYTES);
  header.write('OggS', 'latin1');
  header.writeUInt8(flags, 5);
  header.writeBigInt64LE(BigInt(granule), 6);
  header.writeUInt32LE(serial, 14);
  header.writeUInt32LE(sequence, 18);
  header.writeUInt8(segments.length, 26);
  const page = Buffer.concat([header, Uint8Array.from(segments), body]);
  page.writeUInt32LE(checksum(page), OFFSET_CRC);
  return page;
}

/** As RFC 3533 defines it, bit by bit: polynomial 0x04c11db7, starting at 0. */
function checksum(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 24;
    for (let bit = 0; bit < 8; bit++) crc = crc < 0 ? (crc << 1) ^ 0x04c1_1db7 : crc << 1;
  }
  return crc >>> 0;
}

/** The segments of a whole packet. */
export function segmentsOf(packet: Uint8Array): number[] {
  const full = Math.floor(packet.length / FULL_SEGMENT);
  return [...Array<number>(full).fill(FULL_SEGMENT), packet.length % FULL_SEGMENT];
}

export interface OpusStreamHead {
  readonly channels: number;
  /** Samples at 48 kHz that players drop at the start. */
  readonly preSkipSamples: number;
  readonly inputRateHz: number;
  readonly outputGainDb: number;
}

/** An identification header of channel mapping family 0 (RFC 7845, section 5.1). */
export function writeOpusHead({ channels, preSkipSamples, inputRateHz, outputGainDb }: OpusStreamHead): Buffer {
  const bytes = Buffer.alloc(19);
  bytes.write('OpusHead', 'latin1');
  bytes.writeUInt8(1, 8);
  bytes.writeUInt8(channels, 9);
  bytes.writeUInt16LE(preSkipSamples, 10);
  bytes.writeUInt32LE(inputRateHz, 12);
  bytes.writeInt16LE(Math.round(outputGainDb * 256), 16);
  return bytes;
}

/** A comment header without comments (RFC 7845, section 5.2), of a vendor of no name. */
const TAGS = Buffer.concat([Buffer.from('OpusTags', 'latin1'), Buffer.alloc(8)]);

/** Libopus's own look-ahead at 48 kHz: what encoders put into the header. */
const PRE_SKIP_SAMPLES = 312;

/** One stream of mono packets that are all equally long. */
export class OggOpusWriter {
  readonly #packetSamples: number;
  #sequence = 0;
  #granule = 0;

  /** `packetSamples`: of each packet, at 48 kHz. */
  constructor(packetSamples: number) {
    this.#packetSamples = packetSamples;
  }

  /** The two header pages. */
  head(): Buffer {
    const head = { channels: 1, preSkipSamples: PRE_SKIP_SAMPLES, inputRateHz: 48_000, outputGainDb: 0 };
    return Buffer.concat([this.#page([writeOpusHead(head)], FLAG_BEGIN), this.#page([TAGS], 0)]);
  }

  /** A page of packets. Of the last page `trimmedSamples` are not to be played. */
  audio(packets: readonly Uint8Array[], last: boolean, trimmedSamples = 0): Buffer {
    this.#granule += packets.length * this.#packetSamples - trimmedSamples;
    return this.#page(packets, last ? FLAG_END : 0);
  }

  #page(packets: readonly Uint8Array[], flags: number): Buffer {
    const segments = packets.flatMap(segmentsOf);
    const sequence = this.#sequence++;
    return writePage({ flags, granule: this.#granule, serial: 1, sequence, segments, body: Buffer.concat(packets) });
  }
}
