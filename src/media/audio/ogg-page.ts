/** Ogg pages (RFC 3533): writing packets into them, and checking a byte stream of them. Knows nothing of Opus. */
import { BvraiError } from '../../core/errors.ts';

const CAPTURE_PATTERN = Buffer.from('OggS', 'latin1');
const FIXED_HEADER_BYTES = 27;
const MAX_SEGMENTS = 255;
const FULL_SEGMENT = 255;
const MAX_BODY_BYTES = MAX_SEGMENTS * FULL_SEGMENT;
/** The granule position of a page on which no packet ends. */
const NO_GRANULE = -1;

const FLAG_CONTINUED = 0x01;
const FLAG_BEGIN = 0x02;
const FLAG_END = 0x04;

const OFFSET_FLAGS = 5;
const OFFSET_GRANULE = 6;
const OFFSET_SERIAL = 14;
const OFFSET_SEQUENCE = 18;
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
 * Packs the packets of one logical stream into pages. A packet is split over pages only when it does not fit even an
 * empty page (65,025 bytes and more); each finished page goes to the sink, which owns it.
 */
export class OggPageWriter {
  readonly #serial: number;
  readonly #sink: (page: Uint8Array) => void;
  readonly #segments = new Uint8Array(MAX_SEGMENTS);
  #segmentCount = 0;
  #body = Buffer.alloc(4096);
  #bodyBytes = 0;
  #sequence = 0;
  #granule = NO_GRANULE;
  #continued = false;

  constructor(serial: number, sink: (page: Uint8Array) => void) {
    this.#serial = serial >>> 0;
    this.#sink = sink;
  }

  /** Whether the open page has nothing on it. */
  get empty(): boolean {
    return this.#segmentCount === 0;
  }

  /** Whether a packet of `bytes` would have to go to the next page. */
  wouldOverflow(bytes: number): boolean {
    return this.#segmentCount > 0 && this.#segmentCount + Math.floor(bytes / FULL_SEGMENT) + 1 > MAX_SEGMENTS;
  }

  /** Adds a packet; `granule` is the stream's position at its end. A page that is in the way is finished first. */
  add(packet: Uint8Array, granule: number): void {
    if (this.wouldOverflow(packet.length)) this.finishPage();
    let offset = 0;
    for (;;) {
      const room = (MAX_SEGMENTS - this.#segmentCount) * FULL_SEGMENT;
      const taken = Math.min(packet.length - offset, room);
      this.#append(packet, offset, taken);
      offset += taken;
      const whole = Math.floor(taken / FULL_SEGMENT);
      this.#segments.fill(FULL_SEGMENT, this.#segmentCount, this.#segmentCount + whole);
      this.#segmentCount += whole;
      if (this.#segmentCount < MAX_SEGMENTS) {
        // A packet ends with a segment shorter than 255 bytes, which is empty after a multiple of 255.
        this.#segments[this.#segmentCount++] = taken % FULL_SEGMENT;
        this.#granule = granule;
        return;
      }
      this.finishPage();
      this.#continued = true;
    }
  }

  /** Hands the open page to the sink, even if it is empty; `finalGranule`, its position, makes it the stream's last page. */
  finishPage(finalGranule?: number): void {
    const headerBytes = FIXED_HEADER_BYTES + this.#segmentCount;
    const page = Buffer.alloc(headerBytes + this.#bodyBytes);
    const ends = finalGranule !== undefined;
    // On a page without any packet none ends, so it has no position, not even as the last page.
    const granule = ends && this.#segmentCount > 0 ? finalGranule : this.#granule;
    CAPTURE_PATTERN.copy(page);
    page[OFFSET_FLAGS] =
      (this.#continued ? FLAG_CONTINUED : 0) | (this.#sequence === 0 ? FLAG_BEGIN : 0) | (ends ? FLAG_END : 0);
    page.writeBigInt64LE(BigInt(granule), OFFSET_GRANULE);
    page.writeUInt32LE(this.#serial, OFFSET_SERIAL);
    page.writeUInt32LE(this.#sequence, OFFSET_SEQUENCE);
    page[OFFSET_SEGMENTS] = this.#segmentCount;
    page.set(this.#segments.subarray(0, this.#segmentCount), FIXED_HEADER_BYTES);
    this.#body.copy(page, headerBytes, 0, this.#bodyBytes);
    let crc = 0;
    for (let index = 0; index < page.length; index++) crc = crcStep(crc, page[index] as number);
    page.writeInt32LE(crc, OFFSET_CRC);

    this.#sequence++;
    this.#segmentCount = 0;
    this.#bodyBytes = 0;
    this.#granule = NO_GRANULE;
    this.#continued = false;
    this.#sink(page);
  }

  #append(packet: Uint8Array, offset: number, length: number): void {
    const needed = this.#bodyBytes + length;
    if (needed > this.#body.length) {
      const larger = Buffer.alloc(Math.min(MAX_BODY_BYTES, Math.max(needed, 2 * this.#body.length)));
      this.#body.copy(larger, 0, 0, this.#bodyBytes);
      this.#body = larger;
    }
    this.#body.set(packet.subarray(offset, offset + length), this.#bodyBytes);
    this.#bodyBytes = needed;
  }
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
