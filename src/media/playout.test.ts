import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Playout } from './playout.ts';
import type { PlayoutOutput } from './playout.ts';

const MS = 8;
const audioOf = (durationMs: number, fill = 1): Uint8Array => new Uint8Array(durationMs * MS).fill(fill);
const mediaMs = (outputs: readonly PlayoutOutput[]): number =>
  outputs.reduce((sum, output) => sum + (output.type === 'media' ? output.payload.length / MS : 0), 0);

/** Twilio's playback buffer: plays in real time from arrival, echoes a mark when playback reaches it. */
class FarSide {
  #queue: ({ type: 'audio'; ms: number } | { type: 'mark'; name: string })[] = [];
  playedMs = 0;
  take(outputs: readonly PlayoutOutput[]): void {
    for (const output of outputs) {
      if (output.type === 'mark') this.#queue.push({ type: 'mark', name: output.name });
      else this.#queue.push({ type: 'audio', ms: output.payload.length / MS });
    }
  }
  /** Plays for `durationMs`; returns the marks reached. */
  play(durationMs: number): string[] {
    const echoed: string[] = [];
    let leftMs = durationMs;
    for (let head = this.#queue[0]; head; head = this.#queue[0]) {
      if (head.type === 'mark') {
        echoed.push(head.name);
        this.#queue.shift();
      } else if (leftMs <= 0) break;
      else {
        const ms = Math.min(leftMs, head.ms);
        head.ms -= ms;
        leftMs -= ms;
        this.playedMs += ms;
        if (head.ms === 0) this.#queue.shift();
      }
    }
    return echoed;
  }
  clear(): string[] {
    const marks = this.#queue.flatMap((item) => (item.type === 'mark' ? [item.name] : []));
    this.#queue = [];
    return marks;
  }
}

describe('pacing', () => {
  it('sends up to the lead at once, then a frame for each frame that was played', () => {
    const playout = new Playout({ leadMs: 400 });
    playout.begin(1);
    playout.push(1, audioOf(2_000));
    expect(mediaMs(playout.poll(0))).toBe(400);
    expect(mediaMs(playout.poll(10))).toBe(0);
    expect(playout.nextPollMs(10)).toBe(20);
    expect(mediaMs(playout.poll(20))).toBe(20);
  });

  it('catches up after a stall instead of starting anew from now', () => {
    const playout = new Playout({ leadMs: 400 });
    playout.begin(1);
    playout.push(1, audioOf(5_000));
    playout.poll(0);
    // 300 ms late: the far buffer still held 100 ms, so 300 ms are owed at once.
    expect(mediaMs(playout.poll(300))).toBe(300);
    // 2 s late: the far buffer ran dry; the full lead is owed.
    expect(mediaMs(playout.poll(2_300))).toBe(400);
  });

  it('joins small pieces into whole frames and sends the rest when the reply is finished', () => {
    const playout = new Playout();
    playout.begin(1);
    for (let piece = 0; piece < 5; piece++) playout.push(1, audioOf(7, piece));
    const sent = playout.poll(0);
    expect(mediaMs(sent)).toBe(20);
    playout.finish(1);
    expect(mediaMs(playout.poll(0))).toBe(15);
  });

  it('puts a mark after at most 240 ms of audio and at the end', () => {
    const playout = new Playout({ leadMs: 10_000 });
    playout.begin(1);
    playout.push(1, audioOf(1_000));
    playout.finish(1);
    let sinceMarkMs = 0;
    const outputs = playout.poll(0);
    for (const output of outputs) {
      if (output.type === 'mark') sinceMarkMs = 0;
      else sinceMarkMs += output.payload.length / MS;
      expect(sinceMarkMs).toBeLessThanOrEqual(240);
    }
    expect(outputs.at(-1)?.type).toBe('mark');
  });

  it('refuses audio of any reply but the current one, and more than it may hold', () => {
    const playout = new Playout({ capacityMs: 1_000 });
    playout.begin(2);
    expect(playout.push(1, audioOf(20))).toBe(false);
    expect(playout.push(2, audioOf(1_000))).toBe(true);
    expect(playout.push(2, audioOf(20))).toBe(false);
    playout.clear(0);
    expect(playout.push(2, audioOf(20))).toBe(false);
  });
});

describe('what was heard', () => {
  const speak = (playout: Playout, generation: number): void => {
    playout.begin(generation);
    playout.push(generation, audioOf(1_000), [
      { text: 'Hello ', startMs: 0, durationMs: 500 },
      { text: 'there.', startMs: 500, durationMs: 500 },
    ]);
    playout.finish(generation);
  };

  it('follows the playback estimate when marks never come back', () => {
    const playout = new Playout({ leadMs: 400 });
    speak(playout, 1);
    for (let nowMs = 0; nowMs <= 700; nowMs += 20) playout.poll(nowMs);
    expect(playout.heard(750)).toMatchObject({ heardMs: 750, complete: false });
    for (let nowMs = 700; nowMs <= 1_100; nowMs += 20) playout.poll(nowMs);
    expect(playout.heard(1_100)).toMatchObject({ heardMs: 1_000, complete: true });
  });

  it('knows what the audio says, stretch by stretch', () => {
    const playout = new Playout({ leadMs: 1_000 });
    playout.begin(1);
    playout.push(1, audioOf(100));
    playout.push(1, audioOf(100));
    // A span may reach beyond the chunk that carries it.
    playout.push(1, audioOf(100), [{ text: 'one two', startMs: 0, durationMs: 300 }]);
    playout.push(1, audioOf(100));
    playout.push(1, audioOf(200));
    playout.poll(0);
    expect(playout.heardSpeech(350)?.runs).toEqual([
      { text: undefined, durationMs: 200, heardMs: 200 },
      { text: 'one two', durationMs: 300, heardMs: 150 },
      { text: undefined, durationMs: 100, heardMs: 0 },
    ]);
  });

  it('never claims more than what was sent', () => {
    const playout = new Playout({ leadMs: 400 });
    speak(playout, 1);
    playout.poll(0);
    expect(playout.heard(5_000)).toMatchObject({ sentMs: 400, heardMs: 400, complete: false });
  });

  it('waits for a far side that plays later than estimated, once its marks have shown that', () => {
    const playout = new Playout({ leadMs: 400 });
    speak(playout, 1);
    const marks = playout.poll(0).flatMap((output) => (output.type === 'mark' ? [output.name] : []));
    // The first mark stands at 240 ms of audio and comes back 100 ms late.
    playout.onMark(marks[0] ?? '', 340);
    expect(playout.heard(340)?.heardMs).toBe(240);
    expect(playout.heard(380)?.heardMs).toBe(280);
  });

  it('does not take marks that a clear sent back for played', () => {
    const playout = new Playout({ leadMs: 400 });
    speak(playout, 1);
    const marks = playout.poll(0).flatMap((output) => (output.type === 'mark' ? [output.name] : []));
    const heard = playout.clear(100);
    expect(heard).toMatchObject({
      heardMs: 100,
      runs: [
        { text: 'Hello ', heardMs: 100 },
        { text: 'there.', heardMs: 0 },
      ],
    });
    speak(playout, 2);
    for (const mark of marks) playout.onMark(mark, 110);
    playout.poll(120);
    expect(playout.heard(120)?.heardMs).toBe(0);
  });

  it('goes back to the estimate when marks stop coming', () => {
    const playout = new Playout({ leadMs: 400, unprovenMs: 500, markOverdueMs: 2_000 });
    playout.begin(1);
    playout.push(1, audioOf(10_000));
    const [first] = playout.poll(0).flatMap((output) => (output.type === 'mark' ? [output.name] : []));
    playout.onMark(first ?? '', 240);
    for (let nowMs = 20; nowMs <= 2_000; nowMs += 20) playout.poll(nowMs);
    // Bounded: 240 ms proven and 500 ms unproven, though 2 s may have been played.
    expect(playout.heard(2_000)?.heardMs).toBe(740);
    for (let nowMs = 2_000; nowMs <= 4_000; nowMs += 20) playout.poll(nowMs);
    expect(playout.heard(4_000)?.heardMs).toBe(4_000);
  });

  it('stands still while held, and goes on from the start of the word in which hearing stopped', () => {
    const playout = new Playout({ leadMs: 400 });
    speak(playout, 1);
    for (let nowMs = 0; nowMs <= 600; nowMs += 20) playout.poll(nowMs);
    playout.hold(620);
    expect(playout.poll(640)).toEqual([]);
    expect(playout.nextPollMs(640)).toBeUndefined();
    expect(playout.isAudible(640)).toBe(false);
    expect(playout.heard(1_500)).toMatchObject({ heardMs: 620, complete: false });
    expect(playout.resume()).toEqual({ repeatedMs: 120 });
    expect(mediaMs(playout.poll(1_500))).toBe(400);
    // What had been heard stays heard while the repeated part is played.
    expect(playout.heard(1_550)?.heardMs).toBe(620);
    expect(playout.heard(1_700)?.heardMs).toBe(700);
    for (let nowMs = 1_500; nowMs <= 2_100; nowMs += 20) playout.poll(nowMs);
    expect(playout.heard(2_100)).toMatchObject({ heardMs: 1_000, complete: true });
  });

  it('goes on from the sample itself when the text is not aligned', () => {
    const playout = new Playout({ leadMs: 400 });
    playout.begin(1);
    playout.push(1, audioOf(1_000));
    playout.poll(0);
    playout.hold(130);
    expect(playout.resume()).toEqual({ repeatedMs: 0 });
    expect(playout.pendingMs).toBe(870);
  });

  it('sends nothing of a reply that begins held, until it is resumed', () => {
    const playout = new Playout({ leadMs: 400 });
    playout.begin(1, true);
    playout.push(1, audioOf(300));
    playout.finish(1);
    expect(playout.poll(0)).toEqual([]);
    expect(playout.heard(5_000)).toMatchObject({ heardMs: 0, complete: false });
    playout.resume();
    expect(mediaMs(playout.poll(5_000))).toBe(300);
  });

  it('agrees with a simulated far side, however audio arrives, polls are late and marks are delayed', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ arriveMs: fc.integer({ min: 1, max: 400 }), waitMs: fc.integer({ min: 1, max: 700 }) }), {
          minLength: 1,
          maxLength: 40,
        }),
        fc.boolean(),
        (steps, echo) => {
          const playout = new Playout();
          const far = new FarSide();
          playout.begin(1);
          let nowMs = 0;
          for (const { arriveMs, waitMs } of steps) {
            playout.push(1, audioOf(arriveMs));
            far.take(playout.poll(nowMs));
            for (let left = waitMs; left > 0; left -= 20) {
              const durationMs = Math.min(20, left);
              nowMs += durationMs;
              for (const name of far.play(durationMs)) if (echo) playout.onMark(name, nowMs);
              const heardMs = playout.heard(nowMs)?.heardMs ?? 0;
              expect(Math.abs(heardMs - far.playedMs)).toBeLessThanOrEqual(20);
              far.take(playout.poll(nowMs));
            }
          }
          const heard = playout.clear(nowMs);
          far.clear();
          expect(Math.abs((heard?.heardMs ?? 0) - far.playedMs)).toBeLessThanOrEqual(20);
          expect(playout.generation).toBeUndefined();
        },
      ),
    );
  });
});
