import { describe, expect, it } from 'vitest';
import { TurnMeter } from './turn-meter.ts';

/** Feeds agent speech as the playback does: 20 ms blocks, audible throughout. */
function speak(meter: TurnMeter, fromMs: number, toMs: number): void {
  for (let at = fromMs; at < toMs; at += 20) meter.onAudible(at, Math.min(at + 19, toMs));
}

const newMeter = (): TurnMeter => new TurnMeter(() => {});

describe('TurnMeter', () => {
  it('measures from the true end of speech to the first audible sample', () => {
    const replies: number[] = [];
    const meter = new TurnMeter((utterance) => replies.push(utterance.index));
    speak(meter, 0, 1000);
    const first = meter.addUtterance('a', 2000, 3000);
    speak(meter, 3700, 5000);
    const second = meter.addUtterance('b', 6000, 7000);
    speak(meter, 7200, 8000);
    speak(meter, 9000, 9500);
    expect(first).toMatchObject({ replyMs: 3700, voiceToVoiceMs: 700 });
    expect(second).toMatchObject({ replyMs: 7200, voiceToVoiceMs: 200 });
    expect(first.bargeInStopMs).toBeUndefined();
    expect(replies).toEqual([0, 1]);
  });

  it('leaves an unanswered utterance without a value', () => {
    const meter = newMeter();
    const first = meter.addUtterance('a', 1000, 2000);
    const second = meter.addUtterance('b', 3000, 4000);
    speak(meter, 4500, 5000);
    expect(first.voiceToVoiceMs).toBeUndefined();
    expect(second.voiceToVoiceMs).toBe(500);
  });

  it('measures how fast an interrupted agent falls silent, and the answer after it', () => {
    const meter = newMeter();
    const utterance = meter.addUtterance('stop', 1000, 2000);
    speak(meter, 0, 1300);
    expect(utterance.bargeInStopMs).toBe(299);
    speak(meter, 2600, 3000);
    expect(utterance).toMatchObject({ bargeInStopMs: 299, voiceToVoiceMs: 600 });
  });

  it('takes what follows a clear for the answer, however soon', () => {
    const meter = newMeter();
    const utterance = meter.addUtterance('stop', 1000, 1200);
    speak(meter, 0, 1240);
    meter.onClear(1245);
    speak(meter, 1300, 1400);
    expect(utterance).toMatchObject({ bargeInStopMs: 239, voiceToVoiceMs: 100 });
  });

  it('is not fooled by an agent that clears and then talks on over the caller', () => {
    const meter = newMeter();
    const utterance = meter.addUtterance('stop', 1000, 3000);
    speak(meter, 0, 1200);
    meter.onClear(1205);
    speak(meter, 1800, 2400);
    expect(utterance.bargeInStopMs).toBe(1399);
    expect(utterance.voiceToVoiceMs).toBeUndefined();
  });

  it('counts an agent that never stops as not stopped', () => {
    const meter = newMeter();
    const utterance = meter.addUtterance('stop', 1000, 1500);
    speak(meter, 0, 5000);
    expect(utterance.bargeInStopMs).toBeGreaterThan(3900);
    expect(utterance.voiceToVoiceMs).toBeUndefined();
  });

  it('sees a pause between two words of the agent as still talking', () => {
    const meter = newMeter();
    const utterance = meter.addUtterance('stop', 1000, 2000);
    speak(meter, 0, 900);
    speak(meter, 1100, 1200);
    expect(utterance.bargeInStopMs).toBe(199);
  });

  it('takes an agent that is cleared between two words for one that stopped at once', () => {
    for (const clearMs of [1030, 940]) {
      const meter = newMeter();
      speak(meter, 0, 900);
      const utterance = meter.addUtterance('stop', 1000, 2000);
      meter.onClear(clearMs);
      speak(meter, 2300, 2600);
      expect(utterance).toMatchObject({ bargeInStopMs: 0, voiceToVoiceMs: 300 });
    }
  });

  it('takes a clear long after the agent fell silent for no interruption', () => {
    const meter = newMeter();
    speak(meter, 0, 700);
    const utterance = meter.addUtterance('late', 1000, 2000);
    meter.onClear(1100);
    expect(utterance.bargeInStopMs).toBeUndefined();
  });

  it('gives a negative value when the agent answers before the caller is done', () => {
    const meter = newMeter();
    const utterance = meter.addUtterance('slow', 1000, 3000);
    speak(meter, 2900, 3600);
    expect(utterance.voiceToVoiceMs).toBe(-100);
    expect(utterance.bargeInStopMs).toBeUndefined();
  });

  it('does not take a remark in the middle of the question for its answer', () => {
    const meter = newMeter();
    const utterance = meter.addUtterance('slow', 1000, 3000);
    speak(meter, 1500, 1700);
    speak(meter, 3500, 3600);
    expect(utterance.voiceToVoiceMs).toBe(500);
  });
});
