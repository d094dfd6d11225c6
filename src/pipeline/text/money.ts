/** Amounts of money in English. */
import { cardinal, decimal, type EnglishStyle } from './english-numbers.ts';

interface Currency {
  readonly one: string;
  readonly many: string;
  /** Hundredths; undefined for currencies without. */
  readonly cent?: readonly [one: string, many: string];
}

const dollars = (adjective: string): Currency => ({
  one: `${adjective}dollar`,
  many: `${adjective}dollars`,
  cent: ['cent', 'cents'],
});

const BY_SIGN: Readonly<Record<string, Currency>> = {
  $: dollars(''),
  US$: dollars('US '),
  A$: dollars('Australian '),
  AU$: dollars('Australian '),
  C$: dollars('Canadian '),
  CA$: dollars('Canadian '),
  NZ$: dollars('New Zealand '),
  '€': { one: 'euro', many: 'euros', cent: ['cent', 'cents'] },
  '£': { one: 'pound', many: 'pounds', cent: ['penny', 'pence'] },
  '¥': { one: 'yen', many: 'yen' },
  '₹': { one: 'rupee', many: 'rupees', cent: ['paisa', 'paise'] },
};
const BY_CODE: Readonly<Record<string, Currency>> = {
  USD: dollars('US '),
  AUD: dollars('Australian '),
  CAD: dollars('Canadian '),
  NZD: dollars('New Zealand '),
  EUR: { one: 'euro', many: 'euros', cent: ['cent', 'cents'] },
  GBP: { one: 'pound', many: 'pounds', cent: ['penny', 'pence'] },
  JPY: { one: 'yen', many: 'yen' },
  INR: { one: 'rupee', many: 'rupees', cent: ['paisa', 'paise'] },
  CHF: { one: 'Swiss franc', many: 'Swiss francs', cent: ['centime', 'centimes'] },
};
const SCALES: Readonly<Record<string, string>> = {
  k: 'thousand',
  m: 'million',
  mn: 'million',
  b: 'billion',
  bn: 'billion',
  t: 'trillion',
  tn: 'trillion',
};

const SIGN = '(?:US|AU?|CA?|NZ)?\\$|[€£¥₹]';
const CODE = 'USD|AUD|CAD|NZD|EUR|GBP|JPY|INR|CHF';
const AMOUNT = String.raw`\d{1,3}(?:,\d{3}){1,5}(?:\.\d{1,4}(?!\d))?|\d{1,15}(?:\.\d{1,4}(?!\d))?|\.\d{1,4}`;
const SCALE = String.raw`(?: ?(thousand|million|billion|trillion|[kmbt]n?)(?![\p{L}\p{N}]))?`;
const PER = String.raw`(?:\/([a-z]{1,12})(?![\p{L}\p{N}]))?`;
const BEFORE = new RegExp(
  `(?<![\\p{L}\\p{N}])(${SIGN}|(?:${CODE})(?= ?\\d)) ?(${AMOUNT})(?![\\d])(?: ?[-–—] ?(?:${SIGN})?(${AMOUNT})(?![\\d-]))?${SCALE}${PER}`,
  'giu',
);
const AFTER = new RegExp(
  `(?<![\\p{L}\\p{N}.,])(${AMOUNT})${SCALE} ?([€£¥₹]|(?:${CODE})(?![\\p{L}\\p{N}]))${PER}`,
  'gu',
);
const CENTS = /(?<![\d.,])(\d{1,6})¢/g;
const PERIODS: Readonly<Record<string, string>> = {
  mo: 'month',
  yr: 'year',
  hr: 'hour',
  h: 'hour',
  wk: 'week',
  min: 'minute',
  kg: 'kilogram',
  lb: 'pound',
  ea: 'item',
};

/** "$1,234.56" → "one thousand two hundred thirty-four dollars and fifty-six cents"; "$1.2 million", "£3k", "USD 20", "20 €", "$5–10", "$9/month". */
export function speakMoney(text: string, style: EnglishStyle): string {
  return text
    .replace(BEFORE, (whole: string, sign: string, amount: string, upper?: string, scale?: string, per?: string) => {
      const currency = currencyOf(sign);
      if (!currency) return whole;
      if (upper === undefined) return speakAmount(amount, scale, currency, style) + speakPer(per);
      return `${decimal(amount, style)} to ${speakAmount(upper, scale, currency, style)}${speakPer(per)}`;
    })
    .replace(AFTER, (whole: string, amount: string, scale: string | undefined, sign: string, per?: string) => {
      const currency = currencyOf(sign);
      return currency ? speakAmount(amount, scale, currency, style) + speakPer(per) : whole;
    })
    .replace(CENTS, (_, cents: string) => count(cents, 'cent', 'cents', style));
}

function currencyOf(sign: string): Currency | undefined {
  return BY_SIGN[sign.toUpperCase()] ?? BY_CODE[sign.toUpperCase()];
}

function speakAmount(amount: string, scale: string | undefined, currency: Currency, style: EnglishStyle): string {
  if (scale !== undefined) {
    return `${decimal(amount, style)} ${SCALES[scale.toLowerCase()] ?? scale.toLowerCase()} ${currency.many}`;
  }
  const [whole = '', fraction = ''] = amount.split('.');
  if (fraction === '' || (/^0+$/.test(fraction) && whole !== ''))
    return count(whole, currency.one, currency.many, style);
  if (!currency.cent || fraction.length > 2) return `${decimal(amount, style)} ${currency.many}`;
  const cents = count(fraction.padEnd(2, '0'), currency.cent[0], currency.cent[1], style);
  if (/^0*$/.test(whole)) return cents;
  return `${count(whole, currency.one, currency.many, style)} and ${cents}`;
}

function speakPer(per: string | undefined): string {
  return per === undefined ? '' : ` per ${PERIODS[per] ?? per}`;
}

function count(digits: string, one: string, many: string, style: EnglishStyle): string {
  return `${cardinal(digits, style)} ${/^0*1$/.test(digits) ? one : many}`;
}
