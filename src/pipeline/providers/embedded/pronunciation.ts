/** How words are said: from the dictionary, else by Flite's letter-to-sound rules. For the recogniser's worker. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { modelFolder } from './decoder.ts';
import { Dictionary } from './dictionary.ts';
import { PAUSE, runFlite } from './flite.ts';
import { buildGrammar, spokenWords } from './grammar.ts';
import type { Grammar } from './grammar.ts';
import { loadFlite } from './load-flite.ts';

/** The quickest voice: only the sounds' names are wanted. */
const GUESSING_VOICE = 'kal';
/** A guess takes about 15 ms. */
const MAX_GUESSES_A_GRAMMAR = 100;
const MAX_REMEMBERED_GUESSES = 5_000;

/** Flite's sounds of a word as ARPABET: the same set, but for the schwa, which CMU's dictionary writes AH. */
function guessPronunciation(flite: WebAssembly.Module, word: string): string {
  return runFlite(flite, GUESSING_VOICE, word)
    .phones.filter(({ name }) => name !== PAUSE)
    .map(({ name }) => (name === 'ax' ? 'AH' : name.toUpperCase()))
    .join(' ');
}

/** Builds grammars; loads Flite when the first unknown word comes. */
export class GrammarBuilder {
  readonly #dictionary: Dictionary;
  readonly #guesses = new Map<string, string>();
  #flite: Promise<WebAssembly.Module> | undefined;

  constructor(dictionary: Dictionary) {
    this.#dictionary = dictionary;
  }

  static async load(): Promise<GrammarBuilder> {
    return new GrammarBuilder(new Dictionary(await readFile(join(modelFolder(), 'en-us', 'dict.txt'), 'latin1')));
  }

  async build(phrases: readonly string[]): Promise<Grammar> {
    const known = new Map<string, readonly string[]>();
    const unknown: string[] = [];
    for (const word of new Set(phrases.flatMap(spokenWords))) {
      const pronunciations = this.#dictionary.pronunciations(word);
      if (pronunciations.length > 0) known.set(word, pronunciations);
      else if (unknown.length < MAX_GUESSES_A_GRAMMAR) unknown.push(word);
    }
    for (const word of unknown) {
      const guess = await this.#guess(word);
      if (guess !== '') known.set(word, [guess]);
    }
    return buildGrammar(phrases, (word) => known.get(word) ?? []);
  }

  async #guess(word: string): Promise<string> {
    const remembered = this.#guesses.get(word);
    if (remembered !== undefined) return remembered;
    this.#flite ??= loadFlite();
    const guess = guessPronunciation(await this.#flite, word);
    if (this.#guesses.size >= MAX_REMEMBERED_GUESSES) this.#guesses.clear();
    this.#guesses.set(word, guess);
    return guess;
  }
}
