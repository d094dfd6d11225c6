/** One stream of an adapter, from its opening to its end, and the rules that hold whatever the vendor says. */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { inspect } from 'node:util';
import type { Clock } from '../../src/core/clock.ts';
import { BvraiError } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/log.ts';
import type { Dialler } from '../../src/pipeline/providers/dial.ts';
import type { HttpConnections } from '../../src/pipeline/providers/http-connections.ts';
import type {
  LlmPart,
  LlmProvider,
  StreamContext,
  SttPart,
  SttProvider,
  TtsPart,
  TtsProvider,
  TtsRequest,
} from '../../src/pipeline/providers/spec.ts';
import { until } from '../providers/harness.ts';
import { checkSttPart } from '../providers/recorded.ts';
import type { Random } from '../simulation/random.ts';

/** Where one stream's connections come from. */
export interface Reach {
  readonly url: string;
  readonly dialler: Dialler;
  readonly connections: HttpConnections;
}

/** What a session sees of its own connections. */
export interface Line {
  readonly clock: Clock;
  readonly random: Random;
  /** Messages that have been handed to the driver so far. */
  readonly read: number;
  /** The vendor has hung up once. */
  readonly hungUp: boolean;
  /** From the end of the stream on nothing is read any more. */
  end(): void;
}

/** One stream, from its opening to its end. Returns how many parts it told; throws when it broke a rule. */
export type Session = (line: Line) => Promise<number>;

/** What every stream needs, and what is asserted of it. */
class FuzzedStream<Part extends { readonly type: string }> {
  readonly parts: Part[] = [];
  readonly context: StreamContext;
  readonly #line: Line;
  #opening = false;
  #over = false;

  constructor(line: Line) {
    this.#line = line;
    this.context = { clock: line.clock, log: silentLog, signal: new AbortController().signal };
  }

  /** It has told its end, or was closed. */
  get over(): boolean {
    return this.#over;
  }

  readonly sink = (part: Part): void => {
    assert(!this.#opening, 'a part arrived synchronously');
    assert(!this.#over, `a ${part.type} arrived after the end`);
    if ('error' in part)
      assert(part.error instanceof BvraiError, `the error of a ${part.type} is ${inspect(part.error)}`);
    this.parts.push(part);
    if (/^(?:stream-failed|generation-(?:failed|finished))$/u.test(part.type)) this.end();
  };

  open<Stream>(open: () => Stream): Stream {
    this.#opening = true;
    try {
      return open();
    } finally {
      this.#opening = false;
    }
  }

  end(): void {
    this.#over = true;
    this.#line.end();
  }

  /** That wait for the end of the call. */
  get listeners(): number {
    return getEventListeners(this.context.signal, 'abort').length;
  }
}

/** A caller speaks, and the vendor goes on until it is cut off or hangs up. */
export function hearing(provider: SttProvider, model: string): Session {
  return async (line) => {
    const stream = new FuzzedStream<SttPart>(line);
    const request = { model, language: 'en', phrases: [] };
    const recogniser = stream.open(() => provider.open(request, stream.sink, stream.context));
    recogniser.hint('speech-started');
    recogniser.write(new Uint8Array(4_000));
    recogniser.hint('speech-ended');
    await until('the end of the stream', () => stream.over);
    stream.parts.forEach(checkSttPart);
    // One more for its opening, and one for its end.
    assert(stream.parts.length <= line.read + 2, `${stream.parts.length} parts of ${line.read} messages`);
    assert.equal(stream.listeners, 0, 'listeners are left');
    return stream.parts.length;
  };
}

/** A model is asked once. */
export function writing(provider: LlmProvider): Session {
  return async (line) => {
    const stream = new FuzzedStream<LlmPart>(line);
    const request = {
      messages: [{ role: 'user', content: 'x' }] as const,
      questionsAndAnswers: [],
      maxOutputTokens: 5,
    };
    stream.open(() => provider.generate(request, stream.sink, stream.context));
    await until('the end of the generation', () => stream.over);
    stream.parts.forEach(checkLlmPart);
    await until('the tail read', () => stream.listeners === 0);
    return stream.parts.length;
  };
}

function checkLlmPart(part: LlmPart): void {
  const told = inspect(part);
  if (part.type === 'text-delta') assert(typeof part.text === 'string' && part.text !== '', told);
  if (part.type !== 'tool-called') return;
  assert(part.call.id !== '' && part.call.name !== '' && typeof part.call.arguments === 'string', told);
}

/** Of one call. */
const MAX_UTTERANCES = 8;

/** Speaks utterances, some of them cancelled, as long as the vendor listens; each must end once. */
export function speaking(provider: TtsProvider, options: TtsRequest['options'] = {}): Session {
  return async (line) => {
    const stream = new FuzzedStream<TtsPart>(line);
    const spoken = new Utterances();
    const onPart = (part: TtsPart): void => {
      stream.sink(part);
      spoken.take(part);
      if (part.type !== 'audio-chunk' && !line.hungUp) setImmediate(speak);
    };
    const voice = stream.open(() => provider.open({ language: 'en-US', options }, onPart, stream.context));
    const speak = (): void => {
      if (stream.over || line.hungUp || spoken.begun >= MAX_UTTERANCES) return;
      const id = spoken.begin();
      voice.speak(id, 'Hi.');
      if (line.random.chance(0.3)) voice.speak(id, 'Hi there.');
      if (line.random.chance(0.8)) return voice.finish(id);
      spoken.end(id);
      voice.cancel(id);
      speak();
    };
    speak();
    speak();
    const isDone = (): boolean => (line.hungUp || spoken.begun >= MAX_UTTERANCES) && spoken.live === 0;
    await until('the end of every utterance', () => stream.over || isDone());
    voice.close();
    if (!stream.over) stream.end();
    assert.equal(stream.listeners, 0, 'listeners are left');
    return stream.parts.length;
  };
}

/** Each is begun by us, and ends once. */
class Utterances {
  begun = 0;
  readonly #live = new Set<string>();

  get live(): number {
    return this.#live.size;
  }

  begin(): string {
    const id = String(this.begun++);
    this.#live.add(id);
    return id;
  }

  end(id: string): void {
    assert(this.#live.delete(id), `utterance ${id} has ended twice`);
  }

  take(part: TtsPart): void {
    if (part.type === 'stream-failed') return;
    if (part.type !== 'audio-chunk') return this.end(part.utteranceId);
    assert(this.#live.has(part.utteranceId), 'audio of no utterance');
    assert(part.audio.length > 0, 'no audio in a chunk');
    for (const { startMs, durationMs } of part.spans ?? []) assert(startMs >= 0 && durationMs >= 0, `${startMs}`);
  }
}
