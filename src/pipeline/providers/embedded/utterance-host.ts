/** Runs the utterances of many calls on a few decoders; lives in a worker thread. */
import { decodeMulaw } from '../../../media/audio/g711.ts';
import { BYTES_PER_MS } from '../../../media/call-port.ts';
import { confidenceOf, isWord, MIN_CONFIDENCE } from './confidence.ts';
import type { DecoderPair, Recognised } from './decoder.ts';
import type { Grammar } from './grammar.ts';
import type { GrammarBuilder } from './pronunciation.ts';
import type { RecogniserReply, RecogniserRequest } from './recogniser-messages.ts';

/** People speaking at the same moment, for each worker; further utterances are kept and decoded when one ends. */
const MAX_PAIRS = 8;
const MAX_GRAMMARS = 64;
/** A pair that has learnt this many words is replaced by a fresh one. */
const MAX_VOCABULARY = 20_000;
const INTERIM_EVERY_MS = 250;
/** Audio after which a worker that catches up says that it is alive. */
const PROGRESS_EVERY_MS = 1_000;
/** The line is judged by this much audio: what was kept from before the hint, and a tenth of a second of speech. */
const OPENING_MS = 900;
const LOUDEST_SAMPLE = 32_768;

interface Utterance {
  readonly id: number;
  readonly streamId: number;
  /** Audio that no decoder has seen yet. The sender bounds it: 20 s an utterance, three utterances a call. */
  readonly backlog: Uint8Array[];
  ended: boolean;
  dropped: boolean;
  /** Continues the decoding when it waits for audio. */
  wake: () => void;
}

type DecoderFactory = () => Promise<DecoderPair>;

export class UtteranceHost {
  readonly #createPair: DecoderFactory;
  readonly #grammarBuilder: GrammarBuilder;
  readonly #post: (reply: RecogniserReply) => void;
  /** By phrases; least recently used first. */
  readonly #grammars = new Map<string, Promise<Grammar>>();
  readonly #streams = new Map<number, Promise<Grammar>>();
  readonly #utterances = new Map<number, Utterance>();
  readonly #free: DecoderPair[] = [];
  readonly #waiting: ((pair: DecoderPair) => void)[] = [];
  #pairs = 0;

  constructor(createPair: DecoderFactory, grammarBuilder: GrammarBuilder, post: (reply: RecogniserReply) => void) {
    this.#createPair = createPair;
    this.#grammarBuilder = grammarBuilder;
    this.#post = post;
  }

  /** Creates the first decoders, so that the first utterance need not. */
  async warm(): Promise<void> {
    this.#pairs++;
    this.#release(await this.#createPair());
  }

  receive(message: RecogniserRequest): void {
    switch (message.type) {
      case 'prepare':
        return this.#prepare(message.streamId, message.phrases);
      case 'utterance-start': {
        const { utteranceId: id, streamId, audio } = message;
        const utterance: Utterance = { id, streamId, backlog: [audio], ended: false, dropped: false, wake: () => {} };
        this.#utterances.set(id, utterance);
        this.#run(utterance).catch((error: unknown) => this.#fail(utterance, error));
        return;
      }
      case 'audio': {
        const utterance = this.#utterances.get(message.utteranceId);
        utterance?.backlog.push(message.audio);
        return utterance?.wake();
      }
      case 'utterance-end': {
        const utterance = this.#utterances.get(message.utteranceId);
        if (utterance) utterance.ended = true;
        return utterance?.wake();
      }
      case 'forget':
        this.#streams.delete(message.streamId);
        for (const utterance of this.#utterances.values()) {
          if (utterance.streamId !== message.streamId) continue;
          utterance.dropped = true;
          utterance.wake();
        }
    }
  }

  #prepare(streamId: number, phrases: readonly string[]): void {
    const key = phrases.join('\n');
    const grammar = this.#grammars.get(key) ?? this.#grammarBuilder.build(phrases);
    this.#grammars.delete(key);
    this.#grammars.set(key, grammar);
    for (const oldest of this.#grammars.keys()) {
      if (this.#grammars.size <= MAX_GRAMMARS) break;
      this.#grammars.delete(oldest);
    }
    this.#streams.set(streamId, grammar);
    grammar
      .then(({ phrases: kept, skipped }) => this.#post({ type: 'prepared', streamId, phrases: kept.length, skipped }))
      // Each utterance with this grammar reports the failure; the next call tries again.
      .catch(() => this.#grammars.delete(key));
  }

  async #run(utterance: Utterance): Promise<void> {
    const grammar = await this.#streams.get(utterance.streamId);
    while (!utterance.ended && !utterance.dropped && lengthMs(utterance.backlog) < OPENING_MS)
      await moreAudio(utterance);
    if (!grammar || utterance.dropped) return this.#forget(utterance);
    const pair = await this.#acquire(grammar);
    try {
      await pair.start(grammar, toFloat(Buffer.concat(utterance.backlog.splice(0))));
      await this.#decode(utterance, pair);
    } catch (error) {
      this.#discard(pair);
      throw error;
    }
    this.#forget(utterance);
    if (pair.vocabulary > MAX_VOCABULARY) this.#discard(pair);
    else this.#release(pair);
  }

  async #decode(utterance: Utterance, pair: DecoderPair): Promise<void> {
    let sinceInterimMs = 0;
    let sinceProgressMs = 0;
    let interim = '';
    for (;;) {
      for (const audio of utterance.backlog.splice(0)) {
        pair.push(toFloat(audio));
        sinceInterimMs += audio.length / BYTES_PER_MS;
        sinceProgressMs += audio.length / BYTES_PER_MS;
        if (sinceProgressMs >= PROGRESS_EVERY_MS) {
          sinceProgressMs = 0;
          this.#post({ type: 'progress' });
        }
      }
      if (utterance.ended || utterance.dropped) break;
      if (sinceInterimMs >= INTERIM_EVERY_MS) {
        sinceInterimMs = 0;
        interim = this.#reportInterim(utterance, pair.partial(), interim);
      }
      await moreAudio(utterance);
    }
    const heard = pair.finish();
    if (!utterance.dropped) this.#reportFinal(utterance, heard);
  }

  #reportInterim(utterance: Utterance, { text, score }: Recognised, previous: string): string {
    const confidence = confidenceOf(score);
    if (text === previous || text === '' || confidence < MIN_CONFIDENCE) return previous;
    this.#post({ type: 'interim', utteranceId: utterance.id, text, confidence });
    return text;
  }

  #reportFinal(utterance: Utterance, heard: Recognised): void {
    const confidence = confidenceOf(heard.score);
    const believed = confidence >= MIN_CONFIDENCE;
    const words = believed ? heard.segments.filter(isWord) : [];
    this.#post({
      type: 'final',
      utteranceId: utterance.id,
      text: believed ? heard.text : '',
      confidence,
      words: words.map(({ text, startMs, durationMs, quality }) => {
        return { text, startMs, endMs: startMs + durationMs, confidence: confidence * quality };
      }),
      rejectedText: believed ? '' : heard.text,
      score: heard.score,
    });
  }

  #fail(utterance: Utterance, error: unknown): void {
    this.#forget(utterance);
    const reason = error instanceof Error ? error.message : String(error);
    this.#post({ type: 'utterance-failed', utteranceId: utterance.id, reason });
  }

  #forget(utterance: Utterance): void {
    this.#utterances.delete(utterance.id);
  }

  async #acquire(grammar: Grammar): Promise<DecoderPair> {
    const index = Math.max(
      0,
      this.#free.findIndex((pair) => pair.grammar === grammar),
    );
    const [free] = this.#free.splice(index, 1);
    if (free) return free;
    if (this.#pairs >= MAX_PAIRS) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#pairs++;
    try {
      return await this.#createPair();
    } catch (error) {
      this.#pairs--;
      throw error;
    }
  }

  #release(pair: DecoderPair): void {
    const next = this.#waiting.shift();
    if (next) next(pair);
    else this.#free.push(pair);
  }

  #discard(pair: DecoderPair): void {
    this.#pairs--;
    pair.delete();
    const next = this.#waiting.shift();
    if (!next) return;
    this.#pairs++;
    this.#createPair().then(next, () => {
      this.#pairs--;
      // Out of memory, most likely: the thread is of no use any more, and its pool starts another.
      throw new Error('No new decoder could be created.');
    });
  }
}

/** Until audio came, or the utterance ended. */
function moreAudio(utterance: Utterance): Promise<void> {
  return new Promise((resolve) => {
    utterance.wake = resolve;
  });
}

function lengthMs(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0) / BYTES_PER_MS;
}

function toFloat(audio: Uint8Array): Float32Array {
  const linear = new Int16Array(audio.length);
  decodeMulaw(audio, linear);
  return Float32Array.from(linear, (sample) => sample / LOUDEST_SAMPLE);
}
