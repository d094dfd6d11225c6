/** How recognisers and synthesisers are tried out while callers are kept away from them. */
import type { Clock } from '../../core/clock.ts';
import type { BvraiError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { BYTES_PER_MS } from '../../media/call-port.ts';
import type { RouteEntry } from '../ports.ts';
import type { SttProvider, TtsProvider } from '../providers/spec.ts';
import type { Probe } from './health.ts';

interface ProbeDependencies {
  readonly clock: Clock;
  readonly log: Log;
}

const SILENCE_MS = 100;
const MULAW_SILENCE = 0xff;
const LANGUAGE = 'en';

/** Opens a stream and gives it a little silence: a recogniser that takes the connection is well. */
export function sttProbe(provider: SttProvider, entry: RouteEntry, deps: ProbeDependencies): Probe {
  return (done, signal, connecting) => {
    const finish = onceOnly(done, () => stream.close());
    const request = { model: entry.model, options: entry.options, language: LANGUAGE, phrases: [] };
    const stream = provider.open(request, (part) => finish(part.type === 'stream-failed' ? part.error : undefined), {
      ...deps,
      signal,
      connecting,
    });
    stream.write(new Uint8Array(SILENCE_MS * BYTES_PER_MS).fill(MULAW_SILENCE));
  };
}

/** Has one word spoken: the first of its audio is health. */
export function ttsProbe(provider: TtsProvider, entry: RouteEntry, deps: ProbeDependencies): Probe {
  return (done, signal, connecting) => {
    const finish = onceOnly(done, () => stream.close());
    const request = { model: entry.model, voice: entry.voice, options: entry.options, language: LANGUAGE };
    const stream = provider.open(request, (part) => finish('error' in part ? part.error : undefined), {
      ...deps,
      signal,
      connecting,
    });
    stream.speak('probe', 'Yes.');
    stream.finish('probe');
  };
}

function onceOnly(done: (error?: BvraiError) => void, close: () => void): (error: BvraiError | undefined) => void {
  let over = false;
  return (error) => {
    if (over) return;
    over = true;
    close();
    done(error);
  };
}
