/**
 * Turns the media messages of one stream into continuous caller audio: in order, once, with silence where there was none.
 * Pure: time is an argument, audio leaves through a call-back.
 *
 * Two clocks meet here. The stream's own (`timestamp`) says where audio belongs: a jump of it is filled with silence when the
 * frame after the jump arrives. Arrival time says when nothing comes: after 200 ms silence is delivered in its place, so that
 * whoever listens for the end of a turn is not kept waiting, and what was so delivered is deducted from the jump that the next
 * timestamp may show. If there is no jump, the network had merely stalled: the late audio is delivered in full, and the listener
 * has heard more than was said; that excess shortens later fills, down to a pause that still separates words.
 */
import { BYTES_PER_MS, FRAME_BYTES, FRAME_MS } from '../call-port.ts';
import type { StreamLimits } from './limits.ts';

/** μ-law zero. */
const SILENCE = new Uint8Array(FRAME_BYTES).fill(0xff);
/** A timestamp may be off by this without meaning anything: it is in whole milliseconds, and a frame need not be. */
const TOLERANCE_BYTES = (FRAME_MS / 2) * BYTES_PER_MS;
/** Frames that wait for a missing one. */
const MAX_HELD_FRAMES = 16;

export interface AudioFrame {
  /** Counts from 1; -1 when unknown. */
  readonly chunk: number;
  /** Since the stream began; -1 when unknown. */
  readonly timestampMs: number;
  readonly payload: Uint8Array;
}

interface HeldFrame extends AudioFrame {
  readonly releaseAtMs: number;
}

/** What became of the frames. */
export interface InboundAudioStats {
  /** Audio that came from the caller and was delivered. */
  deliveredMs: number;
  /** Silence put into jumps of the timestamp. */
  paddedMs: number;
  /** Silence delivered while nothing arrived. */
  filledMs: number;
  /** Dropped: duplicates, and frames that came after their place had been filled. */
  oldFrames: number;
  /** Missing frames that came in time. */
  reorderedFrames: number;
  /** Times that a missing frame did not come within `reorderWithinMs`. */
  lostGaps: number;
}

/** What became of one frame: `old` was dropped, as a duplicate or because its time has passed. */
export type FrameOutcome = 'played' | 'held' | 'old';

export class InboundAudio {
  readonly stats: InboundAudioStats = {
    deliveredMs: 0,
    paddedMs: 0,
    filledMs: 0,
    oldFrames: 0,
    reorderedFrames: 0,
    lostGaps: 0,
  };
  readonly #limits: StreamLimits;
  readonly #deliver: (payload: Uint8Array) => void;
  /** Sorted by chunk. */
  readonly #held: HeldFrame[] = [];
  /** Where the stream's own clock stands after what was played, in bytes; undefined before the first frame with a timestamp. */
  #position: number | undefined;
  #nextChunk = -1;
  /** When the audio that arrived last will have ended, were it played on arrival. */
  #coveredUntilMs: number;
  /** Silence delivered since the last frame, and what of earlier silence no timestamp accounted for; in bytes. */
  #fill = 0;
  #excess = 0;

  /** `deliver`'s argument is only valid during the call. */
  constructor(limits: StreamLimits, nowMs: number, deliver: (payload: Uint8Array) => void) {
    this.#limits = limits;
    this.#coveredUntilMs = nowMs;
    this.#deliver = deliver;
  }

  /** Takes a frame as it arrives. Its payload is copied if it has to wait. */
  push(frame: AudioFrame, nowMs: number): FrameOutcome {
    if (this.#isOld(frame)) {
      this.stats.oldFrames++;
      return 'old';
    }
    this.#coveredUntilMs = Math.max(this.#coveredUntilMs, nowMs + frame.payload.length / BYTES_PER_MS);
    if (!this.#follows(frame)) return this.#hold(frame, nowMs);
    if (this.#held.length > 0) this.stats.reorderedFrames++;
    this.#play(frame);
    this.#releaseFollowing();
    return 'played';
  }

  /** Delivers what is due: silence in place of audio that does not come, frames that have waited long enough. */
  tick(nowMs: number): void {
    while (this.#held[0] && this.#held[0].releaseAtMs <= nowMs) {
      this.stats.lostGaps++;
      this.#playFirstHeld();
      this.#releaseFollowing();
    }
    this.#fillSilence(nowMs);
  }

  /** When `tick` has something to do if nothing arrives before. */
  nextDueMs(nowMs: number): number {
    const silenceFromMs = this.#coveredUntilMs + this.#limits.silenceAfterMs;
    const silenceDueMs = this.#fill > 0 ? nowMs + FRAME_MS : silenceFromMs + FRAME_MS / 2;
    const first = this.#held[0];
    return first ? Math.min(first.releaseAtMs, silenceDueMs) : silenceDueMs;
  }

  /** The stream is over: plays what waits. */
  flush(): void {
    while (this.#held.length > 0) this.#playFirstHeld();
  }

  /** Its number has been passed and so has its time: numbers or timestamps alone may stand still with an odd sender. */
  #isOld(frame: AudioFrame): boolean {
    const passed = frame.chunk >= 0 && frame.chunk < this.#nextChunk;
    if (!passed) return this.#held.length > 0 && this.#isHeld(frame.chunk);
    if (frame.timestampMs < 0 || this.#position === undefined) return true;
    return frame.timestampMs * BYTES_PER_MS + frame.payload.length <= this.#position + TOLERANCE_BYTES;
  }

  #isHeld(chunk: number): boolean {
    return chunk >= 0 && this.#held.some((held) => held.chunk === chunk);
  }

  /** Nothing is missing before it: by its number, or by its timestamp. */
  #follows(frame: AudioFrame): boolean {
    if (this.#nextChunk < 0 || frame.chunk <= this.#nextChunk) return true;
    return this.#gapBefore(frame) <= TOLERANCE_BYTES;
  }

  #gapBefore(frame: AudioFrame): number {
    if (frame.timestampMs < 0 || this.#position === undefined) return 0;
    return frame.timestampMs * BYTES_PER_MS - this.#position;
  }

  #hold(frame: AudioFrame, nowMs: number): FrameOutcome {
    const held = this.#held;
    if (held.length === MAX_HELD_FRAMES) this.#playFirstHeld();
    const at = held.findIndex((other) => other.chunk > frame.chunk);
    const { chunk, timestampMs } = frame;
    const copy = {
      chunk,
      timestampMs,
      payload: Uint8Array.from(frame.payload),
      releaseAtMs: nowMs + this.#limits.reorderWithinMs,
    };
    held.splice(at < 0 ? held.length : at, 0, copy);
    return 'held';
  }

  #releaseFollowing(): void {
    while (this.#held[0] && this.#follows(this.#held[0])) this.#playFirstHeld();
  }

  #playFirstHeld(): void {
    const first = this.#held.shift();
    if (first) this.#play(first);
  }

  #play(frame: AudioFrame): void {
    const { chunk, timestampMs, payload } = frame;
    const gap = this.#gapBefore(frame);
    if (this.#position === undefined) this.#excess = 0;
    else this.#pad(gap > TOLERANCE_BYTES ? gap : 0);
    this.#fill = 0;
    if (timestampMs >= 0 && (this.#position === undefined || Math.abs(gap) > TOLERANCE_BYTES)) {
      this.#position = timestampMs * BYTES_PER_MS;
    }
    if (this.#position !== undefined) this.#position += payload.length;
    if (chunk >= 0) this.#nextChunk = chunk + 1;
    this.stats.deliveredMs += payload.length / BYTES_PER_MS;
    this.#deliver(payload);
  }

  /** Fills a jump of `gap` bytes, less the silence that was delivered already. */
  #pad(gap: number): void {
    const fromFill = Math.min(this.#fill, gap);
    this.#excess += this.#fill - fromFill;
    // A pause stays a pause of up to `silenceAfterMs`, however far ahead the listener is: words must not run together.
    const pause = Math.max(0, this.#limits.silenceAfterMs * BYTES_PER_MS - fromFill);
    const missing = gap - fromFill;
    const fromExcess = Math.min(this.#excess, Math.max(0, missing - pause));
    this.#excess -= fromExcess;
    const padding = Math.min(missing - fromExcess, this.#limits.maxGapMs * BYTES_PER_MS);
    this.stats.paddedMs += padding / BYTES_PER_MS;
    this.#deliverSilence(padding);
  }

  /**
   * Silence at real time from the moment the audio ran out, once `silenceAfterMs` has passed. What that wait left out is made up
   * at twice real time rather than at once, so that a stall just over the limit puts little into the middle of a word.
   */
  #fillSilence(nowMs: number): void {
    const missingMs = nowMs - this.#coveredUntilMs;
    const dueMs = Math.min(missingMs, 2 * (missingMs - this.#limits.silenceAfterMs));
    const frames = Math.floor((dueMs * BYTES_PER_MS - this.#fill) / FRAME_BYTES);
    if (frames <= 0) return;
    this.#fill += frames * FRAME_BYTES;
    this.stats.filledMs += frames * FRAME_MS;
    this.#deliverSilence(frames * FRAME_BYTES);
  }

  #deliverSilence(byteLength: number): void {
    for (let left = byteLength; left > 0; left -= FRAME_BYTES) {
      this.#deliver(left >= FRAME_BYTES ? SILENCE : SILENCE.subarray(0, left));
    }
  }
}
