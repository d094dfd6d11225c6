import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../core/clock.ts';
import { BvraiError } from '../../core/errors.ts';
import { memoryLog, silentLog } from '../../core/log.ts';
import type {
  LlmPart,
  LlmProvider,
  Sink,
  StreamContext,
  SttPart,
  SttProvider,
  TtsPart,
  TtsProvider,
} from '../providers/spec.ts';
import { llmRoute } from './llm-route.ts';
import { resolveRoute } from './route.ts';
import { sttRoute } from './stt-route.ts';
import { ttsRoute } from './tts-route.ts';

const failed = new BvraiError('provider.overloaded', 'scripted');
const candidate = <Provider extends { name: string }>(provider: Provider, model?: string) => ({
  provider,
  entry: { provider: provider.name, model },
});

function call() {
  const clock = new VirtualClock();
  const scope = new AbortController();
  const context: StreamContext = { clock, log: silentLog, signal: scope.signal };
  return { clock, scope, context };
}

/** A provider that records what it is asked and says what the test tells it to. */
function scriptedLlm(name: string) {
  const asked: { model: string | undefined; sink: Sink<LlmPart>; aborted: boolean }[] = [];
  const provider: LlmProvider = {
    name,
    generate(request, sink) {
      const generation = { model: request.model, sink, aborted: false };
      asked.push(generation);
      return { abort: () => (generation.aborted = true) };
    },
  };
  return { provider, asked };
}

describe('a route of models', () => {
  const request = { messages: [], questionsAndAnswers: [], maxOutputTokens: 10 };
  const deadlines = { firstMs: 1_000, gapMs: 2_000 };
  const setUp = () => {
    const { clock, scope, context } = call();
    const first = scriptedLlm('first');
    const second = scriptedLlm('second');
    const parts: LlmPart[] = [];
    const route = llmRoute([candidate(first.provider, 'm1'), candidate(second.provider, 'm2')], deadlines);
    const stream = route.generate(request, (part) => parts.push(part), context);
    return { clock, scope, first, second, parts, stream };
  };

  it('asks the first with its own model, and passes on what it says', () => {
    const { first, second, parts, clock } = setUp();
    first.asked[0]?.sink({ type: 'text-delta', text: 'Hi' });
    first.asked[0]?.sink({ type: 'generation-finished', reason: 'stop' });
    expect(first.asked[0]?.model).toBe('m1');
    expect(parts.map(({ type }) => type)).toEqual(['text-delta', 'generation-finished']);
    expect(second.asked).toHaveLength(0);
    expect(clock.pendingTimers).toBe(0);
  });

  it.each([
    ['fails', (sink: Sink<LlmPart>) => sink({ type: 'generation-failed', error: failed }), 0],
    ['gives no token within the deadline', () => {}, 1_000],
  ])('asks the next when the first %s, and never hears the first again', (_what, fault, waitMs) => {
    const { first, second, parts, clock } = setUp();
    const sink = first.asked[0]?.sink ?? (() => {});
    fault(sink);
    clock.advance(waitMs);
    expect(second.asked[0]?.model).toBe('m2');
    sink({ type: 'text-delta', text: 'late' });
    second.asked[0]?.sink({ type: 'text-delta', text: 'Hello' });
    second.asked[0]?.sink({ type: 'generation-finished', reason: 'stop' });
    expect(parts).toEqual([
      { type: 'text-delta', text: 'Hello' },
      { type: 'generation-finished', reason: 'stop' },
    ]);
  });

  it('reports a stall after text, and does not begin again elsewhere', () => {
    const { first, second, parts, clock } = setUp();
    first.asked[0]?.sink({ type: 'text-delta', text: 'We are' });
    clock.advance(2_000);
    expect(parts.at(-1)).toMatchObject({ type: 'generation-failed', error: { code: 'provider.timeout-gap' } });
    expect(first.asked[0]?.aborted).toBe(true);
    expect(second.asked).toHaveLength(0);
  });

  it('takes a tool call for output: passes it on, gives it time, and asks nobody else afterwards', () => {
    const { first, second, parts, clock } = setUp();
    const called: LlmPart = { type: 'tool-called', call: { id: 'c', name: 'look_up', arguments: '{}' } };
    clock.advance(900);
    first.asked[0]?.sink(called);
    clock.advance(1_900);
    first.asked[0]?.sink(called);
    expect(parts).toEqual([called, called]);
    clock.advance(2_000);
    expect(parts.at(-1)).toMatchObject({ type: 'generation-failed', error: { code: 'provider.timeout-gap' } });
    expect(second.asked).toHaveLength(0);
  });

  it('reports the last failure when all have failed', () => {
    const { first, second, parts, clock } = setUp();
    first.asked[0]?.sink({ type: 'generation-failed', error: failed });
    second.asked[0]?.sink({ type: 'generation-failed', error: failed });
    expect(parts).toEqual([{ type: 'generation-failed', error: failed }]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('stops a model that does not stop by itself', () => {
    const { first, parts } = setUp();
    for (let token = 0; token < 30; token++) first.asked[0]?.sink({ type: 'text-delta', text: 'on and ' });
    expect(parts.at(-1)).toEqual({ type: 'generation-finished', reason: 'length' });
    expect(first.asked[0]?.aborted).toBe(true);
  });

  it.each(['abort', 'signal'])('is silent after %s, and so is its timer', (how) => {
    const { first, parts, stream, scope, clock } = setUp();
    if (how === 'abort') stream.abort();
    else scope.abort();
    first.asked[0]?.sink({ type: 'text-delta', text: 'late' });
    clock.advance(10_000);
    expect(parts).toEqual([]);
    expect(first.asked[0]?.aborted).toBe(true);
    expect(clock.pendingTimers).toBe(0);
  });
});

function scriptedTts(name: string) {
  const streams: { spoken: string[]; closed: boolean; sink: Sink<TtsPart> }[] = [];
  const provider: TtsProvider = {
    name,
    open(_request, sink) {
      const stream = { spoken: [] as string[], closed: false, sink };
      streams.push(stream);
      return {
        speak: (id, text) => stream.spoken.push(`${id}:${text}`),
        finish: (id) => stream.spoken.push(`${id}.`),
        cancel: (id) => stream.spoken.push(`${id}!`),
        close: () => (stream.closed = true),
      };
    },
  };
  return { provider, streams };
}

describe('a route of voices', () => {
  const audio = new Uint8Array(160);
  const setUp = () => {
    const { clock, context } = call();
    const first = scriptedTts('first');
    const second = scriptedTts('second');
    const parts: TtsPart[] = [];
    const route = ttsRoute([candidate(first.provider), candidate(second.provider)], { firstMs: 1_000, gapMs: 2_000 });
    const stream = route.open({ language: 'en' }, (part) => parts.push(part), context);
    return { clock, first, second, parts, stream };
  };

  it.each([
    [
      'fails the utterance',
      (sink: Sink<TtsPart>) => sink({ type: 'utterance-failed', utteranceId: '1', error: failed }),
      0,
    ],
    ['dies', (sink: Sink<TtsPart>) => sink({ type: 'stream-failed', error: failed }), 0],
    ['gives no audio in time', () => {}, 1_000],
  ])('says all of an utterance with the next voice when the first %s', (_what, fault, waitMs) => {
    const { clock, first, second, parts, stream } = setUp();
    stream.speak('1', 'One,');
    stream.speak('1', 'two.');
    stream.finish('1');
    fault(first.streams[0]?.sink ?? (() => {}));
    clock.advance(waitMs);
    expect(first.streams[0]?.closed).toBe(true);
    expect(second.streams[0]?.spoken).toEqual(['1:One,', '1:two.', '1.']);
    second.streams[0]?.sink({ type: 'audio-chunk', utteranceId: '1', audio });
    second.streams[0]?.sink({ type: 'utterance-finished', utteranceId: '1' });
    expect(parts.map(({ type }) => type)).toEqual(['audio-chunk', 'utterance-finished']);
    expect(clock.pendingTimers).toBe(0);
  });

  it('reports an utterance that broke off, and says the next one with the next voice', () => {
    const { clock, first, second, parts, stream } = setUp();
    stream.speak('1', 'One.');
    first.streams[0]?.sink({ type: 'audio-chunk', utteranceId: '1', audio });
    stream.finish('1');
    clock.advance(2_000);
    expect(parts.at(-1)).toMatchObject({ type: 'utterance-failed', error: { code: 'provider.timeout-gap' } });
    stream.speak('2', 'Two.');
    expect(second.streams[0]?.spoken).toEqual(['2:Two.']);
  });

  it('begins again with the first after the last has failed: no failure mutes a call for good', () => {
    const { first, second, parts, stream } = setUp();
    stream.speak('1', 'One.');
    first.streams[0]?.sink({ type: 'stream-failed', error: failed });
    second.streams[0]?.sink({ type: 'stream-failed', error: failed });
    expect(parts).toMatchObject([{ type: 'utterance-failed', utteranceId: '1' }]);
    stream.speak('2', 'Two.');
    expect(first.streams[1]?.spoken).toEqual(['2:Two.']);
  });

  it('waits for no audio while the model is slow with the next clause', () => {
    const { clock, first, parts, stream } = setUp();
    stream.speak('1', 'One.');
    first.streams[0]?.sink({ type: 'audio-chunk', utteranceId: '1', audio });
    clock.advance(60_000);
    expect(parts.map(({ type }) => type)).toEqual(['audio-chunk']);
  });

  it('is silent about what was cancelled and after it was closed', () => {
    const { clock, first, parts, stream } = setUp();
    stream.speak('1', 'One.');
    stream.cancel('1');
    first.streams[0]?.sink({ type: 'audio-chunk', utteranceId: '1', audio });
    stream.close();
    first.streams[0]?.sink({ type: 'stream-failed', error: failed });
    clock.advance(10_000);
    expect(parts).toEqual([]);
    expect(first.streams[0]?.closed).toBe(true);
    expect(clock.pendingTimers).toBe(0);
  });
});

function scriptedStt(name: string) {
  const streams: { heard: number[]; hints: string[]; closed: boolean; sink: Sink<SttPart> }[] = [];
  const provider: SttProvider = {
    name,
    open(_request, sink) {
      const stream = { heard: [] as number[], hints: [] as string[], closed: false, sink };
      streams.push(stream);
      return {
        write: (bytes) => stream.heard.push(...bytes),
        hint: (voice) => stream.hints.push(voice),
        close: () => (stream.closed = true),
      };
    },
  };
  return { provider, streams };
}

describe('a route of recognisers', () => {
  const final: SttPart = {
    type: 'transcript-final',
    text: 'hi',
    confidence: 1,
    words: [],
    speechFinal: false,
    fromFinalize: true,
  };
  const setUp = () => {
    const { clock, context } = call();
    const first = scriptedStt('first');
    const second = scriptedStt('second');
    const parts: SttPart[] = [];
    const route = sttRoute([candidate(first.provider), candidate(second.provider)], { finalMs: 1_200 });
    const stream = route.open({ language: 'en', phrases: [] }, (part) => parts.push(part), context);
    const speak = (durationMs: number): void => {
      stream.hint('speech-started');
      for (let ms = 0; ms < durationMs; ms += 20) {
        stream.write(new Uint8Array(160).fill(ms % 251));
        clock.advance(20);
      }
    };
    return { clock, first, second, parts, stream, speak };
  };

  it('gives the caller’s unanswered words to the next when the first dies among them', () => {
    const { first, second, stream, speak } = setUp();
    speak(1_000);
    first.streams[0]?.sink({ type: 'stream-failed', error: failed });
    expect(second.streams[0]?.hints).toEqual(['speech-started']);
    expect(second.streams[0]?.heard).toEqual(first.streams[0]?.heard);
    stream.hint('speech-ended');
    expect(second.streams[0]?.hints).toEqual(['speech-started', 'speech-ended']);
  });

  it('keeps no more than three seconds for that', () => {
    const { first, second, speak } = setUp();
    speak(10_000);
    first.streams[0]?.sink({ type: 'stream-failed', error: failed });
    expect(second.streams[0]?.heard).toEqual(first.streams[0]?.heard.slice(-24_000));
  });

  it('takes one that says nothing about clear speech for dead', () => {
    const { clock, second, parts, stream, speak } = setUp();
    speak(1_000);
    stream.hint('speech-ended');
    clock.advance(1_199);
    expect(second.streams).toHaveLength(0);
    clock.advance(1);
    expect(second.streams[0]?.hints).toEqual(['speech-started', 'speech-ended']);
    second.streams[0]?.sink(final);
    expect(parts).toEqual([final]);
  });

  it('does not mind silence about a cough, nor anything else once it has spoken', () => {
    const { clock, first, second, stream, speak } = setUp();
    speak(200);
    stream.hint('speech-ended');
    clock.advance(10_000);
    speak(1_000);
    first.streams[0]?.sink({ type: 'transcript-interim', text: 'h', confidence: 1 });
    stream.hint('speech-ended');
    clock.advance(10_000);
    expect(second.streams).toHaveLength(0);
  });

  it('says when nobody is left', () => {
    const { first, second, parts } = setUp();
    first.streams[0]?.sink({ type: 'stream-failed', error: failed });
    second.streams[0]?.sink({ type: 'stream-failed', error: failed });
    expect(parts).toEqual([{ type: 'stream-failed', error: failed }]);
  });
});

describe('resolving a route', () => {
  it('keeps the order, leaves out what is not configured with a warning, and ends with the embedded engine', () => {
    const log = memoryLog();
    const openai = { name: 'openai' };
    const embedded = { name: 'embedded' };
    const entries = [{ provider: 'groq' }, { provider: 'openai', model: 'gpt-4o-mini' }];
    const route = resolveRoute('llm', entries, new Map([['openai', openai]]), embedded, log);
    expect(route.map(({ provider }) => provider.name)).toEqual(['openai', 'embedded']);
    expect(log.lines).toMatchObject([{ level: 'warn', fields: { stage: 'llm', provider: 'groq' } }]);
  });
});
