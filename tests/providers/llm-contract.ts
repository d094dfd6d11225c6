/** What every language model's adapter must do, whoever the vendor is. */
import { describe, expect, it } from 'vitest';
import type { Delay } from '../../bench/emulators/delays.ts';
import type { Reply, ReplyRules } from '../../bench/emulators/reply.ts';
import type { EmulatorSettings } from '../../bench/emulators/server.ts';
import type { Clock } from '../../src/core/clock.ts';
import { VirtualClock } from '../../src/core/clock.ts';
import type { LlmPart, LlmProvider, LlmRequest, LlmStream, LlmTool } from '../../src/pipeline/providers/spec.ts';
import { Emulated } from './emulated.ts';
import type { Access, Emulate } from './emulated.ts';
import { breaks, expectTold, refusals } from './fault-cases.ts';
import type { FaultCase } from './fault-cases.ts';
import { Received, sleep, until } from './harness.ts';

const REQUEST: LlmRequest = {
  messages: [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'Say something.' },
  ],
  questionsAndAnswers: [],
  maxOutputTokens: 50,
};

/** A tool with one argument. */
export const LOOK_UP: LlmTool = {
  name: 'look_up',
  description: 'Looks something up.',
  parameters: { type: 'object', properties: { q: { type: 'string' } }, required: ['q'] },
};

/** What all emulated models can be told. */
export interface LlmEmulatorSettings extends EmulatorSettings {
  reply: ReplyRules | ((messages: never) => Reply);
  firstTokenMs: Delay;
  interTokenMs: Delay;
}

type ClosableLlm = LlmProvider & { close(): Promise<void> };

export interface LlmCall {
  readonly received: Received<LlmPart>;
  readonly stream: LlmStream;
}

/** A model's emulator, and the one adapter that asks it: which goes first, and leaves no connection. */
export class EmulatedLlm<Settings extends LlmEmulatorSettings> extends Emulated<Settings> {
  readonly #create: (access: Access) => ClosableLlm;
  #provider: ClosableLlm | undefined;

  constructor(emulate: Emulate<Settings>, create: (access: Access) => ClosableLlm) {
    super(emulate);
    this.#create = create;
  }

  override async start(settings: Partial<Settings> = {}): Promise<void> {
    await super.start(settings);
    this.connect(this.access());
  }

  override async stop(): Promise<void> {
    if (this.#provider !== undefined) {
      await this.#provider.close();
      await this.gone();
      this.#provider = undefined;
    }
    await super.stop();
  }

  /** Makes the adapter, in place of the one that there may be and that has not been asked yet. */
  connect(access: Access): void {
    this.#provider = this.#create(access);
  }

  get provider(): ClosableLlm {
    if (this.#provider === undefined) throw new Error('The test has not started its emulator.');
    return this.#provider;
  }

  generate(request: Partial<LlmRequest> = {}, given: { readonly clock?: Clock } = {}): LlmCall {
    const received = new Received<LlmPart>();
    const context = { ...received.context, ...given };
    const stream = received.open(() => this.provider.generate({ ...REQUEST, ...request }, received.sink, context));
    return { received, stream };
  }
}

/** Any of them: what the contract sets, all of them understand. */
type AnyLlm = Pick<EmulatedLlm<LlmEmulatorSettings>, keyof EmulatedLlm<LlmEmulatorSettings>>;

/** What the contract must know of a vendor. */
export interface LlmTraits {
  /** The usual request to the usual model, as it goes over the wire. */
  readonly body: Readonly<Record<string, unknown>>;
  /** Events of the stream that the vendor has sent when its first word has been said. */
  readonly eventsToWords: number;
  /** … when a reply of one word is finished but for what follows the finish. */
  readonly eventsToFinish: number;
  /** … when a tool call has begun whose arguments are not whole. */
  readonly eventsIntoTool: number;
  /** What it says of a call without a result. */
  readonly resultMissing: string;
  /** The vendor's own faults. */
  readonly faults: readonly FaultCase<LlmRequest>[];
}

/** Declares the tests that every language model must pass. */
export function llmContract(llm: AnyLlm, traits: LlmTraits): void {
  describe('as every language model', () => {
    llmReplies(llm, traits);
    llmCallsTools(llm, traits);
    llmEnds(llm, traits);
    llmFails(llm, traits);
    llmKeepsDeadlines(llm, traits);
  });
}

export function textOf(received: Received<LlmPart>): string {
  return received
    .of('text-delta')
    .map((part) => part.text)
    .join('');
}

function llmReplies(llm: AnyLlm, { body, eventsToFinish }: LlmTraits): void {
  it('streams a reply and its end, counting what it took, on one connection for all turns', async () => {
    await llm.start({ reply: () => 'One two three.' });
    for (let turn = 0; turn < 3; turn++) {
      const { received } = llm.generate();
      await received.first('generation-finished');
      expect(received.parts).toEqual([
        { type: 'text-delta', text: 'One' },
        { type: 'text-delta', text: ' two' },
        { type: 'text-delta', text: ' three.' },
        { type: 'generation-finished', reason: 'stop' },
      ]);
      const { model } = JSON.parse(llm.texts[0] ?? '') as { model: string };
      const counted = { requests: 1, unreported_requests: 0, input_tokens: 4, output_tokens: 3 };
      expect(received.usage.total().llm).toEqual([{ provider: llm.provider.name, model, ...counted }]);
      received.expectNoMore();
      await llm.idle();
      await received.released();
      expect(llm.emulator.connections).toBe(1);
    }
    expect(JSON.parse(llm.texts[0] ?? '')).toEqual(body);
  });

  it('tells why the model stopped', async () => {
    await llm.start({ reply: () => 'One two three.' });
    const { received } = llm.generate({ maxOutputTokens: 2 });
    expect(await received.first('generation-finished')).toMatchObject({ reason: 'length' });
    expect(textOf(received)).toBe('One two');
  });

  it('finishes although the stream stalls after the finish', async () => {
    await llm.start({ reply: () => 'Fine.', faults: { stallAfter: eventsToFinish } });
    const { received } = llm.generate();
    await received.first('generation-finished');
    await llm.idle();
    await received.released();
  });

  it('finishes although the line is cut after the finish', async () => {
    await llm.start({ reply: () => 'Fine.', faults: { closeAfter: { messages: eventsToFinish, code: 1006 } } });
    const { received } = llm.generate();
    await received.first('generation-finished');
    await llm.idle();
    expect(received.of('generation-failed')).toEqual([]);
    await received.released();
  });

  it('counts a request that was broken off, whose tokens nobody told, and none that was refused', async () => {
    await llm.start({ reply: () => 'One two three.', interTokenMs: 50 });
    const { received, stream } = llm.generate();
    await received.first('text-delta');
    stream.abort();
    await llm.idle();
    expect(received.usage.total().llm).toMatchObject([{ requests: 1, unreported_requests: 1, output_tokens: 0 }]);
    llm.emulator.settings.faults = { refuse: { status: 500 } };
    const refused = llm.generate().received;
    await refused.first('generation-failed');
    expect(refused.usage.total().llm).toEqual([]);
  });

  it('keeps two generations apart', async () => {
    await llm.start({ reply: () => 'One two three.', interTokenMs: 5 });
    const [lost, other] = [llm.generate(), llm.generate()];
    await Promise.all([lost.received.first('text-delta'), other.received.first('text-delta')]);
    lost.received.expectNoMore();
    lost.stream.abort();
    await other.received.first('generation-finished');
    expect(textOf(other.received)).toBe('One two three.');
    await llm.idle();
  });
}

function llmCallsTools(llm: AnyLlm, { eventsIntoTool, resultMissing }: LlmTraits): void {
  const tools = [LOOK_UP];

  it('calls tools, each whole, after what was said and before the end; and takes their results', async () => {
    const tool = [
      { name: 'look_up', arguments: { q: 'opening hours, "winter"' } },
      { name: 'look_up', arguments: { q: '' } },
    ];
    await llm.start({ reply: [{ reply: { say: 'One moment.', tool, afterwards: 'We open at nine.' } }] });
    const { received } = llm.generate({ tools });
    await received.first('generation-finished');
    expect(received.parts.map(({ type }) => type)).toEqual([
      'text-delta',
      'text-delta',
      'tool-called',
      'tool-called',
      'generation-finished',
    ]);
    const calls = received.of('tool-called').map(({ call }) => call);
    expect(calls.map(({ name, arguments: json }) => [name, json])).toEqual([
      ['look_up', '{"q":"opening hours, \\"winter\\""}'],
      ['look_up', '{"q":""}'],
    ]);
    expect(new Set(calls.map(({ id }) => id)).size).toBe(2);
    expect(received.parts.at(-1)).toEqual({ type: 'generation-finished', reason: 'tool-calls' });
    const messages: LlmRequest['messages'] = [
      ...REQUEST.messages,
      { role: 'assistant', content: textOf(received), toolCalls: calls },
      ...calls.map(({ id }) => ({ role: 'tool' as const, toolCallId: id, content: '9-5' })),
    ];
    const second = llm.generate({ tools, messages }).received;
    await second.first('generation-finished');
    expect(textOf(second)).toBe('We open at nine.');
  });

  it.each([
    ['none', {}, '{}'],
    ['what is no JSON, unchecked', '{"q": half', '{"q": half'],
  ])('passes on as arguments %s', async (_what, given, expected) => {
    await llm.start({ reply: () => ({ tool: { name: 'look_up', arguments: given } }) });
    const { received } = llm.generate({ tools });
    expect((await received.first('tool-called')).call.arguments).toBe(expected);
    await received.first('generation-finished');
  });

  it('does not call a tool whose arguments broke off', async () => {
    const tool = { name: 'look_up', arguments: { q: 'x' } };
    await llm.start({ reply: () => ({ tool }), faults: { closeAfter: { messages: eventsIntoTool, code: 1006 } } });
    const cut = llm.generate({ tools }).received;
    await cut.failedWith('generation-failed', 'provider.closed');
    expect(cut.of('tool-called')).toEqual([]);
    llm.emulator.settings.faults = { garbageAfter: eventsIntoTool };
    const garbled = llm.generate({ tools }).received;
    await garbled.failedWith('generation-failed', 'provider.protocol');
    expect(garbled.of('tool-called')).toEqual([]);
    await llm.idle();
  });

  it('stops telling of calls once it is aborted by the first', async () => {
    const tool = { name: 'look_up', arguments: {} };
    await llm.start({ reply: () => ({ tool: [tool, tool] }) });
    const received = new Received<LlmPart>();
    const stream = llm.provider.generate(
      { ...REQUEST, tools },
      (part) => {
        received.sink(part);
        received.expectNoMore();
        stream.abort();
      },
      received.context,
    );
    await received.first('tool-called');
    await llm.idle();
  });

  it('is told by the vendor that a call lacks its result', async () => {
    await llm.start();
    const call = { id: 'c', name: 'look_up', arguments: '{}' };
    const messages: LlmRequest['messages'] = [
      ...REQUEST.messages,
      { role: 'assistant', content: '', toolCalls: [call] },
    ];
    const { received } = llm.generate({ messages });
    const error = await received.failedWith('generation-failed', 'provider.bad-request');
    expect(error.details['vendorMessage']).toContain(resultMissing);
  });
}

function llmEnds(llm: AnyLlm, { eventsToWords }: LlmTraits): void {
  it('is off the wire soon after an abort, at every stage, without another part', async () => {
    await llm.start({ reply: () => 'word '.repeat(200), interTokenMs: 5 });
    const calls: LlmCall[] = [];
    for (const end of ['abort', 'signal'] as const) {
      for (const waitMs of [0, 1, 3, 10, 50]) {
        const call = llm.generate();
        if (waitMs > 0) await sleep(waitMs);
        call.received.expectNoMore();
        if (end === 'abort') call.stream.abort();
        else call.received.controller.abort();
        calls.push(call);
      }
    }
    await llm.idle();
    for (const { received, stream } of calls) {
      stream.abort();
      await received.released();
    }
  });

  it('does nothing when the call is already over', async () => {
    await llm.start();
    const received = new Received<LlmPart>();
    received.controller.abort();
    received.expectNoMore();
    const stream = llm.provider.generate(REQUEST, received.sink, received.context);
    await sleep(50);
    expect(llm.emulator.requests).toEqual([]);
    stream.abort();
    await received.released();
  });

  it.each([
    ['hangs', { hang: true }],
    ['stalls after the headers', { stallAfter: 0 }],
    ['stalls in mid-stream', { stallAfter: eventsToWords }],
  ])('dies on abort while the vendor %s', async (_what, faults) => {
    await llm.start({ faults });
    const { received, stream } = llm.generate();
    await until('the request', () => llm.emulator.activeRequests === 1);
    await sleep(30);
    received.expectNoMore();
    stream.abort();
    await llm.idle();
    await llm.gone();
    await received.released();
  });

  it('reaches the wire within a turn of the event loop after an abort', async () => {
    await llm.start({ faults: { stallAfter: eventsToWords } });
    const { received, stream } = llm.generate();
    await received.first('text-delta');
    stream.abort();
    // Emulator and adapter share this loop: a few turns more let the emulator notice what the kernel told it at once.
    for (let turn = 0; turn < 10 && llm.emulator.activeRequests > 0; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(llm.emulator.activeRequests).toBe(0);
  });

  it('fails what runs and what comes after it is closed', async () => {
    await llm.start({ faults: { stallAfter: eventsToWords } });
    const { received } = llm.generate();
    await received.first('text-delta');
    const closing = llm.provider.close();
    expect(received.failure().code).toBe('aborted');
    await closing;
    await received.released();
    const late = llm.generate().received;
    await late.failedWith('generation-failed', 'aborted');
    await late.released();
  });
}

function llmFails(llm: AnyLlm, { eventsToWords, faults }: LlmTraits): void {
  // There is no stream yet that could tell: see below.
  const asked = refusals().filter(({ code }) => code !== 'config.invalid');
  const cases: FaultCase<LlmRequest>[] = [
    ...asked,
    ...breaks(0, 'at once'),
    ...breaks(1, 'before the first word'),
    ...breaks(eventsToWords, 'mid-stream'),
    ...faults,
  ];

  it.each(cases)('fails once on $what', async (fault) => {
    await llm.start({ faults: fault.faults ?? {} });
    await llm.provider.close();
    const access = llm.access(fault.access, fault.basePath);
    llm.connect(access);
    const { received, stream } = llm.generate(fault.request);
    const error = await received.failedWith('generation-failed', fault.code);
    expectTold(error, fault, access.apiKey);
    stream.abort();
    await llm.idle();
    await received.released();
  });

  it('is not made with a base URL that is none', async () => {
    await llm.start();
    const access = llm.access({ baseUrl: 'vendor' });
    expect(() => llm.connect(access)).toThrow(expect.objectContaining({ code: 'config.invalid' }));
  });
}

function llmKeepsDeadlines(llm: AnyLlm, { eventsToWords }: LlmTraits): void {
  it.each([
    ['hangs', { hang: true }, 'provider.timeout-first'],
    ['is silent after the headers', { stallAfter: 0 }, 'provider.timeout-first'],
    ['stalls after its first words', { stallAfter: eventsToWords }, 'provider.timeout-gap'],
  ] as const)('gives a vendor up that %s', async (_what, faults, code) => {
    await llm.start({ faults });
    const clock = new VirtualClock();
    const { received } = llm.generate({}, { clock });
    await until('the request', () => llm.emulator.activeRequests === 1);
    if (code === 'provider.timeout-gap') await received.first('text-delta');
    clock.advance(119_999);
    expect(received.of('generation-failed')).toEqual([]);
    clock.advance(1);
    const error = await received.failedWith('generation-failed', code);
    expectTold(error, { what: '', code }, llm.access().apiKey);
    await llm.idle();
    expect(clock.pendingTimers).toBe(0);
  });
}
