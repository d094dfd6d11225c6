import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeMulaw } from '../../../media/audio/g711.ts';
import { Resampler } from '../../../media/audio/resampler.ts';
import { PcmToMulaw } from './pcm.ts';

/** A 400 Hz tone, 24 kHz, as bytes. */
function tone(samples: number): Buffer {
  const bytes = Buffer.alloc(samples * 2);
  for (let n = 0; n < samples; n++)
    bytes.writeInt16LE(Math.round(8_000 * Math.sin((2 * Math.PI * 400 * n) / 24_000)), 2 * n);
  return bytes;
}

function convert(bytes: Buffer, cuts: readonly number[]): Buffer {
  const decoder = new PcmToMulaw();
  const parts: Uint8Array[] = [];
  let from = 0;
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    parts.push(decoder.decode(bytes.subarray(from, cut)));
    from = cut;
  }
  parts.push(decoder.decode(bytes.subarray(from)), decoder.end());
  return Buffer.concat(parts);
}

describe('24 kHz PCM to μ-law', () => {
  it('is the same however the bytes are cut, in the middle of samples too', () => {
    const bytes = tone(600);
    const whole = convert(bytes, []);
    fc.assert(
      fc.property(fc.array(fc.nat({ max: bytes.length }), { maxLength: 20 }), (cuts) => {
        expect(convert(bytes, cuts).equals(whole)).toBe(true);
      }),
    );
  });

  it('keeps the length to the sample, and the tone in its place', () => {
    const mulaw = convert(tone(2_400), []);
    // All of the tone, and the end that the delay had held back.
    expect(mulaw.length).toBe(2_400 / 3 + Math.ceil(new Resampler(24_000, 8_000).delayMs * 8));
    const linear = new Int16Array(mulaw.length);
    decodeMulaw(mulaw, linear);
    const delay = new Resampler(24_000, 8_000).delayMs * 8;
    for (let n = 100; n < 700; n++) {
      const ideal = 8_000 * Math.sin((2 * Math.PI * 400 * (n - delay)) / 8_000);
      expect(Math.abs((linear[n] ?? 0) - ideal)).toBeLessThan(300);
    }
  });

  it('delays by less than 5 ms', () => {
    expect(new Resampler(24_000, 8_000).delayMs).toBeLessThanOrEqual(5);
  });

  it('drops half a sample at the end, and makes nothing of nothing', () => {
    expect(convert(tone(300), []).equals(convert(Buffer.concat([tone(300), Buffer.of(1)]), []))).toBe(true);
    expect(convert(Buffer.alloc(0), [])).toHaveLength(0);
  });
});
