/**
 * The ledger of every sample sent to the caller, and the pacer that sends them: text ↔ audio position ↔ mark ↔ what the
 * caller has surely heard. Sans-IO: it is given the time, returns what to put on the wire, and touches nothing.
 *
 * The far side (Twilio) plays what it gets in order from a buffer. Sending everything at once would make a barge-in lose
 * track of what was heard; sending a frame per timer tick underfeeds it whenever a timer is late. So the pacer keeps the far
 * buffer filled up to a bounded lead, computed on the monotonic clock, and after a stall it catches up at once.
 *
 * What the caller has heard is the least of: what was sent; what the far buffer can have played by now; and, while marks
 * come back, what the last mark proves plus the time since then, bounded.
 */
import { BvraiError } from '../core/errors.ts';
import { BYTES_PER_MS, FRAME_BYTES, FRAME_MS } from './call-port.ts';

/** A stretch of an audio chunk that speaks a text; times are relative to the chunk. */
export interface AudioSpan {
  readonly text: string;
  readonly startMs: number;
  readonly durationMs: number;
}

export interface PlayoutOptions {
  /** How far ahead of real time the far buffer is kept. */
  readonly leadMs?: number;
  /** A mark follows at most this much audio. */
  readonly markEveryMs?: number;
  /** Audio of one reply; more is refused. */
  readonly capacityMs?: number;
  /** How far heard may run ahead of the last mark while marks come back. */
  readonly unprovenMs?: number;
  /** A mark this overdue means that marks are lost, and the playback estimate alone counts. */
  readonly markOverdueMs?: number;
}

export type PlayoutOutput =
  | { readonly type: 'media'; readonly generation: number; readonly payload: Uint8Array }
  | { readonly type: 'mark'; readonly name: string };

/** How much of a generation (one reply of the agent) reached the caller's ear. */
export interface Heard {
  readonly generation: number;
  readonly heardMs: number;
  readonly sentMs: number;
  /** Audio delivered so far, and whether that is all. */
  readonly pushedMs: number;
  readonly finished: boolean;
  /** All audio was delivered to the ledger, sent, and heard. */
  readonly complete: boolean;
}

/** A stretch of a reply's audio, and how much of it was heard. */
export interface HeardRun {
  /** Undefined: silence, or speech of which the synthesiser has not said what it says. */
  readonly text: string | undefined;
  readonly durationMs: number;
  readonly heardMs: number;
}

/** What of a reply was heard, stretch by stretch: all audio delivered so far, in order. */
export interface HeardSpeech extends Heard {
  readonly runs: readonly HeardRun[];
}

/** A run of text in a generation's audio, in bytes from the generation's start. */
interface TextRun {
  readonly startByte: number;
  readonly endByte: number;
  /** Undefined: it is not known what it says. */
  readonly text: string | undefined;
}

/** The one reply that is being played. All of its audio is kept until it is retired, so that it can be resumed. */
interface Generation {
  readonly id: number;
  readonly runs: TextRun[];
  readonly chunks: Uint8Array[];
  pushedBytes: number;
  /** Where the next byte to send is: its chunk, its place in that chunk, and its place in the generation. */
  chunkIndex: number;
  chunkOffset: number;
  nextByte: number;
  /** The place in the generation, and in the stream, at which sending last began. */
  fromByte: number;
  fromStreamByte: number;
  /** What was surely heard before sending last began. */
  heardBytes: number;
  finished: boolean;
  held: boolean;
}

interface PendingMark {
  readonly name: string;
  readonly atByte: number;
  /** When the far buffer should have played up to it. */
  readonly expectedAtMs: number;
}

/** A far side that never echoes marks must not make this list grow for the length of the call. */
const MAX_PENDING_MARKS = 256;

export class Playout {
  readonly #leadMs: number;
  readonly #markEveryBytes: number;
  readonly #capacityBytes: number;
  readonly #unprovenBytes: number;
  readonly #markOverdueMs: number;

  #generation: Generation | undefined;
  #sentBytes = 0;
  #lastMarkAtByte = 0;
  #nextMark = 1;
  readonly #marks: PendingMark[] = [];
  /** When the far buffer runs empty if nothing more is sent. */
  #bufferEndsAtMs = Number.NEGATIVE_INFINITY;
  #marksTrusted = false;
  #provenByte = 0;
  #provenAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: PlayoutOptions = {}) {
    this.#leadMs = options.leadMs ?? 400;
    this.#markEveryBytes = (options.markEveryMs ?? 240) * BYTES_PER_MS;
    this.#capacityBytes = (options.capacityMs ?? 180_000) * BYTES_PER_MS;
    this.#unprovenBytes = (options.unprovenMs ?? 1_000) * BYTES_PER_MS;
    this.#markOverdueMs = options.markOverdueMs ?? 2_000;
  }

  /** The reply being played, or undefined when nothing is owed to the caller. */
  get generation(): number | undefined {
    return this.#generation?.id;
  }

  /** Audio of the current reply accepted but not yet sent. */
  get pendingMs(): number {
    return this.#pendingBytes / BYTES_PER_MS;
  }

  get #pendingBytes(): number {
    return this.#generation ? this.#generation.pushedBytes - this.#generation.nextByte : 0;
  }

  /**
   * Makes `generation` the reply that audio is accepted for; `held`: nothing of it is sent before `resume`. The previous one
   * must have been retired by `end` or `clear`.
   */
  begin(generation: number, held = false): void {
    if (this.#generation) {
      const { id } = this.#generation;
      throw new BvraiError('internal', `Playout still holds generation ${id}; cannot begin ${generation}.`);
    }
    this.#generation = {
      id: generation,
      runs: [],
      chunks: [],
      pushedBytes: 0,
      chunkIndex: 0,
      chunkOffset: 0,
      nextByte: 0,
      fromByte: 0,
      fromStreamByte: this.#sentBytes,
      heardBytes: 0,
      finished: false,
      held,
    };
  }

  /**
   * Takes audio of `generation`. False: not taken, because the generation is not the current one (late audio of an aborted
   * reply) or because the ledger is full.
   */
  push(generation: number, audio: Uint8Array, spans: readonly AudioSpan[] = []): boolean {
    const current = this.#generation;
    if (current?.id !== generation || current.finished) return false;
    if (current.pushedBytes + audio.length > this.#capacityBytes) return false;
    for (const span of spans) {
      const startByte = current.pushedBytes + Math.round(span.startMs * BYTES_PER_MS);
      const endByte = startByte + Math.max(1, Math.round(span.durationMs * BYTES_PER_MS));
      cutShort(current.runs, startByte);
      current.runs.push({ startByte, endByte, text: span.text });
    }
    if (spans.length === 0) addUnaligned(current, audio.length);
    if (audio.length > 0) current.chunks.push(audio);
    current.pushedBytes += audio.length;
    return true;
  }

  /** No more audio comes for `generation`; it is complete once everything sent has been heard. */
  finish(generation: number): void {
    if (this.#generation?.id === generation) this.#generation.finished = true;
  }

  /** What to send now, in order. Call again after `nextPollMs(nowMs)`. */
  poll(nowMs: number): PlayoutOutput[] {
    const outputs: PlayoutOutput[] = [];
    const generation = this.#generation;
    if (!generation || generation.held) return outputs;
    while (this.#pendingBytes > 0 && this.#leadAt(nowMs) + FRAME_MS <= this.#leadMs) {
      // A last part shorter than a frame waits for its successor, unless none comes: the wire carries whole frames.
      if (this.#pendingBytes < FRAME_BYTES && !generation.finished) break;
      const payload = takeFrame(generation);
      this.#bufferEndsAtMs = Math.max(this.#bufferEndsAtMs, nowMs) + payload.length / BYTES_PER_MS;
      this.#sentBytes += payload.length;
      outputs.push({ type: 'media', generation: generation.id, payload });
      if (this.#sentBytes - this.#lastMarkAtByte >= this.#markEveryBytes) outputs.push(this.#mark());
    }
    if (generation.finished && this.#pendingBytes === 0 && this.#sentBytes > this.#lastMarkAtByte)
      outputs.push(this.#mark());
    return outputs;
  }

  /** When `poll` has something to do again, or when the last audio will have been heard; undefined: nothing to wait for. */
  nextPollMs(nowMs: number): number | undefined {
    const generation = this.#generation;
    if (!generation || generation.held) return undefined;
    if (this.#pendingBytes >= FRAME_BYTES || (generation.finished && this.#pendingBytes > 0)) {
      return Math.max(nowMs, this.#bufferEndsAtMs - this.#leadMs + FRAME_MS);
    }
    if (generation.finished) return nowMs + FRAME_MS;
    return undefined;
  }

  /**
   * A mark came back. Echoes of marks that a `clear` emptied are unknown here by then and prove nothing.
   * A mark proves that everything before it was played.
   */
  onMark(name: string, nowMs: number): void {
    const index = this.#marks.findIndex((mark) => mark.name === name);
    if (index < 0) return;
    const mark = this.#marks[index];
    this.#marks.splice(0, index + 1);
    if (!mark) return;
    this.#marksTrusted = true;
    this.#provenByte = mark.atByte;
    this.#provenAtMs = nowMs;
  }

  /** How much of the current generation was heard by now. */
  heard(nowMs: number): Heard | undefined {
    const generation = this.#generation;
    if (!generation) return undefined;
    const heardBytes = this.#heardBytes(generation, nowMs);
    const sentBytes = Math.max(heardBytes, generation.nextByte);
    return {
      generation: generation.id,
      heardMs: heardBytes / BYTES_PER_MS,
      sentMs: sentBytes / BYTES_PER_MS,
      pushedMs: generation.pushedBytes / BYTES_PER_MS,
      finished: generation.finished,
      complete:
        generation.finished && !generation.held && this.#pendingBytes === 0 && heardBytes >= generation.pushedBytes,
    };
  }

  /** The same, with what was said in it. */
  heardSpeech(nowMs: number): HeardSpeech | undefined {
    const generation = this.#generation;
    const heard = this.heard(nowMs);
    if (!generation || !heard) return undefined;
    const heardBytes = this.#heardBytes(generation, nowMs);
    const runs = generation.runs.map(({ startByte, endByte, text }) => ({
      text,
      durationMs: (endByte - startByte) / BYTES_PER_MS,
      heardMs: Math.min(endByte - startByte, Math.max(0, heardBytes - startByte)) / BYTES_PER_MS,
    }));
    return { ...heard, runs };
  }

  /** Whether the caller is hearing the agent, or will without a `clear`. */
  isAudible(nowMs: number): boolean {
    if (this.#bufferEndsAtMs > nowMs) return true;
    return this.#pendingBytes > 0 && this.#generation?.held === false;
  }

  /**
   * Stops sending, and forgets what the far buffer holds: the caller of this also puts a `clear` on the wire. What was heard
   * stands still until `resume` or `clear`.
   */
  hold(nowMs: number): void {
    const generation = this.#generation;
    if (!generation || generation.held) return;
    generation.heardBytes = this.#heardBytes(generation, nowMs);
    generation.held = true;
    this.#forgetFarBuffer(nowMs);
  }

  /**
   * Goes on with a held reply, from the start of the word (or clause, as finely as its text is aligned) in which hearing
   * stopped. Returns how much audio is heard again.
   */
  resume(): { readonly repeatedMs: number } {
    const generation = this.#generation;
    if (!generation?.held) return { repeatedMs: 0 };
    const { heardBytes, runs } = generation;
    const cutRun = runs.find(
      ({ startByte, endByte, text }) => text !== undefined && startByte < heardBytes && heardBytes < endByte,
    );
    moveTo(generation, cutRun?.startByte ?? heardBytes);
    generation.fromByte = generation.nextByte;
    generation.fromStreamByte = this.#sentBytes;
    generation.held = false;
    return { repeatedMs: (heardBytes - generation.nextByte) / BYTES_PER_MS };
  }

  /** Retires the current generation, which the caller has heard in full. */
  end(nowMs: number): Heard | undefined {
    const heard = this.heard(nowMs);
    this.#generation = undefined;
    return heard;
  }

  /**
   * Drops all unsent audio and forgets what the far buffer holds: the caller of this also puts a `clear` on the wire.
   * Returns what had been heard of the generation by now.
   */
  clear(nowMs: number): HeardSpeech | undefined {
    const heard = this.heardSpeech(nowMs);
    this.#generation = undefined;
    this.#forgetFarBuffer(nowMs);
    return heard;
  }

  #forgetFarBuffer(nowMs: number): void {
    this.#marks.length = 0;
    this.#lastMarkAtByte = this.#sentBytes;
    this.#provenByte = this.#sentBytes;
    this.#provenAtMs = nowMs;
    this.#bufferEndsAtMs = Math.min(this.#bufferEndsAtMs, nowMs);
  }

  /** In bytes from the generation's start. Never less than was heard before it was held. */
  #heardBytes(generation: Generation, nowMs: number): number {
    if (generation.held) return generation.heardBytes;
    const sinceBytes = Math.max(0, this.#heardStreamByte(nowMs) - generation.fromStreamByte);
    return Math.max(generation.heardBytes, Math.min(generation.nextByte, generation.fromByte + sinceBytes));
  }

  #leadAt(nowMs: number): number {
    return Math.max(0, this.#bufferEndsAtMs - nowMs);
  }

  #heardStreamByte(nowMs: number): number {
    const estimate = this.#sentBytes - this.#leadAt(nowMs) * BYTES_PER_MS;
    const oldest = this.#marks[0];
    if (oldest && nowMs > oldest.expectedAtMs + this.#markOverdueMs) this.#marksTrusted = false;
    if (!this.#marksTrusted) return Math.floor(estimate);
    // With no mark outstanding and nothing sent since, the proof already covers all.
    const sinceProof = Math.min((nowMs - this.#provenAtMs) * BYTES_PER_MS, this.#unprovenBytes);
    return Math.floor(Math.min(estimate, this.#provenByte + sinceProof));
  }

  #mark(): PlayoutOutput {
    const name = `p${this.#nextMark++}`;
    if (this.#marks.length === MAX_PENDING_MARKS) this.#marks.shift();
    this.#marks.push({ name, atByte: this.#sentBytes, expectedAtMs: this.#bufferEndsAtMs });
    this.#lastMarkAtByte = this.#sentBytes;
    return { type: 'mark', name };
  }
}

/** Up to one frame of the next audio; a view where it lies within one chunk, a copy where it crosses chunks. */
function takeFrame(generation: Generation): Uint8Array {
  const wanted = Math.min(FRAME_BYTES, generation.pushedBytes - generation.nextByte);
  const first = generation.chunks[generation.chunkIndex];
  if (first && first.length - generation.chunkOffset >= wanted) return takePart(generation, first, wanted);
  const frame = new Uint8Array(wanted);
  let filled = 0;
  while (filled < wanted) {
    const chunk = generation.chunks[generation.chunkIndex];
    if (!chunk) break;
    const part = takePart(generation, chunk, Math.min(wanted - filled, chunk.length - generation.chunkOffset));
    frame.set(part, filled);
    filled += part.length;
  }
  return frame;
}

function takePart(generation: Generation, chunk: Uint8Array, bytes: number): Uint8Array {
  const part = chunk.subarray(generation.chunkOffset, generation.chunkOffset + bytes);
  generation.chunkOffset += bytes;
  generation.nextByte += bytes;
  if (generation.chunkOffset === chunk.length) {
    generation.chunkIndex++;
    generation.chunkOffset = 0;
  }
  return part;
}

/** Makes `byte` of the generation the next one to be sent. */
function moveTo(generation: Generation, byte: number): void {
  let startByte = 0;
  generation.chunkIndex = 0;
  for (const chunk of generation.chunks) {
    if (startByte + chunk.length > byte) break;
    startByte += chunk.length;
    generation.chunkIndex++;
  }
  generation.chunkOffset = byte - startByte;
  generation.nextByte = byte;
}

/** A text that was to last longer than until here broke off (another voice goes on): only its share of it was said. */
function cutShort(runs: TextRun[], atByte: number): void {
  const last = runs.at(-1);
  if (!last || last.endByte <= atByte || last.startByte >= atByte) return;
  const share = (atByte - last.startByte) / (last.endByte - last.startByte);
  const text = last.text?.slice(0, Math.round(last.text.length * share));
  runs[runs.length - 1] = { startByte: last.startByte, endByte: atByte, text };
}

/** Audio that came without spans says what an earlier span that reaches this far says, or nobody knows what. */
function addUnaligned({ runs, pushedBytes }: Generation, bytes: number): void {
  const last = runs.at(-1);
  const startByte = Math.max(pushedBytes, last?.endByte ?? 0);
  const endByte = pushedBytes + bytes;
  if (startByte >= endByte) return;
  if (last && last.text === undefined && last.endByte === startByte) runs[runs.length - 1] = { ...last, endByte };
  else runs.push({ startByte, endByte, text: undefined });
}
