/** What every voice's adapter must do, whoever the vendor is and whether it speaks over a WebSocket or over HTTP. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { AudioFault } from '../../bench/emulators/faults.ts';
import type { EmulatorSettings } from '../../bench/emulators/server.ts';
import type { Clock } from '../../src/core/clock.ts';
import { HttpConnections } from '../../src/pipeline/providers/http-connections.ts';
import type { TtsPart, TtsProvider, TtsRequest } from '../../src/pipeline/providers/spec.ts';
import { Emulated } from './emulated.ts';
import type { Access, Emulate } from './emulated.ts';
import { breaks, closes, expectTold, refusals } from './fault-cases.ts';
import type { FaultCase } from './fault-cases.ts';
import { Received, sleep, until } from './harness.ts';
import { heard, openVoice, say } from './voice-call.ts';
import type { VoiceCall } from './voice-call.ts';

type Create = (access: Access, connections: HttpConnections) => TtsProvider;

interface VoiceOptions {
  readonly access?: Partial<Access> | undefined;
  readonly request?: Partial<TtsRequest> | undefined;
  readonly clock?: Clock;
  /** One that other streams have too. */
  readonly provider?: TtsProvider;
}

/** A voice's emulator, and streams of its adapter over connections that end with the test. */
export class EmulatedVoice<Settings extends EmulatorSettings> extends Emulated<Settings> {
  readonly #create: Create;
  readonly #request: Partial<TtsRequest>;
  #connections: HttpConnections | undefined;

  constructor(emulate: Emulate<Settings>, create: Create, request: Partial<TtsRequest> = {}) {
    super(emulate);
    this.#create = create;
    this.#request = request;
  }

  override async stop(): Promise<void> {
    await this.#connections?.close();
    this.#connections = undefined;
    await super.stop();
  }

  provider(access?: Partial<Access>): TtsProvider {
    this.#connections ??= new HttpConnections(10_000);
    return this.#create(this.access(access), this.#connections);
  }

  /** Opens a stream; what is not given is as it should be. */
  open(options: VoiceOptions = {}, received = new Received<TtsPart>()): VoiceCall {
    const { access, request, clock, provider = this.provider(access) } = options;
    return openVoice(provider, { ...this.#request, ...request }, received, clock);
  }
}

/** Any of them: the contract needs no more of their settings. */
type AnyVoice = EmulatedVoice<EmulatorSettings>;

/** What the contract must know of a vendor. */
export interface VoiceTraits {
  /**
   * One WebSocket for each call, which fails as a whole; requests, which fail an utterance at a time; or requests behind a
   * WebSocket, which fail as a whole when both have.
   */
  readonly wire: 'socket' | 'http' | 'both';
  /** What is heard between two clauses. */
  readonly joint: ' ' | '';
  /** Messages, or pieces of a body, that the vendor has sent when it has begun to speak. */
  readonly messagesToAudio: number;
  /** Wrong audio that the adapter knows when it comes. */
  readonly knowsWrongAudio: readonly AudioFault[];
  /** Over HTTP: text amid the audio is noticed. Among bare samples it is noise, and nobody can tell. */
  readonly knowsGarbage?: boolean;
  /** Sets how much faster than real time the running emulator speaks: at first a hundred times. */
  readonly setSpeed: (speed: number) => void;
  /** The vendor's own faults. */
  readonly faults: readonly FaultCase<TtsRequest>[];
}

const LONG = 'This is a rather long sentence that nobody wants to hear to its end.';

/** Declares the tests that every voice must pass. */
export function ttsContract(voice: AnyVoice, traits: VoiceTraits): void {
  /** Waits until nothing of a stream that was closed is left on the wire. */
  const gone = async (): Promise<void> => {
    if (traits.wire === 'socket') return voice.gone();
    await until('no WebSocket', () => voice.emulator.webSockets === 0);
    await voice.idle();
  };

  describe('as every voice', () => {
    voiceSpeaks(voice, traits, gone);
    voiceDropsWhatIsCancelled(voice, traits, gone);
    voiceEnds(voice, traits, gone);
    voiceFails(voice, traits, gone);
    voiceKnowsWrongAudio(voice, traits, gone);
    if (traits.wire === 'socket') voiceOutlivesIdleCloses(voice, traits);
    if (traits.wire === 'http') voiceAsksAheadOfItsSpeech(voice, traits);
  });
}

type Gone = () => Promise<void>;

function voiceSpeaks(voice: AnyVoice, { wire, joint }: VoiceTraits, gone: Gone): void {
  it('speaks utterances in order, to the letter, over connections that it keeps', async () => {
    await voice.start();
    const call = voice.open();
    expect(await say(call, 'a', 'Hello there.', 'How are you today? ')).toBe(`Hello there.${joint}How are you today?`);
    expect(await say(call, 'b', 'Second.')).toBe('Second.');
    expect(call.received.parts.at(-1)).toEqual({ type: 'utterance-finished', utteranceId: 'b' });
    // Two clauses may be asked for at a time.
    expect(voice.emulator.connections).toBeLessThanOrEqual(wire === 'http' ? 2 : 1);
    if (wire !== 'http') expect(voice.emulator.requests).toHaveLength(1);
    expect(call.received.usage.total().tts).toMatchObject([
      { characters: 'Hello there.How are you today?Second.'.length },
    ]);
    call.received.expectNoMore();
    call.stream.close();
    await gone();
  });

  it('speaks one utterance after the other when they come at once', async () => {
    await voice.start();
    const { received, stream } = voice.open();
    stream.speak('a', 'First.');
    stream.speak('b', 'Second.');
    stream.finish('b');
    stream.finish('a');
    await received.first('utterance-finished', 2);
    expect([heard(received, 'a'), heard(received, 'b')]).toEqual(['First.', 'Second.']);
    stream.close();
    await gone();
  });

  it('waits for clauses that come slowly', async () => {
    await voice.start();
    const { received, stream } = voice.open();
    stream.speak('a', 'One.');
    await until('the first clause', () => heard(received, 'a') === 'One.');
    await sleep(30);
    expect(received.of('utterance-finished')).toEqual([]);
    stream.speak('a', 'Two.');
    stream.finish('a');
    await received.first('utterance-finished');
    expect(heard(received, 'a')).toBe(`One.${joint}Two.`);
    stream.close();
    await gone();
  });

  it('finishes an utterance without words, and does not begin ended ones again', async () => {
    await voice.start();
    const { received, stream } = voice.open();
    stream.speak('a', '  ');
    stream.finish('a');
    expect(received.parts).toEqual([]);
    await received.first('utterance-finished');
    stream.finish('a');
    stream.speak('a', 'Again?');
    stream.cancel('b');
    stream.speak('b', 'Cancelled before it began.');
    stream.finish('b');
    stream.finish('c');
    stream.cancel('c');
    await sleep(50);
    expect(received.parts).toHaveLength(1);
    expect(voice.texts).toEqual([]);
    stream.close();
    await gone();
  });

  it('keeps two calls apart', async () => {
    await voice.start();
    const provider = voice.provider();
    const [lost, other] = [voice.open({ provider }), voice.open({ provider })];
    lost.stream.speak('a', LONG);
    other.stream.speak('a', 'Hello there.');
    await lost.received.first('audio-chunk');
    lost.received.expectNoMore();
    lost.received.controller.abort();
    expect(await say(other, 'a', 'How are you?')).toBe(`Hello there.${joint}How are you?`);
    other.stream.close();
    await gone();
  });
}

function voiceDropsWhatIsCancelled(voice: AnyVoice, { setSpeed }: VoiceTraits, gone: Gone): void {
  it('drops what a cancelled utterance still says, and speaks the next one to the letter', async () => {
    await voice.start();
    setSpeed(10);
    const call = voice.open();
    const { received, stream } = call;
    stream.speak('a', LONG);
    stream.speak('a', 'And neither this.');
    stream.finish('a');
    await received.first('audio-chunk', 3);
    stream.cancel('a');
    const before = received.of('audio-chunk').length;
    setSpeed(100);
    expect(await say(call, 'b', 'Sorry.')).toBe('Sorry.');
    expect(received.of('audio-chunk').filter((part) => part.utteranceId === 'a')).toHaveLength(before);
    expect(received.of('utterance-finished')).toEqual([{ type: 'utterance-finished', utteranceId: 'b' }]);
    stream.close();
    await gone();
  });
}

function voiceEnds(voice: AnyVoice, { setSpeed }: VoiceTraits, gone: Gone): void {
  it('releases everything on abort and close at every stage', async () => {
    await voice.start();
    setSpeed(5);
    const calls: Received<TtsPart>[] = [];
    for (const end of ['close', 'abort'] as const) {
      for (const waitMs of [0, 1, 5, 20, 60]) {
        const { received, stream } = voice.open();
        stream.speak('a', 'Hello there, whoever you are.');
        stream.speak('a', 'I am fine.');
        stream.finish('a');
        stream.finish('b');
        if (waitMs > 0) await sleep(waitMs);
        received.expectNoMore();
        if (end === 'close') stream.close();
        else received.controller.abort();
        stream.speak('a', 'More.');
        stream.finish('c');
        stream.cancel('a');
        stream.close();
        calls.push(received);
      }
    }
    await gone();
    for (const received of calls) await received.released();
  });

  it('does nothing when the call is already over', async () => {
    await voice.start();
    const received = new Received<TtsPart>();
    received.controller.abort();
    received.expectNoMore();
    const { stream } = voice.open({}, received);
    stream.speak('a', 'Hello?');
    stream.finish('a');
    await sleep(50);
    expect(voice.emulator.requests).toEqual([]);
    expect(voice.emulator.connections).toBe(0);
    stream.cancel('a');
    stream.close();
    await received.released();
  });

  it('lives through a vendor that accepts and stays silent, until it is closed', async () => {
    await voice.start({ faults: { stallAfter: 0 } });
    const { received, stream } = voice.open();
    stream.speak('a', 'Hello?');
    stream.finish('a');
    await until('the text', () => voice.texts.some((text) => text.includes('Hello?')));
    await sleep(30);
    expect(received.parts).toEqual([]);
    received.expectNoMore();
    stream.close();
    await gone();
    await received.released();
  });

  it('refuses more text than anybody could speak, of that utterance only', async () => {
    await voice.start({ faults: { hang: true } });
    const { received, stream } = voice.open();
    for (let n = 0; n < 310; n++) stream.speak('a', 'x'.repeat(100));
    expect(received.parts).toEqual([]);
    await received.failedWith('utterance-failed', 'provider.overloaded');
    stream.close();
    await gone();
    await received.released();
  });
}

function voiceFails(voice: AnyVoice, traits: VoiceTraits, gone: Gone): void {
  const { wire, messagesToAudio, knowsGarbage = false, faults } = traits;
  const midSpeech = breaks(messagesToAudio, 'in mid-speech');
  const late: FaultCase<TtsRequest> = {
    what: 'a hang at connect',
    access: { connectTimeoutMs: 50 },
    faults: { hang: true },
    code: 'provider.timeout-connect',
  };
  const ofTheWire = {
    socket: [late, ...closes(0, 'at once'), ...midSpeech, ...closes(messagesToAudio, 'in mid-speech')],
    http: midSpeech.filter(({ code }) => knowsGarbage || code !== 'provider.protocol'),
    both: [late],
  }[wire];
  const cases: FaultCase<TtsRequest>[] = [...refusals(), ...breaks(0, 'at once'), ...ofTheWire, ...faults];

  it.each(cases)('fails once on $what', async (fault) => {
    await voice.start({ faults: fault.faults ?? {} });
    const access = voice.access(fault.access, fault.basePath);
    const call = voice.open({ access, request: fault.request });
    const { received, stream } = call;
    stream.speak('a', 'Does anybody hear me, out there?');
    stream.speak('a', 'Hello?');
    stream.finish('a');
    const error = await received.failedWith(wire === 'http' ? 'utterance-failed' : 'stream-failed', fault.code);
    expectTold(error, fault, access.apiKey);
    await gone();
    voice.emulator.settings.faults = {};
    if (wire !== 'http') stream.speak('b', 'No.');
    else if (fault.faults !== undefined) expect(await say(call, 'b', 'Good again.')).toBe('Good again.');
    stream.close();
    await gone();
    await received.released();
  });
}

function voiceKnowsWrongAudio(voice: AnyVoice, { knowsWrongAudio }: VoiceTraits, gone: Gone): void {
  it.each(knowsWrongAudio)('takes %s for a failure of the utterance, and goes on', async (audio) => {
    await voice.start({ faults: { audio } });
    const call = voice.open();
    call.stream.speak('a', 'Does anybody hear me, out there?');
    call.stream.finish('a');
    await call.received.failedWith('utterance-failed', 'provider.protocol');
    voice.emulator.settings.faults = {};
    expect(await say(call, 'b', 'Good again.')).toBe('Good again.');
    call.stream.close();
    await gone();
    await call.received.released();
  });
}

/** Waits until a stream over a WebSocket knows that the vendor has closed it, and that nothing is lost. */
export async function idleCloseSeen({ received }: VoiceCall): Promise<void> {
  await until('the end of the socket', () =>
    received.log.lines.some(({ message }) => message.startsWith('idle socket')),
  );
}

function voiceOutlivesIdleCloses(voice: AnyVoice, { setSpeed }: VoiceTraits): void {
  it('opens another socket for the next utterance after an idle close', async () => {
    await voice.start();
    const call = voice.open();
    expect(await say(call, 'a', 'One.')).toBe('One.');
    voice.emulator.disconnect(1000);
    await idleCloseSeen(call);
    expect(await say(call, 'b', 'Two.')).toBe('Two.');
    call.stream.close();
    await voice.gone();
  });

  it('fails when the line is cut while nothing is pending', async () => {
    await voice.start();
    const call = voice.open();
    const { received, stream } = call;
    expect(await say(call, 'a', 'Hi.')).toBe('Hi.');
    voice.emulator.disconnect(1006);
    await received.failedWith('stream-failed', 'provider.closed');
    stream.speak('b', 'Anybody?');
    await voice.gone();
    await received.released();
  });

  it.each([
    ['an idle close', 1000, 'provider.closed'],
    ['a server error', 1011, 'provider.overloaded'],
    ['a cut line', 1006, 'provider.closed'],
  ] as const)('fails on %s while it is heard', async (_what, closeCode, code) => {
    await voice.start();
    setSpeed(1);
    const { received, stream } = voice.open();
    stream.speak('a', 'Hi. This takes its time.');
    await received.first('audio-chunk');
    voice.emulator.disconnect(closeCode);
    await received.failedWith('stream-failed', code);
    stream.speak('b', 'Anybody?');
    await voice.gone();
    await received.released();
  });
}

function voiceAsksAheadOfItsSpeech(voice: AnyVoice, { setSpeed }: VoiceTraits): void {
  it('asks for the next clause while the first is being said, and for no more', async () => {
    await voice.start();
    setSpeed(5);
    const { received, stream } = voice.open();
    for (const clause of ['One is said for a while.', 'Two.', 'Three.', 'Four.']) stream.speak('a', clause);
    await received.first('audio-chunk');
    expect(voice.emulator.requests).toHaveLength(2);
    stream.finish('a');
    await received.first('utterance-finished');
    expect(heard(received, 'a')).toBe('One is said for a while.Two.Three.Four.');
    stream.close();
  });

  it('ends the requests of a cancelled utterance within one turn of the event loop', async () => {
    await voice.start();
    setSpeed(1);
    const sockets: Socket[] = [];
    const onConnected = (message: unknown): void => void sockets.push((message as { socket: Socket }).socket);
    subscribe('undici:client:connected', onConnected);
    const { received, stream } = voice.open();
    stream.speak('a', LONG);
    stream.speak('a', 'And neither this.');
    await received.first('audio-chunk');
    await until('both requests', () => voice.emulator.activeRequests === 2);
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([false, false]);
    received.expectNoMore();
    stream.cancel('a');
    await new Promise((resolve) => setImmediate(resolve));
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true, true]);
    unsubscribe('undici:client:connected', onConnected);
    await voice.idle();
    stream.close();
  });

  it('lives through a vendor that stays silent after its headers, until it is cancelled', async () => {
    await voice.start({ faults: { stallAfter: 0 } });
    const { received, stream } = voice.open();
    stream.speak('a', 'Hello?');
    stream.finish('a');
    await until('the request', () => voice.emulator.activeRequests === 1);
    await sleep(30);
    expect(received.parts).toEqual([]);
    received.expectNoMore();
    stream.cancel('a');
    await voice.idle();
    stream.close();
    await received.released();
  });
}
