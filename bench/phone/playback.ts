/** The far side's playback buffer, sample by sample: what the caller's ear gets, and when marks come back. */
import { countAudible, FRAME_SAMPLES, SAMPLES_PER_MS } from './audio.ts';

/** Twilio refuses to buffer more than ten minutes of audio (warning 31931). */
export const MAX_BUFFERED_SAMPLES = 10 * 60 * 1000 * SAMPLES_PER_MS;
/** A stream of marks without audio must not grow without bound either. */
const MAX_PENDING_MARKS = 10_000;

/** What playback tells its owner; positions are samples since the stream began. */
export interface PlaybackListener {
  /** A block of at most 20 ms of agent audio reached the ear. */
  onPlayed(atSample: number, mulaw: Uint8Array): void;
  /** A mark is to be echoed: playback reached it, or it was cleared. */
  onMark(name: string, cleared: boolean): void;
  /** Playback stood empty from `fromSample` until new audio arrived at `toSample`. */
  onGap(fromSample: number, toSample: number, afterClear: boolean): void;
}

/** Bytes in at any pace; consumed at 8 per millisecond from the moment they arrive. Knows no clock: the owner says where time is. */
export class Playback {
  readonly #listener: PlaybackListener;
  #chunks: Uint8Array[] = [];
  /** Bytes of the first chunk that have already been played. */
  #headOffset = 0;
  #marks: { name: string; atByte: number }[] = [];
  #positionSample = 0;
  /** Bytes ever queued, and of those ever consumed or cleared. */
  #queuedBytes = 0;
  #consumedBytes = 0;
  #audiblePending = 0;
  #drySinceSample: number | undefined;
  #dryAfterClear = false;

  constructor(listener: PlaybackListener) {
    this.#listener = listener;
  }

  /** Samples waiting to be played. */
  get bufferedSamples(): number {
    return this.#queuedBytes - this.#consumedBytes;
  }

  /** How many of them can be heard. */
  get audiblePending(): number {
    return this.#audiblePending;
  }

  /** Where the next mark will be reached if nothing is cleared. */
  get nextMarkSample(): number | undefined {
    const mark = this.#marks[0];
    return mark && this.#positionSample + mark.atByte - this.#consumedBytes;
  }

  /** Queues audio that arrived at the current position. Returns false if it was refused. */
  push(mulaw: Uint8Array): boolean {
    if (mulaw.length === 0) return true;
    if (this.bufferedSamples + mulaw.length > MAX_BUFFERED_SAMPLES) return false;
    if (this.#drySinceSample !== undefined) {
      if (this.#positionSample > this.#drySinceSample) {
        this.#listener.onGap(this.#drySinceSample, this.#positionSample, this.#dryAfterClear);
      }
      this.#drySinceSample = undefined;
    }
    this.#chunks.push(mulaw);
    this.#queuedBytes += mulaw.length;
    this.#audiblePending += countAudible(mulaw);
    return true;
  }

  /** Returns false if too many marks are pending. */
  mark(name: string): boolean {
    if (this.#marks.length >= MAX_PENDING_MARKS) return false;
    this.#marks.push({ name, atByte: this.#queuedBytes });
    this.#echoReachedMarks(false);
    return true;
  }

  clear(): void {
    this.#chunks = [];
    this.#headOffset = 0;
    this.#consumedBytes = this.#queuedBytes;
    this.#audiblePending = 0;
    this.#drySinceSample ??= this.#positionSample;
    this.#dryAfterClear = true;
    this.#echoReachedMarks(true);
  }

  /** Moves the ear forward to `toSample`, playing what is buffered and silence where there is nothing. */
  advance(toSample: number): void {
    while (this.#positionSample < toSample) {
      const chunk = this.#chunks[0];
      if (!chunk) {
        this.#positionSample = toSample;
        break;
      }
      const span = Math.min(FRAME_SAMPLES, toSample - this.#positionSample);
      const end = Math.min(chunk.length, this.#headOffset + span);
      this.#play(chunk.subarray(this.#headOffset, end));
      this.#headOffset = end;
      if (end === chunk.length) {
        this.#chunks.shift();
        this.#headOffset = 0;
      }
      if (this.#chunks.length === 0) {
        this.#drySinceSample = this.#positionSample;
        this.#dryAfterClear = false;
      }
    }
    this.#echoReachedMarks(false);
  }

  #play(block: Uint8Array): void {
    this.#listener.onPlayed(this.#positionSample, block);
    this.#audiblePending -= countAudible(block);
    this.#consumedBytes += block.length;
    this.#positionSample += block.length;
  }

  #echoReachedMarks(cleared: boolean): void {
    for (let mark = this.#marks[0]; mark && mark.atByte <= this.#consumedBytes; mark = this.#marks[0]) {
      this.#marks.shift();
      this.#listener.onMark(mark.name, cleared);
    }
  }
}
