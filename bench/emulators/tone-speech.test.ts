import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeMulaw, encodeMulaw } from './mulaw.ts';
import { CHARACTER_MS, decodeToneSpeech, encodeToneSpeech, speakable } from './tone-speech.ts';

const latin = fc.string({
  unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
  maxLength: 40,
});

function overThePhone(pcm: Int16Array): Int16Array {
  return decodeMulaw(encodeMulaw(pcm));
}

function concat(...parts: readonly Int16Array[]): Int16Array {
  const all = new Int16Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

describe('tone speech', () => {
  it('takes 60 ms a character', () => {
    expect(encodeToneSpeech('Hello').length).toBe(5 * CHARACTER_MS * 8);
  });

  it('says typographic characters plainly', () => {
    expect(speakable('“It’s” – so… 猫')).toBe('"It\'s" - so. ?');
  });

  it('survives μ-law with any text at any offset', () => {
    fc.assert(
      fc.property(latin, fc.integer({ min: 0, max: 1000 }), fc.integer({ min: 0, max: 400 }), (text, before, after) => {
        const pcm = concat(new Int16Array(before), encodeToneSpeech(text), new Int16Array(after));
        const heard = decodeToneSpeech(overThePhone(pcm));
        expect(heard.text).toBe(text.normalize('NFC'));
        for (const [index, { startMs }] of heard.characters.entries()) {
          expect(Math.abs(startMs - (before / 8 + index * CHARACTER_MS))).toBeLessThanOrEqual(5);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('hears a prefix when cut, give or take the character under the knife', () => {
    fc.assert(
      fc.property(latin, fc.nat(), fc.nat(), (text, from, to) => {
        const pcm = overThePhone(encodeToneSpeech(text));
        const [start, end] = [from % (pcm.length + 1), to % (pcm.length + 1)].sort((a, b) => a - b);
        const heard = decodeToneSpeech(pcm.slice(start, end)).text;
        const samples = CHARACTER_MS * 8;
        const whole = text.slice(Math.ceil((start ?? 0) / samples), Math.floor((end ?? 0) / samples));
        const touched = text.slice(Math.floor((start ?? 0) / samples), Math.ceil((end ?? 0) / samples));
        expect(touched).toContain(heard);
        expect(heard).toContain(whole);
      }),
      { numRuns: 60 },
    );
  });

  it('is not confused by silence that opens anywhere, even within a character', () => {
    fc.assert(
      fc.property(latin, fc.nat(), fc.integer({ min: 1, max: 2400 }), (text, where, length) => {
        const pcm = encodeToneSpeech(text);
        const at = where % (pcm.length + 1);
        const torn = concat(pcm.slice(0, at), new Int16Array(length), pcm.slice(at));
        const heard = decodeToneSpeech(overThePhone(torn)).text;
        // At worst the character that was torn is lost; nothing is doubled or invented.
        const index = Math.floor(at / (CHARACTER_MS * 8));
        expect([text, text.slice(0, index) + text.slice(index + 1)]).toContain(heard);
      }),
      { numRuns: 60 },
    );
  });

  it('keeps two utterances apart when the first is cut off', () => {
    fc.assert(
      fc.property(latin, latin, fc.nat(), (first, second, where) => {
        const pcm = encodeToneSpeech(first);
        const at = where % (pcm.length + 1);
        const heard = decodeToneSpeech(overThePhone(concat(pcm.slice(0, at), encodeToneSpeech(second)))).text;
        const whole = first.slice(0, Math.floor(at / (CHARACTER_MS * 8)));
        const touched = first.slice(0, Math.ceil(at / (CHARACTER_MS * 8)));
        expect([whole + second, touched + second]).toContain(heard);
      }),
      { numRuns: 60 },
    );
  });

  it('passes over noise, single tones, dial tone and vowels', () => {
    let seed = 7;
    const random = (): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return seed / 2_147_483_648 - 0.5;
    };
    const tones = (...frequencies: readonly number[]) =>
      Int16Array.from({ length: 8000 }, (_, n) =>
        frequencies.reduce((sum, hz) => sum + 4000 * Math.sin((2 * Math.PI * hz * n) / 8000), 0),
      );
    const noise = Int16Array.from({ length: 16_000 }, () => random() * 20_000);
    const vowel = tones(120, 240, 360, 480, 600, 720, 840, 960, 1080, 1200);
    for (const audio of [noise, tones(1000), tones(350, 440), vowel, new Int16Array(8000)]) {
      expect(decodeToneSpeech(overThePhone(audio)).text).toBe('');
    }
    const mixed = concat(noise, encodeToneSpeech('Hi!'), vowel);
    expect(decodeToneSpeech(overThePhone(mixed)).text).toBe('Hi!');
  });
});
