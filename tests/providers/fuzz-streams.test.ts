/**
 * Vendors that say anything at all, over a real socket: mutated messages through each adapter's driver, which must end once or
 * live on, and keep nothing. For the parsers, and a hundred thousand messages each, see fuzz.test.ts.
 */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import * as flux from '../../src/pipeline/providers/deepgram/flux-wire.ts';
import { createDeepgramStt } from '../../src/pipeline/providers/deepgram/stt.ts';
import * as deepgram from '../../src/pipeline/providers/deepgram/wire.ts';
import * as scribe from '../../src/pipeline/providers/elevenlabs/scribe-wire.ts';
import { createElevenLabsStt } from '../../src/pipeline/providers/elevenlabs/stt.ts';
import { createElevenLabsTts } from '../../src/pipeline/providers/elevenlabs/tts.ts';
import { createOpenAiLlm } from '../../src/pipeline/providers/openai/llm.ts';
import { createOpenAiStt } from '../../src/pipeline/providers/openai/realtime-stt.ts';
import * as realtime from '../../src/pipeline/providers/openai/realtime-wire.ts';
import type { LlmPart, SttPart, SttProvider, TtsPart } from '../../src/pipeline/providers/spec.ts';
import { Mutator, heapInUseBytes } from './fuzzing.ts';
import { Received, until } from './harness.ts';
import { DEEPGRAM, ELEVENLABS, FLUX, OPENAI, REALTIME, SCRIBE, checkError, checkSttPart } from './recorded.ts';

/** What so many messages may leave behind: caches of the engine's, nothing of ours. */
const MAX_GROWTH_BYTES = 6 * 1024 * 1024;
/** Of messages that end nothing, as many go through each recogniser's driver. */
const DRIVER_MESSAGES = 10_000;
const DRIVER_STREAMS = 60;
const SEED = 20_261_128;

let server: Server | undefined;

afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function listen(): Promise<{ server: Server; url: string }> {
  const listening = createServer();
  server = listening;
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  const address = listening.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { server: listening, url: `http://127.0.0.1:${address.port}` };
}

/** A WebSocket server that says the given messages at the first text or audio it hears, or at once, then closes with the code. */
async function babbler({ atOnce = false } = {}): Promise<{
  url: string;
  say: (texts: readonly string[], code: number) => void;
  open: () => number;
}> {
  const { server: http, url } = await listen();
  const sockets = new WebSocketServer({ server: http });
  let script: { texts: readonly string[]; code: number } = { texts: [], code: 1000 };
  sockets.on('connection', (socket) => {
    socket.on('error', () => socket.terminate());
    const babble = (): void => {
      for (const text of script.texts) socket.send(text);
      if (script.code === 1006) socket.terminate();
      else socket.close(script.code);
    };
    if (atOnce) babble();
    else socket.once('message', babble);
  });
  return { url, say: (texts, code) => (script = { texts, code }), open: () => sockets.clients.size };
}

const CODES = [1000, 1001, 1006, 1008, 1011, 4321] as const;

interface Recogniser {
  readonly recorded: readonly string[];
  readonly model: string;
  readonly create: (url: string) => SttProvider;
  /** Waits for the vendor to speak first. */
  readonly waits?: boolean;
  /** Whether a message ends the stream. */
  readonly ends: (text: string) => boolean;
}

const PATIENT = { apiKey: 'k', connectTimeoutMs: 10_000 };

const RECOGNISERS: readonly (readonly [string, Recogniser])[] = [
  [
    'deepgram',
    {
      recorded: DEEPGRAM,
      model: 'nova-3',
      create: (baseUrl) => createDeepgramStt({ ...PATIENT, baseUrl }),
      ends: (text) => deepgram.parseMessage(text).type === 'failed',
    },
  ],
  [
    'flux',
    {
      recorded: FLUX,
      model: 'flux-general-en',
      create: (baseUrl) => createDeepgramStt({ ...PATIENT, baseUrl }),
      ends: (text) => flux.parseFluxMessage(text).type === 'failed',
    },
  ],
  [
    'scribe',
    {
      recorded: SCRIBE,
      model: 'scribe_v2_realtime',
      waits: true,
      create: (baseUrl) => createElevenLabsStt({ ...PATIENT, baseUrl }),
      ends: (text) => scribe.parseScribeMessage(text).type === 'failed',
    },
  ],
  [
    'openai realtime',
    {
      recorded: REALTIME,
      model: 'gpt-live-transcribe',
      create: (baseUrl) => createOpenAiStt({ ...PATIENT, baseUrl: `${baseUrl}/v1` }),
      ends: (text) => realtime.parseRealtimeEvent(text).type === 'failed',
    },
  ],
];

/** One stream that is told all the texts and then closed upon. Returns the parts. */
async function listenTo(recogniser: Recogniser, vendor: { readonly url: string }): Promise<readonly SttPart[]> {
  const received = new Received<SttPart>();
  const provider = recogniser.create(vendor.url);
  const request = { model: recogniser.model, language: 'en', phrases: [] };
  const stream = received.open(() => provider.open(request, received.sink, received.context));
  stream.hint('speech-started');
  stream.write(new Uint8Array(4_000));
  stream.hint('speech-ended');
  await received.first('stream-failed');
  received.failure();
  return received.parts;
}

describe('streams', () => {
  it.each(RECOGNISERS)('%s ends once, whatever it is told', async (name, recogniser) => {
    const vendor = await babbler({ atOnce: recogniser.waits === true });
    const mutator = new Mutator(recogniser.recorded, `${name}/streams/${SEED}`);
    for (let n = 0; n < DRIVER_STREAMS; n++) {
      const texts = mutator.list(8);
      vendor.say(texts, mutator.pick(CODES));
      const parts = await listenTo(recogniser, vendor);
      parts.forEach(checkSttPart);
      expect(parts.length).toBeLessThanOrEqual(texts.length + 2);
      await until('the socket gone', () => vendor.open() === 0);
    }
    expect(vendor.open()).toBe(0);
  });

  it.each(RECOGNISERS)('%s lives on and keeps nothing', async (name, recogniser) => {
    const vendor = await babbler({ atOnce: recogniser.waits === true });
    const mutator = new Mutator(recogniser.recorded, `${name}/living/${SEED}`);
    const batch = (): string[] => {
      const texts: string[] = [];
      while (texts.length < DRIVER_MESSAGES / 10) {
        const text = mutator.next();
        if (!recogniser.ends(text)) texts.push(text);
      }
      return texts;
    };
    let beforeBytes = 0;
    for (let n = 0; n < 10; n++) {
      const texts = batch();
      vendor.say(texts, 1011);
      const parts = await listenTo(recogniser, vendor);
      parts.forEach(checkSttPart);
      expect(parts.length).toBeLessThanOrEqual(texts.length + 2);
      await until('the socket gone', () => vendor.open() === 0);
      if (n === 2) beforeBytes = heapInUseBytes();
    }
    expect(heapInUseBytes() - beforeBytes).toBeLessThan(MAX_GROWTH_BYTES);
  });

  it('openai realtime gives up on a vendor that opens items without end', async () => {
    const vendor = await babbler();
    const delta = (n: number) =>
      `{"type":"conversation.item.input_audio_transcription.delta","item_id":"i${n}","delta":"x"}`;
    vendor.say(
      Array.from({ length: 5_000 }, (_, n) => delta(n)),
      1000,
    );
    const parts = await listenTo(RECOGNISERS[3]?.[1] ?? assert.fail(), vendor);
    expect(parts.at(-1)).toMatchObject({ type: 'stream-failed', error: { code: 'provider.protocol' } });
  });

  it('elevenlabs', async () => {
    const vendor = await babbler();
    const provider = createElevenLabsTts({ ...PATIENT, baseUrl: vendor.url });
    const mutator = new Mutator(ELEVENLABS, `elevenlabs/streams/${SEED}`);
    for (let n = 0; n < DRIVER_STREAMS; n++) {
      vendor.say(mutator.list(8), mutator.pick(CODES));
      const received = new Received<TtsPart>();
      const stream = received.open(() => provider.open({ language: 'en' }, received.sink, received.context));
      stream.speak('a', 'Hi.');
      stream.finish('a');
      // The utterance ends one way or another: said, failed, or with its stream.
      await until('an end', () => received.parts.some((part) => part.type !== 'audio-chunk'));
      received.parts.forEach(checkError);
      stream.close();
      received.expectNoMore();
      await until('the socket gone', () => vendor.open() === 0);
    }
    expect(vendor.open()).toBe(0);
  });

  it('openai', async () => {
    const { server: http, url } = await listen();
    let script: readonly string[] = [];
    http.on('request', (request, response) => {
      request.resume();
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (const text of script) response.write(`data: ${text}\n\n`);
      response.end();
    });
    const provider = createOpenAiLlm({ apiKey: 'k', baseUrl: `${url}/v1`, connectTimeoutMs: 10_000 });
    const request = {
      messages: [{ role: 'user', content: 'x' }] as const,
      questionsAndAnswers: [],
      maxOutputTokens: 5,
    };
    const mutator = new Mutator(OPENAI, `openai/streams/${SEED}`);
    for (let n = 0; n < DRIVER_STREAMS; n++) {
      script = mutator.list(8);
      const received = new Received<LlmPart>();
      received.open(() => provider.generate(request, received.sink, received.context));
      const isLast = (part: LlmPart) => part.type === 'generation-finished' || part.type === 'generation-failed';
      await until('an end', () => received.parts.some(isLast));
      expect(received.parts.filter(isLast)).toHaveLength(1);
      expect(received.parts.findIndex(isLast)).toBe(received.parts.length - 1);
      received.parts.forEach(checkError);
    }
    await provider.close();
  });
});
