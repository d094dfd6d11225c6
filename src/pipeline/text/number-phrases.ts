/** Numbers in running English text: ranges, signs, ordinals, fractions, decades, years, decimals, and what is left. */
import {
  cardinal,
  codeDigits,
  decadeWords,
  decimal,
  digitGroups,
  ordinal,
  spellDigits,
  yearWords,
  type EnglishStyle,
} from './english-numbers.ts';

const VULGAR: Readonly<Record<string, string>> = {
  '½': 'a half',
  '¼': 'a quarter',
  '¾': 'three quarters',
  '⅓': 'a third',
  '⅔': 'two thirds',
  '⅛': 'an eighth',
  '⅜': 'three eighths',
  '⅝': 'five eighths',
  '⅞': 'seven eighths',
  '⅕': 'a fifth',
  '⅖': 'two fifths',
  '⅗': 'three fifths',
  '⅘': 'four fifths',
  '⅙': 'a sixth',
  '⅚': 'five sixths',
};
const VULGAR_SIGNS = Object.keys(VULGAR).join('');

/** "-5" → "minus 5", before anything else looks at hyphens. */
export function speakSigns(text: string): string {
  return text
    .replace(/(?<![\p{L}\p{N}%)\]°'"’”.,_-]) ?[-−](?=[$€£¥]?\.?\d)/gu, ' minus ')
    .replace(/(?<=\d ?)−(?= ?\d)/g, ' minus ')
    .replace(/(?<=\d) - (?=\d+(?:\.\d+)? ?=)/g, ' minus ');
}

/** "3–5" → "3 to 5", also between amounts with units: "9am–5pm", "10%-20%". */
export function speakRanges(text: string): string {
  return text.replace(
    /(?<=\d(?:%|[°º][CF]?|[ap]\.?m\.?| [ap]\.m\.| [ap]m| ?[a-zA-Z]{1,3})?|[½¼¾]) ?[-–—] ?(?=[$€£¥+]?\.?\d)/g,
    ' to ',
  );
}

/** Everything with digits that earlier steps have left. Afterwards no ASCII digit is left. */
export function speakNumbers(text: string, style: EnglishStyle): string {
  return bareNumbers(fractions(specialNumbers(text, style), style), style);
}

function specialNumbers(text: string, style: EnglishStyle): string {
  return text
    .replace(/(?<![\d/])24\/7(?![\d/])/g, 'twenty-four seven')
    .replace(
      /(?<![\d.,])(\d{1,3}(?:\.\d{1,3})?)(k|M|bn)(?![\p{L}\p{N}])/gu,
      (whole: string, amount: string, scale: string) => {
        if (scale === 'M' && !amount.includes('.')) return whole;
        return `${decimal(amount, style)} ${scale === 'M' ? 'million' : scale === 'bn' ? 'billion' : 'thousand'}`;
      },
    )
    .replace(/(?<![\d.,])((?:1\d|20)\d0)['’]?s(?![\p{L}\p{N}])/gu, (_, decade: string) => decadeWords(decade, style))
    .replace(/(?<![\p{L}\d.,])['’]?([2-9]0)['’]?s(?![\p{L}\p{N}])/gu, (_, decade: string) => decadeWords(decade, style))
    .replace(/(?<![\d.])(\d{1,3}(?:,\d{3}){1,5}|\d{1,15})(?:st|nd|rd|th)(?![\p{L}\p{N}])/giu, (_, digits: string) =>
      ordinal(digits, style),
    )
    .replace(
      /(?<![\d.])(\d{1,15}(?:\.\d{1,15})?)[xX](?![\p{L}\p{N}])/gu,
      (_, amount: string) => `${decimal(amount, style)} times`,
    )
    .replace(/(?<=\d) ?[x×] ?(?=\d)/g, ' times ')
    .replace(/(?<![\d.])\d{1,9}(?:\.\d{1,9}){2,8}(?![\d.]\d)/g, (dotted) =>
      dotted
        .split('.')
        .map((part) => cardinal(part, style))
        .join(' dot '),
    );
}

function fractions(text: string, style: EnglishStyle): string {
  return text
    .replace(new RegExp(`(\\d?) ?([${VULGAR_SIGNS}])`, 'gu'), (_, before: string, sign: string) =>
      before === '' ? ` ${VULGAR[sign]} ` : `${before} and ${VULGAR[sign]} `,
    )
    .replace(
      /(?<![\d/.,])(?:(\d{1,3}) )?(\d{1,3})[/⁄](\d{1,4})(?![\d/]|[.,]\d)/g,
      (_, whole: string | undefined, over: string, under: string) => {
        const words = fractionWords(over, under, style);
        return whole === undefined ? words : `${cardinal(whole, style)} and ${words}`;
      },
    );
}

function fractionWords(over: string, under: string, style: EnglishStyle): string {
  const top = cardinal(over, style);
  if (Number(over) >= Number(under) || Number(under) > 20) {
    return `${top} ${Number(under) === 100 || Number(under) === 10 ? 'out of' : 'slash'} ${cardinal(under, style)}`;
  }
  if (Number(under) === 10) return `${top} out of ten`;
  const one = Number(over) === 1;
  if (Number(under) === 2) return one ? 'one half' : `${top} halves`;
  const part = Number(under) === 4 ? 'quarter' : ordinal(under, style);
  return `${top} ${part}${one ? '' : 's'}`;
}

const BARE = /(?<!\d)((?:\d{1,3}(?:,\d{3}){1,5}(?![\d]|,\d{3}(?!\d)))|\d+)?(\.\d+)?/g;
const SPLIT_FROM_LETTERS = /(?<=\p{L}|\p{M})-?(?=\d)|(?<=\d)-?(?=\p{L})/gu;
const YEAR_BEFORE =
  /(?:^|[^\p{L}])(?:in|since|year|by|from|until|till|before|after|during|of|circa|class of|early|late|mid|spring|summer|autumn|fall|winter|to|and) $/iu;
const COUNTED =
  /^ (?:[a-z]+s|people|men|women|children|percent|feet|million|billion|thousand|more|or more)(?![\p{L}])/u;

function bareNumbers(text: string, style: EnglishStyle): string {
  const spaced = text.replace(SPLIT_FROM_LETTERS, ' ');
  return spaced.replace(
    BARE,
    (whole: string, digits: string | undefined, fraction: string | undefined, offset: number) => {
      if (whole === '') return '';
      const end = offset + whole.length;
      if (fraction !== undefined) return `${decimal(whole, style)}${padAfter(spaced, end)}`;
      if (digits === undefined) return whole;
      return `${wholeNumber(digits, spaced.slice(Math.max(0, offset - 12), offset), spaced.slice(end, end + 12), style)}${padAfter(spaced, end)}`;
    },
  );
}

function padAfter(text: string, end: number): string {
  return /[\p{L}\d]/u.test(text.charAt(end)) ? ' ' : '';
}

function wholeNumber(digits: string, before: string, after: string, style: EnglishStyle): string {
  if (digits.includes(',')) return cardinal(digits, style);
  if (digits.length > 1 && digits.startsWith('0')) return spellDigits(digits);
  if (digits.length >= 7) return digitGroups(digits);
  if (digits.length === 4 && isYear(Number(digits), before, after)) return yearWords(Number(digits), style);
  return digits.length <= 6 ? cardinal(digits, style) : codeDigits(digits, style);
}

/** 1900 to 2099 unless things are counted, 1100 to 1899 only where a year is expected. */
function isYear(value: number, before: string, after: string): boolean {
  if (value < 1100 || value > 2099 || COUNTED.test(after)) return false;
  return value >= 1900 || YEAR_BEFORE.test(before);
}
