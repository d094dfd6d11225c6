/**
 * Voices that say anything at all: mutated messages and bodies, 100,000 to each adapter's entry, by its pure wire and by its
 * driver over a real socket. Each utterance must end once, and nothing may be kept. For the others see fuzz.test.ts.
 */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { AudioOpening, SixteenBitDetector } from '../../src/pipeline/providers/audio-check.ts';
import { parseAuraMessage } from '../../src/pipeline/providers/deepgram/aura-wire.ts';
import { createDeepgramTts } from '../../src/pipeline/providers/deepgram/tts.ts';
import { createElevenLabsHttpTts } from '../../src/pipeline/providers/elevenlabs/http-tts.ts';
import { parseRefusal } from '../../src/pipeline/providers/elevenlabs/wire.ts';
import { HttpConnections } from '../../src/pipeline/providers/http-connections.ts';
import { PcmToMulaw } from '../../src/pipeline/providers/openai/pcm.ts';
import { parseSpeechRefusal } from '../../src/pipeline/providers/openai/speech-wire.ts';
import { createOpenAiTts } from '../../src/pipeline/providers/openai/tts.ts';
import type { TtsPart, TtsProvider } from '../../src/pipeline/providers/spec.ts';
import { Random, seedOf } from '../simulation/random.ts';
import { MESSAGES_PER_ADAPTER, Mutator, fuzz, heapInUseBytes } from './fuzzing.ts';
import { until } from './harness.ts';
import { checkError } from './recorded.ts';
import { openVoice } from './voice-call.ts';
import type { VoiceCall } from './voice-call.ts';

const SEED = 20_261_128;
const MAX_GROWTH_BYTES = 6 * 1024 * 1024;
/** Streams of each driver, and messages (or pieces of bodies) that a stream is told at most. */
const STREAMS = 120;
const PER_STREAM = 40;

const AURA = [
  '{"type":"Metadata","request_id":"x","model_name":"aura-2-thalia-en","model_version":"1","model_uuid":"x"}',
  '{"type":"Flushed","sequence_id":0}',
  '{"type":"Flushed","sequence_id":1}',
  '{"type":"Cleared","sequence_id":1}',
  '{"type":"Warning","code":"EXCESSIVE_FLUSH","description":"Too many Flush messages."}',
  '{"type":"Error","code":"DATA-0001","description":"x"}',
];

const REFUSALS = [
  '{"error":{"message":"x","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}',
  '{"error":{"message":"x","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}',
  '{"detail":{"status":"quota_exceeded","message":"x"}}',
  '{"detail":[{"loc":["body","text"],"msg":"field required","type":"value_error"}]}',
];

/** What a pair of ears must never be given, whatever the vendor sends. */
function checkParts({ received }: VoiceCall): void {
  for (const part of received.parts) {
    checkError(part);
    if (part.type === 'audio-chunk') assert(part.audio.length > 0 && part.utteranceId !== '');
  }
  const ends = received.parts.flatMap((part) =>
    'utteranceId' in part && part.type !== 'audio-chunk' ? [part.utteranceId] : [],
  );
  assert.equal(new Set(ends).size, ends.length, 'an utterance has ended twice');
}

/** Bytes as vendors might send them: samples, text, files, nothing. */
function anyBytes(random: Random, mutator: Mutator): Buffer {
  const dice = random.next();
  if (dice < 0.15) return Buffer.from(mutator.next());
  if (dice < 0.2) return Buffer.alloc(0);
  if (dice < 0.25) return Buffer.concat([Buffer.from('RIFF'), Buffer.alloc(40)]);
  const at = random.int(0, NOISE.length - 400);
  return NOISE.subarray(at, at + random.int(1, 400));
}

/** From quiet samples to any at all. */
const NOISE = ((): Buffer => {
  const random = new Random(seedOf(SEED));
  return Buffer.from(Array.from({ length: 20_000 }, (_, n) => 256 - random.int(1, 1 + Math.floor(n / 80))));
})();

let server: Server | undefined;

afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function listen(onRequest?: RequestListener): Promise<{ server: Server; url: string }> {
  const listening = createServer(onRequest);
  server = listening;
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  const address = listening.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { server: listening, url: `http://127.0.0.1:${address.port}` };
}

describe('aura', () => {
  it('is understood or refused, 100,000 times, by its parser', () => {
    const mutator = new Mutator(AURA, `aura/${SEED}`);
    const check = (text: string): void => checkError(parseAuraMessage(text));
    let count = fuzz(mutator, 10_000, check);
    const beforeBytes = heapInUseBytes();
    count += fuzz(mutator, MESSAGES_PER_ADAPTER - 10_000, check);
    expect(heapInUseBytes() - beforeBytes).toBeLessThan(MAX_GROWTH_BYTES);
    expect(count).toBe(MESSAGES_PER_ADAPTER);
  }, 60_000);

  it('ends every utterance once, whatever its driver is told', async () => {
    const { server: http, url } = await listen();
    const sockets = new WebSocketServer({ server: http });
    const mutator = new Mutator(AURA, `aura/streams/${SEED}`);
    const random = new Random(seedOf(`aura/bytes/${SEED}`));
    sockets.on('connection', (socket) => {
      socket.on('error', () => socket.terminate());
      socket.once('message', () => {
        for (const text of mutator.list(PER_STREAM)) socket.send(random.chance(0.3) ? anyBytes(random, mutator) : text);
        socket.close(mutator.pick([1000, 1001, 1008, 1011, 4321]));
      });
    });
    const provider = createDeepgramTts({ apiKey: 'k', baseUrl: url, connectTimeoutMs: 10_000 });
    for (let n = 0; n < STREAMS; n++) {
      const call = openVoice(provider);
      call.stream.speak('a', 'Hi.');
      if (random.chance(0.3)) call.stream.cancel('a');
      call.stream.speak('b', 'Hi again.');
      call.stream.finish('a');
      call.stream.finish('b');
      await until('an end', () => call.received.parts.some((part) => isEndOf(part, 'b')));
      checkParts(call);
      call.stream.close();
      call.received.expectNoMore();
      await until('the socket gone', () => sockets.clients.size === 0);
    }
    expect(sockets.clients.size).toBe(0);
  }, 60_000);
});

function isEndOf(part: TtsPart, utteranceId: string): boolean {
  if (part.type === 'stream-failed') return true;
  return part.type !== 'audio-chunk' && part.utteranceId === utteranceId;
}

describe('speech over http', () => {
  it('reads 100,000 refusals and as many pieces of bodies', () => {
    const mutator = new Mutator(REFUSALS, `refusals/${SEED}`);
    const random = new Random(seedOf(`bodies/${SEED}`));
    let decoder = new PcmToMulaw();
    let opening = new AudioOpening();
    let sixteenBit = new SixteenBitDetector();
    const check = (text: string): void => {
      for (const { code, message } of [parseSpeechRefusal(text), parseRefusal(text)]) {
        for (const said of [code, message]) assert(said === undefined || typeof said === 'string');
      }
      if (random.chance(0.1))
        [decoder, opening, sixteenBit] = [new PcmToMulaw(), new AudioOpening(), new SixteenBitDetector()];
      const bytes = anyBytes(random, mutator);
      opening.add(bytes);
      sixteenBit.add(bytes);
      const mulaw = decoder.decode(bytes);
      assert(Math.abs(mulaw.length - bytes.length / 6) <= 2);
    };
    let count = fuzz(mutator, 10_000, check);
    const beforeBytes = heapInUseBytes();
    count += fuzz(mutator, MESSAGES_PER_ADAPTER - 10_000, check);
    expect(heapInUseBytes() - beforeBytes).toBeLessThan(MAX_GROWTH_BYTES);
    expect(count).toBe(MESSAGES_PER_ADAPTER);
  }, 60_000);

  it.each(['openai', 'elevenlabs'])(
    '%s ends every utterance once, whatever is answered',
    async (vendor) => {
      const mutator = new Mutator(REFUSALS, `${vendor}/streams/${SEED}`);
      const random = new Random(seedOf(`${vendor}/bytes/${SEED}`));
      const { url: baseUrl } = await listen((request, response) => {
        request.resume();
        response.writeHead(mutator.pick([200, 200, 200, 204, 302, 400, 401, 429, 500, 529]));
        for (let n = random.int(0, PER_STREAM); n > 0; n--) response.write(anyBytes(random, mutator));
        if (random.chance(0.2)) response.destroy();
        else response.end();
      });
      const connections = new HttpConnections(10_000);
      const settings = { apiKey: 'k', baseUrl, connections };
      const provider: TtsProvider = vendor === 'openai' ? createOpenAiTts(settings) : createElevenLabsHttpTts(settings);
      for (let n = 0; n < STREAMS; n++) {
        const call = openVoice(provider);
        call.stream.speak('a', 'Hi.');
        call.stream.speak('a', 'Hi there.');
        if (random.chance(0.3)) call.stream.cancel('a');
        call.stream.speak('b', 'Hi again.');
        call.stream.finish('a');
        call.stream.finish('b');
        await until('an end', () => call.received.parts.some((part) => isEndOf(part, 'b')));
        checkParts(call);
        call.stream.close();
        call.received.expectNoMore();
      }
      await connections.close();
    },
    60_000,
  );
});
