/**
 * Vendors that say anything at all: recorded messages, mutated, 100,000 of them through each adapter's parser. It must answer with
 * parts of the right shape or a BvraiError, and keep nothing. For the drivers see tests/fuzz.
 */
import assert from 'node:assert/strict';
import { describe, expect, it } from 'vitest';
import { BvraiError } from '../../src/core/errors.ts';
import * as flux from '../../src/pipeline/providers/deepgram/flux-wire.ts';
import * as deepgram from '../../src/pipeline/providers/deepgram/wire.ts';
import * as scribe from '../../src/pipeline/providers/elevenlabs/scribe-wire.ts';
import * as elevenlabs from '../../src/pipeline/providers/elevenlabs/wire.ts';
import { parseJsonObject } from '../../src/pipeline/providers/json.ts';
import { TranscriptItems } from '../../src/pipeline/providers/openai/realtime-items.ts';
import * as realtime from '../../src/pipeline/providers/openai/realtime-wire.ts';
import * as openai from '../../src/pipeline/providers/openai/wire.ts';
import { MESSAGES_PER_ADAPTER, Mutator, fuzz, heapInUseBytes } from './fuzzing.ts';
import { DEEPGRAM, ELEVENLABS, FLUX, OPENAI, REALTIME, SCRIBE, checkError, checkSttPart } from './recorded.ts';

/** What a hundred thousand messages may leave behind: caches of the engine's, nothing of ours. */
const MAX_GROWTH_BYTES = 6 * 1024 * 1024;
const SEED = 20_261_128;

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

/** The items outlive the messages, as they do in a call. */
function realtimeChecker(): (text: string) => void {
  let items = new TranscriptItems();
  return (text) => {
    const event = realtime.parseRealtimeEvent(text);
    checkError(event);
    realtime.parseRealtimeRefusal(text);
    if (event.type === 'committed') items.begin(event.itemId);
    if (event.type === 'delta') assert.equal(typeof items.append(event.itemId, event.text), 'string');
    if (event.type === 'completed') {
      assert(event.confidence >= 0 && event.confidence <= 1);
      for (const item of items.complete(event.itemId, event)) assert.equal(typeof item.text, 'string');
    }
    // Where the driver gives up.
    if (items.overflowed) items = new TranscriptItems();
  };
}

function checkScribe(text: string): void {
  const message = scribe.parseScribeMessage(text);
  checkError(message);
  if (message.type !== 'committed') return;
  assert(message.confidence >= 0 && message.confidence <= 1);
  for (const word of message.words) assert(word.text !== '' && word.startMs >= 0 && word.endMs >= 0);
}

describe('pure parsers', () => {
  it.each([
    ['deepgram', DEEPGRAM, checkDeepgram],
    ['flux', FLUX, checkFlux],
    ['elevenlabs', ELEVENLABS, checkElevenLabs],
    ['scribe', SCRIBE, checkScribe],
    ['openai', OPENAI, checkOpenAi],
    ['openai realtime', REALTIME, realtimeChecker()],
  ] as const)(
    '%s',
    (vendor, recorded, check) => {
      const mutator = new Mutator(recorded, `${vendor}/${SEED}`);
      const warming = 10_000;
      let count = fuzz(mutator, warming, check);
      const beforeBytes = heapInUseBytes();
      count += fuzz(mutator, MESSAGES_PER_ADAPTER - warming, check);
      expect(heapInUseBytes() - beforeBytes).toBeLessThan(MAX_GROWTH_BYTES);
      expect(count).toBe(MESSAGES_PER_ADAPTER);
    },
    120_000,
  );
});
