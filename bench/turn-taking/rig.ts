/** The server of this build, as a process of its own, on an emulated cloud whose every message is timed. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ServerProcess, startServer } from '../demo/server-process.ts';
import { type AnthropicEmulator, startAnthropicEmulator } from '../emulators/anthropic.ts';
import { startDeepgramEmulator } from '../emulators/deepgram.ts';
import { startElevenLabsEmulator } from '../emulators/elevenlabs.ts';
import { type OpenAiEmulator, startOpenAiEmulator } from '../emulators/openai.ts';
import type { Said } from '../emulators/script.ts';
import type { Traffic } from '../emulators/server.ts';
import { vendorEnvironment } from '../vendor-environment.ts';
import { findProjectRoot, type Recording, SPEECH_THRESHOLD } from './recordings.ts';

/** The emulated delays of "Must show" of the turn-taking issue. */
export const STT_FINAL_MS = 250;
export const STT_INTERIM_MS = 100;
export const LLM_FIRST_TOKEN_MS = 350;
export const LLM_TOKEN_MS = 20;
export const TTS_FIRST_AUDIO_MS = 150;

const READY_TIMEOUT_MS = 30_000;

/** A moment in an emulated vendor, on `performance.now()`. */
export type CloudMoment = { readonly atMs: number } & (
  | { readonly type: 'transcript-sent'; readonly text: string; readonly final: boolean }
  | { readonly type: 'llm-asked'; readonly request: number; readonly body: string }
  | { readonly type: 'token-sent'; readonly request: number }
  | { readonly type: 'tts-asked'; readonly context: string; readonly text: string }
  | { readonly type: 'audio-sent'; readonly context: string }
);

/** One line into the server, with an agent, a recogniser's script and a log of vendor moments of its own. */
export interface Line {
  readonly agent: string;
  readonly moments: CloudMoment[];
  /**
   * The next sound of the caller on this line is this; sounds that nobody announced say nothing. `answer`: what OpenAI's model
   * says to it, however often it is asked; without one it says what is next.
   */
  expect(recording: Recording, text: string, answer?: string): void;
}

export interface Rig {
  readonly serverUrl: string;
  readonly server: ServerProcess;
  readonly lines: readonly Line[];
  /** The models; their knobs may be turned while calls run. */
  readonly openai: OpenAiEmulator;
  readonly anthropic: AnthropicEmulator;
  close(): Promise<void>;
}

export interface RigOptions {
  /** Agent files, one for each line; the rig adds what ties them to it. */
  readonly agents: readonly Readonly<Record<string, unknown>>[];
  /** What the model says next to whoever has no answer of their own. */
  readonly reply: () => string;
  readonly logName: string;
  /** The agents' models in order; without it OpenAI alone. */
  readonly models?: readonly ('openai' | 'anthropic')[];
  /** Set over what the rig sets for the server. */
  readonly environment?: Readonly<Record<string, string>>;
}

export async function startRig({ agents, reply, logName, models = ['openai'], environment }: RigOptions): Promise<Rig> {
  const root = findProjectRoot();
  const lines = agents.map((_, index) => new RigLine(`line-${String(index).padStart(3, '0')}`));
  const lineOf = (text: string): RigLine | undefined => {
    const found = /line-\d{3}/u.exec(text)?.[0];
    return lines.find(({ name }) => name === found);
  };
  const answer = (messages: readonly unknown[]): string => lineOf(JSON.stringify(messages))?.answer ?? reply();
  const closing: (() => Promise<unknown>)[] = [];
  const close = async (): Promise<void> => {
    for (const end of closing.splice(0).toReversed()) await end();
  };
  try {
    const deepgram = await startDeepgramEmulator({
      transcripts: ({ url }) => lineOf(url)?.next() ?? '',
      finalDelayMs: STT_FINAL_MS,
      interimDelayMs: STT_INTERIM_MS,
      speechThreshold: SPEECH_THRESHOLD,
    });
    closing.push(() => deepgram.close());
    const openai = await startOpenAiEmulator({
      reply: answer,
      firstTokenMs: LLM_FIRST_TOKEN_MS,
      interTokenMs: LLM_TOKEN_MS,
    });
    closing.push(() => openai.close());
    const anthropic = await startAnthropicEmulator({
      reply,
      firstTokenMs: LLM_FIRST_TOKEN_MS,
      interTokenMs: LLM_TOKEN_MS,
    });
    closing.push(() => anthropic.close());
    const elevenlabs = await startElevenLabsEmulator({ firstAudioMs: TTS_FIRST_AUDIO_MS });
    closing.push(() => elevenlabs.close());
    deepgram.watch((traffic) => lineOf(traffic.url)?.onDeepgram(traffic));
    const requests = new Map<number, RigLine>();
    openai.watch((traffic) => {
      const asked = typeof traffic.message === 'string' ? lineOf(traffic.message) : undefined;
      if (asked) requests.set(traffic.connection, asked);
      requests.get(traffic.connection)?.onOpenAi(traffic);
    });
    elevenlabs.watch((traffic) => lineOf(traffic.url)?.onElevenLabs(traffic));

    const directory = await mkdtemp(join(tmpdir(), 'bvrai-bench-'));
    closing.push(() => rm(directory, { recursive: true }));
    await mkdir(join(root, 'out', 'turn-taking'), { recursive: true });
    const server = await startServer({
      entry: fileURLToPath(new URL('../../src/main.js', import.meta.url)),
      cwd: root,
      logFile: join(root, 'out', 'turn-taking', `${logName}.log`),
      readyTimeoutMs: READY_TIMEOUT_MS,
      dataDirectory: directory,
      environment: { ...vendorEnvironment({ deepgram, openai, anthropic, elevenlabs }), ...environment },
    });
    closing.push(() => server.stop());
    for (const [index, agent] of agents.entries()) {
      const line = lines[index];
      if (line) line.agent = await makeAgent(server, { ...agent, ...tiedTo(line.name, models) });
    }
    return { serverUrl: server.url, server, lines, openai, anthropic, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Makes an agent in the server's local organization; its id. */
export async function makeAgent(
  { url, apiKey }: ServerProcess,
  agent: Readonly<Record<string, unknown>>,
): Promise<string> {
  const response = await fetch(`${url}/api/v1/agents`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify(agent),
  });
  const body: unknown = await response.json();
  if (!response.ok || !isRecord(body) || typeof body['id'] !== 'string')
    throw new Error(`POST /api/v1/agents answered ${response.status}: ${JSON.stringify(body)}`);
  return body['id'];
}

/** What makes every message to a vendor tell which line it belongs to. */
function tiedTo(id: string, models: readonly string[]): Record<string, unknown> {
  return {
    name: id,
    system_prompt: `You answer ${id}.`,
    stt: [{ provider: 'deepgram', options: { tag: id } }],
    llm: models.map((provider) => ({ provider })),
    tts: [{ provider: 'elevenlabs', voice: id }],
  };
}

class RigLine implements Line {
  readonly name: string;
  /** The agent's id, once it has been made. */
  agent = '';
  readonly moments: CloudMoment[] = [];
  #next: Said = '';
  /** The model's, to what was said last. */
  answer: string | undefined;

  constructor(name: string) {
    this.name = name;
  }

  expect(recording: Recording, text: string, answer?: string): void {
    this.answer = answer;
    this.#next = text === '' ? '' : { text, speechMs: recording.speechMs };
  }

  next(): Said {
    const said = this.#next;
    this.#next = '';
    return said;
  }

  onDeepgram({ direction, atMs, message }: Traffic): void {
    if (direction !== 'sent' || !isRecord(message) || message['type'] !== 'Results') return;
    const channel = message['channel'];
    const alternatives: unknown = isRecord(channel) ? channel['alternatives'] : undefined;
    const first: unknown = Array.isArray(alternatives) ? alternatives[0] : undefined;
    const text = isRecord(first) ? first['transcript'] : undefined;
    if (typeof text !== 'string' || text === '') return;
    this.moments.push({ type: 'transcript-sent', atMs, text, final: message['is_final'] === true });
  }

  onOpenAi({ direction, connection: request, atMs, message }: Traffic): void {
    if (direction === 'received' && typeof message === 'string') {
      this.moments.push({ type: 'llm-asked', atMs, request, body: message });
    } else if (hasText(message)) {
      this.moments.push({ type: 'token-sent', atMs, request });
    }
  }

  /** A context's name is the socket's own: the socket that takes the place of another begins with the same names. */
  onElevenLabs({ direction, connection, atMs, message }: Traffic): void {
    if (direction === 'sent') {
      if (!isRecord(message) || typeof message['audio'] !== 'string') return;
      this.moments.push({ type: 'audio-sent', atMs, context: `${connection} ${String(message['contextId'])}` });
      return;
    }
    const asked: unknown = typeof message === 'string' ? JSON.parse(message) : undefined;
    if (!isRecord(asked) || typeof asked['text'] !== 'string' || asked['text'].trim() === '') return;
    const context = `${connection} ${String(asked['context_id'])}`;
    this.moments.push({ type: 'tts-asked', atMs, context, text: asked['text'] });
  }
}

/** Whether a streamed chunk of the model brings text. */
function hasText(chunk: unknown): boolean {
  const choices: unknown = isRecord(chunk) ? chunk['choices'] : undefined;
  const choice: unknown = Array.isArray(choices) ? choices[0] : undefined;
  const delta = isRecord(choice) ? choice['delta'] : undefined;
  return isRecord(delta) && typeof delta['content'] === 'string' && delta['content'] !== '';
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
