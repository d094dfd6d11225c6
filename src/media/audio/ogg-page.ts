/** Ogg pages (RFC 3533): checking a byte stream of them. Knows nothing of Opus. */
import { BvraiError } from '../../core/errors.ts';

const CAPTURE_PATTERN = Buffer.from('OggS', 'latin1');
const FIXED_HEADER_BYTES = 27;
const MAX_SEGMENTS = 255;
const FULL_SEGMENT = 255;
/** The granule position of a page on which no packet ends. */
const NO_GRANULE = -1;

const FLAG_CONTINUED = 0x01;
const FLAG_END = 0x04;

const OFFSET_FLAGS = 5;
const OFFSET_GRANULE = 6;
const OFFSET_SERIAL = 14;
const OFFSET_CRC = 22;
const OFFSET_SEGMENTS = 26;

/** Ogg's checksum: polynomial 0x04c11db7, not reflected, starting at 0, nothing inverted at the end. */
const crcTable = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 24;
  for (let bit = 0; bit < 8; bit++) crc = crc < 0 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
  return crc;
});

function crcStep(crc: number, byte: number): number {
  return (crc << 8) ^ (crcTable[(crc >>> 24) ^ byte] as number);
}

/**
 * Walks over a byte stream of Ogg pages, in chunks cut anywhere, and vouches for it: capture pattern, version, checksum.
 * It keeps no audio. It also refuses what the demuxer behind it (prism-media 1.3.5) cannot take: a packet that continues on
 * the next page, for which that one would wait and gather bytes for ever, and a second stream, which it would drop unsaid.
 */
export class OggPageCheck {
  readonly #header = Buffer.alloc(FIXED_HEADER_BYTES + MAX_SEGMENTS);
  #headerBytes = 0;
  #headerNeeded = FIXED_HEADER_BYTES;
  #bodyRemaining = 0;
  #crc = 0;
  #serial: number | undefined;
  #ended = false;
  #lastGranule: number | undefined;

  /** Whether a page marked as the stream's last has passed whole. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Whether the bytes so far end within a page. */
  get withinPage(): boolean {
    return this.#headerBytes > 0;
  }

  /** Granule position of the last page on which a packet ended. */
  get lastGranule(): number | undefined {
    return this.#lastGranule;
  }

  /** Takes the next bytes. Throws `audio.invalid` for broken pages, `wire.unsupported` for those refused. */
  write(chunk: Uint8Array): void {
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#headerBytes < this.#headerNeeded) {
        this.#header[this.#headerBytes++] = chunk[offset++] as number;
        if (this.#headerBytes === this.#headerNeeded) this.#onHeaderBytes();
      } else {
        const end = Math.min(chunk.length, offset + this.#bodyRemaining);
        this.#bodyRemaining -= end - offset;
        let crc = this.#crc;
        for (; offset < end; offset++) crc = crcStep(crc, chunk[offset] as number);
        this.#crc = crc;
      }
      if (this.#headerBytes === this.#headerNeeded && this.#bodyRemaining === 0) this.#onPageEnd();
    }
  }

  /** The fixed part is in, or the segment table after it. */
  #onHeaderBytes(): void {
    const header = this.#header;
    if (this.#headerNeeded === FIXED_HEADER_BYTES) {
      if (header.compare(CAPTURE_PATTERN, 0, 4, 0, 4) !== 0) throw broken('no capture pattern where a page begins');
      if (header[4] !== 0) throw broken(`unknown version ${header[4]}`);
      this.#headerNeeded += header[OFFSET_SEGMENTS] as number;
      if (this.#headerBytes < this.#headerNeeded) return;
    }
    const flags = header[OFFSET_FLAGS] as number;
    const segments = header.subarray(FIXED_HEADER_BYTES, this.#headerNeeded);
    if (flags & FLAG_CONTINUED || segments.at(-1) === FULL_SEGMENT) {
      throw new BvraiError('wire.unsupported', 'Ogg packets that continue on the next page are not supported.');
    }
    const serial = header.readUInt32LE(OFFSET_SERIAL);
    this.#serial ??= serial;
    if (this.#ended || serial !== this.#serial) {
      throw new BvraiError(
        'wire.unsupported',
        'More than one stream in an Ogg file, in parallel or in sequence, is not supported.',
      );
    }
    this.#bodyRemaining = segments.reduce((sum, length) => sum + length, 0);
    this.#crc = 0;
    for (let index = 0; index < this.#headerNeeded; index++) {
      const isCrc = index >= OFFSET_CRC && index < OFFSET_CRC + 4;
      this.#crc = crcStep(this.#crc, isCrc ? 0 : (header[index] as number));
    }
  }

  #onPageEnd(): void {
    const header = this.#header;
    if (this.#crc !== header.readInt32LE(OFFSET_CRC)) throw broken('wrong checksum');
    const granule = Number(header.readBigInt64LE(OFFSET_GRANULE));
    if (granule !== NO_GRANULE) this.#lastGranule = granule;
    this.#ended = ((header[OFFSET_FLAGS] as number) & FLAG_END) !== 0;
    this.#headerBytes = 0;
    this.#headerNeeded = FIXED_HEADER_BYTES;
  }
}

function broken(reason: string): BvraiError {
  return new BvraiError('audio.invalid', `Broken Ogg stream: ${reason}.`);
}
