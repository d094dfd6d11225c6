/** The embedded engines: the whole pipeline without a key or a service. They stand last in every route. */
import type { Clock, Timer } from '../../../core/clock.ts';
import { BvraiError } from '../../../core/errors.ts';
import type { Log } from '../../../core/log.ts';
import type { LlmProvider, QuestionAndAnswer, SttProvider, TtsProvider } from '../spec.ts';
import { createRecogniser } from './recogniser.ts';
import { createResponder } from './responder.ts';
import { createSynthesiser } from './synthesiser.ts';

export interface EmbeddedEngineOptions {
  readonly log: Log;
  readonly clock: Clock;
}

/** One set serves all calls of the process. */
export interface EmbeddedEngines {
  readonly stt: SttProvider;
  readonly llm: LlmProvider;
  readonly tts: TtsProvider;
  /** Loads all engines ahead of the first call, which would else wait for them. Rejects with `engine.unavailable` if one cannot start. */
  warm(): Promise<void>;
  /** Learns an agent's questions ahead of its first call. */
  prepare(questionsAndAnswers: readonly QuestionAndAnswer[]): Promise<void>;
  /** Ends all worker threads. Streams that are still open fail. */
  close(): Promise<void>;
}

/** They load in seconds, on a machine that has little else to do. */
const START_DEADLINE_MS = 120_000;

/** Starts nothing yet: threads start with `warm`, or with the first stream. */
export function createEmbeddedEngines(options: EmbeddedEngineOptions): EmbeddedEngines {
  const { clock } = options;
  const log = options.log.child({ part: 'embedded' });
  const stt = createRecogniser({ log, clock });
  const llm = createResponder({ log, clock });
  const tts = createSynthesiser({ log, clock });
  const timed = async (engine: string, start: () => Promise<void>) => {
    const startMs = clock.nowMs();
    await withinDeadline(clock, engine, start());
    log.info({ engine, startupMs: Math.round(clock.nowMs() - startMs) }, 'embedded engine ready');
  };
  return {
    stt,
    llm,
    tts,
    async warm() {
      await Promise.all([
        timed('recogniser', () => stt.warm()),
        timed('synthesiser', () => tts.warm()),
        timed('responder', () => llm.warm()),
      ]);
    },
    prepare: (questionsAndAnswers) => llm.prepare(questionsAndAnswers),
    async close() {
      await Promise.all([stt.close(), llm.close(), tts.close()]);
    },
  };
}

/** A worker that hangs while it loads says nothing: whoever waits for it must not wait for ever. */
async function withinDeadline(clock: Clock, engine: string, starting: Promise<void>): Promise<void> {
  let timer: Timer | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = clock.after(START_DEADLINE_MS, () =>
      reject(new BvraiError('engine.unavailable', `The ${engine} did not start within ${START_DEADLINE_MS} ms.`)),
    );
  });
  try {
    await Promise.race([starting, late]);
  } finally {
    timer?.cancel();
  }
}
