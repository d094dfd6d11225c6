/** When each word of a clause is spoken, from the sounds that Flite reports; pure. */
import type { SpokenSpan } from '../spec.ts';
import { PAUSE } from './flite.ts';
import type { Phone } from './flite.ts';

/** The part of Flite's audio worth playing. */
export interface VoicedRange {
  readonly startMs: number;
  readonly endMs: number;
}

/** Room left around the first and last sound, so that neither is clipped. */
const MARGIN_BEFORE_MS = 20;
const MARGIN_AFTER_MS = 30;

/** From just before the first sound to just after the last; undefined if nothing is spoken. Flite pads by about 200 ms. */
export function voicedRange(phones: readonly Phone[]): VoicedRange | undefined {
  const voiced = phones.filter((phone) => phone.name !== PAUSE);
  const [first, last] = [voiced[0], voiced.at(-1)];
  if (!first || !last) return undefined;
  return { startMs: Math.max(0, first.startMs - MARGIN_BEFORE_MS), endMs: last.endMs + MARGIN_AFTER_MS };
}

/**
 * Estimates when each word is spoken; times are relative to `range`. The texts of the spans, joined, are `text`.
 * Flite says when each sound ends, but not which word it belongs to: the sounds are dealt out to the words by spelling
 * length, phrase by phrase where the pauses match the punctuation.
 */
export function wordSpans(text: string, phones: readonly Phone[], range: VoicedRange): SpokenSpan[] {
  const words = splitWords(text);
  const phrases = splitPhones(phones);
  const sounds = phrases.flat();
  const wordPhrases = splitPhrases(words);
  const matched = wordPhrases.length === phrases.length;
  const endsMs = matched
    ? wordPhrases.flatMap((phrase, i) => dealOut(phrase, phrases[i] ?? []))
    : dealOut(words, sounds);
  const spans: SpokenSpan[] = [];
  let startMs = 0;
  for (const [i, word] of words.entries()) {
    const isLast = i === words.length - 1;
    const endMs = isLast ? range.endMs - range.startMs : Math.max(startMs, (endsMs[i] ?? 0) - range.startMs);
    spans.push({ text: word, startMs, durationMs: endMs - startMs });
    startMs = endMs;
  }
  return spans;
}

/** Words with the white space after them (and before the first); joined they are the text again. */
function splitWords(text: string): string[] {
  return text.match(/^\s*\S+\s*|\S+\s*/g) ?? (text ? [text] : []);
}

function splitPhrases(words: readonly string[]): string[][] {
  const phrases: string[][] = [[]];
  for (const word of words) {
    phrases.at(-1)?.push(word);
    if (/[,.;:?!]["')]*\s*$/.test(word)) phrases.push([]);
  }
  return phrases.filter((phrase) => phrase.length > 0);
}

function splitPhones(phones: readonly Phone[]): Phone[][] {
  const phrases: Phone[][] = [[]];
  for (const phone of phones) {
    if (phone.name !== PAUSE) phrases.at(-1)?.push(phone);
    else if (phrases.at(-1)?.length) phrases.push([]);
  }
  return phrases.filter((phrase) => phrase.length > 0);
}

/** End times of `words`, whose sounds are `sounds`. */
function dealOut(words: readonly string[], sounds: readonly Phone[]): number[] {
  const weights = words.map(spelledLength);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let dealt = 0;
  return weights.map((weight) => {
    dealt += weight;
    const position = (dealt / total) * sounds.length;
    const sound = sounds[Math.min(sounds.length - 1, Math.floor(position))];
    if (!sound) return 0;
    if (position >= sounds.length) return sound.endMs;
    return sound.startMs + (position - Math.floor(position)) * (sound.endMs - sound.startMs);
  });
}

/** A digit is read as a word of about three sounds; punctuation is not read. */
function spelledLength(word: string): number {
  const letters = word.match(/\p{L}/gu)?.length ?? 0;
  const digits = word.match(/\p{N}|[$%&@#+]/gu)?.length ?? 0;
  return Math.max(1, letters + 4 * digits);
}
