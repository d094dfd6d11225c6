import { describe, expect, it } from 'vitest';
import { BvraiError } from '../../core/errors.ts';
import type { Sink, SpokenSpan, TtsPart } from '../providers/spec.ts';
import { callContext, candidatesOf, scriptedTts } from './testing.ts';
import { STAGE_TIMES } from './times.ts';
import { ttsRoute } from './tts-route.ts';

const failed = new BvraiError('provider.overloaded', 'scripted');
const FIRST_MS = STAGE_TIMES.tts.first.initialMs;
const GAP_MS = STAGE_TIMES.tts.gap.initialMs;
const audioOf = (durationMs: number) => new Uint8Array(durationMs * 8);
const chunk = (utteranceId: string, durationMs: number, spans?: readonly SpokenSpan[]): TtsPart => ({
  type: 'audio-chunk',
  utteranceId,
  audio: audioOf(durationMs),
  spans,
});
/** Words of 200 ms each. */
const words = (...texts: string[]): SpokenSpan[] =>
  texts.map((text, index) => ({ text, startMs: index * 200, durationMs: 200 }));

function setUp() {
  const { clock, context, switches } = callContext();
  const first = scriptedTts('first');
  const second = scriptedTts('second');
  const parts: TtsPart[] = [];
  const route = ttsRoute(candidatesOf('tts', clock, [first.provider, second.provider]), () => 0);
  const open = () => route.open({ language: 'en' }, (part) => parts.push(part), context);
  return { clock, first, second, parts, switches, stream: open(), open };
}

describe('a route of voices', () => {
  it.each([
    [
      'fails the utterance',
      (sink: Sink<TtsPart>) => sink({ type: 'utterance-failed', utteranceId: '1', error: failed }),
      0,
    ],
    ['dies', (sink: Sink<TtsPart>) => sink({ type: 'stream-failed', error: failed }), 0],
    ['finishes without a sound', (sink: Sink<TtsPart>) => sink({ type: 'utterance-finished', utteranceId: '1' }), 0],
    ['gives no audio in time', () => {}, FIRST_MS],
  ])('says all of an utterance with the next voice when the first %s', (_what, fault, waitMs) => {
    const { clock, first, second, parts, stream, switches } = setUp();
    stream.speak('1', 'One,');
    stream.speak('1', 'two.');
    stream.finish('1');
    fault(first.streams[0]?.sink ?? (() => {}));
    clock.advance(waitMs);
    expect(first.streams[0]?.closed).toBe(true);
    expect(second.streams[0]?.spoken).toEqual(['1:One,', '1:two.', '1.']);
    second.streams[0]?.sink(chunk('1', 500));
    second.streams[0]?.sink({ type: 'utterance-finished', utteranceId: '1' });
    expect(parts.map(({ type }) => type)).toEqual(['audio-chunk', 'utterance-finished']);
    expect(switches).toHaveLength(1);
    expect(clock.pendingTimers).toBe(0);
  });

  it('goes on with the next voice at the first word that was not passed on, and says later utterances with it', () => {
    const { clock, first, second, parts, stream } = setUp();
    stream.speak('1', 'One two ');
    stream.speak('1', 'three four.');
    first.streams[0]?.sink(chunk('1', 600, words('One ', 'two ', 'three ')));
    stream.finish('1');
    clock.advance(GAP_MS);
    expect(second.streams[0]?.spoken).toEqual(['1:four.', '1.']);
    second.streams[0]?.sink(chunk('1', 200, words('four.')));
    second.streams[0]?.sink({ type: 'utterance-finished', utteranceId: '1' });
    stream.speak('2', 'Five.');
    expect(second.streams[0]?.spoken.at(-1)).toBe('2:Five.');
    expect(parts.flatMap((part) => ('spans' in part ? (part.spans ?? []) : [])).map(({ text }) => text)).toEqual([
      'One ',
      'two ',
      'three ',
      '',
      'four.',
    ]);
  });

  it('passes on no half word of a voice that dies', () => {
    const { first, second, parts, stream } = setUp();
    stream.speak('1', 'One two three.');
    first.streams[0]?.sink(chunk('1', 500, words('One ', 'two ', 'thr')));
    expect(parts).toMatchObject([{ audio: { length: 400 * 8 } }]);
    first.streams[0]?.sink({ type: 'stream-failed', error: failed });
    expect(second.streams[0]?.spoken).toEqual(['1:three.']);
  });

  it('passes a held word on with the rest of it', () => {
    const { first, parts, stream } = setUp();
    stream.speak('1', 'One two three.');
    first.streams[0]?.sink(chunk('1', 500, words('One ', 'two ', 'thr')));
    first.streams[0]?.sink(chunk('1', 100, [{ text: 'ee.', startMs: 0, durationMs: 100 }]));
    expect(parts).toMatchObject([{ audio: { length: 3_200 } }, { audio: { length: 1_600 } }]);
    expect(parts[1]).toMatchObject({
      spans: [
        { text: 'thr', startMs: 0 },
        { text: 'ee.', startMs: 100 },
      ],
    });
  });

  it('finds the place by the pace of a voice that gives no alignment', () => {
    const { first, second, stream, clock } = setUp();
    // 100 ms a character, from an utterance that went well.
    stream.speak('1', 'abcdefghij');
    stream.finish('1');
    first.streams[0]?.sink(chunk('1', 1_000));
    first.streams[0]?.sink({ type: 'utterance-finished', utteranceId: '1' });
    stream.speak('2', 'abcd efgh ijkl');
    stream.finish('2');
    first.streams[0]?.sink(chunk('2', 780));
    clock.advance(GAP_MS);
    expect(second.streams[0]?.spoken).toEqual(['2:ijkl', '2.']);
  });

  it('is done when the voice dies after its last word', () => {
    const { first, second, parts, stream, clock } = setUp();
    stream.speak('1', 'One two.');
    stream.finish('1');
    first.streams[0]?.sink(chunk('1', 400, words('One ', 'two.')));
    first.streams[0]?.sink({ type: 'stream-failed', error: failed });
    expect(parts.map(({ type }) => type)).toEqual(['audio-chunk', 'utterance-finished']);
    expect(second.streams[0]?.spoken).toEqual([]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('begins again with the first after the last has failed: no failure mutes a call for good', () => {
    const { first, second, parts, stream } = setUp();
    stream.speak('1', 'One.');
    first.streams[0]?.sink({ type: 'stream-failed', error: failed });
    second.streams[0]?.sink({ type: 'stream-failed', error: failed });
    second.streams[1]?.sink({ type: 'stream-failed', error: failed });
    expect(parts).toMatchObject([{ type: 'utterance-failed', utteranceId: '1' }]);
    stream.speak('2', 'Two.');
    expect(first.streams[1]?.spoken).toEqual(['2:Two.']);
  });

  describe('with one voice and a last resort', () => {
    const setUpOnly = () => {
      const { clock, context, switches } = callContext();
      const only = scriptedTts('only');
      const embedded = scriptedTts('embedded');
      const [voice, last] = candidatesOf('tts', clock, [only.provider, embedded.provider]);
      if (!voice || !last) throw new Error('two were asked for');
      const parts: TtsPart[] = [];
      const route = ttsRoute([voice, { ...last, isLastResort: true }], () => 0);
      const stream = route.open({ language: 'en' }, (part) => parts.push(part), context);
      const stumble = () => only.streams.at(-1)?.sink({ type: 'stream-failed', error: failed });
      return { clock, only, embedded, parts, switches, stream, stumble };
    };

    it('says an utterance again with the voice that stumbled before its first audio', () => {
      const { only, embedded, parts, switches, stream, stumble } = setUpOnly();
      stream.speak('1', 'One,');
      stream.speak('1', 'two.');
      stream.finish('1');
      stumble();
      expect(only.streams[1]?.spoken).toEqual(['1:One,', '1:two.', '1.']);
      only.streams[1]?.sink(chunk('1', 500));
      only.streams[1]?.sink({ type: 'utterance-finished', utteranceId: '1' });
      expect(parts.map(({ type }) => type)).toEqual(['audio-chunk', 'utterance-finished']);
      // Idle sockets are closed now and then.
      stumble();
      expect(only.streams).toHaveLength(3);
      expect(embedded.streams).toHaveLength(0);
      expect(switches).toEqual([]);
    });

    it('does so once, and in the time of one request', () => {
      const twice = setUpOnly();
      twice.stream.speak('1', 'One.');
      twice.stumble();
      twice.stumble();
      expect(twice.embedded.streams[0]?.spoken).toEqual(['1:One.']);
      const late = setUpOnly();
      late.stream.speak('1', 'One.');
      late.clock.advance(FIRST_MS - 100);
      late.stumble();
      late.clock.advance(99);
      expect(late.embedded.streams).toHaveLength(0);
      late.clock.advance(1);
      expect(late.embedded.streams[0]?.spoken).toEqual(['1:One.']);
    });

    it('goes on with the last resort when the voice stumbles amid an utterance', () => {
      const { only, embedded, stream, stumble } = setUpOnly();
      stream.speak('1', 'One two.');
      only.streams[0]?.sink(chunk('1', 400, words('One ', 'two.')));
      stumble();
      expect(only.streams).toHaveLength(1);
      expect(embedded.streams).toHaveLength(1);
    });
  });

  describe('on an overloaded machine', () => {
    const setUpLast = () => {
      const { clock, context } = callContext();
      const cloud = scriptedTts('cloud');
      const embedded = scriptedTts('embedded');
      const kept = scriptedTts('kept');
      const [voice, ...behind] = candidatesOf('tts', clock, [cloud.provider, embedded.provider, kept.provider]);
      const [last, keptLast] = behind.map((candidate) => ({ ...candidate, isLastResort: true }));
      if (!voice || !last) throw new Error('three were asked for');
      const parts: TtsPart[] = [];
      const open = (withCloud: boolean) =>
        ttsRoute(withCloud ? [voice, last] : [last], () => 0, keptLast).open(
          { language: 'en' },
          (part) => parts.push(part),
          context,
        );
      return { clock, cloud, embedded, kept, parts, open };
    };

    it('waits for the last resort, and asks meanwhile whether its words were kept', () => {
      const { clock, embedded, kept, parts, open } = setUpLast();
      const stream = open(false);
      stream.speak('1', 'One.');
      clock.advance(FIRST_MS);
      expect(kept.streams[0]?.spoken).toEqual(['1:One.']);
      kept.streams[0]?.sink({ type: 'utterance-failed', utteranceId: '1', error: failed });
      stream.speak('1', 'Two.');
      stream.finish('1');
      clock.advance(5 * FIRST_MS);
      expect(parts).toEqual([]);
      embedded.streams[0]?.sink(chunk('1', 200));
      clock.advance(3 * GAP_MS);
      embedded.streams[0]?.sink(chunk('1', 200));
      embedded.streams[0]?.sink({ type: 'utterance-finished', utteranceId: '1' });
      expect(parts.map(({ type }) => type)).toEqual(['audio-chunk', 'audio-chunk', 'utterance-finished']);
      expect(kept.streams).toHaveLength(1);
      expect(clock.pendingTimers).toBe(0);
    });

    it('says what was kept when the last resort is late with it', () => {
      const { clock, embedded, kept, parts, open } = setUpLast();
      const stream = open(false);
      stream.speak('1', 'One.');
      stream.finish('1');
      clock.advance(FIRST_MS);
      kept.streams[0]?.sink(chunk('1', 200));
      kept.streams[0]?.sink({ type: 'utterance-finished', utteranceId: '1' });
      expect(parts.map(({ type }) => type)).toEqual(['audio-chunk', 'utterance-finished']);
      expect(embedded.streams[0]?.closed).toBe(true);
    });

    it('gives a late last resort up where another voice can be asked for the next utterance', () => {
      const { clock, cloud, embedded, kept, parts, open } = setUpLast();
      const stream = open(true);
      stream.speak('1', 'One two.');
      cloud.streams[0]?.sink(chunk('1', 200, words('One ')));
      cloud.streams[0]?.sink({ type: 'stream-failed', error: failed });
      clock.advance(FIRST_MS);
      expect(embedded.streams[0]?.closed).toBe(true);
      kept.streams[0]?.sink({ type: 'utterance-failed', utteranceId: '1', error: failed });
      expect(parts.at(-1)).toMatchObject({ type: 'utterance-failed' });
      stream.speak('2', 'Two.');
      expect(cloud.streams[1]?.spoken).toEqual(['2:Two.']);
    });
  });

  it('waits for no audio while the model is slow with the next clause', () => {
    const { clock, first, parts, stream } = setUp();
    stream.speak('1', 'One.');
    first.streams[0]?.sink(chunk('1', 300));
    clock.advance(60_000);
    expect(parts.map(({ type }) => type)).toEqual(['audio-chunk']);
  });

  it('is silent about what was cancelled and after it was closed', () => {
    const { clock, first, parts, stream } = setUp();
    stream.speak('1', 'One.');
    stream.cancel('1');
    first.streams[0]?.sink(chunk('1', 300));
    stream.close();
    first.streams[0]?.sink({ type: 'stream-failed', error: failed });
    clock.advance(10_000);
    expect(parts).toEqual([]);
    expect(first.streams[0]?.closed).toBe(true);
    expect(clock.pendingTimers).toBe(0);
  });

  it('asks a second voice when the first is later than usual, and keeps the one that speaks first', () => {
    const { clock, first, second, parts, stream, switches } = setUp();
    for (let id = 1; id <= 30; id++) {
      stream.speak(`${id}`, 'One.');
      stream.finish(`${id}`);
      clock.advance(150);
      first.streams[0]?.sink(chunk(`${id}`, 300));
      first.streams[0]?.sink({ type: 'utterance-finished', utteranceId: `${id}` });
    }
    parts.length = 0;
    stream.speak('late', 'Hello.');
    stream.finish('late');
    expect(second.streams).toHaveLength(0);
    clock.advance(180);
    expect(second.streams[0]?.spoken).toEqual(['late:Hello.', 'late.']);
    second.streams[0]?.sink(chunk('late', 300));
    first.streams[0]?.sink(chunk('late', 300));
    second.streams[0]?.sink({ type: 'utterance-finished', utteranceId: 'late' });
    expect(parts.map(({ type }) => type)).toEqual(['audio-chunk', 'utterance-finished']);
    expect(first.streams[0]?.closed).toBe(true);
    expect(switches).toEqual(['first → second: slow']);
    expect(clock.pendingTimers).toBe(0);
  });
});
