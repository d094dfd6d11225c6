/** Sockets opened ahead of need: real ones over loopback, their ages on a virtual clock. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startDeepgramEmulator } from '../../bench/emulators/deepgram.ts';
import type { DeepgramEmulator } from '../../bench/emulators/deepgram.ts';
import { startElevenLabsEmulator } from '../../bench/emulators/elevenlabs.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import { silentLog } from '../../src/core/log.ts';
import { createDeepgramStt } from '../../src/pipeline/providers/deepgram/stt.ts';
import { createElevenLabsStt } from '../../src/pipeline/providers/elevenlabs/stt.ts';
import type { SttPart, SttProvider, SttRequest } from '../../src/pipeline/providers/spec.ts';
import { WarmSockets } from '../../src/pipeline/router/warm-pool.ts';
import type { WarmSocketEvent } from '../../src/pipeline/router/warm-pool.ts';
import { Received, silence, sleep, until } from './harness.ts';

const REQUEST: SttRequest = { language: 'en', phrases: [] };
const always = (): boolean => true;

let emulator: DeepgramEmulator;
let clock: VirtualClock;
let warm: WarmSockets;
let provider: SttProvider;
/** What became of the sockets; and how many came open. */
const outcomes: string[] = [];
let opened = 0;

beforeEach(async () => {
  emulator = await startDeepgramEmulator();
  clock = new VirtualClock();
  outcomes.length = 0;
  opened = 0;
  const onEvent = ({ outcome }: WarmSocketEvent): void => {
    if (outcome === 'opened') opened++;
    else outcomes.push(outcome);
  };
  warm = new WarmSockets({ clock, log: silentLog, onEvent });
  provider = createDeepgramStt({ apiKey: emulator.settings.apiKey, baseUrl: emulator.url, dialler: warm });
});

afterEach(async () => {
  warm.close();
  expect(clock.pendingTimers).toBe(0);
  await until('all connections gone', () => emulator.connections === 0);
  await emulator.close();
});

/** The pool has opened so many sockets by now. */
async function waitUntilWarm(count: number): Promise<void> {
  await until(`${count} opened`, () => opened === count);
}

function open(request = REQUEST): { received: Received<SttPart>; close: () => void; write: (ms: number) => void } {
  const received = new Received<SttPart>();
  const stream = received.open(() => provider.open(request, received.sink, received.context));
  return { received, close: () => stream.close(), write: (ms) => stream.write(silence(ms)) };
}

describe('sockets opened ahead', () => {
  it('one serves the stream that comes, in place of a handshake, and is replaced a second later', async () => {
    provider.prewarm?.(REQUEST, always);
    await waitUntilWarm(1);
    const { received, write, close } = open();
    write(20);
    await received.first('stream-opened');
    await until('audio', () => emulator.audioBytes === 160);
    expect(emulator.requests).toHaveLength(1);
    expect(warm.sizeOf('deepgram')).toBe(0);
    clock.advance(1_000);
    await waitUntilWarm(2);
    expect(warm.sizeOf('deepgram')).toBe(1);
    expect(outcomes).toEqual(['used']);
    close();
  });

  it('one that is still connecting serves as well', async () => {
    provider.prewarm?.(REQUEST, always);
    const { received, close } = open();
    await received.first('stream-opened');
    expect(emulator.requests).toHaveLength(1);
    expect(outcomes).toEqual(['used']);
    close();
  });

  it('another address is dialled as if there were no pool', async () => {
    provider.prewarm?.(REQUEST, always);
    await waitUntilWarm(1);
    const { received, close } = open({ ...REQUEST, language: 'de' });
    await received.first('stream-opened');
    expect(emulator.requests).toHaveLength(2);
    expect(outcomes).toEqual(['missed']);
    close();
  });

  it('is renewed before the vendor would hang up, and forgotten when nobody has called for two minutes', async () => {
    provider.prewarm?.(REQUEST, always);
    await waitUntilWarm(1);
    clock.advance(7_999);
    expect(outcomes).toEqual([]);
    clock.advance(1);
    expect(outcomes).toEqual(['aged']);
    await waitUntilWarm(2);
    for (let count = 3; clock.nowMs() < 112_000; count++) {
      clock.advance(8_000);
      await waitUntilWarm(count);
    }
    clock.advance(8_000);
    expect(outcomes.at(-1)).toBe('unused');
    expect(warm.sizeOf('deepgram')).toBe(0);
    expect(clock.pendingTimers).toBe(0);
  });

  it('one that the vendor has closed is dropped, and the next stream dials', async () => {
    provider.prewarm?.(REQUEST, always);
    await waitUntilWarm(1);
    emulator.disconnect(1006);
    await until('dropped', () => outcomes.includes('closed'));
    const { received, close } = open();
    await received.first('stream-opened');
    expect(emulator.requests).toHaveLength(2);
    expect(outcomes).toEqual(['closed', 'missed']);
    close();
  });

  it('one that dies between the pool and its first use is replaced without a failure', async () => {
    provider.prewarm?.(REQUEST, always);
    await waitUntilWarm(1);
    // In the same turn: the pool cannot have seen the end yet.
    emulator.disconnect(1006);
    const { received, close } = open();
    // On a busy machine timers are due before the end of the line is read.
    const stalledAtMs = performance.now();
    while (performance.now() - stalledAtMs < 10);
    await received.first('stream-opened');
    expect(received.parts.map(({ type }) => type)).toEqual(['stream-opened']);
    expect(outcomes[0]).toBe('used');
    close();
  });

  it('none is dialled while the provider is not wanted, and one soon after it is again', async () => {
    let wanted = false;
    provider.prewarm?.(REQUEST, () => wanted);
    clock.advance(20_000);
    await sleep(30);
    expect(emulator.requests).toHaveLength(0);
    wanted = true;
    clock.advance(5_000);
    await waitUntilWarm(1);
  });

  it('a refusal is nobody’s failure, and is not met again for five seconds', async () => {
    emulator.settings.faults = { refuse: { status: 503 } };
    provider.prewarm?.(REQUEST, always);
    await until('refused', () => outcomes.includes('failed'));
    clock.advance(4_999);
    await sleep(30);
    expect(emulator.requests).toHaveLength(1);
    clock.advance(1);
    await until('tried again', () => emulator.requests.length === 2);
  });

  it('no more than sixteen are kept; the one unused for longest makes room', async () => {
    for (let n = 0; n < 20; n++) provider.prewarm?.({ ...REQUEST, phrases: [`phrase ${n}`] }, always);
    expect(warm.sizeOf('deepgram')).toBe(16);
    expect(outcomes).toEqual(['evicted', 'evicted', 'evicted', 'evicted']);
    await until('connected', () => emulator.requests.length >= 16);
  });

  it('once closed it only dials', async () => {
    provider.prewarm?.(REQUEST, always);
    await waitUntilWarm(1);
    warm.close();
    provider.prewarm?.(REQUEST, always);
    await until('closed', () => emulator.connections === 0);
    expect(outcomes).toEqual(['shutdown']);
    const { received, close } = open();
    await received.first('stream-opened');
    close();
  });

  it('what the vendor says before a call takes the socket is kept for it', async () => {
    const scribe = await startElevenLabsEmulator();
    const settings = { apiKey: scribe.settings.apiKey, baseUrl: scribe.url, dialler: warm };
    const recogniser = createElevenLabsStt(settings);
    let greeted = false;
    scribe.watch(({ direction }) => (greeted ||= direction === 'sent'));
    recogniser.prewarm?.(REQUEST, always);
    await until('greeted', () => greeted && opened === 1);
    const received = new Received<SttPart>();
    const stream = received.open(() => recogniser.open(REQUEST, received.sink, received.context));
    await received.first('stream-opened');
    expect(scribe.requests).toHaveLength(1);
    stream.close();
    warm.close();
    await until('all connections gone', () => scribe.connections === 0);
    await scribe.close();
  });
});
