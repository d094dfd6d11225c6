/**
 * Opus in Ogg (RFC 7845) as Node transforms: bytes to packets and packets to bytes. Backpressure, destruction and errors
 * are those of Node streams; use them with `pipeline` from `node:stream/promises`.
 */
import { randomInt } from 'node:crypto';
import { Transform } from 'node:stream';
import type { TransformCallback } from 'node:stream';
import { opus } from 'prism-media';
import { BvraiError } from '../../core/errors.ts';
import { OggPageCheck, OggPageWriter } from './ogg-page.ts';
import { opusPacketSamples, readOpusHead, writeOpusHead, writeOpusTags } from './opus-packet.ts';
import type { OpusHead } from './opus-packet.ts';

/** libopus's own look-ahead at 48 kHz: what encoders put into the header. */
const DEFAULT_PRE_SKIP_SAMPLES = 312;
/** A page of at most a second: what RFC 7845, section 3, and opusenc use for files. */
const DEFAULT_PAGE_MS = 1000;
const SAMPLES_PER_MS = 48;

/**
 * Bytes of an Ogg Opus file or stream in, Opus packets (Uint8Array) out. `prism-media` takes the pages apart; checksums are
 * verified before it sees them.
 *
 * Fails with `audio.invalid` for bytes that are no Ogg or damaged, and with `wire.unsupported` for what is not mono or
 * stereo Opus, for several streams in one file, and for packets that continue on the next page (README.md says which
 * encoders write those). A stream that merely stops is no failure: see `truncated`.
 */
export class OggOpusDemuxer extends opus.OggDemuxer {
  readonly #check = new OggPageCheck();
  #head: OpusHead | undefined;
  #truncated = false;

  constructor() {
    super();
    // prism-media calls these from within its _transform, which turns a throw into the stream's error.
    this.on('head', (packet: Uint8Array) => {
      this.#head = readOpusHead(packet);
    });
    this.on('unknownSegment', () => {
      throw new BvraiError('wire.unsupported', 'The Ogg stream does not begin with Opus.');
    });
  }

  /** The stream's identification header: known before the first packet comes out. */
  get head(): OpusHead | undefined {
    return this.#head;
  }

  /** Known at the end: the stream stopped within a page, or without a page marked as its last. */
  get truncated(): boolean {
    return this.#truncated;
  }

  /**
   * Known at the end: how many samples at 48 kHz the stream is meant to play, without pre-skip and with the end trimmed
   * (RFC 7845, section 4); undefined when it carried no audio. Counted from position 0, where all but live captures start.
   */
  get playableSamples(): number | undefined {
    const end = this.#check.lastGranule;
    return end && this.#head ? Math.max(0, end - this.#head.preSkipSamples) : undefined;
  }

  override _transform(chunk: Buffer, encoding: BufferEncoding, callback: TransformCallback): void {
    try {
      this.#check.write(chunk);
    } catch (thrown) {
      callback(BvraiError.from(thrown, 'audio.invalid'));
      return;
    }
    super._transform(chunk, encoding, (error) => {
      callback(error ? BvraiError.from(error, 'audio.invalid', 'Broken Ogg stream') : null);
    });
  }

  override _flush(callback: TransformCallback): void {
    this.#truncated = this.#check.withinPage || !this.#check.ended;
    callback();
  }
}

export interface OggOpusMuxerOptions {
  readonly channels?: 1 | 2;
  /** Samples at 48 kHz that players drop at the start; the encoder's look-ahead. */
  readonly preSkipSamples?: number;
  /** Of the audio before it was encoded; a hint to players. 0 (the default): unknown. */
  readonly inputRateHz?: number;
  /** A page is finished when it holds this much audio; 20 and less puts each packet on a page of its own. */
  readonly pageMs?: number;
  /** Identifies the stream within a file; random by default. */
  readonly serial?: number;
  /** Comments, `NAME=value`. */
  readonly comments?: readonly string[];
}

/**
 * Opus packets (Uint8Array) in, Ogg pages out, from the two header pages to the page marked as last. The open page waits
 * for the next packet, so that the last one can carry the end: `finishPage` is for whoever cannot wait.
 * A packet that is not Opus fails the stream with `audio.invalid`.
 */
export class OggOpusMuxer extends Transform {
  readonly #pages: OggPageWriter;
  readonly #preSkipSamples: number;
  readonly #pageSamples: number;
  /** Samples at 48 kHz, pre-skip included, up to the last packet and up to the last finished page. */
  #granule = 0;
  #pageStart = 0;
  #trimmedSamples = 0;

  constructor(options: OggOpusMuxerOptions = {}) {
    super({ writableObjectMode: true });
    this.#preSkipSamples = options.preSkipSamples ?? DEFAULT_PRE_SKIP_SAMPLES;
    this.#pageSamples = (options.pageMs ?? DEFAULT_PAGE_MS) * SAMPLES_PER_MS;
    this.#pages = new OggPageWriter(options.serial ?? randomInt(2 ** 32), (page) => this.push(page));
    // Each header ends its page (RFC 7845, section 3), at position 0.
    const head: OpusHead = {
      channels: options.channels ?? 1,
      preSkipSamples: this.#preSkipSamples,
      inputRateHz: options.inputRateHz ?? 0,
      outputGainDb: 0,
    };
    this.#pages.add(writeOpusHead(head), 0);
    this.#pages.finishPage();
    this.#pages.add(writeOpusTags('bvrai', options.comments ?? []), 0);
    this.#pages.finishPage();
  }

  /** Samples at 48 kHz that the packets so far play: without pre-skip, nothing trimmed. */
  get playableSamples(): number {
    return Math.max(0, this.#granule - this.#preSkipSamples);
  }

  /**
   * Before `end`: how much of the last packets is the encoder's padding, for players to drop. Only what is on the last
   * page can be trimmed; more is ignored.
   */
  trimEnd(samples: number): void {
    this.#trimmedSamples = samples;
  }

  /** Sends the open page now, however little is on it. */
  finishPage(): void {
    if (this.#pages.empty) return;
    this.#pages.finishPage();
    this.#pageStart = this.#granule;
  }

  override _transform(packet: Uint8Array, _encoding: BufferEncoding, callback: TransformCallback): void {
    let samples: number;
    try {
      samples = opusPacketSamples(packet);
    } catch (thrown) {
      callback(BvraiError.from(thrown, 'audio.invalid'));
      return;
    }
    const full = this.#granule - this.#pageStart >= this.#pageSamples;
    if (full || this.#pages.wouldOverflow(packet.length)) this.finishPage();
    this.#granule += samples;
    this.#pages.add(packet, this.#granule);
    callback();
  }

  override _flush(callback: TransformCallback): void {
    this.#pages.finishPage(Math.max(this.#pageStart, this.#granule - this.#trimmedSamples));
    callback();
  }
}
