import { expect, it } from 'vitest';
import { VirtualClock } from '../../src/core/clock.ts';
import { BYTES_PER_MS } from '../../src/media/call-port.ts';
import { FarSide } from './far-side.ts';
import { calmed, makeProfile } from './profile.ts';
import { Random } from './random.ts';
import { codedAudio } from './sample-code.ts';
import { TakeBook } from './takes.ts';

it('hears nothing of what a clear took back, whenever it would have begun', () => {
  const clock = new VirtualClock();
  const takes = new TakeBook();
  const profile = calmed(makeProfile(new Random(1)), ['network', 'marks']);
  const far = new FarSide({
    clock,
    random: new Random(1),
    profile,
    takes,
    listener: { onRun: () => {}, onMark: () => {}, onClear: () => {}, onHangUp: () => {} },
    echoMark: () => {},
    ended: () => {},
  });
  const arrivesMs = profile.network.toFarSideMs;
  const [first, second] = [takes.begin('1', 'a', 'words'), takes.begin('1', 'b', 'words')];
  far.port.sendMedia(codedAudio(first.id, 0, 300));
  far.port.sendMedia(codedAudio(second.id, 0, 100));
  expect(far.lastAudibleMs(Number.POSITIVE_INFINITY)).toBe(arrivesMs + 400);

  clock.advance(50);
  far.port.sendClear();

  expect(far.lastAudibleMs(Number.POSITIVE_INFINITY)).toBe(arrivesMs + 50);
  expect(far.isAudibleAt(arrivesMs + 49)).toBe(true);
  expect([60, 310, 350].some((ms) => far.isAudibleAt(arrivesMs + ms))).toBe(false);
  expect(far.speeches.map((speech) => far.heardTo(speech, 1_000))).toEqual([50 * BYTES_PER_MS, 0]);
});
