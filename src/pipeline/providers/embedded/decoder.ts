/** SoundSwallower (pocketsphinx in WebAssembly) as a pair of decoders: the agent's grammar, and a free loop of sounds beside it. */
import { createRequire } from 'node:module';
import { dirname, join, sep } from 'node:path';
import createModule from 'soundswallower';
import type { Decoder, SoundSwallowerModule } from 'soundswallower';
import { BvraiError } from '../../../core/errors.ts';
import { scoreUtterance } from './confidence.ts';
import type { Segment } from './confidence.ts';
import type { Grammar } from './grammar.ts';

/** ARPABET, as the acoustic model has it. */
const PHONES =
  'AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH'.split(' ');
const FRAME_SAMPLES = 80;
/** No such file: words are added one by one instead of 134,000 at once (8 MB and 35 ms a decoder instead of 27 MB and 300 ms). */
const NO_DICTIONARY = join(sep, 'nonexistent');

export interface Recognised {
  readonly text: string;
  /** See confidence.ts; −∞ when there is no text. */
  readonly score: number;
  readonly segments: readonly Segment[];
}

const NOTHING: Recognised = { text: '', score: Number.NEGATIVE_INFINITY, segments: [] };

/** The folder of the package's models, and the name of the English one. */
export function modelFolder(): string {
  const entry = createRequire(import.meta.url).resolve('soundswallower/jsonly');
  return join(dirname(dirname(entry)), 'model', sep);
}

/** Loads the engine: once per thread. `onError` gets what it prints. */
export function loadSoundSwallower(onError: (line: string) => void): Promise<SoundSwallowerModule> {
  // The module takes more options than its types tell.
  const options = { modelBase: modelFolder(), print: onError, printErr: onError };
  return createModule(options);
}

/** Decodes one utterance at a time, for any call. */
export class DecoderPair {
  readonly #module: SoundSwallowerModule;
  readonly #grammarDecoder: Decoder;
  readonly #loopDecoder: Decoder;
  readonly #knownWords = new Set<string>();
  readonly #scoreAddress: number;
  #grammar: Grammar | undefined;
  #samples = 0;

  private constructor(module: SoundSwallowerModule, grammarDecoder: Decoder, loopDecoder: Decoder) {
    this.#module = module;
    this.#grammarDecoder = grammarDecoder;
    this.#loopDecoder = loopDecoder;
    this.#scoreAddress = numberFrom(module, '_malloc', 4);
  }

  /** About 80 ms and 16 MB. */
  static async create(module: SoundSwallowerModule): Promise<DecoderPair> {
    const create = async () => {
      const decoder = new module.Decoder({ samprate: 8000, loglevel: 'FATAL', dict: NO_DICTIONARY });
      await decoder.initialize();
      return decoder;
    };
    const [grammarDecoder, loopDecoder] = [await create(), await create()];
    const sounds = PHONES.map((phone) => `_${phone.toLowerCase()}`);
    loopDecoder.add_words(...PHONES.map((phone, i): [string, string] => [sounds[i] ?? phone, phone]));
    loopDecoder.set_grammar(`#JSGF V1.0;\ngrammar sounds;\npublic <speech> = ( ${sounds.join(' | ')} )+;`);
    return new DecoderPair(module, grammarDecoder, loopDecoder);
  }

  /** Words known so far: they are never forgotten, so whoever serves many agents replaces the pair in time. */
  get vocabulary(): number {
    return this.#knownWords.size;
  }

  get grammar(): Grammar | undefined {
    return this.#grammar;
  }

  /** Begins an utterance. The level of another caller's line is forgotten first, so that the same audio gives the same words. */
  async start(grammar: Grammar): Promise<void> {
    if (grammar.jsgf !== undefined && grammar !== this.#grammar) this.#setGrammar(grammar, grammar.jsgf);
    this.#grammar = grammar;
    this.#samples = 0;
    if (grammar.jsgf === undefined) return;
    for (const decoder of [this.#grammarDecoder, this.#loopDecoder]) {
      await decoder.reinitialize_audio();
      decoder.start();
    }
  }

  /** Decodes more audio: 8 kHz, −1 to 1. Blocks for about a tenth of the audio's length. */
  push(samples: Float32Array): void {
    this.#samples += samples.length;
    if (this.#grammar?.jsgf === undefined || samples.length === 0) return;
    this.#grammarDecoder.process_audio(samples);
    this.#loopDecoder.process_audio(samples);
  }

  /** What was heard so far. */
  partial(): Recognised {
    if (this.#grammar?.jsgf === undefined) return NOTHING;
    const text = plainText(this.#grammarDecoder.get_text());
    return text === '' ? NOTHING : this.#scored(text);
  }

  /** Ends the utterance. */
  finish(): Recognised {
    if (this.#grammar?.jsgf === undefined) return NOTHING;
    this.#grammarDecoder.stop();
    this.#loopDecoder.stop();
    const text = plainText(this.#grammarDecoder.get_text());
    if (text === '') return NOTHING;
    return this.#scored(text);
  }

  delete(): void {
    this.#grammarDecoder.delete();
    this.#loopDecoder.delete();
    numberFrom(this.#module, '_free', this.#scoreAddress);
  }

  #setGrammar(grammar: Grammar, jsgf: string): void {
    const missing: [string, string][] = [];
    for (const [word, pronunciations] of grammar.pronunciations) {
      if (this.#knownWords.has(word)) continue;
      this.#knownWords.add(word);
      for (const [i, phones] of pronunciations.entries()) missing.push([i === 0 ? word : `${word}(${i + 1})`, phones]);
    }
    if (missing.length > 0) this.#grammarDecoder.add_words(...missing);
    this.#grammarDecoder.set_grammar(jsgf);
  }

  #scored(text: string): Recognised {
    const segments = (this.#grammarDecoder.get_alignment().w ?? []).map((part) => ({
      text: plainText(part.t),
      startMs: part.b * 1000,
      durationMs: part.d * 1000,
      quality: part.p,
    }));
    return { text, score: scoreUtterance(this.#margin(), segments), segments };
  }

  /** How much better the grammar explains the audio than the loop does, per frame. */
  #margin(): number {
    const frames = Math.max(1, this.#samples / FRAME_SAMPLES);
    return (this.#pathScore(this.#grammarDecoder) - this.#pathScore(this.#loopDecoder)) / frames;
  }

  /** The best path's log-likelihood: the second result of the C function behind `get_text`, which the wrapper drops. */
  #pathScore(decoder: Decoder): number {
    const address: unknown = Reflect.get(decoder, 'cdecoder');
    numberFrom(this.#module, '_decoder_hyp', typeof address === 'number' ? address : 0, this.#scoreAddress);
    const heap = this.#module.HEAP8;
    return new DataView(heap.buffer, heap.byteOffset).getInt32(this.#scoreAddress, true);
  }
}

/** Removes the marks of pronunciation variants: "your(2)" is "your". `(NULL)` is the grammar's, not a word. */
function plainText(text: string): string {
  return text.replace(/\(\d+\)/g, '').trim();
}

/** Calls an exported C function that the package's types leave out. */
function numberFrom(module: SoundSwallowerModule, name: string, ...args: number[]): number {
  const call: unknown = Reflect.get(module, name);
  if (typeof call !== 'function') throw new BvraiError('engine.failed', `soundswallower has no ${name}.`);
  const result: unknown = Reflect.apply(call, undefined, args);
  return typeof result === 'number' ? result : 0;
}
