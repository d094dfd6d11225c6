/** Worker thread of the embedded synthesiser: loads Flite once, then speaks one clause at a time. */
import { parentPort } from 'node:worker_threads';
import { runFlite } from './flite.ts';
import type { JobMessage, JobReply } from './job-pool.ts';
import { loadFlite } from './load-flite.ts';
import { toTelephoneSpeech } from './telephone-speech.ts';
import type { ClauseJob, ClauseSpeech } from './telephone-speech.ts';

const port = parentPort;
if (port) {
  const module = await loadFlite();
  const reply = (message: JobReply<ClauseSpeech>, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);

  port.on('message', ({ jobId, job }: JobMessage<ClauseJob>) => {
    try {
      const result = toTelephoneSpeech(runFlite(module, job.voice, job.spoken), job.text);
      reply({ type: 'done', jobId, result }, [result.audio.buffer]);
    } catch (error) {
      reply({ type: 'failed', jobId, reason: error instanceof Error ? error.message : String(error) });
    }
  });
  // The first run compiles the hot code: better now than in a call.
  runFlite(module, 'slt', 'Ready.');
  reply({ type: 'ready' });
}
