import { describe, expect, it } from 'vitest';
import { SpeechGate } from './gate.ts';
import type { VadEvent, VadSettings } from './vad.ts';

const NO_LAG = { onsetMs: 0, offsetMs: 0, breathMs: 0 };
/** Long enough to end any speech. */
const REST = Array.from({ length: 20 }, () => 0);

function events(probabilities: readonly number[], settings?: Partial<VadSettings>, lag = NO_LAG): VadEvent[] {
  const heard: VadEvent[] = [];
  const gate = new SpeechGate({ onEvent: (event) => heard.push(event) }, lag, settings);
  for (const probability of probabilities) gate.push(probability);
  return heard;
}

const milestones = (heard: readonly VadEvent[]) => heard.filter((event) => event.type !== 'speech-continued');

describe('SpeechGate', () => {
  it('reports speech after minSpeechMs, each further window of it, and its end after minSilenceMs', () => {
    expect(events([0, 0.9, 0.9, 0.9, 0, 0, 0], { minSpeechMs: 64, minSilenceMs: 64 })).toEqual([
      { type: 'speech-started', atMs: 32, detectedAtMs: 96 },
      { type: 'speech-continued', startedAtMs: 32, speechMs: 96, faded: false, detectedAtMs: 128 },
      { type: 'speech-ended', startedAtMs: 32, speechMs: 96, atMs: 128, detectedAtMs: 192 },
    ]);
  });

  it('reports speech with its first window when minSpeechMs is within one', () => {
    expect(events([0.9], { minSpeechMs: 32 })).toEqual([{ type: 'speech-started', atMs: 0, detectedAtMs: 32 }]);
  });

  it('rounds minSpeechMs up to whole windows', () => {
    expect(events([0.9, 0.9, 0.9], { minSpeechMs: 65 })[0]).toMatchObject({ atMs: 0, detectedAtMs: 96 });
  });

  it('ignores a burst that is shorter than minSpeechMs, however often it comes', () => {
    expect(events([0.9, 0, 0.9, 0, 0.9, 0], { minSpeechMs: 64 })).toEqual([]);
  });

  it('needs the on threshold to begin and keeps going down to the off threshold', () => {
    const settings = { onThreshold: 0.6, offThreshold: 0.3, minSpeechMs: 64, minSilenceMs: 32 };
    expect(events([0.59, 0.59, 0.59, ...REST], settings)).toEqual([]);
    expect(milestones(events([0.6, 0.3, 0.3, 0.29], settings))).toMatchObject([
      { type: 'speech-started', detectedAtMs: 64 },
      { type: 'speech-ended', atMs: 96 },
    ]);
  });

  it('lets a pause shorter than minSilenceMs pass, without counting it as speech', () => {
    const heard = events([0.9, 0.9, 0, 0, 0.9, ...REST], { minSilenceMs: 96 });
    expect(milestones(heard)).toHaveLength(2);
    expect(heard.at(-1)).toMatchObject({ type: 'speech-ended', speechMs: 96, atMs: 160 });
  });

  it('counts on through a pause until a window reaches the on threshold again', () => {
    const heard = events([0.9, 0.9, 0, 0.4, 0.4], { minSilenceMs: 96 });
    expect(heard.at(-1)).toMatchObject({ type: 'speech-ended', atMs: 64, detectedAtMs: 160 });
  });

  it('takes off what the model trails by, at both ends, and counts the silence from there', () => {
    const lag = { ...NO_LAG, onsetMs: 32, offsetMs: 64 };
    const heard = milestones(events([0, 0, 0.9, 0.9, 0.9, 0.9, ...REST], { minSilenceMs: 200 }, lag));
    expect(heard).toMatchObject([
      { atMs: 32, detectedAtMs: 128 },
      { atMs: 128, detectedAtMs: 352 },
    ]);
  });

  it('counts the voice from where it is held to have begun, not from the window that heard it', () => {
    const lag = { ...NO_LAG, onsetMs: 32 };
    expect(events([0, 0, 0.9, 0.9, 0.9], { minSpeechMs: 64 }, lag)).toMatchObject([
      { type: 'speech-started', atMs: 32, detectedAtMs: 128 },
      { type: 'speech-continued', speechMs: 128, detectedAtMs: 160 },
    ]);
  });

  it('tells once that the voice has faded, ahead of the windows, and takes it back with the next one after its return', () => {
    const heard: VadEvent[] = [];
    const gate = new SpeechGate({ onEvent: (event) => heard.push(event) }, NO_LAG, {
      minSpeechMs: 32,
      minSilenceMs: 96,
    });
    const steps: readonly (readonly [measuredMs: number, loudUntilMs: number, windows: readonly number[]])[] = [
      [32, 0, [0]],
      [64, 64, [0.9]],
      [96, 72, [0.9]],
      [104, 72, []],
      [112, 72, []],
      [128, 72, [0.9]],
      [160, 72, [0.9]],
      [192, 180, [0.9]],
      [216, 180, []],
      [220, 180, []],
      [224, 180, [0]],
      [256, 180, [0]],
      [288, 180, [0]],
    ];
    for (const [measuredMs, loudUntilMs, windows] of steps) {
      gate.measure(measuredMs, loudUntilMs);
      for (const probability of windows) gate.push(probability, loudUntilMs);
    }
    expect(heard).toMatchObject([
      { type: 'speech-started', detectedAtMs: 64 },
      { type: 'speech-continued', faded: false, detectedAtMs: 96 },
      { type: 'speech-faded', atMs: 72, detectedAtMs: 112 },
      { type: 'speech-continued', faded: true, detectedAtMs: 128 },
      { type: 'speech-continued', faded: true, detectedAtMs: 160 },
      { type: 'speech-continued', faded: false, detectedAtMs: 192 },
      { type: 'speech-faded', atMs: 180, detectedAtMs: 220 },
      { type: 'speech-ended' },
    ]);
  });

  it('places the end soon after the voice faded, if it never came back, but not far before the model does', () => {
    const endOf = (fadesAtMs: number) => {
      const heard: VadEvent[] = [];
      const gate = new SpeechGate(
        { onEvent: (event) => heard.push(event) },
        { ...NO_LAG, breathMs: 100 },
        { minSilenceMs: 96 },
      );
      for (let window = 1; window <= 12; window++) {
        gate.push(window <= 8 ? 0.9 : 0, Math.min(window * 32, fadesAtMs));
      }
      return heard.find(({ type }) => type === 'speech-ended');
    };
    // The model hears the voice until 256 ms.
    expect(endOf(Infinity)).toMatchObject({ atMs: 256, detectedAtMs: 352 });
    expect(endOf(140)).toMatchObject({ atMs: 200, detectedAtMs: 320 });
    expect(endOf(20)).toMatchObject({ atMs: 156, detectedAtMs: 288 });
    // A weak last syllable is still speech.
    expect(endOf(220)).toMatchObject({ atMs: 256, detectedAtMs: 352 });
  });

  it('never lets speech begin before the one before it ended, nor before the audio', () => {
    const lag = { ...NO_LAG, onsetMs: 90 };
    const settings = { minSpeechMs: 32, minSilenceMs: 32 };
    expect(milestones(events([0.9, 0, 0.9, 0], settings, lag))).toMatchObject([
      { type: 'speech-started', atMs: 0 },
      { type: 'speech-ended', atMs: 32 },
      { type: 'speech-started', atMs: 32 },
      { type: 'speech-ended', atMs: 96 },
    ]);
  });

  it.each([
    { onThreshold: 0.3, offThreshold: 0.5 },
    { offThreshold: 0 },
    { onThreshold: 1.1 },
    { onThreshold: Number.NaN },
    { minSpeechMs: -1 },
    { minSilenceMs: Number.NaN },
  ])('refuses settings that contradict themselves: %j', (settings) => {
    expect(() => events([], settings)).toThrowError(expect.objectContaining({ code: 'config.invalid' }));
  });
});
