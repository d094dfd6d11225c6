/** From the phrases of an agent to a grammar that the recogniser reads (JSGF); pure. */
import { makeSpeakable } from '../../text/speakable.ts';
import { normaliseTranscript } from '../../text/normalise.ts';

/** Larger grammars recognise slower than real time allows: 500 phrases take about 0.3 s of CPU for a second of speech. */
export const MAX_PHRASES = 500;
const MAX_WORDS_A_PHRASE = 30;

export interface SkippedPhrase {
  readonly phrase: string;
  readonly reason: 'no-words' | 'too-long' | 'too-many' | 'unpronounceable';
}

export interface Grammar {
  /** Undefined when no phrase is left. */
  readonly jsgf: string | undefined;
  /** Every word of the grammar, with its pronunciations (ARPABET, apart by spaces). */
  readonly pronunciations: ReadonlyMap<string, readonly string[]>;
  readonly phrases: readonly string[];
  readonly skipped: readonly SkippedPhrase[];
}

/** The words of a phrase as they are spoken: "Room 101 – is it €50?" → room one hundred one is it fifty euros. */
export function spokenWords(phrase: string): string[] {
  const spoken = makeSpeakable(phrase, { language: 'en-US' }).normalize('NFKD').replace(/\p{M}/gu, '');
  return normaliseTranscript(spoken)
    .split(/[^a-z']+/)
    .map((word) => word.replace(/^'+|'+$/g, ''))
    .filter((word) => word !== '');
}

/** `pronounce` gives a word's pronunciations, none if it has no idea: the phrases with that word are then skipped, not the rest. */
export function buildGrammar(phrases: readonly string[], pronounce: (word: string) => readonly string[]): Grammar {
  const pronunciations = new Map<string, readonly string[]>();
  const kept = new Set<string>();
  const skipped: SkippedPhrase[] = [];
  for (const phrase of phrases) {
    const words = spokenWords(phrase);
    const text = words.join(' ');
    if (kept.has(text)) continue;
    const reason = whyNot(words, kept.size, (word) => {
      const known = pronunciations.get(word) ?? pronounce(word);
      if (known.length > 0) pronunciations.set(word, known);
      return known.length > 0;
    });
    if (reason) skipped.push({ phrase, reason });
    else kept.add(text);
  }
  const texts = [...kept];
  const jsgf =
    texts.length > 0 ? `#JSGF V1.0;\ngrammar phrases;\npublic <phrase> = ${alternatives(trieOf(texts))};` : undefined;
  return { jsgf, pronunciations, phrases: texts, skipped };
}

function whyNot(
  words: readonly string[],
  phrases: number,
  canSay: (word: string) => boolean,
): SkippedPhrase['reason'] | undefined {
  if (words.length === 0) return 'no-words';
  if (words.length > MAX_WORDS_A_PHRASE) return 'too-long';
  if (phrases >= MAX_PHRASES) return 'too-many';
  return words.every(canSay) ? undefined : 'unpronounceable';
}

/** Phrases that begin alike share their beginning: the recogniser's work then grows with the endings only. */
interface TrieNode {
  isEnd: boolean;
  readonly next: Map<string, TrieNode>;
}

function trieOf(texts: readonly string[]): TrieNode {
  const root: TrieNode = { isEnd: false, next: new Map() };
  for (const text of texts) {
    let node = root;
    for (const word of text.split(' ')) {
      let child = node.next.get(word);
      if (!child) node.next.set(word, (child = { isEnd: false, next: new Map() }));
      node = child;
    }
    node.isEnd = true;
  }
  return root;
}

function alternatives(node: TrieNode): string {
  return [...node.next]
    .map(([word, child]) => {
      if (child.next.size === 0) return word;
      return child.isEnd ? `${word} [ ${alternatives(child)} ]` : `${word} ( ${alternatives(child)} )`;
    })
    .join(' | ');
}
