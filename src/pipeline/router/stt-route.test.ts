import { describe, expect, it } from 'vitest';
import { BvraiError } from '../../core/errors.ts';
import type { SttPart } from '../providers/spec.ts';
import { withoutRepeated } from './repeated-words.ts';
import { sttRoute } from './stt-route.ts';
import { callContext, candidatesOf, scriptedStt } from './testing.ts';
import { STAGE_TIMES } from './times.ts';

const failed = new BvraiError('provider.overloaded', 'scripted');
const FINAL_MS = STAGE_TIMES.stt.first.initialMs;
const final = (text: string, endMs?: number): SttPart => ({
  type: 'transcript-final',
  text,
  confidence: 1,
  words: endMs === undefined ? [] : [{ text, startMs: 0, endMs, confidence: 1 }],
  speechFinal: false,
  fromFinalize: true,
});

function setUp(decidesTurns?: () => boolean) {
  const { clock, context, switches } = callContext();
  const first = scriptedStt('first', decidesTurns);
  const second = scriptedStt('second');
  const parts: SttPart[] = [];
  const route = sttRoute(candidatesOf('stt', clock, [first.provider, second.provider]), () => 0);
  const stream = route.open({ language: 'en', phrases: [] }, (part) => parts.push(part), context);
  let frame = 0;
  const listen = (durationMs: number): void => {
    for (let ms = 0; ms < durationMs; ms += 20) {
      stream.write(new Uint8Array(160).fill(frame++ % 251));
      clock.advance(20);
    }
  };
  const speak = (durationMs: number): void => {
    stream.hint('speech-started');
    listen(durationMs);
  };
  return { clock, first, second, parts, stream, speak, listen, switches };
}

describe('a route of recognisers', () => {
  it('gives the caller’s unanswered words to the next when the first dies among them', () => {
    const { first, second, stream, speak, switches } = setUp();
    speak(1_000);
    first.streams[0]?.sink({ type: 'stream-failed', error: failed });
    expect(second.streams[0]?.hints).toEqual(['speech-started']);
    expect(second.streams[0]?.heard).toEqual(first.streams[0]?.heard);
    stream.hint('speech-ended');
    expect(second.streams[0]?.hints).toEqual(['speech-started', 'speech-ended']);
    expect(switches).toEqual(['first → second: provider.overloaded']);
  });

  it('passes on how late the detector was', () => {
    const { first, stream } = setUp();
    stream.hint('speech-started', 2_000);
    expect(first.streams[0]?.hints).toEqual(['speech-started 2000 ms ago']);
  });

  it('keeps no more than three seconds for that', () => {
    const { first, second, speak } = setUp();
    speak(10_000);
    first.streams[0]?.sink({ type: 'stream-failed', error: failed });
    expect(second.streams[0]?.heard).toEqual(first.streams[0]?.heard.slice(-24_000));
  });

  it('connects once more to one that had served, then goes to the next', () => {
    const { first, second, stream, speak } = setUp();
    speak(1_000);
    stream.hint('speech-ended');
    first.streams[0]?.sink(final('hi', 800));
    speak(400);
    first.streams[0]?.sink({ type: 'stream-failed', error: failed });
    expect(first.streams).toHaveLength(2);
    // What came after the last word that was told.
    expect(first.streams[1]?.heard).toHaveLength(600 * 8);
    first.streams[1]?.sink({ type: 'stream-failed', error: failed });
    expect(first.streams).toHaveLength(2);
    expect(second.streams[0]?.heard).toHaveLength(600 * 8);
  });

  it('tells no word twice when a successor hears the end of the last one again', () => {
    const { first, parts, stream, speak } = setUp();
    speak(1_000);
    first.streams[0]?.sink({ ...final('the blue room'), fromFinalize: false } as SttPart);
    speak(400);
    first.streams[0]?.sink({ type: 'stream-failed', error: failed });
    first.streams[1]?.sink({ type: 'transcript-interim', text: 'room please', confidence: 1 });
    first.streams[1]?.sink(final('Room, please.'));
    stream.hint('speech-ended');
    expect(parts.map((part) => ('text' in part ? part.text : ''))).toEqual(['the blue room', 'please', 'please.']);
  });

  it('takes one that says nothing about clear speech for dead', () => {
    const { clock, second, parts, stream, speak } = setUp();
    speak(1_000);
    stream.hint('speech-ended');
    clock.advance(FINAL_MS - 1);
    expect(second.streams).toHaveLength(0);
    clock.advance(1);
    expect(second.streams[0]?.hints).toEqual(['speech-started', 'speech-ended']);
    second.streams[0]?.sink(final('hi'));
    expect(parts).toEqual([final('hi')]);
  });

  it('does not mind silence about a cough, nor about a sound of which nothing comes', () => {
    const { clock, first, second, stream, speak } = setUp();
    speak(200);
    stream.hint('speech-ended');
    clock.advance(10_000);
    speak(1_000);
    first.streams[0]?.sink({ type: 'speech-started' });
    stream.hint('speech-ended');
    clock.advance(10_000);
    expect(second.streams).toHaveLength(0);
  });

  it('takes one that hears a voice but never has words for it for dead at the second sound', () => {
    const { clock, first, second, stream, speak } = setUp();
    for (let sound = 0; sound < 2; sound++) {
      speak(1_000);
      first.streams[0]?.sink({ type: 'speech-started' });
      stream.hint('speech-ended');
      expect(second.streams).toHaveLength(0);
      clock.advance(5_000);
    }
    expect(second.streams[0]?.hints).toEqual(['speech-started', 'speech-ended']);
  });

  it('takes one that hears a voice but has no words for long speech for dead', () => {
    const { clock, first, second, stream, speak } = setUp();
    speak(300);
    first.streams[0]?.sink({ type: 'speech-started' });
    speak(2_000);
    stream.hint('speech-ended');
    clock.advance(FINAL_MS - 1);
    expect(second.streams).toHaveLength(0);
    clock.advance(1);
    expect(second.streams).toHaveLength(1);
  });

  it('excuses a sound again once the recogniser has had words', () => {
    const { clock, first, second, stream, speak } = setUp();
    for (let sound = 0; sound < 3; sound++) {
      speak(1_000);
      first.streams[0]?.sink({ type: 'speech-started' });
      stream.hint('speech-ended');
      clock.advance(5_000);
      speak(1_000);
      stream.hint('speech-ended');
      first.streams[0]?.sink(final('hi'));
      clock.advance(5_000);
    }
    expect(second.streams).toHaveLength(0);
  });

  it('does not add up coughs to speech', () => {
    const { clock, second, stream, speak } = setUp();
    for (let cough = 0; cough < 5; cough++) {
      speak(200);
      stream.hint('speech-ended');
      clock.advance(20_000);
    }
    expect(second.streams).toHaveLength(0);
    // What is said in pieces is speech all the same.
    for (let piece = 0; piece < 4; piece++) {
      speak(200);
      stream.hint('speech-ended');
      clock.advance(200);
    }
    clock.advance(FINAL_MS);
    expect(second.streams).toHaveLength(1);
  });

  it('gives a guess’s words to the next when the first dies before their final', () => {
    const { first, stream, speak } = setUp();
    speak(1_000);
    first.streams[0]?.sink({ type: 'transcript-interim', text: 'a table', confidence: 1 });
    first.streams[0]?.sink({ type: 'stream-failed', error: failed });
    expect(first.streams[1]?.hints).toEqual(['speech-started']);
    expect(first.streams[1]?.heard).toEqual(first.streams[0]?.heard);
    stream.hint('speech-ended');
    expect(first.streams[1]?.hints).toEqual(['speech-started', 'speech-ended']);
  });

  it('takes one that guesses but gives no final for dead, however it goes on guessing', () => {
    const { clock, first, second, stream, speak, switches } = setUp();
    const guess = (): void => first.streams[0]?.sink({ type: 'transcript-interim', text: 'a table', confidence: 1 });
    speak(400);
    guess();
    stream.hint('speech-ended');
    clock.advance(FINAL_MS - 200);
    guess();
    clock.advance(200);
    expect(first.streams).toHaveLength(1);
    expect(second.streams[0]?.hints).toEqual(['speech-started', 'speech-ended']);
    expect(second.streams[0]?.heard).toEqual(first.streams[0]?.heard);
    expect(switches).toEqual(['first → second: provider.timeout-first']);
  });

  it('lets one that decides itself about the end of a turn wait, as long as it goes on telling', () => {
    const { clock, first, second, stream, speak } = setUp(() => true);
    speak(1_000);
    stream.hint('speech-ended');
    for (let elapsedMs = 0; elapsedMs < 3 * FINAL_MS; elapsedMs += 250) {
      first.streams[0]?.sink({ type: 'transcript-interim', text: 'well', confidence: 1 });
      clock.advance(250);
    }
    expect(second.streams).toHaveLength(0);
    clock.advance(FINAL_MS);
    expect(second.streams).toHaveLength(1);
  });

  it('begins after the last word of a turn, where one that decides itself says where that was', () => {
    const { first, parts, speak } = setUp(() => true);
    speak(1_000);
    const words = [{ text: 'yes', startMs: 300, endMs: 600, confidence: 1 }];
    first.streams[0]?.sink({ type: 'turn-ended', text: 'yes', confidence: 1, words });
    speak(200);
    first.streams[0]?.sink({ type: 'stream-failed', error: failed });
    expect(first.streams[1]?.heard).toEqual(first.streams[0]?.heard.slice(600 * 8));
    first.streams[1]?.sink({ type: 'stream-opened' });
    expect(parts.at(-1)).toEqual({ type: 'stream-opened', audioAgeMs: 600 });
  });

  it('begins anew when everyone has failed, and says when that did not help', () => {
    const { clock, first, second, parts, speak } = setUp();
    speak(1_000);
    for (let round = 0; round < 3; round++) {
      // The last of a route is asked whatever its breaker says; the first only while it is trusted.
      first.streams[round]?.sink({ type: 'stream-failed', error: failed });
      second.streams[round]?.sink({ type: 'stream-failed', error: failed });
      if (round < 2) expect(parts).toEqual([]);
      clock.advance(500);
    }
    expect(parts).toEqual([{ type: 'stream-failed', error: failed }]);
    expect(clock.pendingTimers).toBe(2);
  });
});

describe('the last resort of a route of recognisers', () => {
  function setUpLast({ withOther }: { readonly withOther: boolean }) {
    const { clock, context } = callContext();
    const cloud = scriptedStt('cloud');
    const embedded = scriptedStt('embedded');
    const parts: SttPart[] = [];
    const candidates = candidatesOf(
      'stt',
      clock,
      withOther ? [cloud.provider, embedded.provider] : [embedded.provider],
    );
    const route = sttRoute(
      candidates.map((candidate) => ({ ...candidate, isLastResort: candidate.provider === embedded.provider })),
      () => 0,
    );
    const stream = route.open({ language: 'en', phrases: [] }, (part) => parts.push(part), context);
    const speak = (): void => {
      stream.hint('speech-started');
      for (let ms = 0; ms < 1_000; ms += 20) {
        stream.write(new Uint8Array(160));
        clock.advance(20);
      }
      stream.hint('speech-ended');
    };
    return { clock, cloud, embedded, parts, speak };
  }

  it('is waited for on an overloaded machine, when there is nobody else', () => {
    const { clock, embedded, parts, speak } = setUpLast({ withOther: false });
    speak();
    clock.advance(10 * FINAL_MS);
    expect(embedded.streams).toHaveLength(1);
    embedded.streams[0]?.sink(final('hi'));
    expect(parts).toEqual([final('hi')]);
  });

  it('is followed by another one that may serve, and waited for when all were asked in vain', () => {
    const { clock, cloud, embedded, parts, speak } = setUpLast({ withOther: true });
    speak();
    clock.advance(2 * FINAL_MS);
    expect(embedded.streams).toHaveLength(1);
    // The rest between two rounds, and the others once more.
    clock.advance(500 + 10 * FINAL_MS);
    expect(cloud.streams).toHaveLength(2);
    expect(embedded.streams).toHaveLength(2);
    expect(parts).toEqual([]);
    embedded.streams[1]?.sink(final('hi'));
    expect(parts).toEqual([final('hi')]);
  });

  it('that fails is asked anew, and is given up in the end', () => {
    const { clock, embedded, parts, speak } = setUpLast({ withOther: false });
    speak();
    for (let round = 0; round < 3; round++) {
      embedded.streams[round]?.sink({ type: 'stream-failed', error: failed });
      clock.advance(500);
    }
    expect(parts).toEqual([{ type: 'stream-failed', error: failed }]);
  });
});

describe('repeated words', () => {
  it.each([
    ['room please', 'the blue room', 'please'],
    ['Blue room, please', 'the blue room', 'please'],
    ['please', 'the blue room', 'please'],
    ['room', 'the blue room', ''],
    ['no no no', 'yes', 'no no no'],
  ])('%s after %s is %s', (text, told, rest) => {
    expect(withoutRepeated(text, told)).toBe(rest);
  });
});
