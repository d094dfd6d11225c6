/** What every recogniser's adapter must do, whoever the vendor is. */
import { describe, expect, it } from 'vitest';
import type { Script } from '../../bench/emulators/script.ts';
import type { EmulatorSettings } from '../../bench/emulators/server.ts';
import type { Clock } from '../../src/core/clock.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import type { SttPart, SttProvider, SttRequest, SttStream } from '../../src/pipeline/providers/spec.ts';
import { Emulated } from './emulated.ts';
import type { Access, Emulate } from './emulated.ts';
import { breaks, closes, expectTold, refusals } from './fault-cases.ts';
import type { FaultCase } from './fault-cases.ts';
import { Received, silence, sleep, speech, until } from './harness.ts';

const FRAME_BYTES = 160;

/** What all emulated recognisers can be told. */
export interface SttEmulatorSettings extends EmulatorSettings {
  transcripts: Script;
}

export interface SttCall {
  readonly received: Received<SttPart>;
  readonly stream: SttStream;
}

interface SttOptions {
  readonly access?: Partial<Access> | undefined;
  readonly request?: Partial<SttRequest> | undefined;
  readonly clock?: Clock;
  /** One that other streams have too. */
  readonly provider?: SttProvider;
}

/** Writes audio frame by frame, as a call does, but as fast as it goes, and always in the same buffer, as it may. */
export function hear(stream: SttStream, ...audio: readonly Uint8Array[]): void {
  const frame = new Uint8Array(FRAME_BYTES);
  for (const stretch of audio) {
    for (let at = 0; at < stretch.length; at += FRAME_BYTES) {
      const piece = stretch.subarray(at, at + FRAME_BYTES);
      frame.set(piece);
      stream.write(frame.subarray(0, piece.length));
    }
  }
  // Whoever kept the frame instead of its bytes now has another.
  frame.fill(0xff);
}

/** What a caller and the local detector do: the onset is noticed late, the end after 200 ms. */
export function say(stream: SttStream, durationMs: number): void {
  hear(stream, speech(200));
  stream.hint('speech-started');
  hear(stream, speech(durationMs - 200), silence(200));
  stream.hint('speech-ended');
}

/** Bytes of audio in messages of JSON, which have it in base64 under that name. */
export function audioBytes(texts: readonly string[], name: string): number {
  return texts
    .flatMap((text) => new RegExp(`"${name}":"([^"]*)"`, 'u').exec(text)?.[1] ?? [])
    .reduce((sum, base64) => sum + Buffer.from(base64, 'base64').length, 0);
}

/** A recogniser's emulator and streams of its adapter. */
export class EmulatedStt<Settings extends SttEmulatorSettings> extends Emulated<Settings> {
  readonly #create: (access: Access) => SttProvider;
  readonly #request: SttRequest;

  constructor(emulate: Emulate<Settings>, create: (access: Access) => SttProvider, request: SttRequest) {
    super(emulate);
    this.#create = create;
    this.#request = request;
  }

  provider(access?: Partial<Access>): SttProvider {
    return this.#create(this.access(access));
  }

  /** Opens a stream; what is not given is as it should be. */
  open(options: SttOptions = {}, received = new Received<SttPart>()): SttCall {
    const { access, request, clock, provider = this.provider(access) } = options;
    const context = clock === undefined ? received.context : { ...received.context, clock };
    const stream = received.open(() => provider.open({ ...this.#request, ...request }, received.sink, context));
    return { received, stream };
  }
}

/** Any of them: the contract needs no more of their settings. */
export type AnyStt = EmulatedStt<SttEmulatorSettings>;

/** What the contract must know of a vendor. */
export interface SttTraits {
  /** What carries the words of an utterance once they will not change. */
  readonly final: 'transcript-final' | 'turn-ended';
  /** Messages that the vendor has sent when the stream is under way. */
  readonly messagesUnderWay: number;
  /** The vendor says when a session has begun; whoever does not is taken to have begun it by accepting the connection. */
  readonly announcesSession: boolean;
  /** For a vendor that is asked for finals: starts one that gives none. */
  readonly startWithoutAnswers?: () => Promise<void>;
  /** The vendor's own faults. */
  readonly faults: readonly FaultCase<SttRequest>[];
}

/** Declares the tests that every recogniser must pass. */
export function sttContract(stt: AnyStt, traits: SttTraits): void {
  describe('as every recogniser', () => {
    sttHears(stt, traits.final);
    sttEnds(stt);
    sttFails(stt, traits);
    sttBoundsItsQueue(stt);
    if (!traits.announcesSession) sttBearsSilence(stt);
    if (traits.startWithoutAnswers !== undefined) sttAsksForFinals(stt, traits.startWithoutAnswers);
  });
}

/** Finals with words, in order. */
function finals(received: Received<SttPart>, type: SttTraits['final']): string[] {
  return received.of(type).flatMap(({ text }) => (text === '' ? [] : [text]));
}

function sttHears(stt: AnyStt, final: SttTraits['final']): void {
  /** An utterance, and silence for recognisers that decide themselves. */
  const utter = (stream: SttStream, durationMs: number): void => {
    say(stream, durationMs);
    hear(stream, silence(1_000));
  };
  const transcripts = ['Hello there, friend.', 'Bye.'];

  it('tells what was said, utterance by utterance, and nothing after it was closed', async () => {
    await stt.start({ transcripts });
    const { received, stream } = stt.open();
    // Before it is open: queued, in order.
    utter(stream, 1_000);
    await until('the first', () => finals(received, final).length === 1);
    utter(stream, 500);
    await until('the second', () => finals(received, final).length === 2);
    expect(finals(received, final)).toEqual(transcripts);
    expect(received.parts[0]).toEqual({ type: 'stream-opened' });
    expect(received.of('stream-opened')).toHaveLength(1);
    expect(received.of('transcript-interim').map(({ text }) => text)).toContain('Hello there, friend.');
    received.expectNoMore();
    stream.close();
    await stt.gone();
  });

  it('takes hints and empty audio at any time', async () => {
    await stt.start({ transcripts });
    const { received, stream } = stt.open();
    const nothing = (): void => {
      stream.hint('speech-ended');
      stream.write(new Uint8Array(0));
      stream.hint('speech-started');
      stream.hint('speech-started');
      stream.hint('speech-ended');
      stream.hint('speech-ended');
    };
    nothing();
    await received.first('stream-opened');
    nothing();
    utter(stream, 1_000);
    await until('the words', () => finals(received, final).length === 1);
    nothing();
    utter(stream, 500);
    await until('more words', () => finals(received, final).length === 2);
    expect(finals(received, final)).toEqual(transcripts);
    stream.close();
    await stt.gone();
  });

  it('keeps two calls apart', async () => {
    await stt.start({ transcripts });
    const provider = stt.provider();
    const [lost, other] = [stt.open({ provider }), stt.open({ provider })];
    await Promise.all([lost.received.first('stream-opened'), other.received.first('stream-opened')]);
    hear(lost.stream, speech(500));
    hear(other.stream, speech(200));
    lost.received.expectNoMore();
    lost.received.controller.abort();
    utter(other.stream, 1_000);
    await until('the words', () => finals(other.received, final).length === 1);
    expect(finals(other.received, final)).toEqual(['Hello there, friend.']);
    other.stream.close();
    await stt.gone();
  });
}

function sttEnds(stt: AnyStt): void {
  it('releases everything on abort and close at every stage', async () => {
    await stt.start();
    const calls: Received<SttPart>[] = [];
    for (const end of ['close', 'abort'] as const) {
      for (const waitMs of [0, 1, 5, 20, 60]) {
        const { received, stream } = stt.open();
        say(stream, 500);
        if (waitMs > 0) await sleep(waitMs);
        received.expectNoMore();
        if (end === 'close') stream.close();
        else received.controller.abort();
        say(stream, 500);
        stream.close();
        calls.push(received);
      }
    }
    await stt.gone();
    for (const received of calls) await received.released();
  });

  it('does nothing when the call is already over', async () => {
    await stt.start();
    const received = new Received<SttPart>();
    received.controller.abort();
    received.expectNoMore();
    const { stream } = stt.open({}, received);
    say(stream, 500);
    await sleep(50);
    expect(stt.emulator.requests).toEqual([]);
    expect(stt.emulator.connections).toBe(0);
    stream.close();
    await received.released();
  });

  it('leaves no timer behind', async () => {
    await stt.start();
    const clock = new VirtualClock();
    const { received, stream } = stt.open({ clock });
    await received.first('stream-opened');
    clock.advance(10_000);
    stream.close();
    await stt.gone();
    await until('no timers', () => clock.pendingTimers === 0);
  });
}

function sttFails(stt: AnyStt, traits: SttTraits): void {
  const { messagesUnderWay, announcesSession, faults } = traits;
  const late = { access: { connectTimeoutMs: 50 }, code: 'provider.timeout-connect' } as const;
  const silent = { what: 'silence after accepting', faults: { stallAfter: 0 }, ...late };
  const cases: FaultCase<SttRequest>[] = [
    ...refusals(),
    { what: 'a hang at connect', faults: { hang: true }, ...late },
    ...(announcesSession ? [silent] : []),
    ...breaks(0, 'at once'),
    ...closes(0, 'at once'),
    ...breaks(messagesUnderWay, 'mid-stream'),
    ...closes(messagesUnderWay, 'mid-stream'),
    ...faults,
  ];

  it.each(cases)('fails once on $what', async (fault) => {
    await stt.start({ faults: fault.faults ?? {} });
    const access = stt.access(fault.access, fault.basePath);
    const { received, stream } = stt.open({ access, request: fault.request });
    const utter = (): void => {
      say(stream, 500);
      hear(stream, silence(1_000));
    };
    utter();
    const error = await received.failedWith('stream-failed', fault.code);
    expectTold(error, fault, access.apiKey);
    utter();
    stream.close();
    await stt.gone();
    await received.released();
  });
}

function sttBoundsItsQueue(stt: AnyStt): void {
  it('fails rather than queue more than ten seconds of audio', async () => {
    await stt.start({ faults: { hang: true } });
    const { received, stream } = stt.open();
    stream.hint('speech-started');
    hear(stream, silence(8_000));
    await sleep(20);
    expect(received.parts).toEqual([]);
    hear(stream, silence(4_000));
    // Never from within write.
    expect(received.parts).toEqual([]);
    await received.failedWith('stream-failed', 'provider.overloaded');
    await stt.gone();
    await received.released();
  });
}

function sttBearsSilence(stt: AnyStt): void {
  it('lives through a vendor that accepts and stays silent, until it is closed', async () => {
    await stt.start({ faults: { stallAfter: 0 } });
    const { received, stream } = stt.open();
    await received.first('stream-opened');
    hear(stream, speech(960));
    await until('audio', () => stt.emulator.audioBytes === 960 * 8);
    expect(received.parts).toHaveLength(1);
    stream.close();
    await stt.gone();
  });
}

function sttAsksForFinals(stt: AnyStt, startWithoutAnswers: () => Promise<void>): void {
  it('tells words while they are said, and a final at the local detector’s pause', async () => {
    await stt.start({ transcripts: ['Hello there, friend.', 'Bye.'] });
    const { received, stream } = stt.open();
    say(stream, 1_000);
    const final = {
      type: 'transcript-final',
      text: 'Hello there, friend.',
      confidence: 0,
      words: [],
      speechFinal: false,
      fromFinalize: true,
    };
    expect(await received.first('transcript-final')).toEqual(final);
    expect(received.of('transcript-interim').map(({ text }) => text)).toEqual(
      expect.arrayContaining(['Hello', 'Hello there,', 'Hello there, friend.']),
    );
    say(stream, 500);
    expect(await received.first('transcript-final', 2)).toEqual({ ...final, text: 'Bye.' });
    stream.close();
    await stt.gone();
  });

  it('fails when it waits five seconds in vain for a final', async () => {
    await startWithoutAnswers();
    const clock = new VirtualClock();
    const { received, stream } = stt.open({ clock });
    await received.first('stream-opened');
    clock.advance(60_000);
    say(stream, 400);
    clock.advance(4_999);
    expect(received.of('stream-failed')).toEqual([]);
    clock.advance(1);
    await received.failedWith('stream-failed', 'provider.timeout-gap');
    await stt.gone();
    await until('no timers', () => clock.pendingTimers === 0);
  });
}
