/** Pairs of emulated vendors behind a real route, for one answer each: the first may have a fault, the second is well. */
import { decodeMulaw } from '../../bench/emulators/mulaw.ts';
import { startAnthropicEmulator } from '../../bench/emulators/anthropic.ts';
import { startDeepgramEmulator } from '../../bench/emulators/deepgram.ts';
import { startElevenLabsEmulator } from '../../bench/emulators/elevenlabs.ts';
import { startOpenAiEmulator } from '../../bench/emulators/openai.ts';
import type { Faults } from '../../bench/emulators/faults.ts';
import type { Emulator } from '../../bench/emulators/server.ts';
import { decodeToneSpeech } from '../../bench/emulators/tone-speech.ts';
import { systemClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import { createAnthropicLlm } from '../../src/pipeline/providers/anthropic/llm.ts';
import { createDeepgramStt } from '../../src/pipeline/providers/deepgram/stt.ts';
import { createDeepgramTts } from '../../src/pipeline/providers/deepgram/tts.ts';
import { createElevenLabsTts } from '../../src/pipeline/providers/elevenlabs/tts.ts';
import type { HttpConnections } from '../../src/pipeline/providers/http-connections.ts';
import { createOpenAiLlm } from '../../src/pipeline/providers/openai/llm.ts';
import { createOpenAiStt } from '../../src/pipeline/providers/openai/realtime-stt.ts';
import { createOpenAiTts } from '../../src/pipeline/providers/openai/tts.ts';
import type { LlmProvider, StreamContext, SttProvider, TtsProvider } from '../../src/pipeline/providers/spec.ts';
import type { RouteEntry } from '../../src/pipeline/ports.ts';
import { ProvidersHealth } from '../../src/pipeline/router/health.ts';
import { llmRoute } from '../../src/pipeline/router/llm-route.ts';
import type { Candidate } from '../../src/pipeline/router/route.ts';
import { sttRoute } from '../../src/pipeline/router/stt-route.ts';
import type { Stage } from '../../src/pipeline/router/times.ts';
import { ttsRoute } from '../../src/pipeline/router/tts-route.ts';
import { silence, sleep, speech, until } from '../providers/harness.ts';
import type { FaultCell } from './faults.ts';

/** What came of one answer. */
export interface Outcome {
  /** What the caller got: letters at the ear, words of the transcript, or the model's text. */
  readonly got: string;
  readonly expected: string;
  /**
   * From the request, or the end of the caller's speech, to the end of the answer; of a voice, how long the ear has waited in
   * all, before it and in its gaps.
   */
  readonly doneAfterMs: number;
  /** Who served to the end. */
  readonly servedBy: string;
  /** Why the first did not. */
  readonly code: string;
}

/** One primary and one secondary of a stage. */
export interface VendorPair {
  readonly name: string;
  readonly stage: Stage;
  /** The vendors differ where a half said word ends: to the letter, or to the nearest word. */
  readonly joint: 'letter' | 'word';
  run(cell: FaultCell | undefined, connections: HttpConnections): Promise<Outcome>;
}

/** All of these are small beside the tolerance of the bound: what is measured is the router. */
const FIRST_MS = 30;
const TOKEN_MS = 5;
/** Speech is made this much faster than it is heard. */
const SPEED = 8;
export const ANSWER =
  'We are open from nine to five on weekdays, and on Saturdays until noon. Shall I book a table for you?';
const CLAUSES = [
  'We are open from nine to five on weekdays, and on Saturdays until noon. ',
  'Shall I book a table for you?',
];
const WARM_UP = 'Good morning, this is Ada speaking. How can I help you today? We have tables for two and for four.';
const SENTENCES = ['Good morning to you.', 'I want a table for two.'] as const;
const SPEECH_MS = 1_200;
/** Connections after which a vendor is known. */
const KNOWN_BY = 20;
const FRAME_MS = 20;
/** The local detector is this late with an onset, and with an end. */
const ONSET_LAG_MS = 200;
const END_LAG_MS = 200;

interface Closing {
  close(): Promise<void>;
}

/** What one run opens, and what its route tells. */
class Bench {
  readonly scope = new AbortController();
  readonly health = new ProvidersHealth({ clock: systemClock, log: silentLog, random: () => 0 });
  readonly switches: { readonly to: string; readonly code: string }[] = [];
  readonly context: StreamContext = {
    clock: systemClock,
    log: silentLog,
    signal: this.scope.signal,
    onSwitch: ({ to, code }) => this.switches.push({ to, code }),
  };
  readonly #opened: Closing[] = [];
  readonly #emulators: Emulator[] = [];
  readonly #known: boolean;

  /** `known`: its vendors have taken many connections before, each within milliseconds. */
  constructor(known: boolean) {
    this.#known = known;
  }

  own<Running extends Closing>(running: Running): Running {
    this.#opened.push(running);
    return running;
  }

  async emulator<Running extends Emulator>(starting: Promise<Running>): Promise<Running> {
    const running = this.own(await starting);
    this.#emulators.push(running);
    return running;
  }

  candidate<Provider extends { readonly name: string }>(
    stage: Stage,
    provider: Provider,
    entry: Partial<RouteEntry> = {},
  ): Candidate<Provider> {
    const named = { ...entry, provider: provider.name };
    const health = this.health.of(stage, named);
    if (this.#known) for (let sample = 0; sample < KNOWN_BY; sample++) health.connecting.connection.took(20);
    return { provider, entry: named, health };
  }

  outcome(primary: string, expected: string, got: string, doneAfterMs: number): Outcome {
    const last = this.switches.at(-1);
    return { got, expected, doneAfterMs, servedBy: last?.to ?? primary, code: this.switches[0]?.code ?? '' };
  }

  /** Every socket of a stream is gone; the kept-alive ones of HTTP rest. */
  async quiet(): Promise<void> {
    const busy = (): number => this.#emulators.reduce((sum, { activeRequests }) => sum + activeRequests, 0);
    await until('no request is left', () => busy() === 0);
  }

  async close(): Promise<void> {
    this.scope.abort();
    this.health.close();
    for (const running of this.#opened.splice(0).toReversed()) await running.close();
  }
}

async function onBench(cell: FaultCell | undefined, run: (bench: Bench) => Promise<Outcome>): Promise<Outcome> {
  const bench = new Bench(cell?.known === true);
  try {
    return await run(bench);
  } finally {
    await bench.close();
  }
}

// --- Models ---------------------------------------------------------------------------------------------------

/** As a well-behaved model: what was broken off goes on with its last three words. */
function replyAfter(said: string | undefined): string {
  if (said === undefined) return ANSWER;
  const words = said.trim().split(/\s+/u);
  const repeated = words.slice(-3).join(' ');
  return `${repeated}${ANSWER.slice(said.length)}`;
}

interface LlmVendor {
  readonly name: string;
  start(bench: Bench, faults: Faults, connections: HttpConnections): Promise<LlmProvider>;
}

const openAiChat: LlmVendor = {
  name: 'openai',
  async start(bench, faults, connections) {
    const emulator = await bench.emulator(
      startOpenAiEmulator({
        firstTokenMs: FIRST_MS,
        interTokenMs: TOKEN_MS,
        faults,
        reply: (messages) => replyAfter(messages.findLast(({ role }) => role === 'assistant')?.content ?? undefined),
      }),
    );
    return bench.own(createOpenAiLlm({ apiKey: emulator.settings.apiKey, baseUrl: emulator.url, connections }));
  },
};

const anthropic: LlmVendor = {
  name: 'anthropic',
  async start(bench, faults, connections) {
    const emulator = await bench.emulator(
      startAnthropicEmulator({
        firstTokenMs: FIRST_MS,
        interTokenMs: TOKEN_MS,
        faults,
        reply: (messages) => {
          const said = messages.findLast(({ role }) => role === 'assistant')?.content;
          return replyAfter(said?.map((block) => ('text' in block ? block.text : '')).join(''));
        },
      }),
    );
    return bench.own(createAnthropicLlm({ apiKey: emulator.settings.apiKey, baseUrl: emulator.url, connections }));
  },
};

export function llmPair(first: LlmVendor, second: LlmVendor): VendorPair {
  return {
    name: `${first.name} → ${second.name}`,
    stage: 'llm',
    joint: 'letter',
    run: (cell, connections) =>
      onBench(cell, async (bench) => {
        const route = llmRoute(
          [
            bench.candidate('llm', await first.start(bench, cell?.faults ?? {}, connections), { model: 'm1' }),
            bench.candidate('llm', await second.start(bench, {}, connections), { model: 'm2' }),
          ],
          () => 0,
        );
        const startMs = performance.now();
        let got = '';
        const failed = await new Promise<string | undefined>((resolve) => {
          route.generate(
            {
              messages: [{ role: 'user', content: 'When are you open?' }],
              questionsAndAnswers: [],
              maxOutputTokens: 200,
            },
            (part) => {
              if (part.type === 'text-delta') got += part.text;
              if (part.type === 'generation-finished') resolve(undefined);
              if (part.type === 'generation-failed') resolve(part.error.message);
            },
            bench.context,
          );
        });
        const doneAfterMs = performance.now() - startMs;
        await bench.quiet();
        return bench.outcome(first.name, ANSWER, failed ?? got, doneAfterMs);
      }),
  };
}

// --- Voices ---------------------------------------------------------------------------------------------------

interface TtsVendor {
  readonly name: string;
  readonly aligned: boolean;
  readonly voice: string;
  /** The emulator's faults are set by `strike`, so that the voice's pace can be learned before. */
  start(
    bench: Bench,
    connections: HttpConnections,
  ): Promise<{ provider: TtsProvider; strike: (faults: Faults) => void }>;
}

const striker =
  (emulator: Emulator) =>
  (faults: Faults): void => {
    emulator.settings.faults = faults;
  };

const elevenLabs: TtsVendor = {
  name: 'elevenlabs',
  aligned: true,
  voice: 'v',
  async start(bench, connections) {
    const emulator = await bench.emulator(startElevenLabsEmulator({ firstAudioMs: FIRST_MS, speed: SPEED }));
    const { apiKey } = emulator.settings;
    return { provider: createElevenLabsTts({ apiKey, baseUrl: emulator.url, connections }), strike: striker(emulator) };
  },
};

const aura: TtsVendor = {
  name: 'deepgram',
  aligned: false,
  voice: 'aura-2-thalia-en',
  async start(bench) {
    const emulator = await bench.emulator(startDeepgramEmulator({ auraFirstAudioMs: FIRST_MS, auraSpeed: SPEED }));
    const { apiKey } = emulator.settings;
    return { provider: createDeepgramTts({ apiKey, baseUrl: emulator.url }), strike: striker(emulator) };
  },
};

const openAiSpeech: TtsVendor = {
  name: 'openai',
  aligned: false,
  voice: 'alloy',
  async start(bench, connections) {
    const emulator = await bench.emulator(startOpenAiEmulator({ speechFirstAudioMs: FIRST_MS, speechSpeed: SPEED }));
    const { apiKey } = emulator.settings;
    return { provider: createOpenAiTts({ apiKey, baseUrl: emulator.url, connections }), strike: striker(emulator) };
  },
};

export function ttsPair(first: TtsVendor, second: TtsVendor): VendorPair {
  return {
    name: `${first.name} → ${second.name === 'deepgram' ? 'aura' : second.name}`,
    stage: 'tts',
    joint: first.aligned ? 'letter' : 'word',
    run: (cell, connections) =>
      onBench(cell, async (bench) => {
        const primary = await first.start(bench, connections);
        const secondary = await second.start(bench, connections);
        const route = ttsRoute(
          [
            bench.candidate('tts', primary.provider, { voice: first.voice }),
            bench.candidate('tts', secondary.provider, { voice: second.voice }),
          ],
          () => 0,
        );
        // Where words are not aligned the joint is found by the voice's pace, as after a greeting.
        if (!first.aligned) await speak(route, bench.context, [WARM_UP]);
        primary.strike(cell?.faults ?? {});
        const { got, doneAfterMs } = await speak(route, bench.context, CLAUSES);
        await bench.quiet();
        return bench.outcome(first.name, ANSWER, got, doneAfterMs);
      }),
  };
}

/** One utterance on a stream of its own, played as it comes. */
async function speak(
  route: TtsProvider,
  context: StreamContext,
  clauses: readonly string[],
): Promise<{ got: string; doneAfterMs: number }> {
  const startMs = performance.now();
  const heard: Uint8Array[] = [];
  let earEndMs = startMs;
  let stop = (): void => {};
  const failed = await new Promise<string | undefined>((resolve) => {
    const stream = route.open(
      { language: 'en' },
      (part) => {
        if (part.type === 'audio-chunk') {
          heard.push(part.audio);
          earEndMs = Math.max(earEndMs, performance.now()) + part.audio.length / 8;
        }
        if (part.type === 'utterance-finished') resolve(undefined);
        if (part.type === 'utterance-failed' || part.type === 'stream-failed') resolve(part.error.message);
      },
      context,
    );
    stop = () => stream.close();
    for (const clause of clauses) stream.speak('u', clause);
    stream.finish('u');
  });
  stop();
  const got = decodeToneSpeech(decodeMulaw(Buffer.concat(heard))).text;
  const heardMs = heard.reduce((sum, audio) => sum + audio.length / 8, 0);
  return { got: failed ?? got, doneAfterMs: earEndMs - startMs - heardMs };
}

// --- Recognisers ----------------------------------------------------------------------------------------------

interface SttVendor {
  readonly name: string;
  readonly model?: string;
  start(
    bench: Bench,
    sentences: readonly string[],
  ): Promise<{ provider: SttProvider; strike: (faults: Faults) => void }>;
}

const said = (sentences: readonly string[]): { text: string; speechMs: number }[] =>
  sentences.map((text) => ({ text, speechMs: SPEECH_MS }));

const deepgram = (model?: string): SttVendor => ({
  name: 'deepgram',
  ...(model === undefined ? {} : { model }),
  async start(bench, sentences) {
    const emulator = await bench.emulator(
      startDeepgramEmulator({ transcripts: said(sentences), finalDelayMs: FIRST_MS, interimDelayMs: FIRST_MS }),
    );
    const { apiKey } = emulator.settings;
    return { provider: createDeepgramStt({ apiKey, baseUrl: emulator.url }), strike: striker(emulator) };
  },
});

const openAiRealtime: SttVendor = {
  name: 'openai',
  async start(bench, sentences) {
    const emulator = await bench.emulator(
      startOpenAiEmulator({ transcripts: said(sentences), transcriptDelayMs: FIRST_MS, liveDelayMs: FIRST_MS }),
    );
    const { apiKey } = emulator.settings;
    return { provider: createOpenAiStt({ apiKey, baseUrl: emulator.url }), strike: striker(emulator) };
  },
};

export function sttPair(first: SttVendor, second: SttVendor): VendorPair {
  return {
    name: `${first.model ?? first.name} → ${second.name}`,
    stage: 'stt',
    joint: 'letter',
    run: (cell) => onBench(cell, (bench) => recognise(first, second, bench, cell)),
  };
}

/** A caller says one sentence, then another; a fault strikes before the first, or while the second is being said. */
async function recognise(
  first: SttVendor,
  second: SttVendor,
  bench: Bench,
  cell: FaultCell | undefined,
): Promise<Outcome> {
  const primary = await first.start(bench, SENTENCES);
  // It hears either both, or the second alone: of which the first must not be part.
  const secondary = await second.start(bench, cell?.midway === true ? SENTENCES.slice(1) : SENTENCES);
  const route = sttRoute(
    [
      bench.candidate('stt', primary.provider, { model: first.model }),
      bench.candidate('stt', secondary.provider, { model: second.model }),
    ],
    () => 0,
  );
  if (cell?.midway === false) primary.strike(cell.faults);
  const told: string[] = [];
  const stream = route.open(
    { language: 'en', phrases: [] },
    (part) => {
      if (part.type === 'transcript-final' && part.text !== '') told.push(part.text);
      if (part.type === 'turn-ended' && part.text !== '') told.push(part.text);
      if (part.type === 'stream-failed') told.push(part.error.message);
    },
    bench.context,
  );
  const line = new Line((audio) => stream.write(audio));
  const whole = SENTENCES.join(' ');
  let doneAfterMs = 0;
  for (const index of SENTENCES.keys()) {
    await line.say(speech(ONSET_LAG_MS));
    stream.hint('speech-started');
    await line.say(speech(SPEECH_MS / 2 - ONSET_LAG_MS));
    if (index === 1 && cell?.midway === true) primary.strike(cell.faults);
    await line.say(speech(SPEECH_MS / 2));
    const endedAtMs = performance.now();
    await line.say(silence(END_LAG_MS));
    stream.hint('speech-ended');
    const soFar = SENTENCES.slice(0, index + 1).join(' ');
    await line.until(() => told.join(' ').length >= soFar.length);
    doneAfterMs = Math.max(doneAfterMs, performance.now() - endedAtMs);
    await line.say(silence(300));
  }
  stream.close();
  await bench.quiet();
  return bench.outcome(first.name, whole, told.join(' '), doneAfterMs);
}

/** The caller's microphone: sends in real time, silence included. */
class Line {
  readonly #write: (audio: Uint8Array) => void;
  #dueMs = performance.now();

  constructor(write: (audio: Uint8Array) => void) {
    this.#write = write;
  }

  async say(audio: Uint8Array): Promise<void> {
    for (let at = 0; at < audio.length; at += FRAME_MS * 8) {
      this.#dueMs += FRAME_MS;
      await sleep(Math.max(0, this.#dueMs - performance.now()));
      this.#write(audio.subarray(at, at + FRAME_MS * 8));
    }
  }

  /** Silent until then, at most five seconds. */
  async until(condition: () => boolean): Promise<void> {
    for (let waitedMs = 0; waitedMs < 5_000 && !condition(); waitedMs += FRAME_MS) await this.say(silence(FRAME_MS));
  }
}

export const PAIRS: readonly VendorPair[] = [
  sttPair(deepgram(), openAiRealtime),
  sttPair(deepgram('flux-general-en'), openAiRealtime),
  llmPair(openAiChat, anthropic),
  llmPair(anthropic, openAiChat),
  ttsPair(elevenLabs, aura),
  ttsPair(openAiSpeech, aura),
  ttsPair(aura, elevenLabs),
];
