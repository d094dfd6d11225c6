/** Order numbers, flight numbers, model names, PINs: letters and digits one by one. */
import { cardinal, codeDigits, spellDigits, type EnglishStyle } from './english-numbers.ts';

const TOKEN = /(?<![\p{L}\p{N}\-.,@/$€£¥'’#])#?[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*(?![\p{L}\p{N}]|[.,:/]\d)/gu;
/** A number with a unit or the like, which only looks like a code. */
const MEASURE =
  /^\d+(?:[KMGTP]i?[Bb](?:ps)?|[KMG]bit|[kMG]?Hz|k?Wh?|kW|[mk]?V|mAh|dB|m?L|AM|PM|ST|ND|RD|TH|am|pm|st|nd|rd|th|s|k|x)?$/;
const ALL_CAPITALS = /^[A-Z0-9]*[A-Z][A-Z0-9]*$/;

/** What is said before a number that is read digit by digit. */
const LABELLED = new RegExp(
  '(?<![\\p{L}\\p{N}])((?:(?:code|pin|zip|zip code|postcode|passcode|password|otp|extension|account|order|confirmation|reference|ref|ticket|booking|' +
    'case|tracking|serial|policy|invoice|customer|member|membership|flight|card)(?: number| no\\.?| code| id)?|id)(?: is| was|:)?(?: ending in)? ?#? ?)' +
    '(\\d{3,12})(?![\\p{L}\\p{N}]|[.,:/-]\\d)(?! (?:people|persons|items|units|pieces|copies|tickets|euros|dollars|pounds)\\b)',
  'giu',
);

/** "AB-1234" → "A B one two three four"; "GPT-4" → "G P T four"; "COVID-19" → "COVID nineteen"; "your code is 4821" digit by digit. */
export function speakCodes(text: string, style: EnglishStyle): string {
  return text
    .replace(LABELLED, (_, label: string, digits: string) => `${label}${spellDigits(digits)}`)
    .replace(TOKEN, (token) => speakToken(token, style));
}

function speakToken(token: string, style: EnglishStyle): string {
  const hash = token.startsWith('#');
  const parts = token.slice(hash ? 1 : 0).split('-');
  if (!/\d/.test(token) || parts.every((part) => MEASURE.test(part))) return token;
  if (!parts.some((part) => ALL_CAPITALS.test(part) && !MEASURE.test(part))) return token;
  return (hash ? 'number ' : '') + parts.map((part) => speakPart(part, style)).join(' ');
}

function speakPart(part: string, style: EnglishStyle): string {
  return (part.match(/\d+|[A-Za-z]+/g) ?? [])
    .map((run) => {
      if (/\d/.test(run)) return codeDigits(run, style);
      return isSpelled(run) ? run.split('').join(' ') : run;
    })
    .join(' ');
}

/** Up to three capitals are letters; a longer run with a vowel is taken for a word. */
function isSpelled(letters: string): boolean {
  if (letters !== letters.toUpperCase()) return false;
  return letters.length <= 3 || !/[AEIOU]/.test(letters);
}

/** "#5" → "number five". */
export function speakNumberSigns(text: string, style: EnglishStyle): string {
  return text.replace(
    /(?<![\p{L}\p{N}])(?:#|№ ?)(\d{1,9})(?![\d\p{L}])/gu,
    (_, digits: string) => `number ${cardinal(digits, style)}`,
  );
}
