/** Seeded synthesisers: audio that says where it comes from, faster than it is spoken, with or without its alignment, and with faults. */
import type { Timer, VirtualClock } from '../../src/core/clock.ts';
import { BvraiError } from '../../src/core/errors.ts';
import { BYTES_PER_MS } from '../../src/media/call-port.ts';
import type {
  Sink,
  SpeakOptions,
  SpokenSpan,
  TtsPart,
  TtsProvider,
  TtsStream,
} from '../../src/pipeline/providers/spec.ts';
import type { TtsProfile } from './profile.ts';
import { Random, seedOf } from './random.ts';
import { codedAudio } from './sample-code.ts';
import type { Take, TakeBook } from './takes.ts';
import { wordsOf } from './words.ts';

export interface TtsModelOptions {
  readonly name: string;
  readonly seed: number;
  readonly clock: VirtualClock;
  readonly profile: TtsProfile;
  readonly takes: TakeBook;
  readonly onFate: (fate: string) => void;
}

type Fate = 'well' | 'fails-before' | 'fails-after' | 'stalls';

/** Speech is this fast, give or take; each word has its own pace. */
const MS_PER_CHARACTER = 55;
const GAP_MS = 50;
const PIECE_PAUSE_MS = 150;

export class TtsModel implements TtsProvider {
  readonly name: string;
  openStreams = 0;
  readonly options: TtsModelOptions;
  #opened = 0;

  constructor(options: TtsModelOptions) {
    this.name = options.name;
    this.options = options;
  }

  open(_request: unknown, sink: Sink<TtsPart>): TtsStream {
    this.openStreams++;
    const random = new Random(seedOf(this.options.seed, this.name, this.#opened++));
    return new Synthesis(this.options, random, sink, () => this.openStreams--);
  }
}

/** A token of the text: a word with its punctuation and the space after it. */
interface Token {
  readonly text: string;
  readonly fromMs: number;
  readonly durationMs: number;
}

interface Utterance {
  readonly take: Take;
  readonly fate: Fate;
  readonly failAtMs: number;
  readonly tokens: Token[];
  plannedMs: number;
  deliveredMs: number;
  finishing: boolean;
  timer: Timer | undefined;
}

class Synthesis implements TtsStream {
  readonly #options: TtsModelOptions;
  readonly #random: Random;
  readonly #sink: Sink<TtsPart>;
  readonly #onClose: () => void;
  readonly #utterances = new Map<string, Utterance>();
  readonly #lateTimers = new Set<Timer>();
  #closed = false;

  constructor(options: TtsModelOptions, random: Random, sink: Sink<TtsPart>, onClose: () => void) {
    this.#options = options;
    this.#random = random;
    this.#sink = sink;
    this.#onClose = onClose;
  }

  speak(utteranceId: string, text: string, options?: SpeakOptions): void {
    if (this.#closed) return;
    const utterance = this.#utterance(utteranceId);
    if (options?.fixed) utterance.take.fixed = true;
    this.#plan(utterance, text);
    if (!utterance.timer) this.#schedule(utterance, this.#random.latency(this.#options.profile.firstMs, 0.3));
  }

  finish(utteranceId: string): void {
    if (this.#closed) return;
    const utterance = this.#utterance(utteranceId);
    utterance.finishing = true;
    if (!utterance.timer) this.#schedule(utterance, 5);
  }

  cancel(utteranceId: string): void {
    const utterance = this.#utterances.get(utteranceId);
    if (this.#closed || !utterance) return;
    const mayComeLate = utterance.deliveredMs < utterance.plannedMs;
    this.#end(utterance, 'cancelled');
    // Against the rules, but seen: a chunk that was already on its way.
    if (!mayComeLate || !this.#random.chance(this.#options.profile.audioAfterCancel)) return;
    const timer = this.#options.clock.after(this.#random.between(5, 400), () => {
      this.#lateTimers.delete(timer);
      this.#deliver(utterance, Math.min(utterance.plannedMs, utterance.deliveredMs + this.#options.profile.chunkMs));
    });
    this.#lateTimers.add(timer);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const utterance of this.#utterances.values()) this.#end(utterance, 'cancelled');
    for (const timer of this.#lateTimers) timer.cancel();
    this.#onClose();
  }

  #utterance(id: string): Utterance {
    const known = this.#utterances.get(id);
    if (known) return known;
    const { profile, takes, name, onFate } = this.#options;
    const random = this.#random;
    const take = takes.begin(id, name, profile.spans);
    const fate: Fate = random.chance(profile.failsBefore)
      ? 'fails-before'
      : random.chance(profile.failsAfter)
        ? 'fails-after'
        : random.chance(profile.stalls)
          ? 'stalls'
          : 'well';
    const failAtMs =
      fate === 'fails-before' || (fate === 'stalls' && random.chance(0.5)) ? 0 : random.between(100, 3_000);
    const utterance: Utterance = {
      take,
      fate,
      failAtMs: fate === 'well' ? Number.POSITIVE_INFINITY : failAtMs,
      tokens: [],
      plannedMs: 0,
      deliveredMs: 0,
      finishing: false,
      timer: undefined,
    };
    this.#utterances.set(id, utterance);
    onFate(`${name}: utterance ${id} is take ${take.id}, ${fate}`);
    return utterance;
  }

  /** Decides where in the take's audio each word of `text` will be. */
  #plan(utterance: Utterance, text: string): void {
    const { take } = utterance;
    const pieceFromMs = utterance.plannedMs;
    for (const [token] of text.matchAll(/\s*\S+\s*/gu)) {
      const durationMs = Math.round(token.trim().length * MS_PER_CHARACTER * this.#random.between(0.8, 1.2)) + GAP_MS;
      const fromMs = utterance.plannedMs;
      utterance.tokens.push({ text: token, fromMs, durationMs });
      utterance.plannedMs += durationMs;
      const toMs = utterance.plannedMs - GAP_MS;
      for (const word of wordsOf(token))
        take.words.push({ word, from: fromMs * BYTES_PER_MS, to: toMs * BYTES_PER_MS });
    }
    utterance.plannedMs += PIECE_PAUSE_MS;
    take.pieces.push({ text, from: pieceFromMs * BYTES_PER_MS, to: utterance.plannedMs * BYTES_PER_MS });
  }

  #schedule(utterance: Utterance, delayMs: number): void {
    utterance.timer = this.#options.clock.after(delayMs, () => {
      utterance.timer = undefined;
      this.#produce(utterance);
    });
  }

  /** Delivers the next chunk, or what comes instead of it. */
  #produce(utterance: Utterance): void {
    const { profile } = this.#options;
    const { take } = utterance;
    if (utterance.deliveredMs >= utterance.failAtMs) {
      if (utterance.fate === 'stalls') return;
      return this.#fail(utterance);
    }
    if (utterance.deliveredMs < utterance.plannedMs) {
      const toMs = Math.min(utterance.plannedMs, utterance.deliveredMs + profile.chunkMs);
      const durationMs = toMs - utterance.deliveredMs;
      this.#schedule(utterance, durationMs / profile.speed);
      return this.#deliver(utterance, toMs);
    }
    if (!utterance.finishing) return;
    this.#end(utterance, 'finished');
    const part = { type: 'utterance-finished', utteranceId: take.utteranceId } as const;
    if (this.#random.chance(profile.finishedTwice)) {
      const timer = this.#options.clock.after(this.#random.between(1, 500), () => {
        this.#lateTimers.delete(timer);
        this.#sink(part);
      });
      this.#lateTimers.add(timer);
    }
    this.#sink(part);
  }

  #deliver(utterance: Utterance, toMs: number): void {
    const { take } = utterance;
    const fromMs = utterance.deliveredMs;
    const audio = codedAudio(take.id, fromMs, toMs - fromMs);
    utterance.deliveredMs = toMs;
    take.delivered = toMs * BYTES_PER_MS;
    const spans = this.#spans(utterance, fromMs, toMs);
    const part = { type: 'audio-chunk', utteranceId: take.utteranceId, audio } as const;
    this.#sink(spans ? { ...part, spans } : part);
  }

  /** The alignment of what begins in this stretch, as this vendor gives it. */
  #spans(utterance: Utterance, fromMs: number, toMs: number): SpokenSpan[] | undefined {
    const { spans } = this.#options.profile;
    if (spans === 'none' || (spans === 'partial' && this.#random.chance(0.4))) return undefined;
    const begins = (atMs: number) => atMs >= fromMs && atMs < toMs;
    if (spans === 'clauses') {
      return utterance.take.pieces
        .map(({ text, from, to }) => ({ text, atMs: from / BYTES_PER_MS, toMs: to / BYTES_PER_MS - PIECE_PAUSE_MS }))
        .filter(({ atMs }) => begins(atMs))
        .map(({ text, atMs, toMs: endMs }) => ({ text, startMs: atMs - fromMs, durationMs: endMs - atMs }));
    }
    return utterance.tokens
      .filter((token) => begins(token.fromMs))
      .map(({ text, fromMs: atMs, durationMs }) => ({ text, startMs: atMs - fromMs, durationMs: durationMs - GAP_MS }));
  }

  #fail(utterance: Utterance): void {
    const { utteranceId } = utterance.take;
    this.#end(utterance, 'failed');
    const error = new BvraiError('provider.overloaded', 'simulated');
    if (!this.#random.chance(this.#options.profile.streamFails)) {
      return this.#sink({ type: 'utterance-failed', utteranceId, error });
    }
    // A dead stream has let go of everything by itself.
    this.close();
    this.#sink({ type: 'stream-failed', error });
  }

  #end(utterance: Utterance, state: Take['state']): void {
    utterance.timer?.cancel();
    utterance.timer = undefined;
    utterance.take.state = state;
    this.#utterances.delete(utterance.take.utteranceId);
  }
}
