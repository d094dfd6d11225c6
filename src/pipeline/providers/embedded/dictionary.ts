/** Pronunciations from the recogniser's CMU dictionary (134,000 words), without loading it into every decoder. */

interface Stretch {
  start: number;
  end: number;
}

/** The dictionary stays one string; words with the same first two letters stand close together in it. */
export class Dictionary {
  readonly #text: string;
  readonly #stretches = new Map<string, Stretch>();

  /** `text`: a line for each pronunciation, `word PH ON ES`, further ones of a word as `word(2) PH ON ES`. */
  constructor(text: string) {
    this.#text = `\n${text}\n`;
    for (let start = 0; start < this.#text.length - 1;) {
      const end = this.#text.indexOf('\n', start + 1);
      const key = this.#text.slice(start + 1, start + 3);
      const stretch = this.#stretches.get(key);
      if (stretch) stretch.end = end + 1;
      else this.#stretches.set(key, { start, end: end + 1 });
      start = end;
    }
  }

  /** ARPABET phones apart by spaces, most usual pronunciation first; empty for an unknown word. `word` is lower case. */
  pronunciations(word: string): string[] {
    const key = word.length === 1 ? `${word} ` : word.slice(0, 2);
    const found: string[] = [];
    for (let variant = 1; ; variant++) {
      const phones =
        this.#find(this.#stretches.get(key), variant === 1 ? word : `${word}(${variant})`) ??
        // The variants of a one-letter word stand under another key, e.g. `a(`.
        (word.length === 1 ? this.#find(this.#stretches.get(`${word}(`), `${word}(${variant})`) : undefined);
      if (phones === undefined) return found;
      found.push(phones);
    }
  }

  #find(stretch: Stretch | undefined, entry: string): string | undefined {
    if (!stretch) return undefined;
    const text = this.#text.slice(stretch.start, stretch.end);
    const at = text.indexOf(`\n${entry} `);
    if (at < 0) return undefined;
    const start = at + entry.length + 2;
    return text.slice(start, text.indexOf('\n', start)).trim();
  }
}
