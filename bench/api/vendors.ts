/** The emulated vendors as a process of their own, so that what they do delays no phone: forked by {@link startVendors}. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { startDeepgramEmulator } from '../emulators/deepgram.ts';
import { startElevenLabsEmulator } from '../emulators/elevenlabs.ts';
import { startOpenAiEmulator } from '../emulators/openai.ts';
import { vendorEnvironment } from '../vendor-environment.ts';

/** About twenty seconds of speech. */
const ANSWER = [
  'We open at nine in the morning and close at ten in the evening.',
  'On Sundays and on public holidays we open at ten.',
  'The kitchen takes orders until half past nine, and the bar a little longer than that.',
  'Breakfast is served from seven to eleven in the room beside the garden.',
  'If you come later than midnight, please ring the bell at the side entrance.',
].join(' ');

const ready = z.object({ environment: z.record(z.string(), z.string()) });

export interface Vendors {
  /** What makes a server use them. */
  readonly environment: Readonly<Record<string, string>>;
  readonly pid: number | undefined;
  close(): Promise<void>;
}

export async function startVendors(): Promise<Vendors> {
  const child = fork(fileURLToPath(import.meta.url), { serialization: 'json' });
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const { environment } = await new Promise<z.infer<typeof ready>>((resolve, reject) => {
    child.once('message', (message) => resolve(ready.parse(message)));
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the emulated vendors ended with code ${code}`)));
  });
  return {
    environment,
    pid: child.pid,
    close: () => {
      if (child.connected) child.disconnect();
      return gone;
    },
  };
}

/** In the child. Runs until the parent disconnects. */
async function serve(): Promise<void> {
  const deepgram = await startDeepgramEmulator({ transcripts: ['When do you open?'], finalDelayMs: 250 });
  const openai = await startOpenAiEmulator({ reply: [{ reply: ANSWER }], firstTokenMs: 350, interTokenMs: 10 });
  const elevenlabs = await startElevenLabsEmulator({ firstAudioMs: 150 });
  process.once('disconnect', () => process.exit());
  process.send?.({ environment: vendorEnvironment({ deepgram, openai, elevenlabs }) });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await serve();
