/** Vendors that say anything at all: recorded messages, mangled. The adapters must answer with parts of the right shape, or one BvraiError. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { BvraiError } from '../../src/core/errors.ts';
import { parseJsonObject } from '../../src/pipeline/providers/json.ts';
import * as flux from '../../src/pipeline/providers/deepgram/flux-wire.ts';
import * as deepgram from '../../src/pipeline/providers/deepgram/wire.ts';
import { createDeepgramStt } from '../../src/pipeline/providers/deepgram/stt.ts';
import * as elevenlabs from '../../src/pipeline/providers/elevenlabs/wire.ts';
import { createElevenLabsTts } from '../../src/pipeline/providers/elevenlabs/tts.ts';
import { createOpenAiLlm } from '../../src/pipeline/providers/openai/llm.ts';
import * as openai from '../../src/pipeline/providers/openai/wire.ts';
import type { LlmPart, SttPart, TtsPart } from '../../src/pipeline/providers/spec.ts';
import { Received, until } from './harness.ts';

const DEEPGRAM = [
  '{"type":"Results","channel_index":[0,1],"duration":1.98,"start":0.0,"is_final":true,"speech_final":true,"from_finalize":false,"channel":{"alternatives":[{"transcript":"Hello there.","confidence":0.99,"words":[{"word":"hello","start":0.1,"end":0.4,"confidence":0.99,"punctuated_word":"Hello"}]}]}}',
  '{"type":"Results","is_final":false,"channel":{"alternatives":[{"transcript":"Hel","confidence":0.9,"words":[]}]}}',
  '{"type":"SpeechStarted","channel":[0],"timestamp":1.2}',
  '{"type":"UtteranceEnd","channel":[0,1],"last_word_end":2.4}',
  '{"type":"Metadata","request_id":"x","duration":12.3,"channels":1}',
  '{"type":"Error","description":"x","message":"NET-0001","variant":"TIMEOUT"}',
];

const FLUX = [
  '{"type":"Connected","request_id":"x","sequence_id":0}',
  ...['StartOfTurn', 'Update', 'EagerEndOfTurn', 'TurnResumed', 'EndOfTurn'].map(
    (event) =>
      `{"type":"TurnInfo","sequence_id":1,"event":"${event}","turn_index":0,"transcript":"Yeah.","words":[{"word":"Yeah.","confidence":0.98,"start":0.4,"end":0.7}],"end_of_turn_confidence":0.86}`,
  ),
  '{"type":"Error","sequence_id":13,"code":"INTERNAL_SERVER_ERROR","description":"x"}',
];

const ELEVENLABS = [
  '{"audio":"f39/fw==","contextId":"u1","alignment":{"chars":["H","i"],"charStartTimesMs":[0,40],"charDurationsMs":[40,40]},"normalizedAlignment":{}}',
  '{"audio":"f39/","contextId":"u1","alignment":{"chars":["H"],"charsStartTimesMs":[0],"charsDurationsMs":[40]}}',
  '{"isFinal":true,"contextId":"u1"}',
  '{"error":"max_active_conversations","code":1008}',
  '{"error":"x","contextId":"u1"}',
];

const OPENAI = [
  '{"id":"x","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}',
  '{"id":"x","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}',
  '{"id":"x","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"t","arguments":""}}]}}]}',
  '{"id":"x","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}}]}',
  '{"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
  '{"id":"x","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}}',
  '{"error":{"message":"x","type":"server_error","code":null}}',
];

/** Replaces, removes or keeps each part of a JSON value, as `next` (0 to 1) has it. */
function mangle(value: unknown, next: () => number, odd: unknown): unknown {
  const dice = next();
  if (dice < 0.08) return odd;
  if (Array.isArray(value)) return value.flatMap((item) => (next() < 0.05 ? [] : [mangle(item, next, odd)]));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).flatMap(([key, item]) =>
    next() < 0.05 ? [] : [[key, mangle(item, next, odd)]],
  );
  return Object.fromEntries(entries);
}

/** A recorded message: as it is, mangled as JSON, or mangled as text. */
function messages(recorded: readonly string[]): fc.Arbitrary<string> {
  const message = fc.constantFrom(...recorded);
  const structural = fc
    .tuple(message, fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })), fc.jsonValue({ maxDepth: 2 }))
    .map(([text, stream, odd]) => JSON.stringify(mangle(JSON.parse(text), () => Number(stream.next().value), odd)));
  const textual = fc
    .tuple(message, fc.nat(), fc.nat({ max: 5 }), fc.string({ maxLength: 4 }))
    .map(([text, at, cut, inserted]) => {
      const index = at % (text.length + 1);
      return text.slice(0, index) + inserted + text.slice(index + cut);
    });
  return fc.oneof(
    { weight: 2, arbitrary: message },
    { weight: 4, arbitrary: structural },
    { weight: 2, arbitrary: textual },
  );
}

function checkError(part: object): void {
  if ('error' in part) assert(part.error instanceof BvraiError);
}

function checkSttPart(part: SttPart): void {
  checkError(part);
  if ('text' in part) assert.equal(typeof part.text, 'string');
  if ('confidence' in part) assert(part.confidence >= 0 && part.confidence <= 1);
  if (part.type !== 'transcript-final') return;
  for (const word of part.words) {
    assert.equal(typeof word.text, 'string');
    for (const value of [word.startMs, word.endMs, word.confidence]) assert(value >= 0);
  }
}

function checkDeepgram(text: string): void {
  const message = deepgram.parseMessage(text);
  checkError(message);
  if (message.type === 'part') checkSttPart(message.part);
  deepgram.parseRefusal(text);
}

function checkFlux(text: string): void {
  const message = flux.parseFluxMessage(text);
  checkError(message);
  if (message.type === 'part') checkSttPart(message.part);
}

function checkElevenLabs(text: string): void {
  const message = elevenlabs.parseMessage(text);
  checkError(message);
  elevenlabs.parseRefusal(text);
  elevenlabs.codeOfClose(1008, text);
  if (message.type !== 'audio') return;
  assert(message.audio instanceof Uint8Array);
  for (const span of message.spans) assert(span.text !== '' && span.startMs >= 0 && span.durationMs >= 0);
}

function checkOpenAi(text: string): void {
  const value = parseJsonObject(text);
  try {
    assert.notEqual(openai.parseChunk(value).text, '');
  } catch (thrown) {
    assert(thrown instanceof BvraiError);
  }
}

describe('pure parsers', () => {
  it.each([
    ['deepgram', DEEPGRAM, checkDeepgram],
    ['flux', FLUX, checkFlux],
    ['elevenlabs', ELEVENLABS, checkElevenLabs],
    ['openai', OPENAI, checkOpenAi],
  ] as const)('%s', (_vendor, recorded, check) => {
    const property = fc.property(messages(recorded), check);
    expect(fc.check(property, { numRuns: 3_000 })).toMatchObject({ failed: false });
  });
});

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

/** A WebSocket server that says the given messages at the first text or audio it hears, then closes with the code. */
async function babbler(): Promise<{
  url: string;
  say: (texts: readonly string[], code: number) => void;
  open: () => number;
}> {
  const { server: http, url } = await listen();
  const sockets = new WebSocketServer({ server: http });
  let script: { texts: readonly string[]; code: number } = { texts: [], code: 1000 };
  sockets.on('connection', (socket) => {
    socket.on('error', () => socket.terminate());
    socket.once('message', () => {
      for (const text of script.texts) socket.send(text);
      if (script.code === 1006) socket.terminate();
      else socket.close(script.code);
    });
  });
  return { url, say: (texts, code) => (script = { texts, code }), open: () => sockets.clients.size };
}

const CODES = fc.constantFrom(1000, 1001, 1006, 1008, 1011, 4321);

describe('streams', () => {
  it.each([
    ['deepgram', 'nova-3', DEEPGRAM],
    ['flux', 'flux-general-en', FLUX],
  ])('%s', async (_api, model, recorded) => {
    const vendor = await babbler();
    const provider = createDeepgramStt({ apiKey: 'k', baseUrl: vendor.url, connectTimeoutMs: 10_000 });
    await fc.assert(
      fc.asyncProperty(fc.array(messages(recorded), { maxLength: 6 }), CODES, async (texts, code) => {
        vendor.say(texts, code);
        const received = new Received<SttPart>();
        const stream = received.open(() =>
          provider.open({ model, language: 'en', phrases: [] }, received.sink, received.context),
        );
        stream.write(new Uint8Array(640));
        await received.first('stream-failed');
        received.parts.forEach(checkSttPart);
        received.failure();
        await until('the socket gone', () => vendor.open() === 0);
        expect(vendor.open()).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it('elevenlabs', async () => {
    const vendor = await babbler();
    const provider = createElevenLabsTts({ apiKey: 'k', baseUrl: vendor.url, connectTimeoutMs: 10_000 });
    await fc.assert(
      fc.asyncProperty(fc.array(messages(ELEVENLABS), { maxLength: 6 }), CODES, async (texts, code) => {
        vendor.say(texts, code);
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
        expect(vendor.open()).toBe(0);
      }),
      { numRuns: 60 },
    );
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
    await fc.assert(
      fc.asyncProperty(fc.array(messages(OPENAI), { maxLength: 6 }), async (texts) => {
        script = texts;
        const received = new Received<LlmPart>();
        received.open(() => provider.generate(request, received.sink, received.context));
        const isLast = (part: LlmPart) => part.type === 'generation-finished' || part.type === 'generation-failed';
        await until('an end', () => received.parts.some(isLast));
        expect(received.parts.filter(isLast)).toHaveLength(1);
        expect(received.parts.findIndex(isLast)).toBe(received.parts.length - 1);
        received.parts.forEach(checkError);
      }),
      { numRuns: 60 },
    );
    await provider.close();
  });
});
