/** The embedded speech synthesiser: Flite in worker threads, as a TtsProvider. */
import { availableParallelism } from 'node:os';
import type { Clock } from '../../../core/clock.ts';
import { BvraiError } from '../../../core/errors.ts';
import type { Log } from '../../../core/log.ts';

import { charactersOf } from '../counted.ts';
import type { Sink, StreamContext, TtsPart, TtsProvider, TtsRequest, TtsStream } from '../spec.ts';
import { EndedIds } from '../utterances.ts';
import { ByteCache } from '../../../core/byte-cache.ts';
import { hasWords } from '../../text/words.ts';
import { startWorker } from '../../../core/worker.ts';
import { JobPool } from './job-pool.ts';
import { pauseAfterMs, toSpokenAscii } from './spoken-text.ts';
import { chunkSpeech } from './telephone-speech.ts';
import type { ClauseJob, ClauseSpeech } from './telephone-speech.ts';

/** Voices inside the package; `slt` (female) and `rms` (male) are the good ones. */
export const VOICES = ['slt', 'rms', 'awb', 'kal', 'kal16', 'awb_time'] as const;
export const DEFAULT_VOICE = 'slt';

const MAX_QUEUED_CLAUSES = 256;
const MAX_CLAUSES_A_STREAM = 64;
/** Clauses of one stream in the pool at once: enough to keep ahead of real time, few enough to be fair to other calls. */
const WINDOW_A_STREAM = 2;
const MAX_CLAUSE_CHARACTERS = 1000;
const CACHE_BYTES = 16 * 1024 * 1024;
const JOB_DEADLINE_MS = 15_000;

type ClausePool = JobPool<ClauseJob, ClauseSpeech>;
type ClauseCache = ByteCache<ClauseSpeech>;

export interface SynthesiserOptions {
  readonly log: Log;
  readonly clock: Clock;
  /** Worker threads. Default: 2 on machines with more than 2 cores, else 1. */
  readonly workers?: number | undefined;
}

export interface Synthesiser extends TtsProvider {
  /** Loads the engine (about half a second) before the first call needs it. */
  warm(): Promise<void>;
  close(): Promise<void>;
}

export function createSynthesiser(options: SynthesiserOptions): Synthesiser {
  const pool: ClausePool = new JobPool({
    name: 'synthesiser',
    startWorker: () => startWorker(import.meta.url, './synthesiser.worker'),
    size: options.workers ?? (availableParallelism() > 2 ? 2 : 1),
    maxQueued: MAX_QUEUED_CLAUSES,
    jobDeadlineMs: JOB_DEADLINE_MS,
    clock: options.clock,
    log: options.log,
  });
  const cache: ClauseCache = new ByteCache(CACHE_BYTES);
  return {
    name: 'embedded',
    capabilities: { wordTimes: true },
    open: (request, sink, context) => new SynthesiserStream(request, sink, context, pool, cache),
    warm: () => pool.warm(),
    close: () => pool.close(),
  };
}

interface Clause {
  readonly utterance: Utterance;
  readonly text: string;
  state: 'waiting' | 'running' | 'settled';
  speech: ClauseSpeech | undefined;
  error: BvraiError | undefined;
}

interface Utterance {
  readonly id: string;
  readonly cancelled: AbortController;
  finished: boolean;
  failed: boolean;
  /** Some of it has been said. */
  begun: boolean;
  /** Silence that the next clause begins with. */
  pauseMs: number;
}

/** One call's speech: clauses are synthesised up to two at a time and delivered in the order spoken. */
class SynthesiserStream implements TtsStream {
  readonly #voice: string;
  readonly #sink: Sink<TtsPart>;
  readonly #context: StreamContext;
  readonly #pool: ClausePool;
  readonly #cache: ClauseCache;
  readonly #utterances = new Map<string, Utterance>();
  readonly #endedIds = new EndedIds();
  /** In order of speaking; at most MAX_CLAUSES_A_STREAM. */
  #clauses: Clause[] = [];
  #closed = false;
  readonly #onAbort = () => this.close();

  constructor(request: TtsRequest, sink: Sink<TtsPart>, context: StreamContext, pool: ClausePool, cache: ClauseCache) {
    this.#sink = sink;
    this.#context = context;
    this.#pool = pool;
    this.#cache = cache;
    this.#voice = request.voice ?? DEFAULT_VOICE;
    if (!VOICES.some((voice) => voice === this.#voice)) {
      context.log.warn(
        { voice: this.#voice, known: VOICES },
        `embedded voice unknown: ${DEFAULT_VOICE} speaks instead`,
      );
      this.#voice = DEFAULT_VOICE;
    }
    if (context.signal.aborted) this.#closed = true;
    else context.signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  speak(utteranceId: string, text: string): void {
    const utterance = this.#open(utteranceId);
    if (!utterance || utterance.failed || utterance.finished) return;
    const clause: Clause = { utterance, text, state: 'waiting', speech: undefined, error: undefined };
    if (this.#clauses.length >= MAX_CLAUSES_A_STREAM || text.length > MAX_CLAUSE_CHARACTERS) {
      clause.state = 'settled';
      clause.error = new BvraiError('capacity', 'The synthesiser takes no more text of this call for now.', {
        details: { clauses: this.#clauses.length, characters: text.length },
      });
    }
    this.#clauses.push(clause);
    this.#advanceSoon();
  }

  finish(utteranceId: string): void {
    const utterance = this.#open(utteranceId);
    if (!utterance) return;
    utterance.finished = true;
    this.#advanceSoon();
  }

  cancel(utteranceId: string): void {
    const utterance = this.#utterances.get(utteranceId);
    this.#endedIds.add(utteranceId);
    if (!utterance) return;
    this.#drop(utterance);
    this.#advanceSoon();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#context.signal.removeEventListener('abort', this.#onAbort);
    for (const utterance of this.#utterances.values()) utterance.cancelled.abort();
    this.#utterances.clear();
    this.#clauses = [];
  }

  /** The utterance of this id, begun if it is new; undefined when it has ended. */
  #open(id: string): Utterance | undefined {
    if (this.#closed || this.#endedIds.has(id)) return undefined;
    const known = this.#utterances.get(id);
    if (known) return known;
    const cancelled = new AbortController();
    const utterance = { id, cancelled, finished: false, failed: false, begun: false, pauseMs: 0 };
    this.#utterances.set(id, utterance);
    return utterance;
  }

  #drop(utterance: Utterance): void {
    this.#utterances.delete(utterance.id);
    this.#clauses = this.#clauses.filter((clause) => clause.utterance !== utterance);
    utterance.cancelled.abort();
  }

  /** Parts never arrive from within a method of the stream. */
  #advanceSoon(): void {
    queueMicrotask(() => this.#advance());
  }

  /** Delivers what is ready, in order, and starts what may run. */
  #advance(): void {
    for (let clause = this.#clauses[0]; clause?.state === 'settled' && !this.#closed; clause = this.#clauses[0]) {
      this.#clauses.shift();
      if (clause.error) this.#fail(clause.utterance, clause.error);
      else if (clause.speech) this.#deliver(clause, clause.speech);
    }
    this.#announceFinished();
    for (const clause of this.#clauses.slice(0, WINDOW_A_STREAM)) if (clause.state === 'waiting') this.#start(clause);
  }

  #start(clause: Clause): void {
    clause.state = 'running';
    const spoken = toSpokenAscii(clause.text);
    const key = `${this.#voice}\n${clause.text}`;
    const cached = spoken ? this.#cache.get(key) : { audio: new Uint8Array(0), spans: [] };
    const tally = cached ? undefined : this.#context.usage?.tts('embedded', undefined);
    if (tally) tally.characters += charactersOf(clause.text);
    const speech = cached
      ? Promise.resolve(cached)
      : this.#pool.run({ voice: this.#voice, text: clause.text, spoken }, clause.utterance.cancelled.signal);
    speech
      .then((made) => {
        clause.speech = made;
        if (!cached) this.#cache.set(key, made, made.audio.length + 64 * made.spans.length + 2 * key.length);
      })
      .catch((error: unknown) => {
        clause.error = BvraiError.from(error, 'engine.failed');
      })
      .finally(() => {
        clause.state = 'settled';
        this.#advance();
      });
  }

  #deliver(clause: Clause, speech: ClauseSpeech): void {
    const { utterance, text } = clause;
    const isMute = speech.audio.length === 0 && hasWords(text);
    // Words amid others are left out; an utterance that begins with them is better said by somebody else.
    if (isMute && !utterance.begun) return this.#fail(utterance, unpronounceable());
    for (const chunk of chunkSpeech(speech, speech.audio.length > 0 ? utterance.pauseMs : 0)) {
      // The sink may cancel or close in response to a part.
      if (this.#closed || utterance.cancelled.signal.aborted) return;
      this.#sink({ type: 'audio-chunk', utteranceId: utterance.id, ...chunk });
    }
    if (speech.audio.length === 0) return;
    utterance.begun = true;
    utterance.pauseMs = pauseAfterMs(text);
  }

  #fail(utterance: Utterance, error: BvraiError): void {
    // It stays known until it is finished or cancelled, so that late clauses of it are ignored.
    this.#clauses = this.#clauses.filter((clause) => clause.utterance !== utterance);
    utterance.failed = true;
    utterance.cancelled.abort();
    this.#sink({ type: 'utterance-failed', utteranceId: utterance.id, error });
  }

  #announceFinished(): void {
    for (const utterance of this.#utterances.values()) {
      if (!utterance.finished || this.#clauses.some((clause) => clause.utterance === utterance)) continue;
      this.#utterances.delete(utterance.id);
      this.#endedIds.add(utterance.id);
      if (!utterance.failed && !this.#closed) this.#sink({ type: 'utterance-finished', utteranceId: utterance.id });
    }
  }
}

/** Of the request, not of the voice: it says nothing about how well the engine is. */
function unpronounceable(): BvraiError {
  const message = 'The embedded voice can pronounce none of the text: it reads the Latin alphabet only.';
  return new BvraiError('provider.bad-request', message, { details: { provider: 'embedded' } });
}
