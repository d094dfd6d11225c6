/**
 * Voices that say anything at all: mutated messages and bodies, 100,000 to each pure wire. For the others see fuzz.test.ts, for the
 * drivers tests/fuzz.
 */
import assert from 'node:assert/strict';
import { describe, expect, it } from 'vitest';
import { AudioOpening, SixteenBitDetector } from '../../src/pipeline/providers/audio-check.ts';
import { parseAuraMessage } from '../../src/pipeline/providers/deepgram/aura-wire.ts';
import { parseRefusal } from '../../src/pipeline/providers/elevenlabs/wire.ts';
import { PcmToMulaw } from '../../src/pipeline/providers/openai/pcm.ts';
import { parseSpeechRefusal } from '../../src/pipeline/providers/openai/speech-wire.ts';
import { Random, seedOf } from '../simulation/random.ts';
import { MESSAGES_PER_ADAPTER, Mutator, fuzz, heapInUseBytes } from './fuzzing.ts';
import { AURA, REFUSALS, checkError } from './recorded.ts';

const SEED = 20_261_128;
const MAX_GROWTH_BYTES = 6 * 1024 * 1024;
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
});

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
});
