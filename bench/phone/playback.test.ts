import { describe, expect, it } from 'vitest';
import { mulawEncode } from './audio.ts';
import { MAX_BUFFERED_SAMPLES, Playback } from './playback.ts';

function recorder() {
  const log: string[] = [];
  const playback = new Playback({
    onPlayed: (at, mulaw) => log.push(`play ${at}+${mulaw.length}`),
    onMark: (name, cleared) => log.push(`${cleared ? 'cleared' : 'mark'} ${name}`),
    onGap: (from, to, afterClear) => log.push(`gap ${from}-${to}${afterClear ? ' after clear' : ''}`),
  });
  return { log, playback };
}

const bytes = (count: number): Uint8Array => new Uint8Array(count).fill(0xff);

describe('Playback', () => {
  it('plays audio from its arrival on, in blocks of at most 20 ms', () => {
    const { log, playback } = recorder();
    playback.advance(1000);
    playback.push(bytes(400));
    playback.advance(1200);
    expect(log).toEqual(['play 1000+160', 'play 1160+40']);
    expect(playback.bufferedSamples).toBe(200);
    playback.advance(5000);
    expect(log.slice(2)).toEqual(['play 1200+160', 'play 1360+40']);
    expect(playback.bufferedSamples).toBe(0);
  });

  it('echoes a mark when playback reaches it and not one sample before', () => {
    const { log, playback } = recorder();
    playback.push(bytes(160));
    playback.mark('a');
    playback.push(bytes(160));
    playback.mark('b');
    expect(playback.nextMarkSample).toBe(160);
    playback.advance(159);
    expect(log).toEqual(['play 0+159']);
    playback.advance(160);
    expect(log.at(-1)).toBe('mark a');
    expect(playback.nextMarkSample).toBe(320);
    playback.advance(1000);
    expect(log.at(-1)).toBe('mark b');
    expect(playback.nextMarkSample).toBeUndefined();
  });

  it('echoes a mark at once when nothing is buffered', () => {
    const { log, playback } = recorder();
    playback.mark('now');
    expect(log).toEqual(['mark now']);
  });

  it('empties the buffer and echoes every pending mark on clear', () => {
    const { log, playback } = recorder();
    playback.push(bytes(160));
    playback.mark('a');
    playback.push(bytes(1600));
    playback.mark('b');
    playback.advance(80);
    playback.clear();
    expect(log).toEqual(['play 0+80', 'cleared a', 'cleared b']);
    playback.advance(800);
    expect(log).toHaveLength(3);
    playback.push(bytes(8));
    playback.mark('c');
    playback.advance(900);
    expect(log.slice(3)).toEqual(['gap 80-800 after clear', 'play 800+8', 'mark c']);
  });

  it('reports how long it stood empty between two pieces of audio, and only then', () => {
    const { log, playback } = recorder();
    playback.push(bytes(100));
    playback.advance(100);
    playback.push(bytes(100));
    playback.advance(500);
    playback.push(bytes(100));
    expect(log).toEqual(['play 0+100', 'play 100+100', 'gap 200-500']);
  });

  it('counts what is still to be heard', () => {
    const { playback } = recorder();
    playback.push(mulawEncode(Int16Array.from([0, 8000, -8000, 100])));
    expect(playback.audiblePending).toBe(2);
    playback.advance(2);
    expect(playback.audiblePending).toBe(1);
    playback.clear();
    expect(playback.audiblePending).toBe(0);
  });

  it('refuses more than ten minutes of audio', () => {
    const { playback } = recorder();
    expect(playback.push(bytes(MAX_BUFFERED_SAMPLES))).toBe(true);
    expect(playback.push(bytes(1))).toBe(false);
    playback.advance(8);
    expect(playback.push(bytes(8))).toBe(true);
  });
});
