/** Opus in Ogg (RFC 7845): bytes to packets as a Node transform, and bytes to samples. */
import { Readable, pipeline } from 'node:stream';
import type { TransformCallback } from 'node:stream';
import { opus } from 'prism-media';
import type { Clock } from '../../core/clock.ts';
import { BvraiError } from '../../core/errors.ts';
import { TELEPHONE_RATE_HZ } from './g711.ts';
import { OggPageCheck } from './ogg-page.ts';
import { readOpusHead } from './opus-packet.ts';
import type { OpusHead } from './opus-packet.ts';
import { DECIMATION } from './opus.ts';
import type { OpusDecoderPool, OpusStreamDecoder } from './opus.ts';

/**
 * Bytes of an Ogg Opus file or stream in, Opus packets (Uint8Array) out. `prism-media` takes the pages apart; checksums are
 * verified before it sees them.
 *
 * Fails with `audio.invalid` for bytes that are no Ogg, damaged, or end within a page, and with `wire.unsupported` for what is
 * not mono or stereo Opus, for several streams in one file, and for packets that continue on the next page (README.md says
 * which encoders write those). A stream may stop without a page marked as its last: not every server writes one.
 */
export class OggOpusDemuxer extends opus.OggDemuxer {
  readonly #check = new OggPageCheck();
  #head: OpusHead | undefined;

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

  /**
   * How many samples at 48 kHz the stream is meant to play, without pre-skip and with the end trimmed (RFC 7845, section 4).
   * Known once the last page has come, before its packets come out; undefined until then, and when it carried no audio.
   * Counted from position 0, where all but live captures start.
   */
  get playableSamples(): number | undefined {
    const end = this.#check.ended ? this.#check.lastGranule : undefined;
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
    const cutOff = this.#check.withinPage;
    callback(cutOff ? new BvraiError('audio.invalid', 'Broken Ogg stream: it ends within a page.') : null);
  }
}

export interface OggOpusContext {
  readonly clock: Clock;
  /** Ends the wait for a decoder; the wait for bytes ends with their source. */
  readonly signal: AbortSignal;
}

/** Audio that is decoded in one go; then frames of other calls may be due. */
const MAX_TURN_MS = 200;

/**
 * Bytes of an Ogg Opus stream in, however they are cut; mono samples at 8 kHz out, as soon as their packet has come,
 * without pre-skip and padding. What is yielded belongs to the receiver. Throws what the source throws, what
 * {@link OggOpusDemuxer} and the decoder say of damaged streams, `engine.failed` if no decoder starts and `aborted` on the signal.
 * However it ends, the source has been told to stop and the decoder is back in the pool.
 */
export async function* decodeOggOpus(
  bytes: AsyncIterable<Uint8Array>,
  pool: OpusDecoderPool,
  context: OggOpusContext,
): AsyncGenerator<Int16Array, void, undefined> {
  const demuxer = new OggOpusDemuxer();
  // What goes wrong is thrown by the iteration below.
  pipeline(Readable.from(bytes, { objectMode: false }), demuxer, () => {});
  const packets: AsyncIterable<Uint8Array> = demuxer;
  const turnSamples = (MAX_TURN_MS * TELEPHONE_RATE_HZ) / 1000;
  let decoder: OpusStreamDecoder | undefined;
  let played = 0;
  let inThisTurn = 0;
  try {
    for await (const packet of packets) {
      decoder ??= await pool.take(context, demuxer.head);
      const samples = decoder.decode(packet);
      const end = demuxer.playableSamples ?? Number.POSITIVE_INFINITY;
      const whole = samples.subarray(0, Math.max(0, Math.floor(end / DECIMATION) - played));
      played += samples.length;
      inThisTurn += samples.length;
      if (whole.length > 0) yield whole;
      if (inThisTurn < turnSamples) continue;
      await new Promise<void>((resolve) => context.clock.after(0, resolve));
      inThisTurn = 0;
    }
  } finally {
    if (decoder !== undefined) pool.giveBack(decoder);
  }
}
