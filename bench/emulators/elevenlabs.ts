/**
 * ElevenLabs on loopback. Its multi-context WebSocket speaks in tones that a listener can decode to the letter; for its recogniser
 * see scribe.ts.
 */
import { z } from 'zod';
import { COMMON_KNOBS } from './control.ts';
import { delaySchema } from './delays.ts';
import type { Delay } from './delays.ts';
import { spoilAudio } from './faults.ts';
import { parseRecord } from './json.ts';
import { SCRIBE_DEFAULTS, SCRIBE_KNOBS, ScribeTranscription, refusedScribe } from './scribe.ts';
import type { ScribeSettings } from './scribe.ts';
import { COMMON_DEFAULTS, VendorServer } from './server.ts';
import type { Emulator, EmulatorSettings, Refusal, VendorExchange, VendorSocket } from './server.ts';
import { chunksOf, streamSpeech, synthesise } from './voice.ts';
import type { Chunk, Voice } from './voice.ts';

export type { Synthesis } from './voice.ts';

export interface ElevenLabsEmulatorSettings extends EmulatorSettings, ScribeSettings {
  voice: Voice;
  /** From text to its first audio, when the context was not speaking already; over HTTP from the request. */
  firstAudioMs: Delay;
  /** Audio in one message, at least; chunks end with a character. */
  chunkMs: number;
  /** How much faster than real time audio is made after the first chunk. */
  speed: number;
  /** Names of the alignment's fields: the documented ones, or those with `chars` in front. */
  alignment: 'char' | 'chars' | 'none';
}

export type ElevenLabsEmulator = Emulator<ElevenLabsEmulatorSettings>;

const DEFAULTS: ElevenLabsEmulatorSettings = {
  ...COMMON_DEFAULTS,
  ...SCRIBE_DEFAULTS,
  apiKey: 'emulated-elevenlabs-key',
  voice: 'tones',
  firstAudioMs: 170,
  chunkMs: 250,
  speed: 8,
  alignment: 'char',
};

const KNOBS = z.strictObject({
  ...COMMON_KNOBS,
  ...SCRIBE_KNOBS,
  firstAudioMs: delaySchema.exactOptional(),
  chunkMs: z.number().min(20).max(10_000).exactOptional(),
  speed: z.number().min(0.01).max(10_000).exactOptional(),
  alignment: z.enum(['char', 'chars', 'none']).exactOptional(),
});

const MAX_CONTEXTS = 5;
/** Without auto_mode text waits until there is this much of it. */
const FIRST_SCHEDULE_LENGTH = 120;

export async function startElevenLabsEmulator(
  given: Partial<ElevenLabsEmulatorSettings> = {},
): Promise<ElevenLabsEmulator> {
  const settings = { ...DEFAULTS, ...given };
  const server = await VendorServer.listen({ settings, knobs: KNOBS, errorBody });
  server.onSocket({
    path: /^\/v1\/text-to-speech\/[^/]+\/multi-stream-input$/,
    check: (request, url) => refusedKey(settings, request.headers['xi-api-key']) ?? refusedFormat(url.searchParams),
    serve: (socket, url) => new MultiStream(settings, socket, url.searchParams),
  });
  server.onRequest({
    method: 'POST',
    path: /^\/v1\/text-to-speech\/[^/]+\/stream$/,
    check: ({ request, url }) => refusedKey(settings, request.headers['xi-api-key']) ?? refusedFormat(url.searchParams),
    serve: (exchange) => serveStream(settings, exchange),
  });
  server.onRequest({
    method: 'GET',
    path: '/v1/voices',
    check: ({ request }) => refusedKey(settings, request.headers['xi-api-key']),
    serve: (exchange) => exchange.sendJson(200, { voices: VOICES }),
  });
  server.onSocket({
    path: '/v1/speech-to-text/realtime',
    check: (request, url) => {
      const refused = refusedKey(settings, request.headers['xi-api-key']);
      if (refused !== undefined) return refused;
      const reason = refusedScribe(url.searchParams);
      return reason === undefined ? undefined : refusal(400, 'invalid_parameters', reason);
    },
    serve: (socket, url) => new ScribeTranscription(settings, socket, url),
  });
  return server;
}

const VOICES = [
  {
    voice_id: 'JBFqnCBsd6RMkjVDRZzb',
    name: 'George',
    category: 'premade',
    labels: { accent: 'British', gender: 'male' },
  },
  { voice_id: 'emulated-clone', name: 'Somebody', category: 'cloned', labels: {} },
];

/** One text over HTTP: raw μ-law, and no alignment. */
async function serveStream(settings: ElevenLabsEmulatorSettings, exchange: VendorExchange): Promise<void> {
  const text = parseRecord(exchange.body.toString('utf8'))?.['text'];
  if (typeof text !== 'string' || text.trim() === '') {
    return exchange.refuse(refusal(400, 'input_text_empty', 'The text is empty.'));
  }
  const { voice, chunkMs, firstAudioMs, speed } = settings;
  const chunks = chunksOf(synthesise(voice, text), chunkMs);
  await streamSpeech(exchange, chunks, { contentType: 'audio/basic', firstAudioMs, speed });
}

function refusal(status: number, code: string, message: string): Refusal {
  return { status, body: { detail: { status: code, message } } };
}

function errorBody(status: number): unknown {
  return status === 404
    ? refusal(status, 'not_found', 'Not Found').body
    : refusal(status, `emulated_${status}`, 'Refused.').body;
}

function refusedKey(settings: ElevenLabsEmulatorSettings, key: string | string[] | undefined): Refusal | undefined {
  return key === settings.apiKey ? undefined : refusal(401, 'invalid_api_key', 'Invalid API key');
}

function refusedFormat(query: URLSearchParams): Refusal | undefined {
  if (query.get('output_format') === 'ulaw_8000') return undefined;
  return refusal(400, 'invalid_output_format', 'The emulator makes output_format=ulaw_8000 only.');
}

interface Context {
  readonly id: string;
  /** Text that waits to be generated. */
  buffer: string;
  /** Chunks that wait to be sent. */
  chunks: Chunk[];
  speaking: boolean;
  /** Some of its audio has been sent. */
  heard: boolean;
  closing: boolean;
}

class MultiStream {
  readonly #settings: ElevenLabsEmulatorSettings;
  readonly #socket: VendorSocket;
  readonly #autoMode: boolean;
  readonly #inactivityMs: number;
  readonly #contexts = new Map<string, Context>();
  #cancelTimeout = (): void => {};

  constructor(settings: ElevenLabsEmulatorSettings, socket: VendorSocket, query: URLSearchParams) {
    this.#settings = settings;
    this.#socket = socket;
    this.#autoMode = query.get('auto_mode') === 'true';
    this.#inactivityMs = Number(query.get('inactivity_timeout') ?? 20) * 1000;
    socket.onText = (text) => this.#onText(text);
    this.#expectInput();
  }

  #expectInput(): void {
    this.#cancelTimeout();
    this.#cancelTimeout = this.#socket.after(this.#inactivityMs, () => this.#refuse('input_timeout_exceeded'));
  }

  #refuse(error: string, message = error): void {
    this.#socket.send({ message, error, code: 1008 });
    this.#socket.close(1008, error);
  }

  #onText(text: string): void {
    const message = parseRecord(text);
    if (message === undefined) return this.#refuse('invalid_message', 'Not a JSON object.');
    this.#expectInput();
    if (message['close_socket'] === true) return this.#socket.close(1000);
    const contextId = message['context_id'];
    if (typeof contextId !== 'string') return;
    const known = this.#contexts.get(contextId);
    if (known !== undefined && message['voice_settings'] !== undefined) {
      return this.#refuse('invalid_message', 'voice_settings can only be set in the first message of a context.');
    }
    const context = known ?? this.#begin(contextId, message);
    if (context === undefined) return;
    if (typeof message['text'] === 'string' && message['text'].trim() !== '') {
      context.buffer += message['text'];
      if (this.#autoMode || context.buffer.length >= FIRST_SCHEDULE_LENGTH) this.#generate(context);
    }
    if (message['flush'] === true) this.#generate(context);
    if (message['close_context'] === true) {
      this.#generate(context);
      context.closing = true;
      if (!context.speaking) this.#end(context);
    }
  }

  /** A context begins with any text, even an empty one: then it has no voice settings and takes none later. */
  #begin(contextId: string, message: Readonly<Record<string, unknown>>): Context | undefined {
    if (typeof message['text'] !== 'string') return undefined;
    if (this.#contexts.size >= MAX_CONTEXTS) {
      this.#refuse('max_active_conversations');
      return undefined;
    }
    const context: Context = { id: contextId, buffer: '', chunks: [], speaking: false, heard: false, closing: false };
    this.#contexts.set(contextId, context);
    return context;
  }

  #generate(context: Context): void {
    if (context.buffer === '') return;
    const { voice, chunkMs, firstAudioMs } = this.#settings;
    context.chunks.push(...chunksOf(synthesise(voice, context.buffer), chunkMs));
    context.buffer = '';
    if (context.speaking) return;
    context.speaking = true;
    this.#socket.after(this.#socket.delays.drawMs(firstAudioMs), () => this.#speak(context));
  }

  #speak(context: Context): void {
    const chunk = context.chunks.shift();
    if (chunk === undefined) {
      context.speaking = false;
      if (context.closing) this.#end(context);
      return;
    }
    const alignment = this.#alignment(chunk);
    const bytes = spoilAudio(chunk.audio, this.#socket.faults().audio, { first: !context.heard });
    context.heard = true;
    if (bytes !== undefined) {
      const audio = Buffer.from(bytes).toString('base64');
      this.#socket.send({ audio, contextId: context.id, alignment, normalizedAlignment: alignment });
    }
    const audioMs = chunk.audio.length / 8;
    this.#socket.after(audioMs / this.#settings.speed, () => this.#speak(context));
  }

  #alignment({ characters }: Chunk): unknown {
    if (this.#settings.alignment === 'none') return null;
    const prefix = this.#settings.alignment;
    const beginMs = characters[0]?.startMs ?? 0;
    return {
      chars: characters.map(({ char }) => char),
      [`${prefix}StartTimesMs`]: characters.map(({ startMs }) => startMs - beginMs),
      [`${prefix}DurationsMs`]: characters.map(({ durationMs }) => durationMs),
    };
  }

  #end(context: Context): void {
    this.#contexts.delete(context.id);
    this.#socket.send({ isFinal: true, contextId: context.id });
  }
}
