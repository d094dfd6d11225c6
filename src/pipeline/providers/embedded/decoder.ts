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
const CEPSTRA = 13;
const LIFTER = 22;
/** Less tells nothing about the line. */
const MIN_OPENING_SAMPLES = 1600;
/** The engine's own. */
const DEFAULT_MEAN_CEPSTRUM = '40,3,-1';
/** No such file: words are added one by one instead of 134,000 at once (8 MB and 35 ms a decoder instead of 27 MB and 300 ms). */
const NO_DICTIONARY = join(sep, 'nonexistent');

/** A second of low, soft noise at −57 dB of full scale; always the same, so that the same audio gives the same words. */
const LINE_NOISE = lineNoise(8000);

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
      // The model's file switches it on; without it, and with the right mean, words in noise are found far more often.
      decoder.set_config('remove_noise', 0);
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

  /**
   * Begins an utterance. `opening` is its first audio, which is decoded too: from it the mean cepstrum is estimated, which the
   * acoustic model wants subtracted (lines differ in level, tone and noise). Nothing is left of the caller before.
   */
  async start(grammar: Grammar, opening: Float32Array): Promise<void> {
    if (grammar.jsgf !== undefined && grammar !== this.#grammar) this.#setGrammar(grammar, grammar.jsgf);
    this.#grammar = grammar;
    this.#samples = 0;
    if (grammar.jsgf === undefined) return;
    const audible = this.#overLineNoise(opening);
    const mean = audible.length >= MIN_OPENING_SAMPLES ? this.#meanCepstrum(audible) : DEFAULT_MEAN_CEPSTRUM;
    for (const decoder of [this.#grammarDecoder, this.#loopDecoder]) {
      decoder.set_config('cmninit', mean);
      await decoder.reinitialize_audio();
      decoder.start();
    }
    this.#process(audible);
  }

  /** Decodes more audio: 8 kHz, −1 to 1. Blocks for about a tenth of the audio's length. */
  push(samples: Float32Array): void {
    if (this.#grammar?.jsgf === undefined || samples.length === 0) return;
    this.#process(this.#overLineNoise(samples));
  }

  #process(samples: Float32Array): void {
    if (samples.length === 0) return;
    this.#samples += samples.length;
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

  /** The samples that come next, with noise as on a quiet line: digital silence would ruin the mean, and match no sound. */
  #overLineNoise(samples: Float32Array): Float32Array {
    return samples.map((sample, i) => sample + (LINE_NOISE[(this.#samples + i) % LINE_NOISE.length] ?? 0));
  }

  /** As the engine's front end computes it: cosine transform of the log mel spectrum, liftered (feat_params.json). */
  #meanCepstrum(samples: Float32Array): string {
    const { data, nfr, nfeat } = this.#grammarDecoder.spectrogram(samples);
    const spectrum = new Float64Array(nfeat);
    for (let i = 0; i < nfr * nfeat; i++) spectrum[i % nfeat] = (spectrum[i % nfeat] ?? 0) + (data[i] ?? 0) / nfr;
    const mean: string[] = [];
    for (let k = 0; k < CEPSTRA; k++) {
      let sum = 0;
      for (const [band, energy] of spectrum.entries()) sum += energy * Math.cos((Math.PI * k * (band + 0.5)) / nfeat);
      const scale = Math.sqrt((k === 0 ? 1 : 2) / nfeat) * (1 + (LIFTER / 2) * Math.sin((Math.PI * k) / LIFTER));
      mean.push((sum * scale).toFixed(3));
    }
    return mean.join(',');
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

function lineNoise(length: number): Float32Array {
  let seed = 1;
  const random = () => {
    seed = (seed * 1_103_515_245 + 12_345) & 0x7fff_ffff;
    return seed / 0x7fff_ffff - 0.5;
  };
  let low = 0;
  return Float32Array.from({ length }, () => {
    low = 0.9 * low + 0.002 * random();
    return low + 0.001 * random();
  });
}
