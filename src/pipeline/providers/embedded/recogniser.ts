/** The embedded recogniser: SoundSwallower in worker threads, as an SttProvider. It hears the agent's phrases and small talk. */
import { availableParallelism } from 'node:os';
import type { Clock, Timer } from '../../../core/clock.ts';
import { BvraiError } from '../../../core/errors.ts';
import type { Log } from '../../../core/log.ts';
import { BYTES_PER_MS } from '../../../media/call-port.ts';
import type { Sink, StreamContext, SttPart, SttProvider, SttRequest, SttStream, SttTally } from '../spec.ts';
import { RecogniserPool } from './recogniser-pool.ts';
import type { Place } from './recogniser-pool.ts';
import type { RecogniserReply } from './recogniser-messages.ts';
import { RingBuffer } from '../../../core/ring-buffer.ts';
import { SMALL_TALK_PHRASES } from './small-talk.ts';

/** Audio from before the hint that an utterance begins with: the hint's lag (300 ms) and half a second of silence. */
const PRE_ROLL_MS = 800;
/** Of an onset that the hint is late for: silence before it, and audio kept in all. */
const ONSET_ROOM_MS = 500;
const KEPT_MS = 5_000;
/** Longer speech is cut: what came so far is final, and a new utterance begins. */
const MAX_UTTERANCE_MS = 20_000;
/** Audio goes to the worker in pieces of this length: it is what is left to decode when the caller ends. */
const BATCH_BYTES = 80 * BYTES_PER_MS;
/** Utterances of one call that the worker has not answered yet. */
const MAX_OPEN_UTTERANCES = 3;
/**
 * A worker that owes an answer and says nothing at all for so many beats hangs. Beats, since a process that was stopped for a
 * while has stopped its workers, too: that takes one beat, however long it was.
 */
const BEAT_MS = 1_000;
const SILENT_BEATS = 8;

export interface RecogniserOptions {
  readonly log: Log;
  readonly clock: Clock;
  /** Worker threads. Default: one less than the cores, 1 or 2. */
  readonly workers?: number | undefined;
}

export interface Recogniser extends SttProvider {
  /** Loads the engine (about half a second) before the first call needs it. */
  warm(): Promise<void>;
  close(): Promise<void>;
}

export function createRecogniser(options: RecogniserOptions): Recogniser {
  const workers = options.workers ?? Math.max(1, Math.min(2, availableParallelism() - 1));
  const pool = new RecogniserPool(workers, options.log);
  return {
    name: 'embedded',
    capabilities: { wordTimes: true },
    open: (request, sink, context) => new RecogniserStream(request, sink, context, pool),
    warm: () => pool.warm(),
    close: () => pool.close(),
  };
}

interface Utterance {
  readonly id: number;
  /** Where it begins in the stream's audio. */
  readonly startByte: number;
  bytes: number;
  fromFinalize: boolean;
  deadline: Timer | undefined;
}

class RecogniserStream implements SttStream {
  readonly #sink: Sink<SttPart>;
  readonly #context: StreamContext;
  readonly #pool: RecogniserPool;
  readonly #place: Place | undefined;
  readonly #preRoll = new RingBuffer(KEPT_MS * BYTES_PER_MS);
  /** Audio that has not gone to the worker yet. */
  #batch = new Uint8Array(BATCH_BYTES);
  #batched = 0;
  #writtenBytes = 0;
  /** What came before it belongs to an earlier utterance. */
  #lastEndByte = 0;
  #speaking: Utterance | undefined;
  /** Ended or not, by id. */
  readonly #open = new Map<number, Utterance>();
  #closed = false;
  readonly #streamId: number;
  readonly #tally: SttTally | undefined;
  readonly #onAbort = () => this.close();

  constructor(request: SttRequest, sink: Sink<SttPart>, context: StreamContext, pool: RecogniserPool) {
    this.#sink = sink;
    this.#context = context;
    this.#tally = context.usage?.stt('embedded', undefined);
    this.#pool = pool;
    this.#streamId = pool.newId();
    this.#place = pool.attach({
      streamId: this.#streamId,
      onReply: (reply) => this.#onReply(reply),
      onLost: (error) => this.#fail(error),
    });
    if (context.signal.aborted) {
      this.close();
      return;
    }
    context.signal.addEventListener('abort', this.#onAbort, { once: true });
    if (!/^en\b/i.test(request.language)) {
      context.log.warn({ language: request.language }, 'the embedded recogniser hears English only');
    }
    this.#place?.post({
      type: 'prepare',
      streamId: this.#streamId,
      phrases: [...request.phrases, ...SMALL_TALK_PHRASES],
    });
    queueMicrotask(() => {
      if (!this.#place) this.#fail(new BvraiError('engine.unavailable', 'The recogniser was closed.'));
      else if (!this.#closed) this.#sink({ type: 'stream-opened' });
    });
  }

  write(audio: Uint8Array): void {
    if (this.#closed) return;
    if (this.#tally) this.#tally.audioBytes += audio.length;
    for (let start = 0; start < audio.length;) {
      const utterance = this.#speaking;
      const room = utterance
        ? Math.min(BATCH_BYTES - this.#batched, MAX_UTTERANCE_MS * BYTES_PER_MS - utterance.bytes)
        : audio.length - start;
      const piece = audio.subarray(start, start + room);
      start += piece.length;
      this.#writtenBytes += piece.length;
      this.#preRoll.write(piece);
      if (utterance) this.#feed(utterance, piece);
    }
  }

  hint(voice: 'speech-started' | 'speech-ended', agoMs = 0): void {
    if (this.#closed) return;
    if (voice === 'speech-started') {
      if (!this.#speaking) this.#begin(agoMs);
      return;
    }
    // Asked for a final without having heard of speech: the answer is what the last moments hold.
    const utterance = this.#speaking ?? this.#begin();
    if (utterance) this.#end(utterance, true);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#context.signal.removeEventListener('abort', this.#onAbort);
    for (const utterance of this.#open.values()) utterance.deadline?.cancel();
    this.#open.clear();
    this.#speaking = undefined;
    this.#place?.detach();
  }

  #begin(agoMs = 0): Utterance | undefined {
    if (this.#open.size >= MAX_OPEN_UTTERANCES) {
      // Fails later: parts never arrive from within a method.
      queueMicrotask(() =>
        this.#fail(new BvraiError('provider.overloaded', 'The recogniser does not keep up with this call.')),
      );
      return undefined;
    }
    const preRollBytes = Math.ceil(Math.max(PRE_ROLL_MS, agoMs + ONSET_ROOM_MS)) * BYTES_PER_MS;
    const audio = this.#preRoll.newest(Math.min(preRollBytes, this.#writtenBytes - this.#lastEndByte));
    const utterance: Utterance = {
      id: this.#pool.newId(),
      startByte: this.#writtenBytes - audio.length,
      bytes: audio.length,
      fromFinalize: false,
      deadline: undefined,
    };
    this.#open.set(utterance.id, utterance);
    this.#speaking = utterance;
    this.#place?.expect(utterance.id);
    const { streamId, id: utteranceId } = { streamId: this.#streamId, id: utterance.id };
    this.#place?.post({ type: 'utterance-start', utteranceId, streamId, audio }, [audio.buffer]);
    return utterance;
  }

  #feed(utterance: Utterance, piece: Uint8Array): void {
    this.#batch.set(piece, this.#batched);
    this.#batched += piece.length;
    utterance.bytes += piece.length;
    if (this.#batched === BATCH_BYTES) this.#sendBatch(utterance);
    if (utterance.bytes < MAX_UTTERANCE_MS * BYTES_PER_MS) return;
    this.#end(utterance, false);
    this.#begin();
  }

  #sendBatch(utterance: Utterance): void {
    const audio = this.#batch.subarray(0, this.#batched);
    this.#place?.post({ type: 'audio', utteranceId: utterance.id, audio }, [this.#batch.buffer]);
    this.#batch = new Uint8Array(BATCH_BYTES);
    this.#batched = 0;
  }

  #end(utterance: Utterance, fromFinalize: boolean): void {
    if (this.#batched > 0) this.#sendBatch(utterance);
    this.#speaking = undefined;
    this.#lastEndByte = this.#writtenBytes;
    utterance.fromFinalize = fromFinalize;
    this.#watch(utterance);
    this.#place?.post({ type: 'utterance-end', utteranceId: utterance.id });
  }

  /** A busy worker may be late, as long as it says something to anyone: whoever waits too long has another recogniser to turn to. */
  #watch(utterance: Utterance, silentBeats = 0): void {
    const repliesBefore = this.#place?.replies();
    utterance.deadline = this.#context.clock.after(BEAT_MS, () => {
      const beats = this.#place?.replies() === repliesBefore ? silentBeats + 1 : 0;
      if (beats < SILENT_BEATS) return this.#watch(utterance, beats);
      this.#place?.condemn(`The recogniser's worker said nothing for ${SILENT_BEATS * BEAT_MS} ms.`);
    });
  }

  #onReply(reply: RecogniserReply): void {
    if (this.#closed || reply.type === 'ready' || reply.type === 'progress') return;
    if (reply.type === 'prepared') {
      if (reply.skipped.length === 0) return;
      const skipped = reply.skipped.slice(0, 20);
      return this.#context.log.warn(
        { skipped, kept: reply.phrases },
        'the embedded recogniser cannot listen for some phrases',
      );
    }
    const utterance = this.#open.get(reply.utteranceId);
    if (!utterance) return;
    if (reply.type === 'interim') {
      return this.#sink({ type: 'transcript-interim', text: reply.text, confidence: reply.confidence });
    }
    this.#open.delete(utterance.id);
    utterance.deadline?.cancel();
    if (reply.type === 'utterance-failed') {
      return this.#fail(new BvraiError('engine.failed', `The recogniser failed: ${reply.reason}`));
    }
    if (reply.rejectedText !== '') {
      const { rejectedText, score } = reply;
      this.#context.log.debug({ rejectedText, score }, 'speech from outside the grammar');
    }
    const offsetMs = utterance.startByte / BYTES_PER_MS;
    this.#sink({
      type: 'transcript-final',
      text: reply.text,
      confidence: reply.confidence,
      words: reply.words.map((word) => ({
        ...word,
        startMs: offsetMs + word.startMs,
        endMs: offsetMs + word.endMs,
      })),
      speechFinal: false,
      fromFinalize: utterance.fromFinalize,
    });
  }

  #fail(error: BvraiError): void {
    if (this.#closed) return;
    this.close();
    this.#sink({ type: 'stream-failed', error });
  }
}
