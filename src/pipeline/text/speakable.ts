/** Text as people read it aloud: what a text-to-speech engine is given. */
import { expandAbbreviations, expandNumbered } from './abbreviations.ts';
import { speakAddresses } from './addresses.ts';
import { cleanCharacters, removeEmoji, stripTags } from './clean.ts';
import { speakCodes, speakNumberSigns } from './codes.ts';
import { speakDates } from './dates.ts';
import type { EnglishStyle } from './english-numbers.ts';
import { markdownToPlain } from './markdown.ts';
import { speakMoney } from './money.ts';
import { speakNumbers, speakRanges, speakSigns } from './number-phrases.ts';
import { speakPhoneNumbers } from './phone-numbers.ts';
import { keepSpeakable, speakSymbols } from './symbols.ts';
import { speakTimes } from './times.ts';
import { speakUnits } from './units.ts';

export interface SpeakableOptions {
  /** BCP 47. `en` and `en-US` read 11/22 as November; all other English puts the day first. */
  readonly language: string;
}

type Step = (text: string, style: EnglishStyle) => string;

/**
 * From the most particular writing to the most general: what one step has turned into words, the next ones do not see as digits.
 * Dates come before phone numbers (2026-11-22), both before ranges (3–5), units before numbers (they need the digits).
 */
const ENGLISH_STEPS: readonly Step[] = [
  speakAddresses,
  speakSigns,
  expandNumbered,
  speakDates,
  speakPhoneNumbers,
  speakMoney,
  speakCodes,
  speakNumberSigns,
  speakRanges,
  speakTimes,
  speakUnits,
  speakNumbers,
  expandAbbreviations,
  speakSymbols,
  keepSpeakable,
];

/** Passes over one text. The second one mostly only confirms that nothing is left to do. */
const MAX_PASSES = 5;

/**
 * Turns written text into spoken words.
 *
 * It takes one clause at a time, as the chunker cuts them, and keeps nothing between calls: a number, date, link or address must lie
 * within one clause (the chunker sees to that), and a mark whose partner is in another clause (`**`, a code fence) is just dropped.
 *
 * English ('en', 'en-…') is read in full: the result has no ASCII digits and no signs, only words and punctuation. In other languages
 * markdown, tags, emoji and control characters go, and numbers stay, since speech engines read those in their own language better.
 *
 * Never throws; takes time linear in the text; idempotent; '' if there is nothing to say. No tag survives, so SSML in a model's
 * answer reaches no engine.
 */
export function makeSpeakable(text: string, { language }: SpeakableOptions): string {
  const isEnglish = /^en(?:[-_]|$)/i.test(language);
  const style = { british: !/^en(?:[-_]us)?$/i.test(language) };
  let spoken = text;
  // What one pass brings together ("<<b>b>", "D*r. Who"), the next one takes apart.
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    const plain = stripTags(markdownToPlain(removeEmoji(stripTags(cleanCharacters(spoken)))));
    const next = isEnglish ? english(plain, style) : neutral(plain);
    if (next === spoken) break;
    spoken = next;
  }
  return /[\p{L}\p{N}]/u.test(spoken) ? spoken : '';
}

function english(text: string, style: EnglishStyle): string {
  let spoken = text.replace(/\s+/g, ' ').trim();
  for (const step of ENGLISH_STEPS) spoken = step(spoken, style);
  return spoken;
}

function neutral(text: string): string {
  return text.replace(/[<>]/g, ' ').replace(/\s+/g, ' ').trim();
}
