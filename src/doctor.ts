/**
 * `npm run doctor`: asks every configured provider for one tiny thing, through the adapters that calls use, and says how long it
 * took or what is wrong. The embedded engines, which stand last in every route, are asked too.
 */
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { loadConfig } from './config.ts';
import type { Config } from './config.ts';
import { systemClock } from './core/clock.ts';
import { BvraiError } from './core/errors.ts';
import type { ErrorCode } from './core/errors.ts';
import { silentLog } from './core/log.ts';
import { createEmbeddedEngines } from './pipeline/providers/embedded/index.ts';
import type {
  LlmCapabilities,
  LlmProvider,
  StreamContext,
  SttCapabilities,
  SttProvider,
  TtsCapabilities,
  TtsProvider,
} from './pipeline/providers/spec.ts';
import { CLOUD_VENDORS, createCloudProviders } from './providers.ts';

/** What became of one provider's tiny request. */
export interface Diagnosis {
  readonly provider: string;
  readonly stage: 'stt' | 'llm' | 'tts';
  /** What it can do, as its adapter says; nothing of one that is not configured. */
  readonly abilities: readonly string[];
  readonly outcome:
    | { readonly type: 'healthy'; readonly latencyMs: number; readonly until: 'transcript' | 'token' | 'byte' }
    | { readonly type: 'sick'; readonly error: BvraiError }
    | { readonly type: 'not-configured'; readonly variable: string };
}

type Capabilities = SttCapabilities & LlmCapabilities & TtsCapabilities;

const ABILITIES: Readonly<Record<keyof Capabilities, string>> = {
  mulawIn: 'takes μ-law',
  mulawOut: 'gives μ-law',
  wordTimes: 'word times',
  eagerEndOfTurn: 'eager end of turn',
  decidesTurns: 'decides turns',
  tools: 'tools',
  openEnded: 'open-ended',
  contexts: 'several utterances at a time',
};

/** Whoever takes longer would be of no use on the telephone. */
const DEFAULT_DEADLINE_MS = 10_000;
const SPOKEN = 'Hello there.';
const FRAME_MS = 20;
const FRAME_BYTES = 160;
/** After the words, so that every recogniser knows that they are over. */
const SILENCE_MS = 2_000;

/** Beside what the error itself advises. */
const ADVICE: Partial<Record<ErrorCode, string>> = {
  'provider.rate-limited': "The account's limit is reached: wait, or ask the vendor for more.",
  'provider.overloaded': 'The vendor is in trouble: see its status page; calls go to the next provider of the route.',
  'provider.unavailable': 'Nobody answers there: check the base URL, DNS and the firewall.',
  'provider.timeout-connect': 'No connection came about: check the base URL and the firewall.',
  'provider.timeout-first': 'It took the request and said nothing: see its status page.',
  'provider.timeout-gap': 'It stopped half-way: see its status page.',
  'provider.closed': 'It hung up: see its status page.',
  'provider.protocol': 'What answers is not the vendor: check the base URL.',
};

/** Asks everybody, all vendors at the same time. Never rejects for a provider's sake. */
export async function examine(config: Config, deadlineMs = DEFAULT_DEADLINE_MS): Promise<readonly Diagnosis[]> {
  const cloud = createCloudProviders(config);
  const embedded = createEmbeddedEngines({ log: silentLog, clock: systemClock });
  try {
    // A cold start takes longer than any answer; an engine that cannot start says so again below.
    await embedded.warm().catch(() => {});
    const spoken: Uint8Array[] = [];
    const tts = [await checkTts(embedded.tts, deadlineMs, (audio) => spoken.push(audio))];
    const words = Buffer.concat(spoken);
    const [stt, llm, others] = await Promise.all([
      Promise.all([embedded.stt, ...cloud.stt].map((provider) => checkStt(provider, words, deadlineMs))),
      Promise.all([embedded.llm, ...cloud.llm].map((provider) => checkLlm(provider, deadlineMs))),
      Promise.all(cloud.tts.map((provider) => checkTts(provider, deadlineMs))),
    ]);
    return [...stt, ...llm, ...tts, ...others, ...notConfigured(config)];
  } finally {
    await Promise.all([cloud.close(), embedded.close()]);
  }
}

function notConfigured(config: Config): Diagnosis[] {
  const vendors = ['deepgram', 'openai', 'anthropic', 'elevenlabs'] as const;
  return vendors
    .filter((vendor) => config[vendor] === undefined)
    .flatMap((provider) => {
      const { variable, stages } = CLOUD_VENDORS[provider];
      return stages.map((stage): Diagnosis => ({
        provider,
        stage,
        abilities: [],
        outcome: { type: 'not-configured', variable },
      }));
    });
}

type Answer =
  | { readonly type: 'healthy'; readonly latencyMs: number }
  | { readonly type: 'sick'; readonly error: BvraiError };

/** Runs one check, which settles by what it calls, until the deadline. */
async function within(
  provider: string,
  deadlineMs: number,
  run: (context: StreamContext, settle: (answer: Answer) => void) => void,
): Promise<Answer> {
  const controller = new AbortController();
  const context = { log: silentLog, clock: systemClock, signal: controller.signal };
  try {
    return await new Promise<Answer>((resolve) => {
      const timer = systemClock.after(deadlineMs, () => {
        const message = `${provider} gave no answer in ${deadlineMs} ms.`;
        resolve({ type: 'sick', error: new BvraiError('provider.timeout-first', message, { details: { provider } }) });
      });
      controller.signal.addEventListener('abort', () => timer.cancel(), { once: true });
      run(context, resolve);
    });
  } catch (thrown) {
    return { type: 'sick', error: BvraiError.from(thrown) };
  } finally {
    controller.abort();
  }
}

function silent(provider: string, what: string): Answer {
  const error = new BvraiError('provider.protocol', `${provider} finished without ${what}.`, { details: { provider } });
  return { type: 'sick', error };
}

function diagnosis(
  { name: provider, capabilities = {} }: { readonly name: string; readonly capabilities?: Capabilities | undefined },
  stage: Diagnosis['stage'],
  answer: Answer,
  until: 'transcript' | 'token' | 'byte',
): Diagnosis {
  const able = new Set(Object.entries(capabilities).flatMap(([name, can]) => (can ? [name] : [])));
  const abilities = Object.entries(ABILITIES).flatMap(([name, ability]) => (able.has(name) ? [ability] : []));
  return { provider, stage, abilities, outcome: answer.type === 'healthy' ? { ...answer, until } : answer };
}

async function checkLlm(provider: LlmProvider, deadlineMs: number): Promise<Diagnosis> {
  const request = {
    messages: [{ role: 'user', content: 'hello' }],
    questionsAndAnswers: [{ questions: ['hello'], answer: 'Hello.' }],
    maxOutputTokens: 16,
  } as const;
  const answer = await within(provider.name, deadlineMs, (context, settle) => {
    const startMs = systemClock.nowMs();
    let latencyMs: number | undefined;
    provider.generate(
      request,
      (part) => {
        if (part.type === 'text-delta') latencyMs ??= systemClock.nowMs() - startMs;
        else if (part.type === 'generation-failed') settle({ type: 'sick', error: part.error });
        else if (part.type === 'generation-finished') {
          settle(latencyMs === undefined ? silent(provider.name, 'a word') : { type: 'healthy', latencyMs });
        }
      },
      context,
    );
  });
  return diagnosis(provider, 'llm', answer, 'token');
}

async function checkTts(
  provider: TtsProvider,
  deadlineMs: number,
  onAudio: (audio: Uint8Array) => void = () => {},
): Promise<Diagnosis> {
  const answer = await within(provider.name, deadlineMs, (context, settle) => {
    let latencyMs: number | undefined;
    const startMs = systemClock.nowMs();
    const stream = provider.open(
      { language: 'en' },
      (part) => {
        if (part.type === 'audio-chunk') {
          latencyMs ??= systemClock.nowMs() - startMs;
          onAudio(part.audio);
        } else if (part.type === 'utterance-failed' || part.type === 'stream-failed') {
          settle({ type: 'sick', error: part.error });
        } else settle(latencyMs === undefined ? silent(provider.name, 'a sound') : { type: 'healthy', latencyMs });
      },
      context,
    );
    stream.speak('doctor', SPOKEN);
    stream.finish('doctor');
  });
  return diagnosis(provider, 'tts', answer, 'byte');
}

/** Says the words at the pace of a call, then nothing; from the last sound to a final transcript with words. */
async function checkStt(provider: SttProvider, words: Uint8Array, deadlineMs: number): Promise<Diagnosis> {
  const frames = Math.ceil((words.length + SILENCE_MS * 8) / FRAME_BYTES);
  const wordFrames = Math.ceil(words.length / FRAME_BYTES);
  // It cannot answer before it has been told all.
  const answer = await within(provider.name, deadlineMs + wordFrames * FRAME_MS, (context, settle) => {
    if (words.length === 0) return settle(silent('embedded', 'a sound, so there is nothing to recognise'));
    let endMs = systemClock.nowMs();
    const stream = provider.open(
      { language: 'en', phrases: [SPOKEN] },
      (part) => {
        if (part.type === 'stream-failed') settle({ type: 'sick', error: part.error });
        else if ((part.type === 'transcript-final' || part.type === 'turn-ended') && part.text !== '') {
          settle({ type: 'healthy', latencyMs: Math.max(0, systemClock.nowMs() - endMs) });
        }
      },
      context,
    );
    const startMs = systemClock.nowMs();
    const say = (frame: number): void => {
      if (context.signal.aborted || frame === frames) return;
      if (frame === 0) stream.hint('speech-started');
      const audio = Buffer.alloc(FRAME_BYTES, 0xff);
      audio.set(words.subarray(frame * FRAME_BYTES, (frame + 1) * FRAME_BYTES));
      stream.write(audio);
      if (frame + 1 === wordFrames) endMs = systemClock.nowMs();
      // As the local voice detector would say it.
      if (frame === wordFrames + 10) stream.hint('speech-ended');
      context.clock.after(startMs + (frame + 1) * FRAME_MS - systemClock.nowMs(), () => say(frame + 1));
    };
    say(0);
  });
  return diagnosis(provider, 'stt', answer, 'transcript');
}

/** The findings as a table, worst explained; of the healthy, what they can do. */
export function report(diagnoses: readonly Diagnosis[]): string {
  const row = (provider: string, stage: string, result: string) => `${provider.padEnd(12)}${stage.padEnd(7)}${result}`;
  return [
    row('provider', 'stage', 'result'),
    ...diagnoses.map((each) => row(each.provider, each.stage, resultOf(each))),
  ]
    .join('\n')
    .concat('\n');
}

function resultOf({ outcome, abilities }: Diagnosis): string {
  switch (outcome.type) {
    case 'healthy':
      return [`${Math.round(outcome.latencyMs)} ms to the first ${outcome.until}`, ...abilities].join(', ');
    case 'not-configured':
      return `not configured (${outcome.variable})`;
    case 'sick': {
      const { code, message, retryAfterMs, details } = outcome.error;
      const vendor = details['vendorMessage'];
      const said = typeof vendor === 'string' ? ` It says: ${vendor}` : '';
      const wait = retryAfterMs === undefined ? '' : ` It asks to wait ${Math.ceil(retryAfterMs / 1000)} s.`;
      return `FAILED (${code}) ${message}${said}${wait} ${ADVICE[code] ?? ''}`.trimEnd();
    }
  }
}

/** Exit code 1 if any that is configured failed. */
async function main(): Promise<void> {
  const diagnoses = await examine(loadConfig());
  process.stdout.write(report(diagnoses));
  process.exitCode = diagnoses.some(({ outcome }) => outcome.type === 'sick') ? 1 : 0;
}

const invokedAs = process.argv[1];
if (invokedAs !== undefined && realpathSync(invokedAs) === fileURLToPath(import.meta.url)) {
  main().catch((thrown: unknown) => {
    const error = BvraiError.from(thrown);
    process.stderr.write(`The doctor cannot start (${error.code}). ${error.message}\n`);
    process.exitCode = 1;
  });
}
