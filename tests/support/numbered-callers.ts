/**
 * Callers whose every question and every answer is another, so that what is lost, told twice or told of somebody else's call shows
 * in the words: the emulated recogniser hears "Kilo?", and the emulated model answers Bravo's question with "Bravo kilo."
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { ChatMessage } from '../../bench/emulators/openai.ts';
import { decodeToneSpeech } from '../../bench/emulators/tone-speech.ts';
import { CallFailed, Phone } from '../../bench/phone/phone.ts';
import type { CloudSettings } from './cloud.ts';
import type { ServerOfItsOwn } from './server-of-its-own.ts';
import { fixtureAudio, speechFixtures } from './speech-fixtures.ts';

const WORDS = (
  'alfa bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november oscar papa quebec ' +
  'romeo sierra tango uniform victor whiskey xray yankee zulu'
).split(' ');
const GREETING = 'Hello.';
const RECORDING = 'cards-001.wav';
const speech = fixtureAudio(RECORDING).mulaw();
const { speechStartMs = 0, speechEndMs = 0 } = speechFixtures.find(({ file }) => file === RECORDING) ?? {};
const speechMs = speechEndMs - speechStartMs;
const SILENCE_MS = 200;
/** No answer is waited for longer: a caller who was not answered says so by its absence. */
const ANSWER_LIMIT_MS = 20_000;
const MAX_TRIES = 30;

const capital = (word: string): string => `${word.slice(0, 1).toUpperCase()}${word.slice(1)}`;
const callerName = (caller: number): string => capital(WORDS[caller] ?? '');
/** Of the n-th turn, from 0; one word for each of the first 26. */
const topic = (turn: number): string =>
  [WORDS[turn % WORDS.length], ...(turn < WORDS.length ? [] : [WORDS[Math.floor(turn / WORDS.length)]])].join('-');

/** What a caller says in its n-th turn, and what it is answered. One word: no pause in the recording can tear it. */
export const question = (turn: number): string => `${capital(topic(turn))}?`;
export const answer = (caller: number, turn: number): string => `${callerName(caller)} ${topic(turn)}.`;

/** The vendors that hear and answer such callers. */
export const NUMBERED_CLOUD: CloudSettings = {
  // With its length, as only then a pause within the recording ends nothing; and no interim can overtake its final.
  deepgram: { interimDelayMs: 1, finalDelayMs: 60, transcripts: ({ index }) => ({ text: question(index), speechMs }) },
  openai: { firstTokenMs: 50, interTokenMs: 5, reply: (messages) => answerTo(messages) },
  elevenlabs: { firstAudioMs: 50 },
};

/** The agent's instructions are the name of its caller. */
function answerTo(messages: readonly ChatMessage[]): string {
  const asked = messages.findLast(({ role }) => role === 'user')?.content ?? '';
  const name = messages.find(({ role }) => role === 'system')?.content?.match(/for (\w+)\./u)?.[1] ?? '';
  return `${name} ${asked.replace(/\?$/u, '').toLowerCase()}.`;
}

/** Makes the agents of so many callers; their ids. */
export function makeNumberedAgents(server: ServerOfItsOwn, callers: number): Promise<string[]> {
  return Promise.all(
    Array.from({ length: callers }, async (_, caller) => {
      const { id } = z.object({ id: z.string() }).parse(await server.post('/api/v1/agents', numberedAgent(caller)));
      return id;
    }),
  );
}

/** However busy the machine is: nobody interrupts, no answer is taken back, none comes with a filler before it. */
const PATIENT = {
  barge_in_ms: 5_000,
  end_of_turn_silence_ms: 400,
  filler_after_ms: 30_000,
  turn_deadline_ms: 30_000,
  speculation: { enabled: false },
};

/** The agent of one caller. */
export const numberedAgent = (caller: number): object => ({
  name: `For ${callerName(caller)}`,
  system_prompt: `You speak for ${callerName(caller)}.`,
  first_message: GREETING,
  silence: { max_reminders: 0 },
  turn_taking: PATIENT,
  stt: [{ provider: 'deepgram' }],
  llm: [{ provider: 'openai' }],
  tts: [{ provider: 'elevenlabs' }],
});

/** Rings with each agent, one after the other: all at once is another test. */
export async function ringNumberedCallers(serverUrl: string, agents: readonly string[]): Promise<NumberedCaller[]> {
  const callers: NumberedCaller[] = [];
  for (const [caller, agent] of agents.entries()) callers.push(await ringPatiently(serverUrl, agent, caller));
  return callers;
}

/** On a busy machine a server may say for a while that it cannot keep up. */
async function ringPatiently(serverUrl: string, agent: string, caller: number): Promise<NumberedCaller> {
  for (let tries = 1; ; tries++) {
    try {
      return await NumberedCaller.ring(serverUrl, agent, caller);
    } catch (thrown) {
      if (!(thrown instanceof CallFailed) || tries === MAX_TRIES) throw thrown;
      await sleep(1_000);
    }
  }
}

/** One caller, who talks from the start until told to hang up, or until the line goes dead. */
export class NumberedCaller {
  readonly caller: number;
  readonly phone: Phone;
  /** Resolves when the line is closed, whoever closed it. */
  readonly done: Promise<void>;
  #answered = 0;
  #hangingUp = false;
  #over = false;

  static async ring(serverUrl: string, agent: string, caller: number): Promise<NumberedCaller> {
    return new NumberedCaller(await Phone.ring({ serverUrl, agent }), caller);
  }

  private constructor(phone: Phone, caller: number) {
    this.phone = phone;
    this.caller = caller;
    this.done = this.#talk();
  }

  get callSid(): string {
    return this.phone.callSid;
  }

  /** What has reached the ear, as text. */
  get heard(): string {
    return decodeToneSpeech(this.phone.heard()).text.replaceAll(/\s+/gu, ' ').trim();
  }

  /** How many times something was said, and answered to the end. */
  get answered(): number {
    return this.#answered;
  }

  /** How many of its own answers, from the first on, were heard to their end; what else was heard than these, in order, throws. */
  get answersUnderstood(): number {
    const { heard } = this;
    for (let turns = 0, expected = GREETING; ; turns++) {
      const next = `${expected} ${answer(this.caller, turns)}`;
      if (heard.length < next.length) {
        if (!next.startsWith(heard)) throw new Error(`caller ${this.caller} has heard: ${heard}`);
        return turns;
      }
      expected = next;
    }
  }

  /** All that is said when `turns` questions were asked and answered: role and the words that were heard. */
  expectedMessages(turns: number): readonly (readonly [string, string])[] {
    return [
      ['agent', GREETING],
      ...Array.from({ length: turns }, (_, turn) => [
        ['caller', question(turn)] as const,
        ['agent', answer(this.caller, turn)] as const,
      ]).flat(),
    ];
  }

  /** Lets the answer under way come to its end, then hangs up. */
  async hangUp(): Promise<void> {
    this.#hangingUp = true;
    await this.done;
  }

  /** Resolves when so many questions have been answered, or the line is closed. */
  async untilAnswered(turns: number): Promise<void> {
    while (this.#answered < turns && !this.#over) await sleep(20);
  }

  async #talk(): Promise<void> {
    const { phone } = this;
    try {
      const answered = (): Promise<void> => phone.waitForAgent({ silenceMs: SILENCE_MS, timeoutMs: ANSWER_LIMIT_MS });
      await answered();
      while (!this.#hangingUp) {
        await phone.say(speech);
        await answered();
        this.#answered++;
      }
    } catch {
      // The line is dead, or nobody answers: what was heard tells.
    }
    this.#over = true;
    await phone.hangUp();
  }
}
