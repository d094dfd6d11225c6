/** The small pure parts of the embedded engines. */
import { describe, expect, it } from 'vitest';
import { ByteCache } from '../../../core/byte-cache.ts';
import { voicedRange, wordSpans } from './clause-timing.ts';
import { confidenceOf, MIN_CONFIDENCE, scoreUtterance } from './confidence.ts';
import { Dictionary } from './dictionary.ts';
import { parsePhones } from './flite.ts';
import { RingBuffer } from '../../../core/ring-buffer.ts';
import { pauseAfterMs, toSpokenAscii } from './spoken-text.ts';
import { chunkSpeech } from './telephone-speech.ts';

describe('RingBuffer', () => {
  it('keeps the newest bytes in order, however they were written', () => {
    for (const sizes of [[3, 4, 5], [1, 1, 1, 9], [12], [5, 7, 1, 2], [20, 3]]) {
      const ring = new RingBuffer(8);
      const all: number[] = [];
      for (const size of sizes) {
        const piece = Uint8Array.from({ length: size }, (_, i) => all.length + i);
        all.push(...piece);
        ring.write(piece);
      }
      for (const count of [0, 1, 5, 8, 100]) {
        expect([...ring.newest(count)]).toEqual(count === 0 ? [] : all.slice(-Math.min(count, 8)));
      }
    }
  });
});

describe('ByteCache', () => {
  it('drops what was used least recently, and never exceeds its bytes', () => {
    const cache = new ByteCache<string>(10);
    cache.set('a', 'A', 4);
    cache.set('b', 'B', 4);
    expect(cache.get('a')).toBe('A');
    cache.set('c', 'C', 4);
    expect([cache.get('a'), cache.get('b'), cache.get('c'), cache.bytes]).toEqual(['A', undefined, 'C', 8]);
    cache.set('d', 'too large', 11);
    expect([cache.get('d'), cache.bytes]).toEqual([undefined, 8]);
    cache.set('a', 'A2', 1);
    expect([cache.get('a'), cache.bytes]).toEqual(['A2', 5]);
  });
});

describe('Dictionary', () => {
  const dictionary = new Dictionary(
    ['a AH', 'a(2) EY', "a's EY Z", 'hours AW ER Z', 'hours(2) AW R Z', 'hour AW ER'].join('\n'),
  );

  it('finds whole words with all their pronunciations', () => {
    expect(dictionary.pronunciations('hours')).toEqual(['AW ER Z', 'AW R Z']);
    expect(dictionary.pronunciations('hour')).toEqual(['AW ER']);
    expect(dictionary.pronunciations('a')).toEqual(['AH', 'EY']);
    expect(dictionary.pronunciations("a's")).toEqual(['EY Z']);
  });

  it('knows nothing of other words', () => {
    for (const word of ['hou', 'zebra', 'x', 'ours']) expect(dictionary.pronunciations(word)).toEqual([]);
  });
});

describe('confidence', () => {
  const word = (text: string, durationMs: number, quality: number) => ({ text, startMs: 0, durationMs, quality });

  it('believes a phrase that beats the free loop', () => {
    const score = scoreUtterance(8, [word('<sil>', 500, 0.94), word('yes', 300, 0.9)]);
    expect(score).toBeCloseTo(8);
    expect(confidenceOf(score)).toBeGreaterThan(0.9);
  });

  it('distrusts a phrase beside speech that was taken for silence', () => {
    const score = scoreUtterance(8, [word('yes', 300, 0.9), word('<sil>', 2000, 0.65)]);
    expect(confidenceOf(score)).toBeLessThan(MIN_CONFIDENCE / 10);
  });

  it('gives nothing for nothing', () => {
    expect(confidenceOf(Number.NEGATIVE_INFINITY)).toBe(0);
  });
});

describe('spoken text', () => {
  it('becomes readable ASCII', () => {
    expect(toSpokenAscii('“Café” – it’s €5… ok? 😀')).toBe('"Cafe" , it\'s 5 euros. ok?');
    expect(toSpokenAscii('  **bold**  text ')).toBe('bold text');
    expect(toSpokenAscii('…!? 😀')).toBe('');
  });

  it('pauses longer after sentences than after commas', () => {
    expect(pauseAfterMs('Hello. ')).toBe(250);
    expect(pauseAfterMs('he said "Hello!"')).toBe(250);
    expect(pauseAfterMs('well, ')).toBe(120);
    expect(pauseAfterMs('and so')).toBeLessThan(100);
  });
});

describe('word times', () => {
  const phones = parsePhones(' pau:0.200 hh:0.300 ay:0.400 pau:0.500 \n pau:0.100 y:0.200 uw:0.300 pau:0.500 \n');

  it('reads sentences one after the other', () => {
    expect(phones.filter(({ name }) => name !== 'pau').map(({ startMs }) => Math.round(startMs))).toEqual([
      200, 300, 600, 700,
    ]);
  });

  it('aligns phrases with the pauses between them', () => {
    const range = voicedRange(phones);
    expect(range).toEqual({ startMs: 180, endMs: 830 });
    const spans = wordSpans('Hi! You.', phones, range ?? { startMs: 0, endMs: 0 });
    expect(spans.map(({ text }) => text)).toEqual(['Hi! ', 'You.']);
    expect(spans[0]?.durationMs).toBeCloseTo(220);
    expect((spans[1]?.startMs ?? 0) + (spans[1]?.durationMs ?? 0)).toBeCloseTo(650);
  });

  it('never loses a character, and never goes backwards', () => {
    for (const text of [' a  b\nc ', 'one, two, three four', 'x', '…', '12 34 $5 — done']) {
      const spans = wordSpans(text, phones, { startMs: 180, endMs: 830 });
      expect(spans.map((span) => span.text).join('')).toBe(text);
      for (const [i, span] of spans.entries()) {
        expect(span.durationMs).toBeGreaterThanOrEqual(0);
        if (i > 0) expect(span.startMs).toBeCloseTo((spans[i - 1]?.startMs ?? 0) + (spans[i - 1]?.durationMs ?? 0));
      }
    }
  });

  it('cuts audio at words, pause first, without losing a sample', () => {
    const audio = Uint8Array.from({ length: 4000 }, (_, i) => i % 251);
    const spans = [
      { text: 'a ', startMs: 0, durationMs: 60.3 },
      { text: 'b ', startMs: 60.3, durationMs: 100 },
      { text: 'c', startMs: 160.3, durationMs: 339.7 },
    ];
    const chunks = chunkSpeech({ audio, spans }, 120);
    expect(chunks.map((chunk) => chunk.spans.map(({ text }) => text).join(''))).toEqual(['a b ', 'c']);
    const joined = Buffer.concat(chunks.map((chunk) => chunk.audio));
    expect(joined.subarray(0, 960).every((byte) => byte === 0xff)).toBe(true);
    expect(joined.subarray(960).equals(audio)).toBe(true);
    expect(chunks[0]?.spans[0]?.startMs).toBe(120);
  });
});
