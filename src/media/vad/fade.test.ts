import { describe, expect, it } from 'vitest';
import { fixtureAudio } from '../../../tests/support/speech-fixtures.ts';
import { encodeMulaw } from '../../../tests/support/wav.ts';
import { FadeMeter } from './fade.ts';
import { WINDOW_SAMPLES } from './vad.ts';

const tone = (ms: number, amplitude: number): Int16Array =>
  Int16Array.from({ length: ms * 8 }, (_, at) => Math.round(amplitude * Math.sin((2 * Math.PI * 200 * at) / 8_000)));

/** For how long the voice has faded at the end of each 32 ms of some sounds, one after the other, however it is cut. */
function fades(...sounds: readonly Int16Array[]): number[] {
  const mulaw = encodeMulaw(Int16Array.from(sounds.flatMap((sound) => [...sound])));
  const meter = new FadeMeter();
  const found: number[] = [];
  for (let at = 0; at + WINDOW_SAMPLES <= mulaw.length; at += WINDOW_SAMPLES) {
    for (let part = at; part < at + WINDOW_SAMPLES; part += 100)
      meter.write(mulaw.subarray(part, Math.min(part + 100, at + WINDOW_SAMPLES)));
    expect(meter.positionMs).toBe((at + WINDOW_SAMPLES) / 8);
    found.push(meter.positionMs - meter.loudUntilMs);
  }
  return found;
}

describe('FadeMeter', () => {
  it('measures to 8 ms for how long a voice has been gone, and forgets it when it is back', () => {
    expect(fades(tone(320, 8_000), tone(96, 0)).slice(-4)).toEqual([0, 32, 64, 96]);
    expect(fades(tone(328, 8_000), tone(88, 0), tone(64, 8_000)).slice(-5)).toEqual([24, 56, 88, 0, 0]);
  });

  it('takes a voice at half its loudness for a voice, and one at a tenth for none', () => {
    expect(fades(tone(320, 8_000), tone(64, 4_000)).slice(-2)).toEqual([0, 0]);
    expect(fades(tone(320, 8_000), tone(64, 800)).slice(-2)).toEqual([32, 64]);
  });

  it('grows used to a voice that has become quiet', () => {
    expect(fades(tone(320, 8_000), tone(3_200, 800)).at(-1)).toBe(0);
  });

  it('finds no fade in a steady noise', () => {
    const pink = fixtureAudio('noise-pink.wav').pcm();
    expect(Math.max(...fades(pink))).toBeLessThan(40);
  });
});
