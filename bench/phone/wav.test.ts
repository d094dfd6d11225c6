import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  energyDbfs,
  firstAudible,
  lastAudible,
  MULAW_SILENCE,
  mulawDecode,
  mulawEncode,
  speechEdges,
} from './audio.ts';
import { encodeStereoWav, parseWav, readWavFile, WavError } from './wav.ts';

function sine(frequencyHz: number, rateHz: number, seconds: number, amplitude = 16_000): Int16Array {
  return Int16Array.from(
    { length: rateHz * seconds },
    (_, i) => amplitude * Math.sin((2 * Math.PI * frequencyHz * i) / rateHz),
  );
}

function wav(options: {
  encoding: number;
  channels: number;
  rateHz: number;
  bits: number;
  data: Uint8Array;
  dataSize?: number;
}): Uint8Array {
  const head = Buffer.alloc(44);
  head.write('RIFF', 0, 'latin1');
  head.writeUInt32LE(36 + options.data.length, 4);
  head.write('WAVEfmt ', 8, 'latin1');
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(options.encoding, 20);
  head.writeUInt16LE(options.channels, 22);
  head.writeUInt32LE(options.rateHz, 24);
  head.writeUInt16LE(options.bits, 34);
  head.write('data', 36, 'latin1');
  head.writeUInt32LE(options.dataSize ?? options.data.length, 40);
  return Buffer.concat([head, options.data]);
}

const pcmBytes = (pcm: Int16Array): Uint8Array => Buffer.from(pcm.buffer, pcm.byteOffset, pcm.byteLength);

describe('G.711 μ-law', () => {
  it('has the standard’s landmarks and survives decode → encode for every code', () => {
    expect([...mulawDecode(Uint8Array.of(0xff, 0x7f, 0x80, 0x00, 0xe7))]).toEqual([0, 0, 32_124, -32_124, 260]);
    for (let code = 0; code < 256; code++) {
      // 0x7f is negative zero; zero is written as positive zero.
      const expected = code === 0x7f ? 0xff : code;
      expect(mulawEncode(mulawDecode(Uint8Array.of(code)))[0]).toBe(expected);
    }
  });

  it('stays within the quantiser’s step for every 16-bit sample', () => {
    for (let sample = -32_768; sample < 32_768; sample += 7) {
      const back = mulawDecode(mulawEncode(Int16Array.of(sample)))[0] ?? 0;
      expect(Math.abs(back - Math.max(-32_124, Math.min(32_124, sample)))).toBeLessThanOrEqual(
        Math.abs(sample) / 16 + 8,
      );
    }
  });
});

describe('reading WAV files', () => {
  it('reads 16-bit PCM and μ-law at 8 kHz unchanged', () => {
    const pcm = sine(440, 8000, 0.1);
    expect(parseWav(wav({ encoding: 1, channels: 1, rateHz: 8000, bits: 16, data: pcmBytes(pcm) }))).toEqual(pcm);
    const mulaw = mulawEncode(pcm);
    expect(parseWav(wav({ encoding: 7, channels: 1, rateHz: 8000, bits: 8, data: mulaw }))).toEqual(mulawDecode(mulaw));
  });

  it('takes the first channel, and reads streamed files whose size is unknown', () => {
    const pcm = sine(440, 8000, 0.1);
    const stereo = encodeStereoWav(pcm, new Int16Array(10));
    expect(parseWav(stereo)).toEqual(pcm);
    const streamed = wav({
      encoding: 1,
      channels: 1,
      rateHz: 8000,
      bits: 16,
      data: pcmBytes(pcm),
      dataSize: 0xffff_ffff,
    });
    expect(parseWav(streamed)).toEqual(pcm);
  });

  it.each([16_000, 44_100, 24_000])('brings %i Hz to 8 kHz, keeping the voice band and rejecting aliases', (rateHz) => {
    const read = (frequencyHz: number): Int16Array =>
      parseWav(wav({ encoding: 1, channels: 1, rateHz, bits: 16, data: pcmBytes(sine(frequencyHz, rateHz, 0.5)) }));
    const passed = read(1000);
    expect(passed.length).toBeGreaterThan(3990);
    const level = energyDbfs(sine(1000, 8000, 0.5));
    expect(energyDbfs(passed.subarray(400, 3600))).toBeCloseTo(level, 0);
    expect(energyDbfs(read(5500).subarray(400, 3600))).toBeLessThan(level - 50);
  });

  it('says what is wrong with a file', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'phone-wav-'));
    try {
      const path = join(folder, 'x.wav');
      await expect(readWavFile(path)).rejects.toThrow(`${path}: no such file`);
      await writeFile(path, 'hello, this is text');
      await expect(readWavFile(path)).rejects.toThrow('not a WAV file');
      await writeFile(path, wav({ encoding: 3, channels: 1, rateHz: 8000, bits: 32, data: new Uint8Array(8) }));
      await expect(readWavFile(path)).rejects.toThrow(/format 3, 32 bits.*16-bit PCM or 8-bit μ-law/);
      await writeFile(
        path,
        wav({ encoding: 1, channels: 1, rateHz: 8000, bits: 16, data: new Uint8Array(0) }).subarray(0, 36),
      );
      await expect(readWavFile(path)).rejects.toThrow(WavError);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('speech edges', () => {
  it('finds speech between silences to 10 ms', () => {
    const pcm = new Int16Array(8000);
    pcm.set(sine(300, 8000, 0.5), 2000);
    const edges = speechEdges(pcm);
    expect(Math.abs((edges?.start ?? 0) - 2000)).toBeLessThanOrEqual(80);
    expect(Math.abs((edges?.end ?? 0) - 6000)).toBeLessThanOrEqual(80);
  });

  it('is not moved by steady noise or a click', () => {
    const pcm = Int16Array.from({ length: 16_000 }, (_, i) => 150 * Math.sin(i * i));
    pcm.set(sine(300, 8000, 0.5), 6000);
    pcm.fill(20_000, 1000, 1010);
    const edges = speechEdges(pcm);
    expect(Math.abs((edges?.start ?? 0) - 6000)).toBeLessThanOrEqual(80);
    expect(Math.abs((edges?.end ?? 0) - 10_000)).toBeLessThanOrEqual(80);
  });

  it('spans the whole of speech without pauses and finds nothing in silence', () => {
    expect(speechEdges(sine(300, 8000, 0.5))).toEqual({ start: 0, end: 4000 });
    expect(speechEdges(new Int16Array(8000))).toBeUndefined();
    expect(speechEdges(new Int16Array(0))).toBeUndefined();
  });

  it('finds the first and last audible sample', () => {
    const mulaw = new Uint8Array(100).fill(MULAW_SILENCE);
    expect([firstAudible(mulaw), lastAudible(mulaw)]).toEqual([-1, -1]);
    mulaw.set(mulawEncode(Int16Array.of(183, 2000, -2000, 100)), 50);
    expect([firstAudible(mulaw), lastAudible(mulaw)]).toEqual([51, 52]);
  });
});
