import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../core/clock.ts';
import { BvraiError } from '../../core/errors.ts';
import { silentLog } from '../../core/log.ts';
import type { Sink, TtsPart, TtsProvider, TtsRequest } from '../providers/spec.ts';
import { SpeechCache, cachedSpeech } from './speech-cache.ts';
import { candidatesOf } from './testing.ts';
import { ttsRoute } from './tts-route.ts';

const FIXED = { fixed: true };
const SPANS = [{ text: 'Hello.', startMs: 0, durationMs: 20 }];
const failed = new BvraiError('provider.overloaded', 'scripted');

/** A vendor that keeps what it is told and speaks when the test lets it: a chunk of the given byte for each piece. */
function vendor(name = 'vendor') {
  const streams: { told: string[]; sink: Sink<TtsPart> }[] = [];
  const provider: TtsProvider = {
    name,
    open(_request, sink) {
      const told: string[] = [];
      streams.push({ told, sink });
      return {
        speak: (id, text) => told.push(`${id}:${text}`),
        finish: (id) => told.push(`${id}.`),
        cancel: (id) => told.push(`${id}!`),
        close: () => told.push('closed'),
      };
    },
  };
  return { provider, streams };
}

interface SetUp {
  readonly cache?: SpeechCache;
  readonly name?: string;
  readonly request?: TtsRequest;
}

function setUp({ cache = new SpeechCache(), name = 'vendor', request = { language: 'en' } }: SetUp = {}) {
  const clock = new VirtualClock();
  const scope = new AbortController();
  const { provider, streams } = vendor(name);
  const wrapped = cachedSpeech(provider, cache);
  const open = () => {
    const parts: TtsPart[] = [];
    const sink: { onPart: Sink<TtsPart> } = { onPart: (part) => parts.push(part) };
    const stream = wrapped.open(request, (part) => sink.onPart(part), { clock, log: silentLog, signal: scope.signal });
    const inner = streams.at(-1);
    if (!inner) throw new Error('not opened');
    const say = (id: string, ...texts: string[]): void => {
      for (const text of texts) stream.speak(id, text, FIXED);
      stream.finish(id);
    };
    const speaks = (id: string, byte: number): void => {
      inner.sink({ type: 'audio-chunk', utteranceId: id, audio: new Uint8Array(160).fill(byte), spans: SPANS });
    };
    const finishes = (id: string): void => inner.sink({ type: 'utterance-finished', utteranceId: id });
    return { parts, sink, stream, inner, say, speaks, finishes, types: () => parts.map(({ type }) => type) };
  };
  return { clock, scope, cache, open };
}

/** The cache after a call in which the vendor has said "Hello." with bytes of 1 and 2. */
function warmCache(): SpeechCache {
  const { cache, open } = setUp();
  const call = open();
  call.say('1', 'Hello.');
  call.speaks('1', 1);
  call.speaks('1', 2);
  call.finishes('1');
  return cache;
}

describe('speech that is kept', () => {
  it('is spoken by the vendor once, then comes from the cache, with its spans, without the vendor', () => {
    const { clock, open } = setUp();
    const first = open();
    first.say('1', 'Hello.', 'How are you?');
    expect(first.inner.told).toEqual(['1:Hello.', '1:How are you?', '1.']);
    first.speaks('1', 1);
    first.speaks('1', 2);
    first.finishes('1');
    const second = open();
    second.say('7', 'Hello.', 'How are you?');
    expect(second.parts).toEqual([]);
    clock.advance(0);
    const renamed = first.parts.map((part) => ({ ...part, utteranceId: '7' }));
    expect(second.parts).toEqual(renamed);
    expect(second.types()).toEqual(['audio-chunk', 'audio-chunk', 'utterance-finished']);
    expect(second.inner.told).toEqual([]);
    second.stream.speak('8', 'And now?');
    expect(second.inner.told).toEqual(['8:And now?']);
    second.stream.close();
    expect(clock.pendingTimers).toBe(0);
  });

  it('is nobody’s but the cache’s: what a call does to its audio, no other hears', () => {
    const { clock, open } = setUp({ cache: warmCache() });
    for (let call = 0; call < 2; call++) {
      const { say, parts } = open();
      say('1', 'Hello.');
      clock.advance(0);
      const [chunk] = parts;
      if (chunk?.type !== 'audio-chunk') throw new Error('no audio');
      expect(chunk.audio[0]).toBe(1);
      chunk.audio.fill(99);
    }
  });

  it.each([
    ['another text', { request: { language: 'en' } }, ['Hello?']],
    ['other pieces', { request: { language: 'en' } }, ['Hel', 'lo.']],
    ['another voice', { request: { language: 'en', voice: 'v' } }, ['Hello.']],
    ['another model', { request: { language: 'en', model: 'm' } }, ['Hello.']],
    ['another language', { request: { language: 'de' } }, ['Hello.']],
    ['other options', { request: { language: 'en', options: { speed: 2 } } }, ['Hello.']],
    ['another provider', { name: 'other' }, ['Hello.']],
  ])('is not found for %s', (_what, settings, texts) => {
    const { open } = setUp({ cache: warmCache(), ...settings });
    const { inner, say } = open();
    say('1', ...texts);
    expect(inner.told).toHaveLength(texts.length + 1);
  });

  it('is found again in the next turn of the route, after another utterance was spoken live', () => {
    const { clock, open } = setUp({ cache: warmCache() });
    const call = open();
    call.stream.speak('1', 'Live.');
    call.stream.finish('1');
    call.say('2', 'Hello.');
    call.speaks('1', 5);
    call.finishes('1');
    clock.advance(0);
    expect(call.parts.map((part) => ('utteranceId' in part ? part.utteranceId : ''))).toEqual([
      '1',
      '1',
      '2',
      '2',
      '2',
    ]);
  });
});

describe('speech that is not kept', () => {
  const spokenAgain = (spoil: (call: ReturnType<ReturnType<typeof setUp>['open']>) => void): string[] => {
    const { open } = setUp();
    spoil(open());
    const next = open();
    next.say('1', 'Hello.');
    return next.inner.told;
  };

  it.each<[string, Parameters<typeof spokenAgain>[0]]>([
    [
      'not fixed',
      ({ stream, speaks, finishes }) => {
        stream.speak('1', 'Hello.');
        stream.finish('1');
        speaks('1', 1);
        finishes('1');
      },
    ],
    [
      'cancelled',
      ({ say, stream, speaks, finishes }) => {
        say('1', 'Hello.');
        speaks('1', 1);
        stream.cancel('1');
        finishes('1');
      },
    ],
    [
      'broken off',
      ({ say, inner, speaks, finishes }) => {
        say('1', 'Hello.');
        speaks('1', 1);
        inner.sink({ type: 'utterance-failed', utteranceId: '1', error: failed });
        finishes('1');
      },
    ],
    [
      'broken off by the death of its stream',
      ({ say, inner, speaks }) => {
        say('1', 'Hello.');
        speaks('1', 1);
        inner.sink({ type: 'stream-failed', error: failed });
      },
    ],
    [
      'silent',
      ({ say, finishes }) => {
        say('1', 'Hello.');
        finishes('1');
      },
    ],
  ])('is what was %s', (_what, spoil) => {
    expect(spokenAgain(spoil)).toEqual(['1:Hello.', '1.']);
  });

  it('is what takes more than its share, and what was used least recently', () => {
    const cache = new SpeechCache(16_000);
    const { open } = setUp({ cache });
    const speak = (text: string, chunks: number): boolean => {
      const call = open();
      call.say('1', text);
      for (let n = 0; n < chunks; n++) call.speaks('1', n);
      call.finishes('1');
      const spoken = call.inner.told.length > 0;
      call.stream.close();
      return spoken;
    };
    speak('Long.', 20);
    expect(cache.bytes).toBe(0);
    for (let n = 0; n < 100; n++) speak(`Text ${n}.`, 3);
    expect(cache.bytes).toBeGreaterThan(10_000);
    expect(cache.bytes).toBeLessThanOrEqual(16_000);
    expect(speak('Text 99.', 3)).toBe(false);
    expect(speak('Text 0.', 3)).toBe(true);
  });
});

describe('pieces of an utterance', () => {
  it('are not held up when the rest is long in coming, and are kept all the same', () => {
    const { clock, open } = setUp();
    const call = open();
    call.stream.speak('1', 'One.', FIXED);
    expect(call.inner.told).toEqual([]);
    clock.advance(0);
    call.stream.speak('1', 'Two.', FIXED);
    expect(call.inner.told).toEqual(['1:One.', '1:Two.']);
    call.speaks('1', 1);
    call.stream.finish('1');
    call.finishes('1');
    const next = open();
    next.say('1', 'One.', 'Two.');
    expect(next.inner.told).toEqual([]);
  });

  it.each([
    ['first', [true, false]],
    ['last', [false, true]],
    ['in the middle', [false, true, false]],
  ])('all pass, in order, when the fixed one comes %s among others', (_where, fixed) => {
    const { clock, open } = setUp({ cache: warmCache() });
    const { stream, inner, parts, speaks, finishes } = open();
    for (const each of fixed) stream.speak('1', each ? 'Hello.' : 'Live.', { fixed: each });
    stream.finish('1');
    clock.advance(0);
    expect(inner.told).toEqual([...fixed.map((each) => (each ? '1:Hello.' : '1:Live.')), '1.']);
    speaks('1', 1);
    finishes('1');
    expect(parts).toHaveLength(2);
  });
});

describe('the end', () => {
  it.each(['cancel', 'close', 'signal', 'death'] as const)('by %s comes before what was on its way', (how) => {
    const { clock, scope, open } = setUp({ cache: warmCache() });
    const { stream, inner, say, types } = open();
    say('1', 'Hello.');
    if (how === 'cancel') stream.cancel('1');
    else if (how === 'close') stream.close();
    else if (how === 'signal') scope.abort();
    else inner.sink({ type: 'stream-failed', error: failed });
    clock.advance(1_000);
    expect(types()).toEqual(how === 'death' ? ['stream-failed'] : []);
    expect(inner.told).not.toContain('1:Hello.');
    stream.close();
    expect(clock.pendingTimers).toBe(0);
  });

  it.each(['cancel', 'close'] as const)('by %s in the middle of a delivery is obeyed', (how) => {
    const { clock, open } = setUp({ cache: warmCache() });
    const { stream, sink, say } = open();
    let parts = 0;
    sink.onPart = () => {
      parts++;
      if (how === 'cancel') stream.cancel('1');
      else stream.close();
    };
    say('1', 'Hello.');
    clock.advance(1_000);
    expect(parts).toBe(1);
  });
});

describe('a route of cached voices', () => {
  it('tells the next voice, too, what is fixed', () => {
    const cache = new SpeechCache();
    const clock = new VirtualClock();
    const [first, second] = [vendor('first'), vendor('second')];
    const voices = [first, second].map(({ provider }) => cachedSpeech(provider, cache));
    const candidates = candidatesOf('tts', clock, voices);
    const open = (sink: Sink<TtsPart>) =>
      ttsRoute(candidates, () => 0).open({ language: 'en' }, sink, {
        clock,
        log: silentLog,
        signal: new AbortController().signal,
      });
    const stream = open(() => {});
    stream.speak('1', 'Hello.', FIXED);
    stream.finish('1');
    first.streams[0]?.sink({ type: 'utterance-failed', utteranceId: '1', error: failed });
    second.streams[0]?.sink({ type: 'audio-chunk', utteranceId: '1', audio: new Uint8Array(160) });
    second.streams[0]?.sink({ type: 'utterance-finished', utteranceId: '1' });
    const parts: TtsPart[] = [];
    const again = open((part) => parts.push(part));
    first.streams.at(-1)?.sink({ type: 'stream-failed', error: failed });
    again.speak('1', 'Hello.', FIXED);
    again.finish('1');
    clock.advance(0);
    expect(parts.map(({ type }) => type)).toEqual(['audio-chunk', 'utterance-finished']);
    expect(clock.pendingTimers).toBe(0);
  });
});
