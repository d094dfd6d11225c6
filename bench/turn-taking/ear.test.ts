import { describe, expect, it } from 'vitest';
import { CHARACTER_MS, encodeToneSpeech } from '../emulators/tone-speech.ts';
import { compareHeard } from './ear.ts';

const ANSWER = 'The quick brown fox jumps over the lazy dog.';
const silence = (durationMs: number): Int16Array => new Int16Array(durationMs * 8);
const part = (from: number, to?: number): Int16Array => encodeToneSpeech(ANSWER.slice(from, to));
const join = (...pieces: Int16Array[]): Int16Array => Int16Array.from(pieces.flatMap((piece) => [...piece]));

describe('what reached the ear', () => {
  it('is complete when the answer was', () => {
    expect(compareHeard(join(silence(100), part(0)), ANSWER)).toMatchObject({ lost: '', repeated: '', foreign: [] });
  });

  it('is complete when it went on after a break, with what was said again', () => {
    const heard = join(part(0, 13), silence(900), part(10));
    expect(compareHeard(heard, ANSWER)).toMatchObject({ lost: '', repeated: 'bro', foreign: [] });
  });

  it('lacks what was skipped, and what never came', () => {
    const heard = join(part(0, 10), silence(900), part(16, 40));
    expect(compareHeard(heard, ANSWER)).toMatchObject({ lost: 'browndog.', repeated: '' });
  });

  it('takes a character cut off in its first half as not heard', () => {
    const cut = part(0, 13).subarray(0, 12 * CHARACTER_MS * 8 + 15 * 8);
    expect(compareHeard(join(cut, silence(900), part(10)), ANSWER)).toMatchObject({ lost: '', repeated: 'br' });
  });

  it('tells what is not of the answer', () => {
    const heard = join(part(0), silence(500), encodeToneSpeech('Sorry?'));
    expect(compareHeard(heard, ANSWER)).toMatchObject({ lost: '', foreign: ['Sorry?'] });
  });
});
