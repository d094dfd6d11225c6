/** What one seed's world is like: the agent's settings, the network, and which faults each provider has. */
import type { Random } from './random.ts';

export interface NetworkProfile {
  readonly toFarSideMs: number;
  readonly fromFarSideMs: number;
  /** On top of either, at random, in order. */
  readonly jitterMs: number;
  /** Per second: nothing passes for a while, then all at once. */
  readonly stallChance: number;
  readonly stallMs: number;
}

/** Probabilities per utterance, request or stream, as fits. */
export interface SttProfile {
  readonly model: 'finals' | 'turns';
  readonly latencyMs: number;
  /** The recogniser's own endpointing. */
  readonly endpointMs: number;
  readonly late: number;
  readonly duplicate: number;
  readonly reordered: number;
  readonly missingFinal: number;
  readonly emptyFinal: number;
  /** One that takes turns says where in the audio their words were. */
  readonly wordTimes: boolean;
  /** Does not answer a speech-ended hint. */
  readonly noAnswer: number;
  /** A word is not heard. */
  readonly deafToWord: number;
  /** The newest word of a guess is misheard, and right in the final. */
  readonly secondThoughts: number;
  /** Fails after this much audio; undefined: never. */
  readonly failsAfterMs: number | undefined;
  /** Says nothing any more after this much audio. */
  readonly muteAfterMs: number | undefined;
}

export interface LlmProfile {
  readonly firstMs: number;
  readonly tokenMs: number;
  readonly failsBefore: number;
  readonly failsAfter: number;
  readonly stallsBefore: number;
  readonly stallsAfter: number;
  readonly empty: number;
  readonly endless: number;
  readonly slow: number;
  readonly longReply: number;
  readonly endsCall: number;
  /** Calls a tool that nobody has offered. */
  readonly straysToTools: number;
}

export interface TtsProfile {
  readonly firstMs: number;
  /** Times faster than it is spoken. */
  readonly speed: number;
  readonly chunkMs: number;
  readonly spans: 'words' | 'clauses' | 'none' | 'partial';
  readonly failsBefore: number;
  readonly failsAfter: number;
  readonly stalls: number;
  readonly streamFails: number;
  readonly audioAfterCancel: number;
  readonly finishedTwice: number;
}

export interface Profile {
  readonly agent: Readonly<Record<string, unknown>>;
  readonly network: NetworkProfile;
  /** How the far side echoes marks. */
  readonly marks: 'echoed' | 'never' | 'lossy' | 'late';
  /** Per second: the far side does not take our audio for a while. */
  readonly congestionChance: number;
  readonly vadLateMs: number;
  readonly stt: readonly SttProfile[];
  readonly llm: readonly LlmProfile[];
  readonly tts: readonly TtsProfile[];
}

export const LEGAL_TEXT = 'This call is recorded for training and for quality.';
export const GREETING = 'Hello and welcome, this is the simulated agent. How may I help you today?';

const CALM_NETWORK: NetworkProfile = { toFarSideMs: 20, fromFarSideMs: 20, jitterMs: 0, stallChance: 0, stallMs: 0 };

const CALM_STT: SttProfile = {
  model: 'finals',
  latencyMs: 150,
  endpointMs: 300,
  late: 0,
  duplicate: 0,
  reordered: 0,
  missingFinal: 0,
  emptyFinal: 1,
  wordTimes: true,
  noAnswer: 0,
  deafToWord: 0,
  secondThoughts: 0,
  failsAfterMs: undefined,
  muteAfterMs: undefined,
};

const CALM_LLM: LlmProfile = {
  firstMs: 350,
  tokenMs: 20,
  failsBefore: 0,
  failsAfter: 0,
  stallsBefore: 0,
  stallsAfter: 0,
  empty: 0,
  endless: 0,
  slow: 0,
  longReply: 0.3,
  endsCall: 0,
  straysToTools: 0,
};

const CALM_TTS: TtsProfile = {
  firstMs: 120,
  speed: 6,
  chunkMs: 120,
  spans: 'words',
  failsBefore: 0,
  failsAfter: 0,
  stalls: 0,
  streamFails: 0,
  audioAfterCancel: 0,
  finishedTwice: 0,
};

/** Parts of a world that shrinking may calm, to see whether a failure needs them. */
export const CALMABLE = ['network', 'marks', 'congestion', 'vad', 'stt', 'llm', 'tts'] as const;
export type Calmable = (typeof CALMABLE)[number];

export function makeProfile(random: Random): Profile {
  return {
    agent: makeAgent(random),
    network: makeNetwork(random),
    marks: random.weighted([
      ['echoed', 6],
      ['never', 2],
      ['lossy', 1],
      ['late', 1],
    ]),
    congestionChance: random.chance(0.1) ? 0.05 : 0,
    vadLateMs: random.chance(0.3) ? random.between(5, 60) : 0,
    stt: makeStts(random),
    llm: [makeLlm(random), makeLlm(random), random.chance(0.5) ? CALM_LLM : makeLlm(random)],
    tts: makeTtss(random),
  };
}

/** The same world with the named parts free of faults. */
export function calmed(profile: Profile, parts: readonly Calmable[]): Profile {
  const has = (part: Calmable) => parts.includes(part);
  return {
    ...profile,
    ...(has('network') ? { network: CALM_NETWORK } : {}),
    ...(has('marks') ? { marks: 'echoed' as const } : {}),
    ...(has('congestion') ? { congestionChance: 0 } : {}),
    ...(has('vad') ? { vadLateMs: 0 } : {}),
    ...(has('stt') ? { stt: profile.stt.map(({ model }) => ({ ...CALM_STT, model })) } : {}),
    ...(has('llm')
      ? { llm: profile.llm.map(({ endsCall, straysToTools }) => ({ ...CALM_LLM, endsCall, straysToTools })) }
      : {}),
    ...(has('tts') ? { tts: profile.tts.map(() => CALM_TTS) } : {}),
  };
}

function makeAgent(random: Random): Record<string, unknown> {
  return {
    name: 'Simulated',
    first_message: random.chance(0.8) ? GREETING : '',
    end_call_phrases: ['goodbye'],
    goodbye_message: 'Thank you for calling. Goodbye.',
    max_duration_s: random.chance(0.25) ? random.int(15, 40) : 60,
    duration_warning_s: random.chance(0.5) ? 8 : 0,
    silence: { reminder_after_ms: random.int(4, 9) * 1_000, max_reminders: random.int(1, 2) },
    turn_taking: {
      interruptible_first_message: random.chance(0.8),
      barge_in_ms: random.pick([80, 120, 120, 200, 300]),
      barge_in_min_words: random.pick([1, 1, 1, 2]),
      false_alarm_ms: random.pick([600, 900, 900, 1_500]),
      cool_down_after: random.pick([0, 1, 2, 2]),
      cool_down_ms: random.pick([3_000, 10_000]),
      never_interrupt: random.chance(0.25) ? [LEGAL_TEXT] : [],
      end_of_turn_silence_ms: random.pick([200, 200, 400, 700]),
      filler_after_ms: random.pick([1_200, 2_000, 3_000]),
      turn_deadline_ms: random.pick([2_500, 4_000, 6_000]),
      speculation: {
        enabled: random.chance(0.75),
        max_tries: random.pick([1, 2, 2, 3]),
        wasted_token_budget: random.pick([2_000, 2_000, 15]),
      },
    },
  };
}

function makeNetwork(random: Random): NetworkProfile {
  const bad = random.chance(0.15);
  return {
    toFarSideMs: random.between(5, 70),
    fromFarSideMs: random.between(5, 70),
    jitterMs: random.chance(0.5) ? random.between(1, 25) : 0,
    stallChance: bad ? 0.05 : 0,
    stallMs: random.between(100, 500),
  };
}

function makeStts(random: Random): SttProfile[] {
  const model = random.chance(0.2) ? 'turns' : 'finals';
  const first = makeStt(random, model);
  const breaks = random.weighted([
    ['never', 7],
    ['fails', 2],
    ['mute', 1],
  ] as const);
  const atMs = random.between(0, 25_000);
  return [
    {
      ...first,
      failsAfterMs: breaks === 'fails' ? atMs : undefined,
      muteAfterMs: breaks === 'mute' ? atMs : undefined,
    },
    makeStt(random, random.chance(0.2) ? 'turns' : 'finals'),
    { ...CALM_STT, latencyMs: random.between(40, 400) },
  ];
}

function makeStt(random: Random, model: SttProfile['model']): SttProfile {
  const faulty = random.chance(0.5);
  const sometimes = (probability: number) => (faulty && random.chance(0.4) ? probability : 0);
  const profile = {
    model,
    latencyMs: random.between(40, 350),
    endpointMs: random.pick([10, 300, 300, 500]),
    late: sometimes(0.3),
    duplicate: sometimes(0.2),
    reordered: sometimes(0.2),
    missingFinal: sometimes(0.15),
    emptyFinal: random.pick([0, 0.5, 1]),
    noAnswer: sometimes(0.5),
    deafToWord: sometimes(0.1),
    secondThoughts: random.chance(0.3) ? 0.3 : 0,
    failsAfterMs: undefined,
    muteAfterMs: undefined,
  };
  // Those that take turns give no empty finals: that draw is free to decide this.
  return { ...profile, wordTimes: profile.emptyFinal > 0 };
}

function makeLlm(random: Random): LlmProfile {
  const faulty = random.chance(0.5);
  const sometimes = (probability: number) => (faulty && random.chance(0.4) ? probability : 0);
  return {
    firstMs: random.between(150, 900),
    tokenMs: random.between(8, 45),
    failsBefore: sometimes(0.3),
    failsAfter: sometimes(0.3),
    stallsBefore: sometimes(0.3),
    stallsAfter: sometimes(0.2),
    empty: sometimes(0.2),
    endless: sometimes(0.1),
    slow: sometimes(0.3),
    longReply: random.between(0.2, 0.7),
    endsCall: random.chance(0.25) ? 0.2 : 0,
    straysToTools: random.chance(0.1) ? 0.4 : 0,
  };
}

function makeTtss(random: Random): TtsProfile[] {
  return [makeTts(random), makeTts(random), random.chance(0.6) ? CALM_TTS : makeTts(random)];
}

function makeTts(random: Random): TtsProfile {
  const faulty = random.chance(0.5);
  const sometimes = (probability: number) => (faulty && random.chance(0.35) ? probability : 0);
  return {
    firstMs: random.between(50, 350),
    speed: random.pick([1.5, 3, 6, 20]),
    chunkMs: random.pick([20, 60, 120, 400, 1_000]),
    spans: random.weighted([
      ['words', 5],
      ['clauses', 2],
      ['none', 2],
      ['partial', 1],
    ]),
    failsBefore: sometimes(0.15),
    failsAfter: sometimes(0.15),
    stalls: sometimes(0.15),
    streamFails: sometimes(0.1),
    audioAfterCancel: sometimes(0.7),
    finishedTwice: sometimes(0.5),
  };
}
