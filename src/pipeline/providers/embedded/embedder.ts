/** Sentence vectors by a worker thread, kept by sentence. */
import type { Clock } from '../../../core/clock.ts';
import type { Log } from '../../../core/log.ts';
import { ByteCache } from '../../../core/byte-cache.ts';
import { startWorker } from '../../../core/worker.ts';
import { JobPool } from './job-pool.ts';

export interface EmbeddingJob {
  readonly sentences: readonly string[];
}

/** Sentences of one job. */
const BATCH = 8;
const MAX_QUEUED_JOBS = 1024;
const JOB_DEADLINE_MS = 15_000;
/** About 4,000 questions. */
const CACHE_BYTES = 8 * 1024 * 1024;

export class Embedder {
  readonly #pool: JobPool<EmbeddingJob, Float32Array[]>;
  readonly #cache = new ByteCache<Float32Array>(CACHE_BYTES);

  constructor(options: { readonly log: Log; readonly clock: Clock }) {
    this.#pool = new JobPool({
      ...options,
      name: 'embedder',
      startWorker: () => startWorker(import.meta.url, './embedding.worker'),
      size: 1,
      maxQueued: MAX_QUEUED_JOBS,
      jobDeadlineMs: JOB_DEADLINE_MS,
    });
  }

  warm(): Promise<void> {
    return this.#pool.warm();
  }

  close(): Promise<void> {
    return this.#pool.close();
  }

  /**
   * The sentences' vectors, of unit length: their dot product is their similarity. One batch waits at a time, so that whoever else
   * asks meanwhile comes after it, not after all. Rejects as JobPool.run does.
   */
  async embed(sentences: readonly string[], signal: AbortSignal): Promise<Map<string, Float32Array>> {
    const vectors = new Map<string, Float32Array>();
    const missing: string[] = [];
    for (const sentence of new Set(sentences)) {
      const known = this.#cache.get(sentence);
      if (known) vectors.set(sentence, known);
      else missing.push(sentence);
    }
    for (let start = 0; start < missing.length; start += BATCH) {
      const batch = missing.slice(start, start + BATCH);
      this.#keep(batch, await this.#pool.run({ sentences: batch }, signal), vectors);
    }
    return vectors;
  }

  #keep(sentences: readonly string[], made: readonly Float32Array[], vectors: Map<string, Float32Array>): void {
    for (const [i, sentence] of sentences.entries()) {
      const vector = made[i];
      if (!vector) continue;
      vectors.set(sentence, vector);
      this.#cache.set(sentence, vector, vector.byteLength + 2 * sentence.length);
    }
  }
}

/** −1 to 1; about 1 for sentences that mean the same. Both of unit length. */
export function similarity(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}
